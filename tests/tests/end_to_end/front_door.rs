//! The front door as a broker: what devices expect of one.

use std::time::Duration;

use tidegate_tests::mqtt::{self, Client, Connect, Packet, Will};

use crate::house::{House, PATIENCE, Side};

/// Long enough for a message that should not come.
const QUIET: Duration = Duration::from_millis(200);

fn message(client: &mut Client) -> (String, Vec<u8>, bool) {
    let message = client.message(PATIENCE).expect("connected").expect("a message");
    (message.topic, message.payload, message.retain)
}

fn publish_retained(client: &mut Client, topic: &str, payload: &[u8]) {
    let mut bytes = Vec::new();
    mqtt::publish(&mut bytes, topic, payload, 0, 0, true);
    client.send(&bytes).expect("sent");
}

#[test]
fn kept_messages_are_given_to_later_subscribers() {
    let house = House::start(Side::Door, &[]);
    let mut device = house.client("device");
    device.subscribe("kept/live", 0).expect("subscribed");
    publish_retained(&mut device, "kept/a", b"old");
    publish_retained(&mut device, "kept/a", b"new");
    publish_retained(&mut device, "kept/live", b"now");
    // A live subscriber does not see the flag; a later one does.
    assert_eq!(message(&mut device), ("kept/live".into(), b"now".to_vec(), false));
    let mut later = house.client("later");
    later.subscribe("kept/a", 0).expect("subscribed");
    assert_eq!(message(&mut later), ("kept/a".into(), b"new".to_vec(), true));
    publish_retained(&mut device, "kept/a", b"");
    publish_retained(&mut device, "kept/live", b"");
    for _ in 0..2 {
        // The empty ones are messages too.
        device.message(QUIET).expect("connected");
    }
    let mut last = house.client("last");
    last.subscribe("kept/#", 0).expect("subscribed");
    assert_eq!(last.message(QUIET).expect("connected"), None);
}

#[test]
fn a_will_is_published_when_a_device_is_gone_without_a_word() {
    let house = House::start(Side::Door, &[]);
    let mut watcher = house.client("watcher");
    watcher.subscribe("will/+", 0).expect("subscribed");
    let with_will = |id, topic, keep_alive_s| {
        let will = Some(Will { topic, payload: b"gone", retain: false });
        let options = Connect { id, keep_alive_s, will, ..Connect::default() };
        Client::connect_with(house.address, &options).expect("connected")
    };
    let mut polite = with_will("polite", "will/polite", 0);
    polite.send(&[0xe0, 0]).expect("sent");
    assert!(polite.is_closed_within(PATIENCE), "the broker closes after DISCONNECT");
    drop(with_will("rude", "will/rude", 0));
    assert_eq!(message(&mut watcher).0, "will/rude");
    // Silent for one and a half times its keep-alive.
    let _silent = with_will("silent", "will/silent", 1);
    assert_eq!(message(&mut watcher).0, "will/silent");
    assert_eq!(watcher.message(QUIET).expect("connected"), None);
}

#[test]
fn a_device_without_keep_alive_may_be_silent() {
    let house = House::start(Side::Door, &[]);
    let mut silent = house.client("silent");
    let options = Connect { id: "pings", keep_alive_s: 1, ..Connect::default() };
    let mut pings = Client::connect_with(house.address, &options).expect("connected");
    for _ in 0..4 {
        pings.send(&[0xc0, 0]).expect("sent");
        assert_eq!(pings.read(PATIENCE).expect("connected"), Some(Packet::PingResp));
        std::thread::sleep(Duration::from_millis(800));
    }
    silent.subscribe("a", 0).expect("still connected");
}

#[test]
fn wildcards_match_as_the_specification_says() {
    let house = House::start(Side::Door, &[]);
    let mut device = house.client("device");
    let cases: [(&str, &[&str]); 6] = [
        ("wild/a/b", &["wild/#", "wild/+/b", "wild/a/b", "+/a/b", "#"]),
        ("wild", &["wild/#", "#"]),
        ("wild/a/c", &["wild/#", "#"]),
        ("/wild", &["/+", "+/wild", "#"]),
        ("$wild/a", &[]),
        ("wild/", &["wild/#", "wild/+", "#"]),
    ];
    let filters = ["wild/#", "wild/+/b", "wild/a/b", "+/a/b", "#", "/+", "+/wild", "wild/+", "+/a"];
    let mut clients: Vec<(&str, Client)> = filters
        .iter()
        .map(|filter| {
            let mut client = house.client(&format!("wild {filter}"));
            assert_eq!(client.subscribe(filter, 0).expect("subscribed"), 0);
            (*filter, client)
        })
        .collect();
    for (topic, _) in &cases {
        device.publish(topic, b"x").expect("sent");
    }
    device.publish("wild/a/b/end", b"x").expect("sent");
    for (filter, client) in &mut clients {
        for (topic, matching) in &cases {
            if matching.contains(filter) {
                assert_eq!(message(client).0, *topic, "{filter}");
            }
        }
        let expect_end = ["wild/#", "#"].contains(filter);
        let next = client.message(QUIET).expect("connected");
        assert_eq!(next.is_some(), expect_end, "{filter}: {next:?}");
    }
}

#[test]
fn a_subscription_ends_when_asked() {
    let house = House::start(Side::Door, &[]);
    let mut client = house.client("client");
    client.subscribe("sub/a", 1).expect("subscribed");
    client.publish("sub/a", b"1").expect("sent");
    assert_eq!(message(&mut client).1, b"1");
    client.send(&mqtt::unsubscribe(77, "sub/a")).expect("sent");
    assert_eq!(client.read(PATIENCE).expect("connected"), Some(Packet::UnsubAck { packet_id: 77 }));
    client.publish("sub/a", b"2").expect("sent");
    assert_eq!(client.message(QUIET).expect("connected"), None);
}

#[test]
fn a_second_client_with_the_same_name_takes_over() {
    let house = House::start(Side::Door, &[]);
    let mut first = house.client("twin");
    let mut second = house.client("twin");
    assert!(first.is_closed_within(PATIENCE), "the first is closed (MQTT-3.1.4-2)");
    second.subscribe("a", 0).expect("the second lives");
}

#[test]
fn a_slow_reader_does_not_hold_the_others() {
    let mut house = House::start(Side::Door, &[]);
    let mut slow = house.client("slow");
    slow.subscribe("flood", 0).expect("subscribed");
    let mut quick = house.client("quick");
    quick.subscribe("flood", 0).expect("subscribed");
    let mut device = house.client("device");
    let payload = vec![b'x'; 10_000];
    // 40 MB: more than any socket buffer and the daemon's own limit for one client.
    for n in 0..4000u32 {
        device.publish("flood", &payload).expect("sent");
        // The quick one reads along; the slow one never does.
        let got = quick.message(PATIENCE).expect("connected");
        assert!(got.is_some(), "the quick reader gets message {n}");
    }
    house.still_works();
}
