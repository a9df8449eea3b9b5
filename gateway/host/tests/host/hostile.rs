//! Guests that mean harm: each ends as a value, and a neighbour does not notice.

use std::fmt::Write as _;

use tidegate_core::job::{Failure, Verdict};
use tidegate_host::{Caps, LoadError, load};

use crate::guest::*;

/// Runs `body` twice as a handler and checks how it ends; both times the same.
#[track_caller]
fn check_ends(extra: &str, body: &str, expect: &Verdict) {
    let text =
        format!(r#"{extra} (func (export "on_event") (param $len i32) (result i32) {body})"#);
    let mut hostile = loaded(&module(&text));
    for _ in 0..2 {
        let outcome = once(&mut hostile);
        assert_eq!(&outcome.verdict, expect, "{body}");
        assert!(outcome.publishes.is_empty() && outcome.writes.is_empty());
    }
}

const OUT_OF_FUEL: Verdict = Verdict::Failed(Failure::OutOfFuel);

#[test]
fn endless_loops_run_out_of_fuel() {
    check_ends("", "(loop $l (br $l)) (i32.const 0)", &OUT_OF_FUEL);
    check_ends(
        "",
        "(loop $l (drop (call $now_us (i32.const 1))) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends("", "(loop $l (br_table $l $l (local.get $len))) (i32.const 0)", &OUT_OF_FUEL);
    check_ends(
        "",
        "(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends(
        "",
        "(loop $l (drop (memory.grow (i32.const 0))) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends(
        "",
        "(loop $l (drop (memory.grow (i32.const -1))) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    let table = "(table $t 1 funcref)";
    check_ends(
        table,
        "(loop $l (drop (table.grow $t (ref.null func) (i32.const 1))) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends(
        table,
        "(loop $l (drop (table.grow $t (ref.null func) (i32.const -1))) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends(
        "",
        "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends(
        "",
        "(loop $l (memory.copy (i32.const 0) (i32.const 1) (i32.const 65535)) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends(
        "",
        "(loop $l (call $log (i32.const 1) (i32.const 0) (i32.const 512)) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends(
        "",
        "(loop $l (drop (call $publish (i32.const 48) (i32.const 13) (i32.const 32) (i32.const 5) (i32.const 0))) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
    check_ends(
        "",
        "(loop $l (drop (call $state_add (i32.const 4096) (i32.const 8) (i64.const 1) (i32.const 4096))) (br $l)) (i32.const 0)",
        &OUT_OF_FUEL,
    );
}

#[test]
fn what_overflows_traps() {
    let trap = |name| Verdict::Failed(Failure::Trap(name));
    let deep =
        "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    check_ends(deep, "(call $deep (i32.const 1))", &trap("stack-overflow"));
    let mutual = "(func $a (result i32) (call $b)) (func $b (result i32) (call $a))";
    check_ends(mutual, "(call $a)", &trap("stack-overflow"));
    check_ends(
        "",
        "(memory.fill (i32.const 1) (i32.const 1) (i32.const 65536)) (i32.const 0)",
        &trap("memory-out-of-bounds"),
    );
    check_ends(
        "",
        "(memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) (i32.const 0)",
        &trap("memory-out-of-bounds"),
    );
    check_ends(
        "",
        "(i32.store (i32.const -1) (i32.const 1)) (i32.const 0)",
        &trap("memory-out-of-bounds"),
    );
    check_ends("", "(i32.div_s (i32.const 1) (i32.const 0))", &trap("division-by-zero"));
    check_ends("", "(i32.div_s (i32.const 0x80000000) (i32.const -1))", &trap("integer-overflow"));
    check_ends("", "(i32.trunc_f64_s (f64.const nan))", &trap("bad-conversion-to-integer"));
    check_ends(
        "(table 1 funcref)",
        "(call_indirect (result i32) (i32.const 0))",
        &trap("indirect-call-to-null"),
    );
    check_ends(
        "(table 1 funcref)",
        "(call_indirect (result i32) (i32.const 9))",
        &trap("table-out-of-bounds"),
    );
    check_ends(
        "(table 1 funcref) (func $f) (elem (i32.const 0) $f)",
        "(call_indirect (result i32) (i32.const 0))",
        &trap("indirect-call-type"),
    );
    check_ends("", "(i32.const 0x80000000)", &Verdict::Failed(Failure::Returned(i32::MIN)));
}

#[test]
fn memory_ends_at_the_cap() {
    let grow = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (i32.sub (i32.const -1000) (memory.size))";
    check_ends("", grow, &Verdict::Failed(Failure::Returned(-1004)));
    let table = "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1))))
        (i32.sub (i32.const -1000) (table.size $t))";
    check_ends("(table $t 1 funcref)", table, &Verdict::Failed(Failure::Returned(-5001)));
}

/// Loads it and, if that works, runs an event: what matters is that it ends.
#[track_caller]
fn survives(module: &[u8]) -> Result<Verdict, LoadError> {
    let caps = Caps { module_bytes_max: 16 << 20, ..Caps::DEV };
    load(module, manifest().into(), &caps, 1).map(|mut instance| once(&mut instance).verdict)
}

#[test]
fn huge_modules_are_refused_or_run() {
    let repeated = |count: usize, text: &str| text.repeat(count);
    let functions = module(&format!(
        "{} {}",
        repeated(100_000, "(func)"),
        r#"(func (export "on_event") (param i32) (result i32) (i32.const 0))"#
    ));
    let text = survives(&functions).expect_err("refused").to_string();
    assert!(text.contains("functions, the limit is 10000"), "{text}");

    let locals = handler(&format!("(local {}) (i32.const 0)", repeated(50_000, "i64 ")));
    assert!(survives(&locals).is_err());
    let locals = handler(&format!("(local {}) (i32.const 0)", repeated(20_000, "i64 ")));
    let stack_overflow = Verdict::Failed(Failure::Trap("stack-overflow"));
    assert_eq!(survives(&locals).expect("it loads"), stack_overflow);

    for depth in [1_000, 100_000] {
        let nested = handler(&format!(
            "{} {} (i32.const 0)",
            repeated(depth, "block "),
            repeated(depth, "end ")
        ));
        assert_eq!(survives(&nested).expect("it loads"), Verdict::Done);
        let nested = handler(&format!(
            "{} {} (i32.const 0)",
            repeated(depth, "loop "),
            repeated(depth, "end ")
        ));
        assert_eq!(survives(&nested).expect("it loads"), Verdict::Done);
    }

    let globals = module(&format!(
        "{} {}",
        repeated(1_001, "(global (mut i32) (i32.const 0))"),
        r#"(func (export "on_event") (param i32) (result i32) (i32.const 0))"#
    ));
    let text = survives(&globals).expect_err("refused").to_string();
    assert!(text.contains("globals, the limit is 1000"), "{text}");

    let params = module(&format!(
        "(func (param {})) {}",
        repeated(900, "i32 "),
        r#"(func (export "on_event") (param i32) (result i32) (i32.const 0))"#
    ));
    assert!(survives(&params).is_err());
}

#[test]
fn many_branches_end() {
    let mut table = String::from("(block $b (br_table ");
    for _ in 0..20_000 {
        let _fits_in_memory = write!(table, "$b ");
    }
    table.push_str("(local.get $len))) (i32.const 0)");
    assert_eq!(survives(&handler(&table)).expect("it loads"), Verdict::Done);
}

#[test]
fn a_hostile_handler_harms_no_neighbour() {
    let mut neighbour = loaded(&handler(
        "(call $state_add (i32.const 16) (i32.const 3) (i64.const 1) (i32.const 4096))",
    ));
    let mut hostile = loaded(&handler(
        "(loop $l (drop (memory.grow (i32.const 1)))
            (drop (call $state_set (i32.const 16) (i32.const 3) (i32.const 0) (i32.const 9) (i32.const 0))) (br $l)) (i32.const 0)",
    ));
    for count in 1..20i64 {
        assert_eq!(once(&mut hostile).verdict, OUT_OF_FUEL);
        assert_eq!(once(&mut neighbour).verdict, Verdict::Done);
        assert_eq!(*neighbour.state().get(b"key").expect("counted").1.bytes, count.to_le_bytes());
    }
    assert!(hostile.state().is_empty());
}
