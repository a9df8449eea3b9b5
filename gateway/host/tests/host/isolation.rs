//! What one event leaves behind for the next: nothing, unless the manifest says so.

use tidegate_core::job::{Failure, Verdict};
use tidegate_core::manifest::Isolation;
use tidegate_host::{Caps, Instance, Reset};

use crate::guest::*;

/// What three events returned, as `-1000 - value`.
#[track_caller]
fn check_three(mut instance: Instance, expect: [i32; 3]) {
    let codes: Vec<i32> = run(&mut instance, events(3))
        .into_iter()
        .map(|outcome| match outcome.verdict {
            Verdict::Failed(Failure::Returned(code)) => -1000 - code,
            verdict => panic!("{verdict:?}"),
        })
        .collect();
    assert_eq!(codes, expect);
}

fn answer(expression: &str) -> String {
    format!(
        r#"(func (export "on_event") (param i32) (result i32) (i32.sub (i32.const -1000) {expression}))"#
    )
}

/// Counts in memory at `at` and gives the count.
fn count_at(at: u32) -> String {
    format!(
        "(block (result i32) (i32.store (i32.const {at}) (i32.add (i32.load (i32.const {at})) (i32.const 1)))
            (i32.load (i32.const {at})))"
    )
}

#[test]
fn memory_starts_from_the_image() {
    for at in [0, 4, 247, 4096, 65_532] {
        check_three(loaded(&module(&answer(&count_at(at)))), [1, 1, 1]);
    }
    let init = r#"(func (export "tidegate_init") (result i32) (i32.store (i32.const 30000) (i32.const 40)) (i32.const 0))"#;
    let instance = loaded(&module(&format!("{init} {}", answer(&count_at(30_000)))));
    assert_eq!(instance.facts().image_bytes, 30_720);
    check_three(instance, [41, 41, 41]);
}

#[test]
fn globals_start_from_the_image() {
    let globals = r#"(global $a (mut i32) (i32.const 5)) (global $b (export "b") (mut i64) (i64.const 6))
        (global $c (mut f64) (f64.const 7)) (global $d i32 (i32.const 8))
        (func (export "tidegate_init") (result i32) (global.set $a (i32.const 50)) (i32.const 0))"#;
    let bump = "(block (result i32)
        (global.set $a (i32.add (global.get $a) (i32.const 1)))
        (global.set $b (i64.add (global.get $b) (i64.const 1)))
        (global.set $c (f64.add (global.get $c) (f64.const 1)))
        (i32.add (global.get $a) (i32.add (i32.wrap_i64 (global.get $b)) (i32.trunc_f64_s (global.get $c)))))";
    let instance = loaded(&module(&format!("{globals} {}", answer(bump))));
    assert_eq!(instance.facts().globals_restored, 3);
    check_three(instance, [66, 66, 66]);
}

#[test]
fn grown_memory_shrinks() {
    let grow = "(block (result i32) (drop (memory.grow (i32.const 1)))
        (i32.store (i32.const 65536) (i32.const 9)) (memory.size))";
    check_three(loaded(&module(&answer(grow))), [2, 2, 2]);
    // Grown by `tidegate_init` it stays grown, with what was written there.
    let init = r#"(func (export "tidegate_init") (result i32) (drop (memory.grow (i32.const 2)))
        (i32.store (i32.const 131072) (i32.const 7)) (i32.const 0))"#;
    let grow = "(block (result i32) (drop (memory.grow (i32.const 1)))
        (i32.store (i32.const 131072) (i32.add (i32.load (i32.const 131072)) (i32.const 1)))
        (i32.add (i32.load (i32.const 131072)) (i32.mul (i32.const 100) (memory.size))))";
    let instance = loaded(&module(&format!("{init} {}", answer(grow))));
    assert_eq!((instance.facts().memory_initial_kib, instance.facts().memory_kib), (64, 192));
    check_three(instance, [408, 408, 408]);
}

#[test]
fn tables_and_dropped_segments_cost_a_fresh_instance() {
    let table = "(table $t 2 funcref) (elem (i32.const 0) $one) (elem declare func $two)
        (type $f (func (result i32))) (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))";
    let set = "(block (result i32) (call_indirect (type $f) (i32.const 0)) (table.set $t (i32.const 0) (ref.func $two)))";
    let instance = loaded(&module(&format!("{table} {}", answer(set))));
    assert_eq!(instance.facts().reset, Reset::FreshInstance { because: "table.set" });
    check_three(instance, [1, 1, 1]);

    let segment = "(data $d \"\\05\")";
    let init = "(block (result i32) (memory.init $d (i32.const 5000) (i32.const 0) (i32.const 1))
        (data.drop $d) (i32.load8_u (i32.const 5000)))";
    let instance = loaded(&module(&format!("{segment} {}", answer(init))));
    assert_eq!(instance.facts().reset, Reset::FreshInstance { because: "data.drop" });
    check_three(instance, [5, 5, 5]);

    let global = "(global $r (mut funcref) (ref.null func)) (elem declare func $two) (func $two)";
    let once = "(block (result i32) (ref.is_null (global.get $r)) (global.set $r (ref.func $two)))";
    let instance = loaded(&module(&format!("{global} {}", answer(once))));
    assert_eq!(
        instance.facts().reset,
        Reset::FreshInstance { because: "a mutable global that holds a reference" }
    );
    check_three(instance, [1, 1, 1]);
}

#[test]
fn a_fresh_instance_has_been_initialised() {
    let text = format!(
        r#"(table $t 2 funcref) (func $f) (elem declare func $f) (global $g (mut i32) (i32.const 0))
        (func (export "tidegate_init") (result i32)
            (global.set $g (i32.const 9)) (table.set $t (i32.const 1) (ref.func $f)) (i32.const 0))
        {}"#,
        answer(
            "(block (result i32) (i32.add (global.get $g) (ref.is_null (table.get $t (i32.const 1))))
                (global.set $g (i32.const 50)) (table.set $t (i32.const 1) (ref.null func)))"
        )
    );
    check_three(loaded(&module(&text)), [9, 9, 9]);
}

#[test]
fn a_fresh_instance_draws_the_same_numbers_in_init() {
    let text = format!(
        r#"(table $t 1 funcref)
        (func (export "tidegate_init") (result i32) (drop (call $random (i32.const 4096) (i32.const 2))) (i32.const 0))
        {}"#,
        answer(
            "(block (result i32) (i32.load16_u (i32.const 4096)) (table.set $t (i32.const 0) (ref.null func))
                (drop (call $random (i32.const 4096) (i32.const 9))))"
        )
    );
    let mut instance = loaded(&module(&text));
    let outcomes = run(&mut instance, events(3));
    assert_eq!(outcomes[0].verdict, outcomes[1].verdict);
    assert_eq!(outcomes[0].verdict, outcomes[2].verdict);
}

#[test]
fn memory_lives_on_where_the_manifest_says_so_until_a_failure() {
    let mut living = manifest();
    living.isolation = Isolation::Instance;
    // Counts at 4096; the count is the verdict: done, done, -11 at 3, trap at payload "x".
    let body = "(i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
        (drop (call $state_add (i32.const 16) (i32.const 3) (i64.const 1) (i32.const 8192)))
        (if (i32.eq (i32.load8_u offset=1024 (i32.load (i32.const 1088))) (i32.const 120)) (then unreachable))
        (drop (call $state_set (i32.const 32) (i32.const 5) (i32.const 4096) (i32.const 1) (i32.const 0)))
        (i32.const 0)";
    let mut instance = loaded_as(&handler(body), living, &Caps::DEV);
    let events = ["a", "b", "x", "c"].iter().enumerate();
    let events = events.map(|(id, payload)| event(id as u64, payload, AT_US)).collect();
    let outcomes = run(&mut instance, events);
    let counts: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.writes.iter().find(|write| &*write.key == b"value"))
        .map(|write| write.map(|write| write.value.as_ref().expect("a value")[0]))
        .collect();
    assert_eq!(counts, [Some(1), Some(2), None, Some(1)]);
    assert_eq!(outcomes[2].verdict, Verdict::Failed(Failure::Trap("unreachable")));
    assert_eq!(*instance.state().get(b"key").expect("counted").1.bytes, 3i64.to_le_bytes());
}

#[test]
fn a_trap_and_the_end_of_fuel_leave_nothing() {
    // Event 1 traps, 2 burns its fuel, both after writing to memory; 3 counts.
    let body = "(i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
        (drop (call $state_set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 0)))
        (if (i32.eq (i32.load (i32.const 1040)) (i32.const 1)) (then (drop (i32.load (i32.const -1)))))
        (if (i32.eq (i32.load (i32.const 1040)) (i32.const 2)) (then (loop $l (br $l))))
        (i32.sub (i32.const -1000) (i32.load (i32.const 4096)))";
    let mut instance = loaded(&handler(body));
    let verdicts: Vec<_> =
        run(&mut instance, events(3)).into_iter().map(|outcome| outcome.verdict).collect();
    assert_eq!(
        verdicts,
        [
            Verdict::Failed(Failure::Trap("memory-out-of-bounds")),
            Verdict::Failed(Failure::OutOfFuel),
            Verdict::Failed(Failure::Returned(-1001)),
        ]
    );
    assert!(instance.state().is_empty());
}

#[test]
fn a_rested_instance_wakes_up_as_it_was() {
    let init = r#"(func (export "tidegate_init") (result i32) (i32.store (i32.const 4096) (i32.const 40)) (i32.const 0))"#;
    let body = "(drop (call $state_add (i32.const 16) (i32.const 3) (i64.const 1) (i32.const 8192)))
        (drop (call $state_set (i32.const 32) (i32.const 5) (i32.const 4096) (i32.const 1) (i32.const 0)))
        (i32.store (i32.const 4096) (i32.const 1)) (i32.const 0)";
    let text = format!(r#"{init} (func (export "on_event") (param i32) (result i32) {body})"#);
    let mut instance = loaded(&module(&text));
    for count in 1..4i64 {
        assert_eq!(once(&mut instance).verdict, Verdict::Done);
        instance.rest();
        assert_eq!(*instance.state().get(b"key").expect("counted").1.bytes, count.to_le_bytes());
        assert_eq!(*instance.state().get(b"value").expect("written").1.bytes, [40]);
        instance.tidy();
    }
}
