//! What a bad device, a bad network or a bad handler sends: each has its end, and the rest goes on.

use std::io::ErrorKind;
use std::time::Duration;

use tidegate_tests::daemon::{Daemon, Local, tidegated, write_config};
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mqtt::{self, Client, Connect};

use tidegate_tests::ports;
use tidegate_tests::process::Process;
use tidegate_tests::scratch::Scratch;

use crate::house::{BOTH, House, PATIENCE, Side};

/// Longer than the board lets a client take for its CONNECT.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);

/// Payloads that are no telemetry.
fn bad_payloads() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("text", b"hot!".to_vec()),
        ("half", b"{\"temp\": 71.3, \"seq\"".to_vec()),
        ("no UTF-8", b"{\"temp\": \"\xff\xfe\", \"seq\": 1}".to_vec()),
        ("a text for a number", b"{\"temp\": \"71.3\", \"seq\": 1}".to_vec()),
        ("another number", b"{\"temp\": 1e999, \"seq\": 1}".to_vec()),
        ("deep", [b"[".repeat(1000), b"]".repeat(1000)].concat()),
        ("deep objects", [b"{\"temp\":".repeat(1000), b"1".to_vec(), b"}".repeat(1000)].concat()),
        ("an array", b"[71.3, 17]".to_vec()),
        ("zero bytes", vec![0; 1000]),
        ("long", vec![b' '; 100_000]),
    ]
}

#[test]
fn payloads_that_are_no_telemetry_are_not_answered() {
    for side in BOTH {
        let mut house = House::start(side, &[handlers::overheat()]);
        let mut client = house.client("client");
        client.subscribe("devices/+/cmd", 0).expect("subscribed");
        for (what, payload) in bad_payloads() {
            client.publish("devices/bad/telemetry", &payload).expect("sent");
            let answer = client.message(Duration::from_millis(100)).expect("connected");
            assert_eq!(answer, None, "{side:?}: {what}");
            let good = b"{\"temp\": 71.3, \"seq\": 5}";
            // After a failure or two the handler may be held back for a moment; not for longer.
            client.publish("devices/good/telemetry", good).expect("sent");
            let answer = client.message(PATIENCE).expect("connected");
            assert!(answer.is_some(), "{side:?}: no reaction after {what}");
        }
        house.still_works();
    }
}

#[test]
fn a_message_of_ten_megabytes_harms_nobody() {
    for side in BOTH {
        let mut house = House::start(side, &[handlers::echo("big", "big/#", "out/big", 0)]);
        let huge = vec![b'x'; 10 * 1024 * 1024];
        for qos in [0, 1] {
            let mut client = house.client("client");
            let mut bytes = Vec::new();
            mqtt::publish(&mut bytes, "big/in", &huge, qos, 9, false);
            // The front door may hang up before it has all of it.
            let sent = client.send(&bytes);
            if side == Side::Door {
                let forgotten =
                    matches!(&sent, Err(error) if error.kind() == ErrorKind::WouldBlock);
                assert!(!forgotten, "it reads on or hangs up");
                let closed = sent.is_err() || client.is_closed_within(PATIENCE);
                assert!(closed, "one packet is limited");
            }
            house.still_works();
        }
        // It is not tried again and again for ever: what comes later is handled.
        let mut client = house.client("client");
        client.subscribe("out/big", 0).expect("subscribed");
        client.publish("big/in", b"small").expect("sent");
        let answer = client.message(PATIENCE).expect("connected").expect("a reaction");
        assert_eq!(answer.payload, b"small", "{side:?}");
    }
}

#[test]
fn the_longest_topic_harms_nobody() {
    for side in BOTH {
        let mut house = House::start(side, &[handlers::echo("long", "long/#", "out/long", 0)]);
        for fill in ["x", "/", "\u{e9}"] {
            let mut topic = "long/".to_owned();
            while topic.len() + fill.len() <= 65_535 {
                topic.push_str(fill);
            }
            let mut client = house.client("client");
            // A broker may take it or hang up.
            client.publish(&topic, b"x").ok();
            house.still_works();
        }
    }
}

/// Bytes after which the front door must hang up, sent by a client that has or has not connected.
fn broken_packets() -> Vec<(&'static str, bool, Vec<u8>)> {
    let connect = mqtt::connect(&Connect { id: "x", ..Connect::default() });
    let mut old = connect.clone();
    old[8] = 9;
    let mut no_name = connect.clone();
    no_name[5] = b'X';
    let publish = |topic: &str, head: u8| {
        let mut bytes = Vec::new();
        mqtt::publish(&mut bytes, topic, b"x", 0, 0, false);
        bytes[0] = head;
        bytes
    };
    vec![
        (
            "noise",
            false,
            (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
        ),
        ("a web browser", false, b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n".to_vec()),
        ("zeros", false, vec![0; 1000]),
        ("an unknown protocol version", false, old),
        ("another protocol name", false, no_name),
        ("PUBLISH before CONNECT", false, publish("a", 0x30)),
        ("a length of five bytes", false, vec![0x10, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("a second CONNECT", true, connect),
        ("noise after CONNECT", true, vec![0xf0, 0x01, 0x00, 0x00]),
        ("QoS 3", true, publish("ab", 0x36)),
        ("a topic with a wildcard", true, publish("a/+", 0x30)),
        ("a topic that is no UTF-8", true, b"\x30\x05\x00\x02\xff\xfea".to_vec()),
        ("a topic longer than its packet", true, b"\x30\x04\x00\x40ab".to_vec()),
        ("SUBSCRIBE with wrong flags", true, {
            let mut bytes = mqtt::subscribe(1, "a", 0);
            bytes[0] = 0x80;
            bytes
        }),
        ("SUBSCRIBE to nothing", true, b"\x82\x02\x00\x01".to_vec()),
        ("SUBSCRIBE to a broken filter", true, mqtt::subscribe(1, "a/#/b", 0)),
        ("a packet that only a broker sends", true, vec![0x20, 2, 0, 0]),
    ]
}

#[test]
fn broken_packets_end_their_connection_alone() {
    let mut house = House::start(Side::Door, &[]);
    for (what, connected, bytes) in broken_packets() {
        let mut client = if connected {
            house.client("broken")
        } else {
            Client::open(house.address).expect("the port is open")
        };
        // The other side may hang up while we still write.
        client.send(&bytes).ok();
        let broken_filter_is_refused = what.contains("broken filter")
            && matches!(client.read(PATIENCE), Ok(Some(mqtt::Packet::SubAck { code: 0x80, .. })));
        assert!(
            broken_filter_is_refused || client.is_closed_within(CONNECT_PATIENCE),
            "{what}: the connection stays open"
        );
        house.still_works();
    }
}

#[test]
fn half_a_packet_and_nothing_time_out() {
    let mut house = House::start(Side::Door, &[]);
    let mut nothing = Client::open(house.address).expect("the port is open");
    let mut half = Client::open(house.address).expect("the port is open");
    let connect = mqtt::connect(&Connect { id: "half", ..Connect::default() });
    half.send(&connect[..connect.len() - 2]).expect("sent");
    house.still_works();
    assert!(nothing.is_closed_within(CONNECT_PATIENCE), "a client that says nothing");
    assert!(half.is_closed_within(CONNECT_PATIENCE), "a client that stops half way");
    house.still_works();
}

#[test]
fn a_packet_in_single_bytes_is_taken() {
    let house = House::start(Side::Door, &[]);
    let mut client = Client::open(house.address).expect("the port is open");
    for byte in mqtt::connect(&Connect { id: "slow", ..Connect::default() }) {
        client.send(&[byte]).expect("sent");
        std::thread::sleep(Duration::from_millis(1));
    }
    let answer = client.read(PATIENCE).expect("connected");
    assert_eq!(answer, Some(mqtt::Packet::ConnAck { session_present: false, code: 0 }));
}

#[test]
fn handlers_that_cannot_load_are_told_and_the_rest_goes_on() {
    let scratch = Scratch::new("broken");
    let good = handlers::guest("(i32.const 0)");
    let folders = [
        Handler::new("broken", "a/in", b"\0asm\x01\0\0\0 and no more".to_vec()).write(&scratch),
        Handler::new("no-module", "b/in", good).write(&scratch),
        handlers::echo("ready", "ready/in", "ready/out", 0).write(&scratch),
    ];
    std::fs::remove_file(folders[1].join("module.wasm")).expect("it was just written");
    let address = ports::free();
    let config = write_config(&scratch, &Local::Listen(address), &folders, "");
    let process = Process::start("tidegated", &mut tidegated(&[], &config));
    let daemon = Daemon { address, process, scratch };
    let mut house = House { daemon, broker: None, address };
    house.still_works();
    for name in ["broken", "no-module"] {
        let said = house.daemon.refusal(name);
        assert!(said.is_some(), "nothing about {name}: {}", house.daemon.process.text());
    }
}
