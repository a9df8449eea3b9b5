//! Events that persons send to a handler: what is told of them, and what they may not do.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_release::manifest::{Invoke, Probation, What};
use tidegate_release::topics::ControlTopic;
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mqtt::Client;
use tidegate_tests::pusher::{Fleet, SHORT, gateway};

use crate::house::{GATEWAY, House, says, traps};
use crate::taken_back::push_bounded;
use crate::tool::Person;

fn invoke(person: &Person, more: &[&str]) -> (Option<i32>, Value) {
    let args = ["invoke", "echo", "--to", GATEWAY, "--topic", "t", "--key", "ops.key", "--json"];
    let output = person.types(&[&args[..], more].concat());
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
}

/// Counts its events in its state, and logs at each.
fn counts() -> Handler {
    let module = handlers::guest_with(
        "(data (i32.const 16) \"n\") (data (i32.const 32) \"hot\")",
        "(drop (call $state_add (i32.const 16) (i32.const 1) (i64.const 1) (i32.const 64)))
         (call $log (i32.const 2) (i32.const 32) (i32.const 3)) (i32.const 0)",
    );
    Handler::new("echo", "in", module)
}

#[test]
fn what_it_wrote_and_logged_is_told_and_a_dry_one_keeps_nothing() {
    let house = House::start();
    let person = Person::new(&house);
    person.writes_handler(&counts(), "1.0");
    person.signs(&["push", "."]);
    let check = |more: &[&str], n: u8| {
        let (code, came) = invoke(&person, more);
        assert_eq!(code, Some(0), "{came}");
        let value = format!("0x{n:02x}00000000000000");
        assert_eq!(came["writes"], json!([{ "key": "n", "value": value }]), "{came}");
        assert_eq!(came["logs"], json!([{ "level": 2, "text": "hot" }]), "{came}");
        assert!(came["us"].is_u64(), "{came}");
    };
    check(&["--dry"], 1);
    check(&["--dry"], 1);
    check(&[], 1);
    check(&["--dry"], 2);
    check(&[], 2);
    let words = ["invoke", "echo", "--to", GATEWAY, "--topic", "t", "--key", "ops.key", "--dry"];
    let text = person.does(&words);
    for part in ["done, ", "nothing of it was kept", "state n = 0x03", "log WARN hot"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_a_person_tries_takes_no_release_back() {
    let mut house = House::start();
    house.push(&says("echo", "one"), "1");
    house.pusher.wait_for("1", "probation");
    house.send("in", 3);
    house.pusher.wait_for("1", "active");
    let probation = Probation { uptime_ms: 600_000, ..SHORT };
    push_bounded(&mut house, &traps("echo"), "2", probation);
    house.pusher.wait_for("2", "probation");
    let person = Person::new(&house);
    for more in [&["--dry"][..], &[], &["--dry"]] {
        let (code, came) = invoke(&person, more);
        assert_eq!(code, Some(1), "{came}");
        assert!(came["failed"].as_str().is_some_and(|why| why.contains("trap")), "{came}");
    }
    let status = person.status();
    assert_eq!((&status["phase"], &status["version"]), (&"probation".into(), &"2".into()));
    assert_eq!((&status["events"], &status["events_left"]), (&0.into(), &3.into()), "{status}");
    // A device's event is judged as ever.
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
    house.pusher.wait_for("2", "rolled-back");
}

#[test]
fn nothing_is_tried_dry_where_memory_lives_on() {
    let house = House::start();
    let person = Person::new(&house);
    person.writes_handler(&Handler { isolation: "instance", ..says("echo", "one") }, "1.0");
    person.signs(&["push", "."]);
    let (code, came) = invoke(&person, &["--dry"]);
    assert_eq!(code, Some(1), "{came}");
    assert!(came["failed"].as_str().is_some_and(|why| why.contains("leave --dry off")), "{came}");
    assert_eq!(invoke(&person, &[]).0, Some(0));
}

/// By a key that is not the fleet's, for another gateway, and on the wrong topic: nothing runs.
#[test]
fn forged_orders_run_nothing() {
    let mut house = House::start();
    house.push(&says("echo", "one"), "1");
    house.pusher.wait_for("1", "probation");
    let order = |fleet: &Fleet, to: &str, seq| {
        let invoke =
            Invoke { nonce: [1; 16], topic: "t".to_owned(), payload: Vec::new(), is_dry: false };
        let order = fleet.order_of("echo", seq, gateway(to), What::Invoke(invoke));
        fleet.sign(&order)
    };
    let topic = |kind: fn(tidegate_release::Name) -> ControlTopic| {
        kind(tidegate_tests::pusher::name("echo")).to_string()
    };
    let invokes = topic(|handler| ControlTopic::Invoke { target: gateway(GATEWAY), handler });
    let releases = topic(|handler| ControlTopic::Release { target: gateway(GATEWAY), handler });
    let mut device = Client::connect(house.address, "device").expect("a broker");
    device.subscribe("out", 0).expect("a subscription");
    let mut bad = Client::connect(house.address, "bad").expect("a broker");
    let thief = Fleet::new(9);
    for (topic, bytes) in [
        (&invokes, order(&thief, GATEWAY, 1)),
        (&invokes, order(&house.fleet, "gw-02", 2)),
        (&releases, order(&thief, GATEWAY, 3)),
        (&invokes, vec![0xff; 20_000]),
        (&invokes, Vec::new()),
    ] {
        bad.publish_acked(topic, &bytes).expect("a connection");
    }
    assert_eq!(device.message(Duration::from_millis(500)).expect("a connection"), None);
    let good = order(&house.fleet, GATEWAY, 4);
    bad.publish_acked(&invokes, &good).expect("a connection");
    let heard = device.message(Duration::from_secs(5)).expect("a connection");
    assert_eq!(heard.map(|message| message.payload).as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_wrong_passphrase_says_so() {
    let house = House::start();
    let person = Person::new(&house);
    person.scratch.write("right", "a good long passphrase");
    person.scratch.write("wrong", "another long passphrase");
    person.does(&["keygen", "safe", "--passphrase-file", "right"]);
    let args = ["invoke", "echo", "--to", GATEWAY, "--topic", "t", "--key", "safe.key"];
    let output = person.types(&[&args[..], &["--passphrase-file", "wrong"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{stderr}");
    assert!(stderr.contains("passphrase"), "{stderr}");
}
