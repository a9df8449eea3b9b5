//! Every host function: what it refuses, then what it does.

use tidegate_core::job::{Failure, LogLine, Verdict};
use tidegate_core::message::QoS;
use tidegate_host::{Caps, Instance};

use crate::guest::*;

const ARGUMENT: i32 = -1;
const RANGE: i32 = -2;
const NOT_FOUND: i32 = -3;
const NOT_PERMITTED: i32 = -4;
const TOO_LARGE: i32 = -5;
const QUOTA: i32 = -7;

/// Every pointer of every host function, at the places where it must be refused.
#[test]
fn no_pointer_reaches_outside_memory() {
    // `{}` is the pointer; the length behind it is 8, or the function writes 8 bytes.
    let calls = [
        "(call $ev_read (i32.const 1) (i32.const 0) {} (i32.const 8))",
        "(call $ev_num {} (i32.const 8) (i32.const 4096))",
        "(call $ev_num (i32.const 64) (i32.const 4) {})",
        "(call $ev_str {} (i32.const 8) (i32.const 4096) (i32.const 8))",
        "(call $ev_str (i32.const 192) (i32.const 1) {} (i32.const 8))",
        "(call $publish {} (i32.const 8) (i32.const 32) (i32.const 5) (i32.const 0))",
        "(call $publish (i32.const 48) (i32.const 13) {} (i32.const 8) (i32.const 0))",
        "(call $send {} (i32.const 8) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        "(call $send (i32.const 0) (i32.const 8) {} (i32.const 8) (i32.const 0) (i32.const 0))",
        "(call $state_get {} (i32.const 8) (i32.const 0) (i32.const 0) (i32.const 0))",
        "(call $state_get (i32.const 16) (i32.const 3) {} (i32.const 8) (i32.const 0))",
        "(call $state_get (i32.const 16) (i32.const 3) (i32.const 0) (i32.const 0) {})",
        "(call $state_set {} (i32.const 8) (i32.const 32) (i32.const 5) (i32.const 0))",
        "(call $state_set (i32.const 16) (i32.const 3) {} (i32.const 8) (i32.const 0))",
        "(call $state_cas {} (i32.const 8) (i64.const 0) (i32.const 32) (i32.const 5))",
        "(call $state_cas (i32.const 16) (i32.const 3) (i64.const 0) {} (i32.const 8))",
        "(call $state_del {} (i32.const 8))",
        "(call $state_list {} (i32.const 8) (i64.const 0) (i32.const 4096) (i32.const 8) (i32.const 4096))",
        "(call $state_list (i32.const 0) (i32.const 0) (i64.const 0) {} (i32.const 8) (i32.const 4096))",
        "(call $state_list (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 4096) (i32.const 8) {})",
        "(call $state_add {} (i32.const 8) (i64.const 1) (i32.const 4096))",
        "(call $state_add (i32.const 16) (i32.const 3) (i64.const 1) {})",
        "(call $random {} (i32.const 8))",
        "(call $config_get {} (i32.const 8) (i32.const 4096) (i32.const 8))",
        "(call $config_get (i32.const 160) (i32.const 5) {} (i32.const 8))",
    ];
    for call in calls {
        for pointer in ["65529", "65535", "65536", "0x7fffffff", "0x80000000", "-8", "-1"] {
            check(&call.replace("{}", &format!("(i32.const {pointer})")), RANGE);
        }
    }
}

#[test]
fn no_length_reaches_outside_memory() {
    for (pointer, len) in
        [(0, "65537"), (1, "65536"), (16, "-1"), (-1, "-1"), (65536, "1"), (0, "0x7fffffff")]
    {
        check(&format!("(call $random (i32.const {pointer}) (i32.const {len}))"), RANGE);
        let key = format!("(i32.const {pointer}) (i32.const {len})");
        check(&format!("(call $state_del {key})"), RANGE);
        check(&format!("(call $config_get {key} (i32.const 0) (i32.const 0))"), RANGE);
    }
    check("(call $random (i32.const 65536) (i32.const 0))", 0);
    check("(call $random (i32.const 0) (i32.const 65536))", 65536);
}

#[test]
fn ev_read_gives_every_field_in_pieces() {
    check("(call $ev_read (i32.const 4) (i32.const 0) (i32.const 4096) (i32.const 8))", ARGUMENT);
    check("(call $ev_read (i32.const -1) (i32.const 0) (i32.const 4096) (i32.const 8))", ARGUMENT);
    check("(call $ev_read (i32.const 0) (i32.const 20) (i32.const 4096) (i32.const 8))", ARGUMENT);
    check("(call $ev_read (i32.const 0) (i32.const -1) (i32.const 4096) (i32.const 8))", ARGUMENT);
    check("(call $ev_read (i32.const 0) (i32.const 19) (i32.const 4096) (i32.const 8))", 0);
    check("(call $ev_read (i32.const 0) (i32.const 8) (i32.const 4096) (i32.const 2))", 11);
    check("(call $ev_read (i32.const 2) (i32.const 0) (i32.const 4096) (i32.const 99))", 8);
    check("(call $ev_read (i32.const 3) (i32.const 0) (i32.const 4096) (i32.const 99))", 0);
    // Bytes 8 and 9 of the topic are "7/", and no third one is written.
    check(
        "(block (result i32) (drop (call $ev_read (i32.const 0) (i32.const 8) (i32.const 4096) (i32.const 2)))
            (i32.load (i32.const 4096)))",
        i32::from_le_bytes(*b"7/\0\0"),
    );
}

#[test]
fn ev_num_reads_numbers_and_nothing_else() {
    let ev_num = |pointer: u32, len: u32| {
        format!("(call $ev_num (i32.const {pointer}) (i32.const {len}) (i32.const 4096))")
    };
    check(&ev_num(0, 257), TOO_LARGE);
    check(&ev_num(176, 2), ARGUMENT);
    check(&ev_num(16, 3), NOT_FOUND);
    check(&ev_num(192, 1), NOT_FOUND);
    check(&ev_num(64, 0), NOT_FOUND);
    check(&ev_num(64, 4), 0);
    let read = |path: &str| {
        format!(
            "(block (result i32) (drop {path}) (i32.trunc_f64_s (f64.mul (f64.const 2) (f64.load (i32.const 4096)))))"
        )
    };
    check(&read(&ev_num(64, 4)), 143);
    check(&read(&ev_num(80, 5)), 14);
    for bad in [&b""[..], b"{", b"{\"temp\":1}x", b"\xff", b"{\"temp\":01}", b"[1,2"] {
        check_as(&ev_num(64, 4), manifest(), &Caps::DEV, bad, ARGUMENT);
    }
    check_as(&ev_num(64, 4), manifest(), &Caps::DEV, "[".repeat(1000).as_bytes(), ARGUMENT);
    check_as(&ev_num(64, 0), manifest(), &Caps::DEV, b" 23.5 ", 0);
    let small = Caps { json_bytes_max: 10, ..Caps::DEV };
    check_as(&ev_num(64, 4), manifest(), &small, b"{\"temp\":1}", 0);
    check_as(&ev_num(64, 4), manifest(), &small, b"{\"temp\":1} ", TOO_LARGE);
    let few = Caps { json_tokens_max: 2, ..Caps::DEV };
    check_as(&ev_num(64, 4), manifest(), &few, b"{\"temp\":1}", TOO_LARGE);
}

#[test]
fn ev_str_unescapes() {
    let ev_str = |pointer: u32, len: u32, cap: u32| {
        format!(
            "(call $ev_str (i32.const {pointer}) (i32.const {len}) (i32.const 4096) (i32.const {cap}))"
        )
    };
    check(&ev_str(64, 4, 8), NOT_FOUND);
    check(&ev_str(16, 3, 8), NOT_FOUND);
    check(&ev_str(176, 2, 8), ARGUMENT);
    check(&ev_str(192, 1, 8), 2);
    check(&ev_str(208, 3, 8), 3);
    let first_word =
        |call: &str| format!("(block (result i32) (drop {call}) (i32.load (i32.const 4096)))");
    check(&first_word(&ev_str(208, 3, 3)), i32::from_le_bytes([b'a', 0xc3, 0xa9, 0]));
    // Too long for the buffer: the length, and nothing is written.
    check(&ev_str(208, 3, 2), 3);
    check(&first_word(&ev_str(208, 3, 2)), 0);
}

#[test]
fn publish_keeps_to_the_manifest() {
    let publish = |topic: u32, tlen: u32, plen: u32, flags: i32| {
        format!(
            "(call $publish (i32.const {topic}) (i32.const {tlen}) (i32.const 32) (i32.const {plen}) (i32.const {flags}))"
        )
    };
    check(&publish(48, 0, 5, 0), ARGUMENT);
    check(&publish(96, 13, 5, 0), ARGUMENT);
    check(&publish(176, 2, 5, 0), ARGUMENT);
    check(&publish(4096, 4, 5, 0), ARGUMENT);
    check(&publish(48, 13, 5, 2), ARGUMENT);
    check(&publish(48, 13, 5, 3), ARGUMENT);
    check(&publish(48, 13, 5, 8), ARGUMENT);
    check(&publish(48, 13, 5, -1), ARGUMENT);
    check(&publish(112, 6, 5, 0), NOT_PERMITTED);
    check(&publish(128, 10, 5, 0), NOT_PERMITTED);
    check(&publish(144, 7, 5, 0), NOT_PERMITTED);
    check(&publish(48, 13, 5, 0), 0);
    check(&publish(48, 13, 0, 5), 0);
    let small = Caps { publish_bytes_max: 4, ..Caps::DEV };
    check_as(&publish(48, 13, 5, 0), manifest(), &small, b"", TOO_LARGE);
    let little = Caps { effects_bytes_max: 80, ..Caps::DEV };
    check_as(&publish(48, 13, 5, 0), manifest(), &little, b"", QUOTA);
    let mut all = manifest();
    all.grants.publish = vec![tidegate_core::topic::Filter::new("#").expect("a filter")];
    check_as(&publish(128, 10, 5, 0), all.clone(), &Caps::DEV, b"", NOT_PERMITTED);
    check_as(&publish(144, 7, 5, 0), all, &Caps::DEV, b"", 0);
}

#[test]
fn a_published_message_is_what_was_asked_for() {
    let mut instance = loaded(&handler(
        "(drop (call $publish (i32.const 48) (i32.const 13) (i32.const 32) (i32.const 5) (i32.const 5))) (i32.const 0)",
    ));
    let outcome = once(&mut instance);
    assert_eq!(outcome.verdict, Verdict::Done);
    let publish = &outcome.publishes[0];
    assert_eq!((publish.topic.as_str(), &*publish.payload), ("devices/7/cmd", &b"value"[..]));
    assert_eq!((publish.qos, publish.retain), (QoS::AtLeastOnce, true));
}

const FLOOD: &str = "(local $code i32)
    (loop $again
        (local.set $code (call $publish (i32.const 48) (i32.const 13) (i32.const 32) (i32.const 5) (i32.const 0)))
        (br_if $again (i32.eqz (local.get $code))))";

#[test]
fn a_publish_flood_ends_at_the_quota_and_the_quota_is_named() {
    let mut instance = loaded(&handler(&format!("{FLOOD} (local.get $code)")));
    let outcome = once(&mut instance);
    assert_eq!(outcome.verdict, Verdict::Failed(Failure::Quota("publishes")));
    assert!(outcome.publishes.is_empty(), "a failed event has no effects");
    let mut instance = loaded(&handler(&format!("{FLOOD} (i32.const 0)")));
    assert_eq!(once(&mut instance).publishes.len(), 4, "a handler may live with the quota");
}

fn logs(instance: &mut Instance) -> (Vec<LogLine>, u32) {
    let outcome = once(instance);
    (outcome.logs, outcome.logs_dropped)
}

#[test]
fn log_lines_are_bounded_and_clean() {
    let line = |level: i32, pointer: i32, len: i32| {
        format!("(call $log (i32.const {level}) (i32.const {pointer}) (i32.const {len}))")
    };
    let mut instance = loaded(&handler(&format!(
        "{} {} {} {} (i32.const -3)",
        line(2, 224, 14),
        line(99, 0, 65536),
        line(-5, 65535, 2),
        line(0, 0, 0),
    )));
    let (lines, dropped) = logs(&mut instance);
    assert_eq!(lines[0], LogLine { level: 2, text: "line  [31mred\u{fffd}".to_owned() });
    assert_eq!((lines[1].level, lines[1].text.len()), (5, 512));
    assert_eq!(lines[2], LogLine { level: 1, text: String::new() });
    assert_eq!((lines.len(), dropped), (3, 1), "the one outside memory is dropped");
    let flood = "(local $i i32) (loop $again (call $log (i32.const 3) (i32.const 16) (i32.const 3))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 100)))) (i32.const 0)";
    let (lines, dropped) = logs(&mut loaded(&handler(flood)));
    assert_eq!((lines.len(), dropped), (16, 84));
}

#[test]
fn clocks_stand_still_during_an_event() {
    let low = |clock: i32| format!("(i32.wrap_i64 (call $now_us (i32.const {clock})))");
    check(&low(3), ARGUMENT);
    check(&low(0), AT_US as i32);
    check(&low(1), (AT_US + 9) as i32);
    check(&low(2), 5_000);
}

#[test]
fn chance_follows_from_the_seed_and_the_event() {
    let draw = handler(
        "(drop (call $random (i32.const 4096) (i32.const 11)))
         (drop (call $state_set (i32.const 16) (i32.const 3) (i32.const 4096) (i32.const 16) (i32.const 0)))
         (i32.const 0)",
    );
    let drawn = |seed: u64, id: u64| {
        let mut instance =
            tidegate_host::load(&draw, manifest().into(), &Caps::DEV, seed).expect("it loads");
        let outcome = run(&mut instance, vec![event(id, b"", AT_US)]).pop().expect("it ran");
        outcome.writes[0].value.clone().expect("a value")
    };
    let first = drawn(1, 1);
    assert_eq!(first, drawn(1, 1));
    assert_ne!(first, drawn(1, 2));
    assert_ne!(first, drawn(2, 1));
    assert_ne!(first[..8], first[3..11]);
    assert_eq!(first[11..], [0; 5], "no byte too many");
}

#[test]
fn config_get_answers_what_the_manifest_says() {
    let get = |key: u32, len: u32, cap: u32| {
        format!(
            "(call $config_get (i32.const {key}) (i32.const {len}) (i32.const 4096) (i32.const {cap}))"
        )
    };
    check(&get(16, 3, 8), NOT_FOUND);
    check(&get(176, 2, 8), ARGUMENT);
    check(&get(160, 5, 8), 2);
    check(&get(160, 5, 1), 2);
}

#[test]
fn a_host_call_that_the_event_cannot_pay_ends_it() {
    let mut poor = manifest();
    poor.limits.fuel = 200;
    let fill = "(drop (call $random (i32.const 0) (i32.const 65536))) (i32.const 0)";
    let mut instance = loaded_as(&handler(fill), poor, &Caps::DEV);
    let outcome = once(&mut instance);
    assert_eq!(outcome.verdict, Verdict::Failed(Failure::OutOfFuel));
    assert!(outcome.fuel_used <= 200);
}
