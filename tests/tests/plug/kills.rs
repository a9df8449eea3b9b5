//! Ends under load, and starts again.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tidegate_tests::fleet::Fleet;
use tidegate_tests::simulation::Random;
use tidegate_tests::upstream::Mood;

use crate::house::{House, PATIENCE, first_reaction};
use crate::wanted;

/// From a start to the first reaction, on a busy machine. What it is on a quiet one is in the output.
const REACTION_MAX: Duration = Duration::from_secs(5);
/// Under load between a start and the next end, milliseconds.
const LIFE_MS_MAX: u64 = 200;
/// A start that is not waited for, milliseconds.
const SHORT_LIFE_MS_MAX: u64 = 40;

#[derive(Clone, Copy, PartialEq)]
enum End {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
}

/// Ends the daemon so often under load, and starts it again. Upstream comes and goes.
fn check(end: End, times: usize) {
    let mut house = House::start(Mood::Takes);
    let (address, mut random) = (house.daemon.address, Random::new(11));
    let House { daemon, upstream, stop, broken } = &mut house;
    let fleet = Fleet { window: 2, ..fleet_of(address, stop, broken) };
    let mut reactions = Vec::new();
    let sent = thread::scope(|scope| {
        let load = scope.spawn(|| fleet.run());
        for number in 0..times {
            let is_short = random.chance(1, 5);
            let life = if is_short { SHORT_LIFE_MS_MAX } else { LIFE_MS_MAX };
            let life = Duration::from_millis(random.below(life));
            assert_eq!(daemon.process.wait(life), None, "{}", daemon.process.text());
            if end == End::Kill {
                daemon.process.kill();
            } else {
                let status = daemon.process.terminate(PATIENCE).expect("it ends");
                // One that has not come as far as to listen to signals has acked nothing either.
                let is_early = is_short && status.signal() == Some(15);
                assert!(status.success() || is_early, "{status}: {}", daemon.process.text());
            }
            upstream.set(*random.pick(&[Mood::Takes, Mood::Takes, Mood::Away, Mood::HangsUp]));
            daemon.start_again();
            if number + 1 == times || !is_short {
                reactions.push(first_reaction(address, daemon.process.started));
            }
        }
        stop.store(true, Ordering::Relaxed);
        load.join().expect("no device panics")
    });
    upstream.set(Mood::Takes);
    let wrong = house.judge(&sent);
    reactions.sort();
    let books = house.upstream.books();
    println!(
        "{times} ends under load, {} messages ({} acked), {} records upstream, {} duplicates; first reaction after a \
         start: median {:?}, longest {:?}",
        sent.len(),
        sent.iter().filter(|sent| sent.acked.is_some()).count(),
        books.records.len(),
        books.duplicates,
        reactions[reactions.len() / 2],
        reactions.last().expect("some"),
    );
    assert_eq!(wrong, [""; 0], "{}", house.daemon.process.text());
    assert!(reactions.iter().all(|reaction| *reaction < REACTION_MAX), "{reactions:?}");
    assert!(books.losses.is_empty(), "{:?}", books.losses);
}

fn fleet_of<'a>(
    address: std::net::SocketAddr,
    stop: &'a std::sync::atomic::AtomicBool,
    broken: &'a std::sync::Mutex<Vec<String>>,
) -> Fleet<'a> {
    use tidegate_tests::fleet::{no_ack, no_mark};
    Fleet {
        address,
        devices: crate::house::DEVICES,
        window: 4,
        messages: u64::MAX,
        payload_bytes: 100,
        mark: &no_mark,
        on_ack: &no_ack,
        stop,
        broken,
        name: "k",
    }
}

#[test]
fn kill_9_at_any_time_costs_nothing() {
    check(End::Kill, wanted("KILLS", 40));
}

#[test]
fn sigterm_under_load_costs_nothing() {
    check(End::Stop, wanted("STOPS", 10));
}
