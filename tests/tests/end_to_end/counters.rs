//! What went wrong is counted by name, told at SIGUSR1 and at the end, and worth a line of warning.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_tests::daemon::counters_in;
use tidegate_tests::handlers::{self, Handler, guest};
use tidegate_tests::mqtt::{self, Client, Connect};

use crate::house::{House, PATIENCE, Side};

fn of(counters: &BTreeMap<String, u64>, name: &str) -> u64 {
    counters.get(name).copied().unwrap_or(0)
}

/// Clients that each do one wrong thing, and the counter that it belongs to.
fn wrongs() -> Vec<(&'static str, Vec<u8>)> {
    let mut wildcard = Vec::new();
    mqtt::publish(&mut wildcard, "a/+", b"x", 0, 0, false);
    let mut huge = Vec::new();
    let payload = vec![b'x'; 10 * 1024 * 1024];
    mqtt::publish(&mut huge, "a", &payload, 0, 0, false);
    let second = mqtt::connect(&Connect { id: "x", ..Connect::default() });
    vec![
        ("door.closed.malformed", b"\x30\x04\x00\x40ab".to_vec()),
        ("door.closed.protocol", second),
        ("door.closed.topic-name", wildcard),
        ("door.closed.packet-too-large", huge),
    ]
}

#[test]
fn what_a_bad_client_does_is_counted_and_warned_of() {
    let mut house = House::start(Side::Door, &[]);
    for (name, bytes) in wrongs() {
        let before = of(&house.daemon.counters(), name);
        let mut client = house.client("wrong");
        // The other side may hang up while we still write.
        client.send(&bytes).ok();
        assert!(client.is_closed_within(PATIENCE), "{name}");
        let counters = house.daemon.counters();
        assert_eq!(of(&counters, name), before + 1, "{name}: {counters:?}");
    }
    let words = ["WARN", "the front door closed connections", "malformed"];
    let warned = house.daemon.process.wait_for_line(&words, PATIENCE);
    assert!(warned.is_some(), "{}", house.daemon.process.text());
    house.still_works();
}

#[test]
fn a_client_that_says_nothing_is_counted() {
    let mut house = House::start(Side::Door, &[]);
    // Alone in an idle house: nobody else wakes the timer.
    std::thread::sleep(Duration::from_millis(500));
    let mut nothing = Client::open(house.address).expect("the port is open");
    assert!(nothing.is_closed_within(Duration::from_secs(8)));
    let counters = house.daemon.counters();
    assert_eq!(of(&counters, "door.closed.connect-timeout"), 1, "{counters:?}");
}

#[test]
fn a_message_that_is_too_large_is_counted_behind_a_broker() {
    let mut house = House::start(Side::Broker, &[handlers::echo("big", "big/#", "out/big", 0)]);
    let mut client = house.client("client");
    let mut bytes = Vec::new();
    mqtt::publish(&mut bytes, "big/in", &vec![b'x'; 1 << 20], 1, 9, false);
    client.send(&bytes).expect("mosquitto takes it");
    house.still_works();
    let counters = house.daemon.counters();
    assert_eq!(of(&counters, "messages.dropped.too-large"), 1, "{counters:?}");
    assert_eq!(of(&counters, "handler.big.events"), 0, "{counters:?}");
    assert!(house.daemon.comes_to_say(&["WARN", "messages dropped", "too-large"]));
}

#[test]
fn failed_events_are_counted_and_all_is_told_at_the_end() {
    let fails = Handler::new("fails", "fails/in", guest("(i32.const -1)"));
    let mut house = House::start(Side::Door, &[fails]);
    let mut client = house.client("client");
    client.publish("fails/in", b"x").expect("sent");
    assert!(house.daemon.failure("fails", 0, PATIENCE).is_some());
    let counters = house.daemon.counters();
    assert_eq!(of(&counters, "handler.fails.failed"), 1, "{counters:?}");
    assert!(of(&counters, "handler.ready.events") > 0, "{counters:?}");
    assert_eq!(of(&counters, "handler.ready.failed"), 0, "{counters:?}");
    let status = house.daemon.process.terminate(PATIENCE);
    assert!(status.is_some_and(|status| status.success()));
    let told = house.daemon.process.wait_for_lines(&["counters "], 2, Duration::ZERO);
    let last = counters_in(&told.last().expect("it tells at its end").text);
    assert_eq!(of(&last, "handler.fails.failed"), 1, "{last:?}");
}
