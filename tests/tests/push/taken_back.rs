//! Releases that do not keep their word.

use tidegate_release::answer::Stage;
use tidegate_release::manifest::{Probation, What};
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::pusher::SHORT;

use crate::house::{House, says, traps};

/// One that runs and has passed.
fn with_a_good_one() -> House {
    let mut house = House::start();
    house.push(&says("p", "one"), "1");
    house.pusher.wait_for("1", "probation");
    house.send("in", 3);
    house.pusher.wait_for("1", "active");
    house
}

fn push_bounded(house: &mut House, handler: &Handler, version: &str, probation: Probation) {
    let mut order = house.order(handler, version);
    if let What::Install(install) = &mut order.what {
        install.probation = probation;
    }
    let envelope = house.fleet.sign(&order);
    house.pusher.push(&order, &envelope, &[&handler.module]);
}

#[test]
fn the_event_that_broke_it_gets_the_reaction_of_the_one_before() {
    let mut house = with_a_good_one();
    house.push(&traps("p"), "2");
    house.pusher.wait_for("2", "probation");
    assert_eq!(house.react("in", b"hello", "out").as_deref(), Some(&b"one"[..]));
    let answer = house.pusher.wait_for("2", "rolled-back");
    let Stage::RolledBack { code, event: Some(event), .. } = &answer.stage else {
        panic!("it says at which event: {answer:?}");
    };
    assert_eq!(
        (code.as_str(), &event.topic[..], &event.payload[..]),
        ("failed-events", "in", &b"hello"[..])
    );
    // For good: the same order again is not tried again, and a start does not forget.
    house.daemon.process.kill();
    house.start_again();
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn memory_is_a_bound() {
    let mut house = with_a_good_one();
    let body = "(drop (memory.grow (i32.const 1))) (i32.const 0)";
    let leaks = Handler::new("p", "in", handlers::guest(body));
    push_bounded(&mut house, &leaks, "2", Probation { memory_kib_max: 128, ..SHORT });
    house.pusher.wait_for("2", "probation");
    house.send("in", 1);
    house.pusher.wait_for_code("memory");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn time_is_a_bound() {
    let mut house = with_a_good_one();
    let body = "(local.set $i (i32.const 100000))
        (loop $l (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $l (local.get $i))) (i32.const 0)";
    let slow = Handler::new("p", "in", handlers::guest(body));
    push_bounded(&mut house, &slow, "2", Probation { p99_us_max: 20, ..SHORT });
    house.pusher.wait_for("2", "probation");
    house.send("in", 3);
    house.pusher.wait_for_code("p99");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn missed_deadlines_are_told_apart_from_failures() {
    let mut house = House::start();
    let endless = Handler::new("p", "in", handlers::guest("(loop $l (br $l)) (i32.const 0)"));
    let endless = Handler { fuel: 10_000_000, deadline_ms: 5, ..endless };
    let lenient = Probation { events: 2, deadline_misses_max: 9, failed_per_mille_max: 0, ..SHORT };
    push_bounded(&mut house, &endless, "1", lenient);
    house.pusher.wait_for("1", "probation");
    house.send("in", 2);
    let answer = house.pusher.wait_for("1", "active");
    assert_eq!((answer.figures.deadline_misses, answer.figures.failed), (2, 0));
}

#[test]
fn a_module_that_does_not_load_changes_nothing() {
    let mut house = with_a_good_one();
    let broken = Handler { module: b"\0asm\x01\0\0\0no".to_vec(), ..says("p", "two") };
    house.push(&broken, "2");
    house.pusher.wait_for_code("does-not-load");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn three_kills_on_probation_are_enough() {
    let mut house = with_a_good_one();
    push_bounded(&mut house, &says("p", "two"), "2", Probation { uptime_ms: 600_000, ..SHORT });
    house.pusher.wait_for("2", "probation");
    for _ in 0..2 {
        house.daemon.process.kill();
        house.start_again();
        house.pusher.wait_for("2", "probation");
        assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"two"[..]));
    }
    house.daemon.process.kill();
    house.start_again();
    house.pusher.wait_for_code("restarts");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn after_four_quick_starts_no_handler_runs_but_a_push_does() {
    let mut house = with_a_good_one();
    set_restarts(&house, 3);
    // A start counts once its row is on the disk; one that is killed before that does not.
    let mut starts = 0;
    while !house.daemon.said(&["no handler is started"]) {
        assert!(starts < 20, "it starts its handlers for ever");
        house.daemon.process.kill();
        house.start_again();
        starts += 1;
    }
    assert!(starts >= 4, "{starts} starts are not many");
    house.pusher.wait_for_code("safe-mode");
    assert_eq!(house.react("in", b"x", "out"), None);
    house.push(&says("p", "better"), "2");
    house.pusher.wait_for("2", "probation");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"better"[..]));
}

/// The tests' own configuration never counts restarts.
fn set_restarts(house: &House, count: u8) {
    let config = house.daemon.scratch.path().join("gateway.toml");
    let text = std::fs::read_to_string(&config).expect("its configuration");
    let text = text.replace("restarts_max = 0", &format!("restarts_max = {count}"));
    std::fs::write(&config, text).expect("a writable file");
}
