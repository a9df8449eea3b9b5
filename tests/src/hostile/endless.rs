//! Handlers that never come back: loops of several kinds and recursion.

use super::Fate::Stopped;
use super::Hostile;
use crate::handlers::{guest, guest_with};

/// Repeats `body` for ever.
fn for_ever(body: &str) -> Vec<u8> {
    guest(&format!("(loop $again {body} (br $again)) (i32.const 0)"))
}

pub(super) fn all() -> Vec<Hostile> {
    vec![
        Hostile::new("loop-empty", "an endless loop with nothing in it", Stopped, for_ever("")),
        Hostile::new(
            "loop-count",
            "an endless loop that counts",
            Stopped,
            for_ever("(local.set $k (i64.add (local.get $k) (i64.const 1)))"),
        ),
        Hostile::new(
            "loop-table-jump",
            "an endless loop through a jump table",
            Stopped,
            guest(
                "(loop $again (block $a (block $b
                   (br_table $a $b $again (i32.and (local.get $i) (i32.const 3))))
                   (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $again))
                   (local.set $i (i32.add (local.get $i) (i32.const 3))) (br $again))
                 (i32.const 0)",
            ),
        ),
        Hostile::new(
            "loop-call",
            "an endless loop of calls",
            Stopped,
            guest_with(
                "(func $f (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))",
                "(loop $again (local.set $i (call $f (local.get $i))) (br $again)) (i32.const 0)",
            ),
        ),
        Hostile::new(
            "loop-call-indirect",
            "an endless loop of calls through a table",
            Stopped,
            guest_with(
                "(type $t (func (result i32))) (table 2 2 funcref) (elem (i32.const 0) $f $f)
                 (func $f (result i32) (i32.const 1))",
                "(loop $again
                   (local.set $i (call_indirect (type $t) (i32.and (local.get $i) (i32.const 1))))
                   (br $again)) (i32.const 0)",
            ),
        ),
        Hostile::new(
            "loop-memory-grow",
            "growing its memory for ever",
            Stopped,
            for_ever("(drop (memory.grow (i32.const 1)))"),
        ),
        Hostile::new(
            "loop-memory-grow-huge",
            "growing its memory by 4 GiB for ever",
            Stopped,
            for_ever("(drop (memory.grow (i32.const 65535)))"),
        ),
        Hostile::new(
            "loop-table-grow",
            "growing a table for ever",
            Stopped,
            guest_with(
                "(table $t 1 funcref)",
                "(loop $again (drop (table.grow $t (ref.null func) (i32.const 1000)))
                   (br $again)) (i32.const 0)",
            ),
        ),
        Hostile::new(
            "loop-fill",
            "filling all its memory for ever",
            Stopped,
            for_ever("(memory.fill (i32.const 0) (local.get $i) (i32.const 131072))"),
        ),
        Hostile::new(
            "loop-copy",
            "copying all its memory for ever",
            Stopped,
            for_ever("(memory.copy (i32.const 1) (i32.const 0) (i32.const 131071))"),
        ),
        Hostile::new(
            "loop-table-fill",
            "filling a table for ever",
            Stopped,
            guest_with(
                "(table $t 1000 1000 funcref)",
                "(loop $again (table.fill $t (i32.const 0) (ref.null func) (i32.const 1000))
                   (br $again)) (i32.const 0)",
            ),
        ),
        Hostile::new(
            "loop-divide",
            "the slowest arithmetic for ever",
            Stopped,
            for_ever(
                "(local.set $k (i64.rem_u (i64.const -1) (i64.or (local.get $k) (i64.const 3))))",
            ),
        ),
        Hostile::new(
            "recursion",
            "calling itself for ever",
            Stopped,
            guest("(call $on_event (local.get $len))"),
        ),
        Hostile::new(
            "recursion-in-turns",
            "two functions that call each other for ever",
            Stopped,
            guest_with(
                "(func $a (param i64) (result i32) (call $b (local.get 0)))
                 (func $b (param i64) (result i32)
                   (i32.add (i32.const 1) (call $a (local.get 0))))",
                "(call $a (i64.const 1))",
            ),
        ),
        Hostile::new(
            "recursion-wide",
            "calling itself for ever with 4000 locals a time",
            Stopped,
            guest_with(
                &format!(
                    "(func $f (param i64) (result i32) (local {})
                       (i32.add (i32.const 1) (call $f (local.get 0))))",
                    "i64 ".repeat(4000)
                ),
                "(call $f (i64.const 1))",
            ),
        ),
        Hostile::new(
            "recursion-indirect",
            "calling itself for ever through a table",
            Stopped,
            guest_with(
                "(type $t (func (result i32))) (table 1 1 funcref) (elem (i32.const 0) $f)
                 (func $f (result i32)
                   (i32.add (i32.const 1) (call_indirect (type $t) (i32.const 0))))",
                "(call $f)",
            ),
        ),
    ]
}
