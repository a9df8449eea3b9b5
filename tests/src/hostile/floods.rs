//! Handlers that use the host functions against the host.

use super::Fate::{Harmless, Stopped};
use super::Hostile;
use crate::handlers::{guest, guest_with};

/// Repeats `body` for ever, over 64 KiB of text at 65536 and the words at 16.
fn for_ever(words: &str, body: &str) -> Vec<u8> {
    guest_with(
        &format!("(data (i32.const 16) \"{words}\")"),
        &format!(
            "(loop $again (local.set $i (i32.add (local.get $i) (i32.const 1))) {body}
               (br $again)) (i32.const 0)"
        ),
    )
}

/// Publishes one byte on `topic` and returns what `publish` answered.
fn publish_once(topic: &str) -> Vec<u8> {
    guest_with(
        &format!("(data (i32.const 16) \"{topic}\")"),
        &format!(
            "(call $publish (i32.const 16) (i32.const {}) (i32.const 16) (i32.const 1)
               (i32.const 0))",
            topic.len()
        ),
    )
}

pub(super) fn all() -> Vec<Hostile> {
    vec![
        Hostile::new(
            "flood-log",
            "logging for ever",
            Stopped,
            for_ever("", "(call $log (i32.const 1) (i32.const 65536) (i32.const 65536))"),
        ),
        Hostile::new(
            "flood-publish",
            "publishing for ever",
            Stopped,
            for_ever(
                "flood/out",
                "(drop (call $publish (i32.const 16) (i32.const 9) (i32.const 65536)
                   (i32.const 1000) (i32.const 0)))",
            ),
        )
        .may_publish("flood/out"),
        Hostile::new(
            "flood-publish-large",
            "publishing 64 KiB a time for ever",
            Stopped,
            for_ever(
                "flood/out",
                "(drop (call $publish (i32.const 16) (i32.const 9) (i32.const 65536)
                   (i32.const 65536) (i32.const 0)))",
            ),
        )
        .may_publish("flood/out"),
        Hostile::new(
            "flood-state",
            "writing 16 KiB under a new key for ever",
            Stopped,
            for_ever(
                "",
                "(i32.store (i32.const 16) (local.get $i))
                 (drop (call $state_set (i32.const 16) (i32.const 4) (i32.const 65536)
                   (i32.const 16384) (i32.const 0)))",
            ),
        ),
        Hostile::new(
            "flood-random",
            "asking for 64 KiB of randomness for ever",
            Stopped,
            for_ever("", "(drop (call $random (i32.const 65536) (i32.const 65536)))"),
        ),
        Hostile::new(
            "flood-json",
            "reading a JSON field that is not there for ever",
            Stopped,
            for_ever(
                "a.b.c.d.e.f",
                "(drop (call $ev_num (i32.const 16) (i32.const 11) (i32.const 64)))",
            ),
        ),
        Hostile::new(
            "flood-clock",
            "asking for the time for ever",
            Stopped,
            for_ever("", "(drop (call $now_us (i32.const 2)))"),
        ),
        Hostile::new(
            "flood-list",
            "listing its state for ever",
            Stopped,
            for_ever(
                "",
                "(drop (call $state_list (i32.const 16) (i32.const 0) (i64.const 0)
                   (i32.const 65536) (i32.const 65536) (i32.const 64)))",
            ),
        ),
        Hostile::new(
            "publish-system",
            "publishing on the broker's own topics",
            Stopped,
            publish_once("$SYS/broker/version"),
        )
        .may_publish("#"),
        Hostile::new(
            "publish-control",
            "publishing a release to the gateway itself",
            Stopped,
            publish_once("tidegate/1/gw-01/release/overheat"),
        )
        .may_publish("#"),
        Hostile::new(
            "publish-wildcard",
            "publishing to a topic with wildcards",
            Stopped,
            publish_once("devices/+/cmd"),
        )
        .may_publish("#"),
        Hostile::new(
            "publish-ungranted",
            "publishing where it may not",
            Stopped,
            publish_once("neighbour/out"),
        )
        .may_publish("flood/out"),
        Hostile::new(
            "publish-own-input",
            "waking itself up for ever",
            Harmless,
            publish_once("hostile/publish-own-input/in"),
        )
        .may_publish("hostile/publish-own-input/in"),
        // The waits between the tries double: they are the daemon's, not the handler's.
        Hostile::new(
            "retry-for-ever",
            "asking for a retry each time",
            Stopped,
            guest("(i32.const -11)"),
        )
        .patience_ms(15_000),
        Hostile::new("bad-pointers", "pointers outside its memory", Harmless, bad_pointers())
            .may_publish("hostile/out"),
    ]
}

/// Calls every host function with ranges that begin or end outside the memory of 128 KiB. Answers
/// with 0 when each call was refused with "memory range" or "argument", and with the number of the
/// first that was not, as a negative.
fn bad_pointers() -> Vec<u8> {
    // (pointer, length): the last byte is outside, the first is, the sum wraps, all of 32 bits.
    let ranges: [(u32, u32); 6] = [
        (131_071, 2),
        (131_072, 1),
        (0xffff_ffff, 1),
        (0xffff_fff0, 0x20),
        (0, 0xffff_ffff),
        (0x8000_0000, 0x8000_0000),
    ];
    let mut body = String::new();
    let mut number = 100;
    for (pointer, length) in ranges {
        let range = format!("(i32.const {}) (i32.const {})", pointer as i32, length as i32);
        let good = "(i32.const 16) (i32.const 4)";
        let none = "(i32.const 0)";
        let far = format!("(i32.const {})", pointer as i32);
        for call in [
            format!("$publish {range} {good} {none}"),
            format!("$publish {good} {range} {none}"),
            format!("$ev_num {range} {none}"),
            format!("$ev_str {range} {good}"),
            format!("$state_get {range} {good} (i32.const 64)"),
            format!("$state_set {range} {good} {none}"),
            format!("$state_set {good} {range} {none}"),
            format!("$state_cas {range} (i64.const 0) {good}"),
            format!("$state_del {range}"),
            format!("$state_list {range} (i64.const 0) {good} (i32.const 64)"),
            format!("$state_add {range} (i64.const 1) (i32.const 64)"),
            format!("$random {range}"),
            format!("$config_get {range} {good}"),
        ] {
            number += 1;
            body.push_str(&format!(
                "(local.set $i (call {call}))
                 (if (i32.ge_s (local.get $i) (i32.const 0)) (then (return (i32.const -{number}))))\n"
            ));
        }
        // A buffer outside: what does not fit need not be written, so the answer may be a length.
        for call in [
            format!("$ev_read (i32.const 1) {none} {range}"),
            format!("$ev_str {good} {range}"),
            format!("$state_get {good} {range} {far}"),
            format!("$state_list {good} (i64.const 0) {range} {far}"),
            format!("$config_get {good} {range}"),
        ] {
            body.push_str(&format!("(drop (call {call}))\n"));
        }
        // A number that is always written, outside.
        if pointer >= 131_065 {
            number += 1;
            body.push_str(&format!(
                "(local.set $i (call $state_add {good} (i64.const 1) {far}))
                 (if (i32.ge_s (local.get $i) (i32.const 0)) (then (return (i32.const -{number}))))\n"
            ));
        }
        body.push_str(&format!("(call $log (i32.const 1) {range})\n"));
    }
    guest_with("(data (i32.const 16) \"a/bc\")", &format!("{body} (i32.const 0)"))
}
