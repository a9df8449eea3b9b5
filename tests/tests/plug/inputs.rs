//! What a handler may not write or send: it is told so, and the rest goes on.

use std::time::Instant;

use tidegate_tests::handlers::{Handler, guest_with};
use tidegate_tests::mqtt::{Client, Packet};
use tidegate_tests::upstream::Mood;

use crate::house::{House, PATIENCE, first_reaction};

/// A handler whose every message makes one call and publishes what it gave, 4 bytes little-endian, on `<name>/out`.
fn caller(name: &str, call: &str) -> Handler {
    let to = format!("{name}/out");
    let module = guest_with(
        &format!("(data (i32.const 16) \"{to}\") (data (i32.const 64) \"nowhere\")"),
        &format!(
            "(i32.store (i32.const 8) {call})
             (drop (call $publish (i32.const 16) (i32.const {}) (i32.const 8) (i32.const 4) (i32.const 0)))
             (i32.const 0)",
            to.len()
        ),
    );
    Handler::new(name, &format!("{name}/in"), module).may_publish(&to).may_send("up")
}

/// What the call gives, and whether the message is acked.
fn answer(house: &House, name: &str) -> i32 {
    let mut client = Client::connect(house.daemon.address, name).expect("it listens");
    client.subscribe(&format!("{name}/out"), 0).expect("granted");
    let id = client.publish_acked(&format!("{name}/in"), b"1").expect("sent");
    let (mut given, mut is_acked) = (None, false);
    while given.is_none() || !is_acked {
        match client.read(PATIENCE).expect("connected").expect("a reaction and an ack") {
            Packet::Publish(message) => given = message.payload.try_into().ok(),
            Packet::PubAck { packet_id } => is_acked = packet_id == id,
            other => panic!("{other:?}"),
        }
    }
    i32::from_le_bytes(given.expect("4 bytes"))
}

/// From the ABI.
const NOT_PERMITTED: i32 = -4;
const TOO_LARGE: i32 = -5;

#[test]
fn what_is_too_large_or_not_granted_is_refused_and_acked() {
    let set = |key: u32, value: u32| {
        format!(
            "(call $state_set (i32.const 1024) (i32.const {key}) (i32.const 2048) (i32.const {value}) (i32.const 0))"
        )
    };
    let send = |from: u32, len: u32, bytes: u32| {
        format!(
            "(call $send (i32.const {from}) (i32.const {len}) (i32.const 2048) (i32.const {bytes}) (i32.const -1) (i32.const 0))"
        )
    };
    let handlers = [
        caller("value", &set(8, 16 * 1024 + 1)),
        caller("valuefits", &set(8, 16 * 1024)),
        caller("key", &set(257, 8)),
        caller("keyfits", &set(256, 8)),
        caller("stream", &send(64, 7, 8)),
    ];
    let house = House::start_with(Mood::Takes, &handlers, "");
    let given: Vec<(&str, i32)> = ["value", "valuefits", "key", "keyfits", "stream"]
        .map(|name| (name, answer(&house, name)))
        .to_vec();
    assert_eq!(given[0], ("value", TOO_LARGE));
    assert!(given[1].1 >= 0 && given[3].1 >= 0, "{given:?}");
    assert_eq!(given[2], ("key", TOO_LARGE));
    assert_eq!(given[4], ("stream", NOT_PERMITTED));
    first_reaction(house.daemon.address, Instant::now());
}

const QUOTA: i32 = -7;
/// Keys that one message sets, and of one handler on this board.
const KEYS_A_MESSAGE: u32 = 1_000;
const KEYS_MAX: u32 = 4_096;

/// A million keys: each message sets a thousand new ones, numbered by a counter that is one of them.
#[test]
fn a_handler_that_sets_a_million_keys_is_stopped_at_its_cap_and_the_rest_goes_on() {
    // Key 8..16 is the number of the next one; the last answer counts.
    let module = guest_with(
        "(data (i32.const 16) \"many/out\") (data (i32.const 40) \"next\")",
        &format!(
            "(drop (call $state_get (i32.const 40) (i32.const 4) (i32.const 8) (i32.const 8) (i32.const 0)))
             (local.set $i (i32.const 0))
             (loop $again
               (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1)))
               (local.set $j (call $state_set (i32.const 8) (i32.const 8) (i32.const 8) (i32.const 8) (i32.const 0)))
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.and (i32.ge_s (local.get $j) (i32.const 0))
                                      (i32.lt_u (local.get $i) (i32.const {KEYS_A_MESSAGE})))))
             (drop (call $state_set (i32.const 40) (i32.const 4) (i32.const 8) (i32.const 8) (i32.const 0)))
             (i32.store (i32.const 8) (local.get $j))
             (drop (call $publish (i32.const 16) (i32.const 8) (i32.const 8) (i32.const 4) (i32.const 0)))
             (i32.const 0)"
        ),
    );
    let many = Handler::new("many", "many/in", module).may_publish("many/out");
    let mut house = House::start_with(Mood::Takes, std::slice::from_ref(&many), "");
    let given: Vec<i32> = (0..1_000_000 / KEYS_A_MESSAGE)
        .map(|_| answer(&house, "many"))
        .take_while(|given| *given != QUOTA)
        .collect();
    let set = given.len() as u32 * KEYS_A_MESSAGE;
    assert!((KEYS_MAX - KEYS_A_MESSAGE..=KEYS_MAX).contains(&set), "{set} keys: {given:?}");
    assert_eq!(answer(&house, "many"), QUOTA, "and so it stays");
    first_reaction(house.daemon.address, Instant::now());
    house.daemon.process.kill();
    house.daemon.start_again();
    house.daemon.wait_until_ready(&[many]);
    assert_eq!(answer(&house, "many"), QUOTA, "after a start, too");
    first_reaction(house.daemon.address, Instant::now());
}

#[test]
fn a_stream_that_is_granted_and_not_configured_is_counted() {
    let handler = {
        let mut handler = caller(
            "lost",
            "(call $send (i32.const 64) (i32.const 7) (i32.const 2048) (i32.const 8) (i32.const -1) (i32.const 0))",
        );
        handler.send.push("nowhere".to_owned());
        handler
    };
    let mut house = House::start_with(Mood::Takes, &[handler], "");
    let text = house.daemon.process.text();
    if text.contains("handler cannot run here") {
        assert!(text.contains("nowhere"), "it says which stream: {text}");
    } else {
        let given = answer(&house, "lost");
        let counters = house.daemon.counters();
        let counted = counters.iter().any(|(name, count)| name.contains("no-stream") && *count > 0);
        assert!(given < 0 || counted, "{given}: {counters:?}");
    }
    first_reaction(house.daemon.address, Instant::now());
}

#[test]
fn a_record_longer_than_upstream_takes_is_a_dead_letter_and_the_rest_goes_on() {
    let mut house = House::start_with(Mood::Takes, &[], "message_bytes_max = 2048");
    let mut device = Client::connect(house.daemon.address, "device").expect("it listens");
    let long = format!("\"{}\"", "x".repeat(4096));
    for payload in [long.as_str(), "\"short\""] {
        let id = device.publish_acked("in/s0", payload.as_bytes()).expect("sent");
        assert_eq!(device.read(PATIENCE).expect("read"), Some(Packet::PubAck { packet_id: id }));
    }
    let came = house.upstream.wait_until(PATIENCE, |books| {
        books.count("up") == 1 && books.count("dead-letters") == 1 && books.count("losses") == 1
    });
    assert!(came, "{:?}\n{}", house.upstream.books(), house.daemon.process.text());
    // Its line may be read after what upstream has seen.
    let line = house.daemon.process.wait_for_line(&["too long for upstream"], PATIENCE);
    assert!(line.is_some(), "{}", house.daemon.process.text());
    let counters = house.daemon.counters();
    assert_eq!(counters.get("stream.up.lost.too-large"), Some(&1), "{counters:?}");
}
