//! Pins: what `gpio` refuses, what it reads, and what the outcome then carries.

use tidegate_core::job::{EventOutcome, Verdict};
use tidegate_core::pins::PinWrite;
use tidegate_host::{Caps, GoldenCase, GoldenExpect, Instance, LoadError, check_golden, load};

use crate::guest::*;

const ARGUMENT: i32 = -1;
const RANGE: i32 = -2;
const NOT_FOUND: i32 = -3;
const NOT_PERMITTED: i32 = -4;
const OFFLINE: i32 = -9;
const UNSUPPORTED: i32 = -10;

const READ: i32 = 0;
const WRITE: i32 = 1;
const RELAY1: (u32, u32) = (256, 6);
const BUTTON1: (u32, u32) = (272, 7);
const NONE: (u32, u32) = (288, 4);
const BUTTON2: (u32, u32) = (304, 7);
const RELAY2: (u32, u32) = (320, 6);

fn gpio(op: i32, (name, len): (u32, u32), value: i32) -> String {
    format!(
        "(call $gpio (i32.const {op}) (i32.const {name}) (i32.const {len}) (i32.const {value}))"
    )
}

/// A handler that keeps what the last of these calls answers in its state.
fn wired(calls: &[String]) -> Instance {
    let (last, first) = calls.split_last().expect("a call");
    let first: String = first.iter().map(|call| format!("(drop {call})")).collect();
    let body = format!(
        "{first} (i32.store (i32.const 8192) {last})
        (drop (call $state_set (i32.const 16) (i32.const 3) (i32.const 8192) (i32.const 4) (i32.const 0)))
        (i32.const 0)"
    );
    let mut manifest = manifest();
    manifest.grants.gpio.push("relay2".to_owned());
    let mut instance = loaded_as(&handler(&body), manifest, &Caps::DEV);
    instance.set_pins(pins());
    instance
}

fn answer(outcome: &EventOutcome) -> i32 {
    let value = outcome.writes[0].value.as_deref().expect("the answer is kept");
    i32::from_le_bytes(value.try_into().expect("four bytes"))
}

/// What the last call answers, and which pins the event then sets: number and level.
#[track_caller]
fn check_gpio(calls: &[String], expect: i32, set: &[(u8, bool)]) {
    let outcome = once(&mut wired(calls));
    assert_eq!(outcome.verdict, Verdict::Done, "{calls:?}");
    assert_eq!(answer(&outcome), expect, "{calls:?}");
    let is: Vec<(u8, bool)> = outcome.pins.iter().map(|write| (write.pin.0, write.on)).collect();
    assert_eq!(is, set, "{calls:?}");
}

#[test]
fn gpio_keeps_to_the_manifest_and_to_the_board() {
    for (call, expect) in [
        (gpio(READ, BUTTON2, 0), NOT_PERMITTED),
        (gpio(WRITE, BUTTON2, 1), NOT_PERMITTED),
        (gpio(READ, (256, 0), 0), NOT_PERMITTED),
        (gpio(READ, NONE, 0), NOT_FOUND),
        (gpio(WRITE, NONE, 1), NOT_FOUND),
        (gpio(WRITE, BUTTON1, 1), ARGUMENT),
        (gpio(WRITE, RELAY1, 2), ARGUMENT),
        (gpio(WRITE, RELAY1, -1), ARGUMENT),
        (gpio(READ, RELAY1, 1), ARGUMENT),
        (gpio(2, RELAY1, 0), ARGUMENT),
        (gpio(READ, (176, 2), 0), ARGUMENT),
        (gpio(READ, (65_535, 2), 0), RANGE),
        (gpio(READ, RELAY2, 0), OFFLINE),
        (gpio(WRITE, RELAY2, 1), OFFLINE),
    ] {
        check_gpio(&[call], expect, &[]);
    }
    check(&gpio(READ, BUTTON1, 0), UNSUPPORTED);
    check(&gpio(WRITE, RELAY1, 1), UNSUPPORTED);
}

#[test]
fn pins_are_read_as_they_were_and_as_the_event_sets_them() {
    check_gpio(&[gpio(READ, BUTTON1, 0)], 1, &[]);
    check_gpio(&[gpio(READ, RELAY1, 0)], 0, &[]);
    check_gpio(&[gpio(WRITE, RELAY1, 1)], 0, &[(2, true)]);
    check_gpio(&[gpio(WRITE, RELAY1, 1), gpio(READ, RELAY1, 0)], 1, &[(2, true)]);
    check_gpio(
        &[gpio(WRITE, RELAY1, 1), gpio(WRITE, RELAY1, 0), gpio(READ, RELAY1, 0)],
        0,
        &[(2, false)],
    );
}

#[test]
fn the_next_event_of_a_job_reads_what_the_one_before_has_set() {
    let toggle = format!(
        "(call $gpio (i32.const 1) (i32.const 256) (i32.const 6) (i32.sub (i32.const 1) {}))",
        gpio(READ, RELAY1, 0)
    );
    let set: Vec<Vec<PinWrite>> = run(&mut wired(std::slice::from_ref(&toggle)), events(3))
        .into_iter()
        .map(|event| event.pins)
        .collect();
    let levels: Vec<bool> = set.iter().map(|pins| pins[0].on).collect();
    assert_eq!(levels, [true, false, true]);
    // The next job reads what it is told, not what this one has left.
    let mut instance = wired(&[toggle]);
    assert!(once(&mut instance).pins[0].on && once(&mut instance).pins[0].on);
}

#[test]
fn an_event_that_fails_sets_nothing() {
    let body = format!("(drop {}) (i32.const -1)", gpio(WRITE, RELAY1, 1));
    let mut instance = loaded(&handler(&body));
    instance.set_pins(pins());
    let outcome = once(&mut instance);
    assert!(matches!(outcome.verdict, Verdict::Failed(_)) && outcome.pins.is_empty());
}

#[test]
fn a_module_that_may_use_no_pin_does_not_import_gpio() {
    let mut manifest = manifest();
    manifest.grants.gpio.clear();
    let module = handler("(i32.const 0)");
    let error = load(&module, std::sync::Arc::new(manifest), &Caps::DEV, 1).err();
    assert!(matches!(error, Some(LoadError::ImportUngranted { name }) if name == "gpio"));
}

#[test]
fn golden_events_say_which_pins_are_set() {
    let mut instance = wired(&[gpio(WRITE, RELAY1, 1)]);
    let mut check = |expect: &[GoldenExpect<'_>]| {
        let case = GoldenCase { topic: "t", payload: b"", expect: expect.to_vec() };
        check_golden(&mut instance, 0, &case).err().unwrap_or_default()
    };
    let pin = |name, on| GoldenExpect::Pin { name, on };
    assert_eq!(check(&[pin("relay1", true)]), "");
    assert_eq!(check(&[pin("relay1", false)]), "it set relay1 on, not relay1 off");
    assert_eq!(check(&[GoldenExpect::Nothing]), "it also set relay1 on");
    assert_eq!(
        check(&[pin("relay1", true), pin("relay2", true)]),
        "it should set relay2 on, and did not"
    );
    // It is told of a pin by the event: on a gateway it would be so, too.
    let mut instance = wired(&[gpio(READ, BUTTON1, 0), gpio(WRITE, RELAY1, 1)]);
    let case =
        GoldenCase { topic: "$pin/button1", payload: b"1", expect: vec![pin("relay1", true)] };
    assert!(check_golden(&mut instance, 0, &case).is_ok());
}
