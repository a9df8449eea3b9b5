//! Releases that take over state.

use tidegate_release::manifest::{React, What};
use tidegate_tests::handlers::{self, Handler, INBOX};

use crate::house::{House, says};

/// What both versions begin with: the keys, the topic, and where an event's topic begins (`tidegate_abi::inbox`).
const DATA: &str = r#"(data (i32.const 16) "nm") (data (i32.const 32) "out")"#;
const ADD: &str =
    "(drop (call $state_add (i32.const KEY) (i32.const 1) (i64.const 1) (i32.const 64)))";
const TELL: &str =
    "(call $publish (i32.const 32) (i32.const 3) (i32.const 64) (i32.const 8) (i32.const 0))";

/// Counts under `n` and tells.
fn counts() -> Handler {
    let body = format!("{} {TELL}", ADD.replace("KEY", "16"));
    Handler::new("p", "in", handlers::guest_with(DATA, &body)).may_publish("out")
}

/// Counts tenths under `m`: what `n` was, ten times. `migrates` comes on top of that, `event` is what it does later.
fn counts_tenths(migrates: &str, event: &str) -> Handler {
    let body = format!(
        "(if (i32.eq (i32.load8_u (i32.const {})) (i32.const 36)) (then {migrates}
           (drop (call $state_add (i32.const 16) (i32.const 1) (i64.const 0) (i32.const 64)))
           (drop (call $state_add (i32.const 17) (i32.const 1)
                   (i64.mul (i64.load (i32.const 64)) (i64.const 10)) (i32.const 64)))
           (return (call $state_del (i32.const 16) (i32.const 1)))))
         {event}",
        INBOX + 72
    );
    Handler::new("p", "in", handlers::guest_with(DATA, &body)).may_publish("out")
}

/// What it tells has lasted.
fn push(house: &mut House, handler: &Handler, version: &str) {
    push_as(house, handler, version, None);
}

fn push_from(house: &mut House, handler: &Handler, version: &str, from: &str) {
    push_as(house, handler, version, Some(from.to_owned()));
}

fn push_as(house: &mut House, handler: &Handler, version: &str, from: Option<String>) {
    let mut order = house.order(handler, version);
    if let What::Install(install) = &mut order.what {
        (install.migrate_from, install.react) = (from, React::Durable);
    }
    let envelope = house.fleet.sign(&order);
    house.pusher.push(&order, &envelope, &[&handler.module]);
}

#[track_caller]
fn count(house: &House) -> i64 {
    let told = house.react("in", b"x", "out").expect("a reaction");
    i64::from_le_bytes(told.try_into().expect("eight bytes"))
}

/// The first version, which has counted to three and stays.
fn at_three() -> House {
    let mut house = House::start();
    push(&mut house, &counts(), "1");
    house.pusher.wait_for("1", "probation");
    assert_eq!([(); 3].map(|()| count(&house)), [1, 2, 3]);
    house.pusher.wait_for("1", "active");
    house
}

#[test]
fn a_copy_is_migrated_and_the_old_state_waits_for_the_way_back() {
    let mut house = at_three();
    push_from(&mut house, &counts_tenths("", "(unreachable)"), "2", "1");
    house.pusher.wait_for("2", "probation");
    assert_eq!(count(&house), 4, "it broke, and the one before has the state that it left");
    house.pusher.wait_for("2", "rolled-back");
    let event = format!("{} {TELL}", ADD.replace("KEY", "17"));
    push_from(&mut house, &counts_tenths("", &event), "3", "1");
    house.pusher.wait_for("3", "probation");
    assert_eq!(count(&house), 41);
    house.daemon.process.kill();
    house.start_again();
    assert_eq!(count(&house), 42, "a start finds the migrated state");
    assert_eq!([(); 3].map(|()| count(&house)), [43, 44, 45]);
    house.pusher.wait_for("3", "active");
    house.daemon.process.kill();
    house.start_again();
    assert_eq!(count(&house), 46);
    // What ran before, signed anew: its own state is there.
    push(&mut house, &counts(), "1-again");
    house.pusher.wait_for("1-again", "probation");
    assert_eq!(count(&house), 5);
    house.daemon.process.kill();
    house.start_again();
    assert_eq!(count(&house), 6);
}

#[test]
fn what_does_not_migrate_does_not_run() {
    let mut house = at_three();
    let speaks = format!("(drop {TELL})");
    push_from(&mut house, &counts_tenths(&speaks, "(i32.const 0)"), "2", "1");
    let answer = house.pusher.wait_for_code("does-not-migrate");
    assert!(format!("{answer:?}").contains("may only change state"), "{answer:?}");
    push_from(&mut house, &counts_tenths("(unreachable)", "(i32.const 0)"), "3", "1");
    house.pusher.wait_for_code("does-not-migrate");
    push_from(&mut house, &says("p", "one"), "4", "0.9");
    let answer = house.pusher.wait_for_code("cannot-migrate");
    assert!(format!("{answer:?}").contains("push 0.9 first"), "{answer:?}");
    assert_eq!(count(&house), 4);
    house.daemon.process.kill();
    house.start_again();
    assert_eq!(count(&house), 5);
}
