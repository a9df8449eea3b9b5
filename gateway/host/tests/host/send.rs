//! Records for upstream: what `send` refuses, and what the outcome then carries.

use std::sync::Arc;

use tidegate_core::job::{EventOutcome, Failure, Send, Verdict};
use tidegate_core::record::StreamId;
use tidegate_core::stream::{Stream, Streams, WhenFull};
use tidegate_host::{Caps, Instance};

use crate::guest::*;

const ARGUMENT: i32 = -1;
const NOT_FOUND: i32 = -3;
const NOT_PERMITTED: i32 = -4;
const TOO_LARGE: i32 = -5;
const QUOTA: i32 = -7;

/// Streams named `limit` (granted by the manifest, as `temp` is) and `s` (not granted).
fn streams() -> Arc<Streams> {
    let stream = |name: &str| Stream {
        id: StreamId::of(name),
        name: name.to_owned(),
        priority: 3,
        ttl_s: 0,
        when_full: WhenFull::DropOldest,
    };
    let streams = Streams::new(vec![stream("limit"), stream("s")], Vec::new());
    Arc::new(streams.expect("two names, two numbers"))
}

fn connected(body: &str, caps: &Caps) -> Instance {
    let mut instance = loaded_as(&handler(body), manifest(), caps);
    instance.set_streams(streams());
    instance
}

/// `send` to the stream named by `len` bytes at `name`, with `plen` bytes of "value".
fn send(name: u32, len: u32, plen: u32, priority: i32, ttl_s: i32) -> String {
    format!(
        "(call $send (i32.const {name}) (i32.const {len}) (i32.const 32) (i32.const {plen})
            (i32.const {priority}) (i32.const {ttl_s}))"
    )
}

/// What the call answers, and what goes out if the event ends well all the same.
#[track_caller]
fn check_send(call: &str, caps: &Caps, expect: i32) -> Vec<Send> {
    let body = format!("(i32.store (i32.const 8192) {call})
        (drop (call $state_set (i32.const 16) (i32.const 3) (i32.const 8192) (i32.const 4) (i32.const 0)))
        (i32.const 0)");
    let mut instance = connected(&body, caps);
    let outcome = once(&mut instance);
    assert_eq!(outcome.verdict, Verdict::Done, "{call}");
    let answer = outcome.writes[0].value.as_deref().expect("the answer is kept");
    assert_eq!(answer, expect.to_le_bytes(), "{call}");
    outcome.sends
}

#[test]
fn send_keeps_to_the_manifest_and_to_what_is_configured() {
    let dev = &Caps::DEV;
    for (call, expect) in [
        (send(192, 1, 5, -1, 0), NOT_PERMITTED),
        (send(160, 4, 5, -1, 0), NOT_PERMITTED),
        (send(160, 0, 5, -1, 0), NOT_PERMITTED),
        (send(64, 4, 5, -1, 0), NOT_FOUND),
        (send(176, 2, 5, -1, 0), ARGUMENT),
        (send(160, 5, 5, -2, 0), ARGUMENT),
        (send(160, 5, 5, 8, 0), ARGUMENT),
        (send(160, 5, 5, 256, 0), ARGUMENT),
        (send(160, 5, 5, i32::MIN, 0), ARGUMENT),
        (send(160, 5, 5, -1, -1), ARGUMENT),
    ] {
        assert!(check_send(&call, dev, expect).is_empty());
    }
    let small = Caps { record_bytes_max: 4, ..Caps::DEV };
    assert!(check_send(&send(160, 5, 5, 0, 0), &small, TOO_LARGE).is_empty());
    assert_eq!(check_send(&send(160, 5, 4, 0, 0), &small, 0).len(), 1);
    // 64 for the record, 7 and 64 for the write of the answer.
    let little = Caps { effects_bytes_max: 139, ..Caps::DEV };
    assert!(check_send(&send(160, 5, 80, 0, 0), &little, QUOTA).is_empty());
    assert_eq!(check_send(&send(160, 5, 4, 0, 0), &little, 0).len(), 1);
}

#[test]
fn without_an_uplink_no_stream_is_found() {
    check(&send(160, 5, 5, -1, 0), NOT_FOUND);
}

#[test]
fn a_record_is_what_was_asked_for() {
    let record = |priority, ttl_s, payload: &[u8]| Send {
        stream: StreamId::of("limit"),
        payload: payload.into(),
        priority,
        ttl_s,
    };
    let dev = &Caps::DEV;
    assert_eq!(check_send(&send(160, 5, 5, -1, 0), dev, 0), [record(None, 0, b"value")]);
    assert_eq!(check_send(&send(160, 5, 0, 0, 1), dev, 0), [record(Some(0), 1, b"")]);
    let longest = i32::MAX as u32;
    let sent = check_send(&send(160, 5, 1, 7, i32::MAX), dev, 0);
    assert_eq!(sent, [record(Some(7), longest, b"v")]);
}

fn flood(end: &str) -> String {
    let call = send(160, 5, 5, -1, 0);
    format!(
        "(local $code i32)
        (loop $again (local.set $code {call}) (br_if $again (i32.eqz (local.get $code)))) {end}"
    )
}

#[test]
fn a_flood_of_records_ends_at_the_quota_and_the_quota_is_named() {
    let caps = Caps { sends_max: 3, ..Caps::DEV };
    let run = |end: &str, caps: &Caps| -> EventOutcome { once(&mut connected(&flood(end), caps)) };
    let outcome = run("(local.get $code)", &caps);
    assert_eq!(outcome.verdict, Verdict::Failed(Failure::Quota("sends_max")));
    assert!(outcome.sends.is_empty(), "a failed event has no effects");
    assert_eq!(run("(i32.const 0)", &caps).sends.len(), 3, "a handler may live with the quota");
    let caps = Caps { effects_bytes_max: 200, ..Caps::DEV };
    let outcome = run("(local.get $code)", &caps);
    assert_eq!(outcome.verdict, Verdict::Failed(Failure::Quota("effects_bytes_max")));
    assert_eq!(run("(i32.const 0)", &caps).sends.len(), 2);
}

#[test]
fn a_failed_event_leaves_no_record_for_the_next() {
    // The first event of each pair fails.
    let body = format!(
        "(if (i32.and (i32.load (i32.const 1040)) (i32.const 1))
            (then (drop {}) (return (i32.const -1))))
        (drop {}) (i32.const 0)",
        send(160, 5, 1, -1, 0),
        send(160, 5, 2, -1, 0)
    );
    let mut instance = connected(&body, &Caps::DEV);
    let sent: Vec<Vec<usize>> = run(&mut instance, events(4))
        .iter()
        .map(|outcome| outcome.sends.iter().map(|send| send.payload.len()).collect())
        .collect();
    assert_eq!(sent, [vec![], vec![2], vec![], vec![2]]);
}

#[test]
fn tidegate_init_cannot_send() {
    const UNSUPPORTED: i32 = -10;
    let call = send(160, 5, 1, -1, 0);
    let module = module(&format!(
        r#"(global $answer (mut i32) (i32.const 0))
        (func (export "tidegate_init") (result i32) (global.set $answer {call}) (i32.const 0))
        (func (export "on_event") (param i32) (result i32) (global.get $answer))"#
    ));
    let mut instance = loaded(&module);
    instance.set_streams(streams());
    let verdict = once(&mut instance).verdict;
    assert_eq!(verdict, Verdict::Failed(Failure::Returned(UNSUPPORTED)));
}

#[test]
fn the_version_counts_events_that_wrote() {
    let body = "(if (i32.and (i32.load (i32.const 1040)) (i32.const 1))
            (then (drop (call $state_set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 0)))))
        (i32.const 0)";
    let mut instance = loaded(&handler(body));
    let versions: Vec<_> = run(&mut instance, events(4))
        .iter()
        .map(|outcome| (outcome.writes.len(), outcome.version))
        .collect();
    assert_eq!(versions, [(1, 1), (0, 1), (1, 2), (0, 2)]);
}
