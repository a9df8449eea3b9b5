//! An upstream that refuses, hangs up at every publish, or says nothing: the rest goes on, and when it is well again
//! everything arrives.

use std::time::{Duration, Instant};

use tidegate_tests::upstream::{Books, Mood};

use crate::house::{DRAIN_MAX, House, first_reaction};

/// The uplink gives a broker some seconds to answer.
const SAID_MAX: Duration = Duration::from_secs(40);

/// Starts with an upstream in this mood, sends, sees what is said, and heals it.
fn check(mood: Mood, words: &[&str]) {
    let house = House::start(mood);
    let sent = house.fleet("u", 50).run();
    assert!(sent.iter().all(|sent| sent.acked.is_some() || sent.topic.contains("/q")), "all acked");
    let process = &house.daemon.process;
    let said = process.wait_for_line(words, SAID_MAX);
    assert!(said.is_some(), "{words:?} in {}", process.text());
    first_reaction(house.daemon.address, Instant::now());
    let tries = house.upstream.accepted();
    house.upstream.set(Mood::Takes);
    let begun = Instant::now();
    let wrong = house.judge(&sent);
    println!(
        "{mood:?}: {tries} connections meanwhile, everything upstream {:?} after it was well again",
        begun.elapsed()
    );
    assert_eq!(wrong, [""; 0], "{}", house.daemon.process.text());
    assert!(begun.elapsed() < DRAIN_MAX);
    // Doubling waits: some tries a second at first, then fewer.
    assert!(tries < 200, "{tries} tries are a storm");
    assert!(house.upstream.books().losses.is_empty(), "nothing was given up");
}

/// Whatever it has kept, every record is sent again that was not acked, and comes once.
#[test]
fn one_that_returns_with_another_session() {
    let house = House::start(Mood::Takes);
    let mut sent = house.fleet("s", 20).run();
    for (name, mood) in [("t", Mood::OtherSession), ("u", Mood::Takes), ("v", Mood::OtherSession)] {
        house.upstream.set(mood);
        sent.extend(house.fleet(name, 20).run());
    }
    let wrong = house.judge(&sent);
    assert_eq!(wrong, [""; 0], "{}", house.daemon.process.text());
    assert!(house.upstream.books().losses.is_empty(), "nothing was given up");
}

/// Records that upstream refuses, as MQTT 5 can say: each becomes a dead letter and is counted, none is sent for ever,
/// and the others arrive.
#[test]
fn one_that_refuses_records() {
    let house = House::start_on(Mood::RefusesThirds, "5");
    let sent = house.fleet("r", 60).run();
    let acked = sent.iter().filter(|sent| sent.acked.is_some()).count();
    assert!(acked > 0, "some want an ack");
    let letters = |books: &Books| -> Vec<(u64, u64)> {
        let read = |payload: &[u8]| -> Option<(u64, u64)> {
            let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
            Some((value.get("seq")?.as_u64()?, value.get("code")?.as_u64()?))
        };
        books.payloads("dead-letters").filter_map(read).collect()
    };
    let counted = |books: &Books| {
        let refused = books.losses.iter().filter(|(_, loss)| loss.reason == "refused");
        refused.map(|(_, loss)| loss.count).max()
    };
    house.wait_until_drained();
    // Losses are told some seconds after the first.
    let is_told = |books: &Books| counted(books) == Some(books.refused.len() as u64);
    assert!(house.upstream.wait_until(DRAIN_MAX, is_told), "each is counted, and told");
    let books = house.upstream.books();
    let told = letters(&books);
    let refused: Vec<(u64, u64)> = books.refused.iter().map(|seq| (*seq, 0x99)).collect();
    assert_eq!(told, refused[..told.len()], "a dead letter for each of the first, and once");
    assert!(told.len() >= 50.min(refused.len()), "{} of {}", told.len(), refused.len());
    assert!(refused.len() > 20, "{} refused", refused.len());
    assert_eq!(books.wrong, [""; 0]);
    let last = books.records.keys().last().expect("records").1;
    let missing: Vec<u64> =
        (1..=last).filter(|seq| !books.records.keys().any(|(_, have)| have == seq)).collect();
    assert_eq!(
        missing,
        books.refused.iter().copied().collect::<Vec<_>>(),
        "nothing else is missing"
    );
}

#[test]
fn one_that_refuses() {
    check(Mood::Refuses, &["upstream is not there", "retry_ms"]);
}

#[test]
fn one_that_hangs_up_at_every_publish() {
    check(Mood::HangsUp, &["upstream is not there", "closed the connection"]);
}

#[test]
fn one_that_accepts_and_says_nothing() {
    check(Mood::Silent, &["upstream is not there", "retry_ms"]);
}

#[test]
fn one_that_is_away() {
    check(Mood::Away, &["upstream is not there", "retry_ms"]);
}
