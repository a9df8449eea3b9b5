//! What is refused at load, and with which words.

use std::sync::Arc;

use tidegate_host::{Caps, Reset, load};

use crate::guest::*;

/// Checks that `module` is refused with a text that holds each of `words`.
#[track_caller]
fn check_refused(module: &[u8], words: &[&str]) {
    let text = refused(module).to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` in: {text}");
    }
}

#[track_caller]
fn check_text(text: &str, words: &[&str]) {
    check_refused(&wasm(text), words);
}

const INBOX: &str = r#"(func (export "tidegate_inbox") (result i64) (i64.const 0x20000000400))"#;
const EVENT: &str = r#"(func (export "on_event") (param i32) (result i32) (i32.const 0))"#;
const MEMORY: &str = r#"(memory (export "memory") 1)"#;

#[test]
fn what_is_no_module_is_refused() {
    check_refused(b"", &["no WebAssembly module"]);
    check_refused(b"#!/bin/sh", &["no WebAssembly module"]);
    check_refused(b"\0asm\x0d\0\x01\0", &["component"]);
    let whole = handler("(i32.const 0)");
    // Cut anywhere: refused, but for where only names, or names and data, are missing.
    let loads = |end: &usize| load(&whole[..*end], Arc::new(manifest()), &Caps::DEV, 1).is_ok();
    assert_eq!((1..whole.len()).filter(loads).count(), 2);
    // Every single flipped bit: refused or loaded, never a panic.
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(mut instance) = load(&flipped, Arc::new(manifest()), &Caps::DEV, 1) {
                once(&mut instance);
            }
        }
    }
}

#[test]
fn size_and_limits_are_the_boards() {
    let small = Caps { module_bytes_max: 100, ..Caps::DEV };
    let error =
        load(&handler("(i32.const 0)"), Arc::new(manifest()), &small, 1).err().expect("too large");
    assert!(error.to_string().contains("this board allows 100"), "{error}");
    let small = Caps { fuel_max: 999_999, ..Caps::DEV };
    let error =
        load(&handler("(i32.const 0)"), Arc::new(manifest()), &small, 1).err().expect("too much");
    assert!(error.to_string().contains("`limits.fuel` asks for 1000000"), "{error}");
}

#[test]
fn only_imports_of_the_abi_exist() {
    check_text(
        &format!(
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) {MEMORY} {INBOX} {EVENT})"#
        ),
        &["wasi_snapshot_preview1.fd_write", "WASI"],
    );
    check_text(
        &format!(r#"(module (import "tidegate1" "twin_get" (func)) {MEMORY} {INBOX} {EVENT})"#),
        &["tidegate1.twin_get", "update the gateway"],
    );
    check_text(
        &format!(r#"(module (import "tidegate1" "memory" (memory 1)) {INBOX} {EVENT})"#),
        &["imports the memory `tidegate1.memory`"],
    );
    check_text(
        &format!(
            r#"(module (import "tidegate1" "now_us" (func (param i64) (result i64))) {MEMORY} {INBOX} {EVENT})"#
        ),
        &["tidegate1.now_us", "(i64) -> i64", "(i32) -> i64"],
    );
    check_text(
        &format!(
            r#"(module (import "tidegate1" "log" (func (param i32 i32 i32) (result i32))) {MEMORY} {INBOX} {EVENT})"#
        ),
        &["(i32, i32, i32) -> i32; it is (i32, i32, i32) -> nothing"],
    );
}

#[test]
fn exports_are_there_and_of_their_type() {
    check_text(&format!("(module {INBOX} {EVENT})"), &["0 memories"]);
    check_text(&format!("(module (memory 1) {INBOX} {EVENT})"), &["does not export `memory`"]);
    check_text(
        &format!(r#"(module (memory 1) (func (export "memory")) {INBOX} {EVENT})"#),
        &["`memory` as a function"],
    );
    check_text(&format!("(module {MEMORY} {EVENT})"), &["`tidegate_inbox`", "() -> i64"]);
    check_text(&format!("(module {MEMORY} {INBOX})"), &["`on_event`", "(i32) -> i32"]);
    check_text(
        &format!(
            r#"(module {MEMORY} {INBOX} (func (export "on_event") (result i32) (i32.const 0)))"#
        ),
        &["`on_event` as () -> i32; it must be (i32) -> i32"],
    );
    check_text(
        &format!(r#"(module {MEMORY} {INBOX} {EVENT} (func (export "tidegate_init")))"#),
        &["`tidegate_init` as () -> nothing"],
    );
    check_text(
        &format!(
            r#"(module {MEMORY} {INBOX} {EVENT} (global (export "tidegate:g0") (mut i32) (i32.const 0)))"#
        ),
        &["`tidegate:g0`", "reserved"],
    );
}

#[test]
fn start_functions_are_refused_without_running() {
    check_text(
        &format!("(module {MEMORY} {INBOX} {EVENT} (func $s (loop $l (br $l))) (start $s))"),
        &["start function", "tidegate_init"],
    );
}

#[test]
fn memory_and_table_have_limits() {
    check_text(
        &format!(r#"(module (memory (export "memory") 5) {INBOX} {EVENT})"#),
        &["starts with 320 KiB", "allows 256"],
    );
    check_text(
        &format!(r#"(module (memory (export "memory") 65536) {INBOX} {EVENT})"#),
        &["4194304 KiB"],
    );
    check_text(&format!("(module {MEMORY} (memory 1) {INBOX} {EVENT})"), &["2 memories"]);
    check_text(&format!(r#"(module (memory (export "memory") i64 1) {INBOX} {EVENT})"#), &["64"]);
    check_text(
        &format!("(module {MEMORY} (table 5000 funcref) {INBOX} {EVENT})"),
        &["5000 table elements", "4096"],
    );
    check_text(
        &format!("(module {MEMORY} (table 0xffffffff funcref) {INBOX} {EVENT})"),
        &["table elements"],
    );
    check_text(
        &format!("(module {MEMORY} (table 1 funcref) (table 1 funcref) {INBOX} {EVENT})"),
        &["2 tables"],
    );
}

#[test]
fn what_is_invalid_is_refused() {
    check_text(&format!("(module {MEMORY} {INBOX} {EVENT} (func (i32.add)))"), &["not valid"]);
    check_text(&format!("(module {MEMORY} {INBOX} {EVENT} (func (param v128)))"), &["SIMD"]);
    check_text(
        &format!("(module {MEMORY} {INBOX} {EVENT} (func $f return_call $f))"),
        &["tail calls"],
    );
    check_text(
        &format!("(module {MEMORY} {INBOX} {EVENT} (data (i32.const 70000) \"x\"))"),
        &["could not be instantiated"],
    );
}

#[test]
fn the_inbox_must_lie_in_memory() {
    let inbox = |value: u64| {
        format!(
            r#"(module {MEMORY} {EVENT} (func (export "tidegate_inbox") (result i64) (i64.const {value})))"#
        )
    };
    check_text(&inbox(71 << 32), &["71 bytes", "72"]);
    check_text(&inbox(0), &["0 bytes"]);
    check_text(&inbox((72 << 32) | 65_465), &["72 bytes at 65465", "65536"]);
    check_text(&inbox(u64::MAX), &["4294967295"]);
    check_text(&inbox((0xffff_ffff << 32) | 1), &["4294967295 bytes at 1"]);
    let last = wasm(&inbox((72 << 32) | 65_464));
    assert_eq!(once(&mut loaded(&last)).verdict, tidegate_core::job::Verdict::Done);
}

#[test]
fn init_runs_within_limits_and_without_effects() {
    let init = |body: &str| {
        module(&format!(r#"(func (export "tidegate_init") (result i32) {body}) {EVENT}"#))
    };
    check_refused(&init("(loop $l (br $l)) (i32.const 0)"), &["`tidegate_init` failed", "fuel"]);
    check_refused(&init("unreachable"), &["it trapped (unreachable)"]);
    check_refused(&init("(i32.const -11)"), &["it returned -11"]);
    check_refused(&init("(i32.const -5)"), &["it returned -5"]);
    let inbox = format!(
        r#"(module {MEMORY} {EVENT} (func (export "tidegate_inbox") (result i64) (loop $l (br $l)) (i64.const 0)))"#
    );
    check_text(&inbox, &["`tidegate_inbox` failed"]);
    for call in [
        "(call $ev_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        "(call $ev_num (i32.const 64) (i32.const 4) (i32.const 4096))",
        "(call $ev_str (i32.const 64) (i32.const 4) (i32.const 4096) (i32.const 9))",
        "(call $publish (i32.const 48) (i32.const 13) (i32.const 32) (i32.const 5) (i32.const 0))",
        "(call $state_set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 0))",
        "(call $state_get (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 0))",
        "(call $state_list (i32.const 16) (i32.const 3) (i64.const 0) (i32.const 32) (i32.const 5) (i32.const 0))",
    ] {
        check_refused(&init(call), &["it returned -10"]);
    }
    for call in [
        "(call $config_get (i32.const 160) (i32.const 5) (i32.const 4096) (i32.const 9))",
        "(call $random (i32.const 4096) (i32.const 9))",
        "(i32.wrap_i64 (call $now_us (i32.const 1)))",
        "(call $log (i32.const 1) (i32.const 16) (i32.const 3)) (i32.const 0)",
    ] {
        let mut instance = loaded(&init(call));
        assert!(once(&mut instance).logs.is_empty());
    }
}

#[test]
fn facts_say_what_a_module_is() {
    let bytes = module(&format!(r#"(global (mut i32) (i32.const 0)) {EVENT}"#));
    let instance = loaded(&bytes);
    let facts = instance.facts();
    assert_eq!(facts.module_bytes, bytes.len());
    assert_eq!((facts.memory_initial_kib, facts.memory_max_kib, facts.memory_kib), (64, None, 64));
    assert_eq!((facts.imports.len(), facts.imports[0]), (16, "ev_read"));
    assert_eq!(facts.exports, ["memory", "tidegate_inbox", "on_event"]);
    assert_eq!((facts.inbox_bytes, facts.image_bytes, facts.globals_restored), (512, 1024, 1));
    assert_eq!(facts.reset, Reset::Image);
    assert!(facts.init_fuel > 0 && facts.init_fuel < 10);
}

#[test]
fn an_import_that_the_manifest_grants_nothing_of_is_refused_by_name() {
    for (name, parameters) in
        [("publish", "i32 i32 i32 i32 i32"), ("send", "i32 i32 i32 i32 i32 i32")]
    {
        let module = wasm(&format!(
            r#"(module
                (import "tidegate1" "{name}" (func (param {parameters}) (result i32)))
                (memory (export "memory") 1)
                (func (export "tidegate_inbox") (result i64) (i64.const 0x40000000400))
                (func (export "on_event") (param i32) (result i32) (i32.const 0)))"#,
        ));
        let granted = load(&module, Arc::new(manifest()), &Caps::DEV, 1);
        assert!(granted.is_ok());
        let mut poor = manifest();
        match name {
            "publish" => poor.grants.publish.clear(),
            _ => poor.grants.send.clear(),
        }
        let Err(error) = load(&module, Arc::new(poor), &Caps::DEV, 1) else {
            panic!("it must be refused");
        };
        assert!(error.to_string().contains(&format!("`tidegate1.{name}`")), "{error}");
        assert!(error.to_string().contains(&format!("[grants] {name}")), "{error}");
    }
}
