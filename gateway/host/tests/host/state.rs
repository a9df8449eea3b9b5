//! A handler's state: refusals, versions, expiry, quotas, listing.

use tidegate_core::job::{Failure, Verdict};
use tidegate_host::Caps;

use crate::guest::*;

const SET: &str =
    "(call $state_set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 0))";
const GET: &str = "(call $state_get (i32.const 16) (i32.const 3) (i32.const 4096) (i32.const 64) (i32.const 8192))";
const VERSION: &str = "(i32.load (i32.const 8192))";

/// The value of the last of several expressions.
fn all(expressions: &[&str]) -> String {
    let (last, first) = expressions.split_last().expect("at least one");
    let first: String = first.iter().map(|expression| format!("(drop {expression})")).collect();
    format!("(block (result i32) {first} {last})")
}

fn cas(expect: i64) -> String {
    format!(
        "(call $state_cas (i32.const 16) (i32.const 3) (i64.const {expect}) (i32.const 32) (i32.const 5))"
    )
}

fn add(delta: i64) -> String {
    format!("(call $state_add (i32.const 16) (i32.const 3) (i64.const {delta}) (i32.const 4096))")
}

#[test]
fn what_is_too_long_or_makes_no_sense_is_refused() {
    check(
        "(call $state_get (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        -1,
    );
    check(
        "(call $state_get (i32.const 0) (i32.const 257) (i32.const 0) (i32.const 0) (i32.const 0))",
        -5,
    );
    check(
        "(call $state_set (i32.const 0) (i32.const 256) (i32.const 0) (i32.const 16384) (i32.const 0))",
        0,
    );
    check(
        "(call $state_set (i32.const 0) (i32.const 256) (i32.const 0) (i32.const 16385) (i32.const 0))",
        -5,
    );
    check(
        "(call $state_set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const -1))",
        -1,
    );
    check(&cas(-1), -1);
    check(
        "(call $state_list (i32.const 0) (i32.const 0) (i64.const -1) (i32.const 4096) (i32.const 8) (i32.const 0))",
        -1,
    );
    check(
        "(call $state_list (i32.const 0) (i32.const 257) (i64.const 0) (i32.const 4096) (i32.const 8) (i32.const 0))",
        -5,
    );
}

#[test]
fn reads_see_own_writes() {
    check(GET, -3);
    check(&all(&[SET, GET]), 5);
    check(&all(&[SET, GET, "(i32.load8_u (i32.const 4097))"]), i32::from(b'a'));
    check(&all(&[SET, GET, VERSION]), 1);
    check("(call $state_del (i32.const 16) (i32.const 3))", -3);
    check(&all(&[SET, "(call $state_del (i32.const 16) (i32.const 3))"]), 0);
    check(&all(&[SET, "(call $state_del (i32.const 16) (i32.const 3))", GET]), -3);
    // Too long for the buffer: the length and the version, but no byte of the value.
    let short = "(call $state_get (i32.const 16) (i32.const 3) (i32.const 4096) (i32.const 4) (i32.const 8192))";
    check(&all(&[SET, short]), 5);
    check(&all(&[SET, short, "(i32.load (i32.const 4096))"]), 0);
    check(&all(&[SET, short, VERSION]), 1);
}

#[test]
fn compare_and_set_finds_conflicts() {
    check(&cas(0), 0);
    check(&cas(1), -6);
    check(&all(&[SET, &cas(0)]), -6);
    check(&all(&[SET, &cas(1)]), 0);
    check(&all(&[SET, &cas(2)]), -6);
    let mut instance = loaded(&handler(&all(&[
        GET,
        "(call $state_cas (i32.const 16) (i32.const 3) (i64.load (i32.const 8192)) (i32.const 32) (i32.const 5))",
    ])));
    for version in 1..4 {
        assert_eq!(once(&mut instance).verdict, Verdict::Done);
        assert_eq!(instance.state().get(b"key").expect("written").1.version, version);
    }
}

#[test]
fn counters_count() {
    let sum = "(i32.load (i32.const 4096))";
    check(&add(-3), 0);
    check(&all(&[&add(-3), sum]), -3);
    check(&all(&[&add(5), &add(-7), sum]), -2);
    check(&all(&[SET, &add(1)]), -1);
    check(&all(&[&add(i64::MAX), &add(1)]), -1);
    let mut instance = loaded(&handler(&add(2)));
    run(&mut instance, events(3));
    assert_eq!(*instance.state().get(b"key").expect("written").1.bytes, 6i64.to_le_bytes());
}

#[test]
fn values_expire_by_the_events_time() {
    let body = "(if (result i32) (i32.eq (i32.load8_u offset=1024 (i32.load (i32.const 1088))) (i32.const 119))
        (then (call $state_set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 2)))
        (else (call $state_get (i32.const 16) (i32.const 3) (i32.const 4096) (i32.const 64) (i32.const 0))))";
    let mut instance = loaded(&handler(body));
    let events = vec![
        event(1, b"write", AT_US),
        event(2, b"read", AT_US + 1_999_999),
        event(3, b"read", AT_US + 2_000_000),
        event(4, b"read", AT_US),
    ];
    let verdicts: Vec<_> =
        run(&mut instance, events).into_iter().map(|outcome| outcome.verdict).collect();
    let absent = Verdict::Failed(Failure::Returned(-3));
    assert_eq!(verdicts, [Verdict::Done, Verdict::Done, absent, Verdict::Done]);
}

/// Writes `count` keys of 4 bytes (0, 1, ...) with the first 64 bytes of memory, returns the last answer.
fn writer(count: u32, vlen: u32) -> String {
    format!(
        "(block (result i32) (loop $again
            (i32.store (i32.const 8192) (i32.add (i32.load (i32.const 8192)) (i32.const 0x01000000)))
            (i32.store (i32.const 8196)
                (call $state_set (i32.const 8192) (i32.const 4) (i32.const 0) (i32.const {vlen}) (i32.const 0)))
            (br_if $again (i32.lt_u (i32.shr_u (i32.load (i32.const 8192)) (i32.const 24)) (i32.const {count}))))
            (i32.load (i32.const 8196)))"
    )
}

#[test]
fn quotas_are_answered_with_quota() {
    let caps =
        Caps { state_keys_max: 10, state_bytes_max: 10_000, effects_bytes_max: 2_000, ..Caps::DEV };
    check_as(&writer(10, 1), manifest(), &caps, b"", 0);
    check_as(&writer(11, 1), manifest(), &caps, b"", -7);
    check_as(&writer(1, 9_000), manifest(), &caps, b"", -7);
    let caps = Caps { state_bytes_max: 500, ..caps };
    check_as(&writer(5, 96), manifest(), &caps, b"", 0);
    check_as(&writer(6, 96), manifest(), &caps, b"", -7);
    let mut instance = loaded_as(&handler(&writer(6, 96)), manifest(), &caps);
    let outcome = once(&mut instance);
    assert_eq!(outcome.verdict, Verdict::Failed(Failure::Quota("state_bytes_max")));
    assert!(outcome.writes.is_empty() && instance.state().is_empty());
}

#[test]
fn listing_goes_on_where_it_stopped() {
    let list = |cursor: &str, cap: u32| {
        format!(
            "(call $state_list (i32.const 0) (i32.const 0) {cursor} (i32.const 4096) (i32.const {cap}) (i32.const 9000))"
        )
    };
    let next = "(i32.wrap_i64 (i64.load (i32.const 9000)))";
    let start = "(i64.const 0)";
    let fill = writer(5, 1);
    check(&list(start, 64), 0);
    check(&all(&[&list(start, 64), next]), -1);
    check(&all(&[&fill, &list(start, 64)]), 30);
    check(&all(&[&fill, &list(start, 64), next]), -1);
    check(&all(&[&fill, &list(start, 30), next]), -1);
    check(&all(&[&fill, &list(start, 29)]), 24);
    check(&all(&[&fill, &list(start, 29), next]), 4);
    check(&all(&[&fill, &list("(i64.const 4)", 29)]), 6);
    check(&all(&[&fill, &list("(i64.const 4)", 29), "(i32.load8_u (i32.const 4101))"]), 5);
    check(&all(&[&fill, &list("(i64.const 0x7fffffffffffffff)", 29), next]), -1);
    check(&all(&[&fill, &list(start, 5)]), -5);
    let prefix = "(call $state_list (i32.const 16) (i32.const 2) (i64.const 0) (i32.const 4096) (i32.const 64) (i32.const 9000))";
    check(&all(&[&fill, SET, prefix]), 5);
}

#[test]
fn writes_come_in_order_of_key_and_a_failed_event_leaves_none() {
    let body = "(drop (call $state_set (i32.const 192) (i32.const 1) (i32.const 32) (i32.const 5) (i32.const 7)))
        (drop (call $state_set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 0)))
        (drop (call $state_set (i32.const 64) (i32.const 4) (i32.const 32) (i32.const 1) (i32.const 0)))
        (i32.sub (i32.const 0) (i32.and (i32.load (i32.const 1040)) (i32.const 1)))";
    let mut instance = loaded(&handler(body));
    let outcomes = run(&mut instance, events(2));
    assert_eq!(outcomes[0].verdict, Verdict::Failed(Failure::Returned(-1)));
    assert!(outcomes[0].writes.is_empty());
    let keys: Vec<&[u8]> = outcomes[1].writes.iter().map(|write| &*write.key).collect();
    assert_eq!(keys, [&b"key"[..], b"s", b"temp"]);
    assert_eq!(outcomes[1].writes[1].ttl_s, 7);
    assert_eq!((instance.state().len(), instance.state().version()), (3, 1));
    let mut copy = tidegate_host::Table::default();
    copy.apply(&outcomes[1].writes, AT_US);
    assert_eq!(&copy, instance.state(), "the journal's writes give the same table");
}
