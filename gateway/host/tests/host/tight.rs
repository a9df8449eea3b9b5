//! A guest that says where its data ends, and what it promises with that.

use tidegate_core::job::{Failure, Verdict};
use tidegate_host::Reset;

use crate::guest::*;

/// A guest whose data ends at 4106, with these words after it and this handler.
fn tight(rest: &str, body: &str) -> Vec<u8> {
    module(&format!(
        r#"(global (export "__heap_base") i32 (i32.const 4106)) {rest}
        (func (export "on_event") (param $len i32) (result i32) {body})"#
    ))
}

/// Runs `body` twice in a guest that promised; both times it ends like this.
#[track_caller]
fn check(rest: &str, body: &str, expect: &Verdict) {
    let mut instance = loaded(&tight(rest, body));
    assert!(instance.facts().memory_is_tight, "{rest} {body}");
    for _ in 0..2 {
        assert_eq!(&once(&mut instance).verdict, expect, "{rest} {body}");
    }
}

fn trap(name: &'static str) -> Verdict {
    Verdict::Failed(Failure::Trap(name))
}

fn store_at(at: u32) -> String {
    format!("(i32.store8 (i32.const {at}) (i32.const 1)) (i32.const 0)")
}

#[test]
fn a_broken_promise_traps_at_the_first_byte_behind() {
    let above = trap("memory-above-heap-base");
    // Rounded up to 16.
    check("", &store_at(4111), &Verdict::Done);
    check("", &store_at(4112), &above);
    check("", &store_at(65_535), &above);
    check("", &store_at(u32::MAX), &above);
    check("", "(i32.load (local.get $len)) (i32.load offset=4112 (i32.const 0)) drop", &above);
    check("", "(memory.fill (i32.const 4096) (i32.const 7) (i32.const 17)) (i32.const 0)", &above);
    check("", "(memory.copy (i32.const 0) (i32.const 4096) (i32.const 17)) (i32.const 0)", &above);
    let last = "(memory.fill (i32.const 4096) (i32.const 7) (i32.const 16)) (i32.load8_u (i32.const 4112))";
    check("", last, &above);
    // A host call does not write there either.
    let random = "(call $random (i32.const 4096) (i32.const 17))";
    check("", random, &Verdict::Failed(Failure::Returned(-2)));
    check("", "(call $random (i32.const 4096) (i32.const 16))", &Verdict::Done);
}

#[test]
fn what_is_left_starts_from_the_image_each_time() {
    let body =
        "(i32.store8 (i32.const 4111) (i32.add (i32.load8_u (i32.const 4111)) (i32.const 1)))
        (i32.sub (i32.const -1000) (i32.load8_u (i32.const 4111)))";
    let mut instance = loaded(&tight("", body));
    assert_eq!(instance.facts().memory_kib, 5);
    assert_eq!(instance.facts().memory_initial_kib, 64);
    for _ in 0..3 {
        let expect = Verdict::Failed(Failure::Returned(-1001));
        assert_eq!(once(&mut instance).verdict, expect);
        instance.rest();
    }
}

#[test]
fn a_stack_that_is_used_up_has_its_own_name() {
    // As compilers do it: the stack at the bottom, its pointer in a global, frames of 64 bytes.
    let deep = "(global $sp (mut i32) (i32.const 512))
        (func $deep (param $left i32) (local $frame i32)
            (global.set $sp (local.tee $frame (i32.sub (global.get $sp) (i32.const 64))))
            (i32.store (local.get $frame) (local.get $left))
            (if (local.get $left) (then (call $deep (i32.sub (local.get $left) (i32.const 1)))))
            (global.set $sp (i32.add (local.get $frame) (i32.const 64))))";
    let call = |depth: u32| format!("(call $deep (i32.const {depth})) (i32.const 0)");
    check(deep, &call(7), &Verdict::Done);
    check(deep, &call(8), &trap("memory-stack-overflow"));
    // Without the promise it is named too, and a negative number elsewhere is no stack pointer.
    let event = |body: &str| {
        format!(r#"(func (export "on_event") (param i32) (result i32) {body} (i32.const 0))"#)
    };
    let mut pages = loaded(&module(&format!("{deep} {}", event("(call $deep (i32.const 8))"))));
    assert_eq!(once(&mut pages).verdict, trap("memory-stack-overflow"));
    let rest = format!(
        "(global (mut i32) (i32.const -5)) {}",
        event("(drop (i32.load (i32.const 65536)))")
    );
    let mut pages = loaded(&module(&rest));
    assert_eq!(once(&mut pages).verdict, trap("memory-out-of-bounds"));
}

#[test]
fn who_asks_for_memory_or_says_nothing_clear_keeps_the_pages() {
    let body = "(i32.store8 (i32.const 65535) (i32.const 1))";
    let base = r#"(global (export "__heap_base") i32 (i32.const 4106))"#;
    for (rest, more) in [
        (base, "(memory.grow (i32.const 0)) drop"),
        (base, "(memory.size) drop"),
        ("", ""),
        (r#"(global (export "__heap_base") (mut i32) (i32.const 4106))"#, ""),
        (r#"(global (export "__heap_base") i64 (i64.const 4106))"#, ""),
        (r#"(global (export "__heap_base") i32 (i32.const 65536))"#, ""),
        (r#"(global (export "__heap_base") i32 (i32.const -1))"#, ""),
        (r#"(func (export "__heap_base"))"#, ""),
    ] {
        let mut instance = loaded(&module(&format!(
            r#"{rest} (func (export "on_event") (param i32) (result i32) {body} {more} (i32.const 0))"#
        )));
        let facts = instance.facts();
        assert_eq!((facts.memory_kib, facts.memory_is_tight), (64, false), "{rest} {more}");
        assert_eq!(facts.reset, Reset::Image);
        assert_eq!(once(&mut instance).verdict, Verdict::Done, "{rest} {more}");
    }
}

#[test]
fn data_or_an_inbox_above_the_end_of_data_is_refused() {
    let text = |at: u32| tight(&format!(r#"(data (i32.const {at}) "xy")"#), "(i32.const 0)");
    assert!(loaded(&text(4110)).facts().memory_is_tight);
    let refused_with = |module: &[u8], words: &str| {
        let text = refused(module).to_string();
        assert!(text.contains(words), "{text}");
    };
    refused_with(&text(4111), "its memory ends at `__heap_base`, 4112 bytes");
    let inbox = wasm(
        r#"(module (memory (export "memory") 1) (global (export "__heap_base") i32 (i32.const 1088))
            (func (export "tidegate_inbox") (result i64) (i64.const 0x20000000400))
            (func (export "on_event") (param i32) (result i32) (i32.const 0)))"#,
    );
    refused_with(&inbox, "512 bytes at 1024, the memory has 1088");
}

#[test]
fn pages_of_an_own_size_are_refused() {
    // (memory (export "memory") 4096 4096 (pagesize 1)): flags 9, minimum, maximum, logarithm 0.
    let mut module = tight("", "(i32.const 0)");
    let at = module
        .windows(5)
        .position(|bytes| bytes == [5, 3, 1, 0, 1])
        .expect("a memory section with one page");
    module.splice(at..at + 5, [5, 7, 1, 9, 0x80, 0x20, 0x80, 0x20, 0]);
    let text = refused(&module).to_string();
    assert!(text.contains("pages of its own size"), "{text}");
}
