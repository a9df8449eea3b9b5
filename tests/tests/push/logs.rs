//! Log lines over MQTT: how many leave, where to, and what nobody can make of it.

use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mqtt::{self, Client};
use tidegate_tests::pusher::Pusher;

use crate::house::{GATEWAY, House};
use crate::tool::Person;

/// Logs at every event.
fn logs() -> Handler {
    let module = handlers::guest_with(
        "(data (i32.const 32) \"hot\")",
        "(call $log (i32.const 2) (i32.const 32) (i32.const 3)) (i32.const 0)",
    );
    Handler::new("echo", "in", module)
}

fn with_one_that_logs(house: &House) {
    let person = Person::new(house);
    person.writes_handler(&logs(), "1.0");
    person.signs(&["push", "."]);
}

fn asks(client: &mut Client, handler: &str) {
    let topic = format!("tidegate/1/{GATEWAY}/follow/{handler}");
    client.publish_acked(&topic, b"").expect("a connection");
}

/// A listener's next line.
fn line(listener: &mut Client, wait: Duration) -> Option<Value> {
    let message = listener.message(wait).expect("a connection")?;
    Some(serde_json::from_slice(&message.payload).expect("JSON"))
}

/// A thousand lines a second for three seconds: a few leave, and every other one is counted.
#[test]
fn a_flood_is_bounded_and_counted() {
    let house = House::start();
    with_one_that_logs(&house);
    let mut listener = Client::connect(house.address, "listener").expect("a broker");
    listener.subscribe("tidegate/1/+/logs/+", 0).expect("a subscription");
    asks(&mut listener, "echo");
    let mut device = Client::connect(house.address, "device").expect("a broker");
    let begin = Instant::now();
    for _ in 0..30 {
        let mut bytes = Vec::new();
        for id in 1..=100 {
            mqtt::publish(&mut bytes, "in", b"x", 1, id, false);
        }
        device.send(&bytes).expect("a connection");
        std::thread::sleep(Duration::from_millis(100));
    }
    device.publish_acked("in", b"x").expect("a connection");
    let took_s = begin.elapsed().as_secs() + 1;
    let (mut shown, mut left_out) = (0, 0);
    let mut count = |line: Value| {
        shown += u64::from(line["text"] == "hot");
        left_out += line["left_out"].as_u64().unwrap_or(0);
    };
    while let Some(line) = line(&mut listener, Duration::from_millis(300)) {
        count(line);
    }
    // Whoever asks again hears what was left out, though no line follows.
    asks(&mut listener, "echo");
    while let Some(line) = line(&mut listener, Duration::from_millis(300)) {
        count(line);
    }
    assert!((100..=100 + 20 * (took_s + 1)).contains(&shown), "{shown} lines in {took_s} s");
    assert_eq!(shown + left_out, 3001, "{shown} lines in {took_s} s");
}

/// What somebody upstream asks for goes upstream, and what somebody here asks for stays here.
#[test]
fn lines_go_to_the_side_that_asks() {
    let house = House::start_below();
    with_one_that_logs(&house);
    let upstream = house.upstream.expect("there is one");
    let mut above = Client::connect(upstream, "above").expect("a broker");
    let mut below = Client::connect(house.address, "below").expect("a broker");
    for client in [&mut above, &mut below] {
        client.subscribe("tidegate/1/+/logs/+", 0).expect("a subscription");
    }
    let quiet = Duration::from_millis(400);
    asks(&mut below, "echo");
    house.send("in", 1);
    assert_eq!(line(&mut below, Duration::from_secs(5)).expect("a line")["text"], "hot");
    assert_eq!(line(&mut above, quiet), None, "nobody upstream has asked");
    asks(&mut above, "echo");
    std::thread::sleep(quiet);
    house.send("in", 1);
    assert_eq!(line(&mut above, Duration::from_secs(5)).expect("a line")["text"], "hot");
}

/// Requests for what is not there, malformed, huge and many: no follower loses its lines, and nothing is said.
#[test]
fn bad_requests_do_nothing() {
    let house = House::start();
    with_one_that_logs(&house);
    let mut listener = Client::connect(house.address, "listener").expect("a broker");
    listener.subscribe("tidegate/1/+/logs/#", 0).expect("a subscription");
    asks(&mut listener, "echo");
    let mut bad = Client::connect(house.address, "bad").expect("a broker");
    for n in 0..100 {
        asks(&mut bad, &format!("h{n}"));
    }
    for handler in ["", "a/b", "echo/", "UPPER", &"x".repeat(300)] {
        asks(&mut bad, handler);
    }
    let topic = format!("tidegate/1/{GATEWAY}/follow/echo");
    bad.publish_acked(&topic, &vec![0xff; 100_000]).expect("a connection");
    bad.publish_acked("tidegate/1/gw-02/follow/echo", b"").expect("a connection");
    house.send("in", 1);
    assert_eq!(line(&mut listener, Duration::from_secs(5)).expect("a line")["text"], "hot");
    assert_eq!(line(&mut listener, Duration::from_millis(300)), None);
    Pusher::connect(house.address, GATEWAY);
}

#[test]
fn what_cannot_be_watched_says_what_to_do() {
    let house = House::start();
    let person = Person::new(&house);
    let check = |args: &[&str], code, part: &str| {
        let output = person.types(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    };
    check(&["logs", "-f", "a/b", "--to", GATEWAY], 64, "a/b");
    check(&["logs", "-f", "echo"], 64, "--to");
    check(&["logs", "-f", "echo", "--to", GATEWAY, "--seconds", "0"], 64, "1 to 86400");
    check(&["logs", "-f", "echo", "--to", GATEWAY, "--timeout", "1"], 75, "tidegate status");
    let nobody = ["--broker", "mqtt://127.0.0.1:1"];
    check(&[&["logs", "-f", "echo", "--to", GATEWAY][..], &nobody].concat(), 69, "no broker");
}
