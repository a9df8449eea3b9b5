//! What a person does from a desk with a handler that runs elsewhere: sends it an event, and watches what it logs.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mqtt::Client;

use crate::house::{GATEWAY, House, traps};
use crate::tool::Person;

/// A person who sends events to `echo`.
fn invoke(person: &Person, more: &[&str]) -> (Option<i32>, Value, String) {
    let args = [
        &["invoke", "echo", "--to", GATEWAY, "--topic", "from/here", "--payload", "x"],
        &["--key", "ops.key", "--json"][..],
        more,
    ];
    let output = person.types(&args.concat());
    let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), value, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn sends_events(house: &House) {
    let person = Person::new(house);
    person.writes("one", "1.0");
    person.signs(&["push", "."]);
    let mut device = Client::connect(house.address, "device").expect("a broker");
    device.subscribe("out", 0).expect("a subscription");
    let before = person.status();
    let (code, came, why) = invoke(&person, &[]);
    assert_eq!(code, Some(0), "{came} {why}");
    assert_eq!(came["effects"][0]["publish"], "out");
    assert_eq!(came["effects"][0]["payload"], "one");
    assert!(came["fuel"].as_u64() > Some(0), "{came}");
    let heard = device.message(Duration::from_secs(2)).expect("a connection");
    assert_eq!(heard.map(|message| message.payload).as_deref(), Some(&b"one"[..]));
    let (code, came, _) = invoke(&person, &["--dry"]);
    assert_eq!((code, &came["dry"]), (Some(0), &true.into()), "{came}");
    assert_eq!(came["effects"][0]["payload"], "one");
    assert_eq!(device.message(Duration::from_millis(300)).expect("a connection"), None);
    let after = person.status();
    assert_eq!(before["events"], after["events"], "they count in no statistics");
    assert_eq!(after["phase"], "active");
}

#[test]
fn a_person_sends_an_event_over_the_front_door() {
    sends_events(&House::start());
}

#[test]
fn a_person_sends_an_event_over_upstream() {
    sends_events(&House::start_below());
}

#[test]
fn a_handler_that_fails_says_why_and_stays() {
    let house = House::start();
    let person = Person::new(&house);
    let handler = Handler { name: "echo".into(), ..traps("echo") };
    person.writes_handler(&handler, "1.0");
    person.signs(&["push", "."]);
    for _ in 0..8 {
        let (code, came, why) = invoke(&person, &["--dry"]);
        assert_eq!(code, Some(1), "{came} {why}");
        assert!(came["failed"].as_str().is_some_and(|why| why.contains("trap")), "{came}");
    }
    assert_eq!(person.status()["phase"], "active", "what a person tries quarantines nothing");
}

/// An order is good for one event, whoever sends it again; and one for others, or of others, for none.
#[test]
fn an_event_cannot_be_replayed() {
    let house = House::start();
    let person = Person::new(&house);
    person.writes("one", "1.0");
    person.signs(&["push", "."]);
    let mut listener = Client::connect(house.address, "listener").expect("a broker");
    listener.subscribe(&format!("tidegate/1/{GATEWAY}/invoke/echo"), 0).expect("a subscription");
    let (code, ..) = invoke(&person, &[]);
    assert_eq!(code, Some(0));
    let order = listener.message(Duration::from_secs(2)).expect("a connection").expect("the order");
    let mut device = Client::connect(house.address, "device").expect("a broker");
    device.subscribe("out", 0).expect("a subscription");
    let mut flipped = order.payload.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    for bytes in [&order.payload, &flipped] {
        listener.publish_acked(&order.topic, bytes).expect("a connection");
    }
    assert_eq!(device.message(Duration::from_millis(500)).expect("a connection"), None);
}

#[test]
fn what_cannot_be_sent_says_what_to_do() {
    let house = House::start();
    let person = Person::new(&house);
    let check = |args: &[&str], code, part: &str| {
        let signed = [args, &["--topic", "t", "--key", "ops.key"][..]].concat();
        let output = person.types(&signed);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said = format!("{stderr}{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    };
    check(&["invoke", "nobody", "--to", GATEWAY], 1, "tidegate status");
    check(&["invoke", "a/b", "--to", GATEWAY], 64, "not a folder");
    check(&["invoke", "echo", "--to", "group:all"], 64, "name gateways");
    check(&["invoke", "echo", "--to", "gw-77", "--timeout", "1"], 75, "gw-77");
    let long = "x".repeat(9000);
    check(&["invoke", "echo", "--to", GATEWAY, "--payload", &long], 65, "as a device would");
    check(&["invoke", "echo", "--to", GATEWAY, "--payload", "@none"], 65, "@none");
    check(&["invoke", "echo", "--to", GATEWAY, "--broker", "mqtt://127.0.0.1:1"], 69, "no broker");
}

/// Logs its word at every event.
fn logs(word: &str) -> Handler {
    let module = handlers::guest_with(
        &format!("(data (i32.const 32) \"{word}\")"),
        &format!(
            "(call $log (i32.const 2) (i32.const 32) (i32.const {})) (i32.const 0)",
            word.len()
        ),
    );
    Handler::new("echo", "in", module)
}

fn watches(house: &House) {
    let person = Person::new(house);
    person.writes_handler(&logs("hot"), "1.0");
    person.signs(&["push", "."]);
    let args = ["logs", "-f", "echo", "--to", GATEWAY, "--json", "--seconds", "20"];
    let mut child = person
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // It says when the gateway has answered, and has asked for lines before.
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let said = stderr.next().expect("a line").expect("text");
    assert!(said.contains("echo 1.0 is there"), "{said}");
    house.send("in", 1000);
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut left_out = 0;
    let mut count = 0;
    let mut device = Client::connect(house.address, "late").expect("a broker");
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        assert_eq!((&line["text"], &line["level"]), (&"hot".into(), &2.into()));
        count += 1;
        left_out += line["left_out"].as_u64().unwrap_or(0);
        if count == 100 {
            // What the flood has left out is said with the next line that may leave.
            std::thread::sleep(Duration::from_secs(1));
            device.publish_acked("in", b"x").expect("a connection");
        }
        if left_out > 0 {
            break;
        }
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!((100..=400).contains(&count), "{count} lines of a flood of 1000");
    assert_eq!(count + left_out, 1001, "every line was shown or counted");
}

#[test]
fn a_person_watches_what_a_handler_logs() {
    watches(&House::start());
}

#[test]
fn a_person_watches_over_upstream() {
    watches(&House::start_below());
}

#[test]
fn nobody_watches_and_nothing_is_said() {
    let house = House::start();
    let person = Person::new(&house);
    person.writes_handler(&logs("hot"), "1.0");
    person.signs(&["push", "."]);
    let mut listener = Client::connect(house.address, "listener").expect("a broker");
    listener.subscribe("tidegate/1/+/logs/+", 0).expect("a subscription");
    house.send("in", 10);
    assert_eq!(listener.message(Duration::from_millis(300)).expect("a connection"), None);
    let output = person.types(&["logs", "other", "--to", GATEWAY, "--timeout", "1"]);
    assert_eq!(output.status.code(), Some(75), "{}", String::from_utf8_lossy(&output.stderr));
}
