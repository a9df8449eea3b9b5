//! Modules that are no handlers: broken bytes, wrong imports and exports, code before the first
//! event, and handlers that die at once.

use super::Fate::{Refused, Stopped};
use super::Hostile;
use crate::handlers::{INBOX, INBOX_LEN, guest, guest_with, wasm};

/// A module from its fields, with the exports every handler has.
fn module(fields: &str) -> Vec<u8> {
    wasm(&format!("(module {fields} {MEMORY} {INBOX_EXPORT} {ON_EVENT})"))
}

const MEMORY: &str = "(memory (export \"memory\") 2 4)";
const INBOX_EXPORT: &str =
    "(func (export \"tidegate_inbox\") (result i64) (i64.const 0x200000000400))";
const ON_EVENT: &str = "(func (export \"on_event\") (param i32) (result i32) (i32.const 0))";

pub(super) fn all() -> Vec<Hostile> {
    let good = guest("(i32.const 0)");
    let mut garbage = b"\0asm\x01\0\0\0".to_vec();
    garbage.extend((0u32..4096).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    let mut wrong_version = good.clone();
    wrong_version[4] = 2;
    vec![
        Hostile::new("empty-file", "no bytes at all", Refused, Vec::new()),
        Hostile::new("garbage", "noise after a good head", Refused, garbage),
        Hostile::new(
            "text",
            "a file that is not WebAssembly",
            Refused,
            b"#!/bin/sh\nreboot\n".to_vec(),
        ),
        Hostile::new("truncated", "half a module", Refused, good[..good.len() / 2].to_vec()),
        Hostile::new(
            "wrong-wasm-version",
            "a version of WebAssembly that is not",
            Refused,
            wrong_version,
        ),
        Hostile::new(
            "wrong-abi",
            "imports of another version of the ABI",
            Refused,
            module("(import \"tidegate2\" \"log\" (func (param i32 i32 i32)))"),
        ),
        Hostile::new(
            "unknown-import",
            "an import that this host lacks",
            Refused,
            module("(import \"tidegate1\" \"system\" (func (param i32 i32) (result i32)))"),
        ),
        Hostile::new(
            "foreign-import",
            "an import of the operating system",
            Refused,
            module("(import \"wasi_snapshot_preview1\" \"proc_exit\" (func (param i32)))"),
        ),
        Hostile::new(
            "wrong-import-type",
            "an import with another type",
            Refused,
            module("(import \"tidegate1\" \"log\" (func (param i64) (result i64)))"),
        ),
        Hostile::new(
            "import-memory",
            "a memory from outside",
            Refused,
            wasm(&format!(
                "(module (import \"tidegate1\" \"memory\" (memory 1)) {INBOX_EXPORT} {ON_EVENT})"
            )),
        ),
        Hostile::new(
            "ungranted-import",
            "a function that its manifest grants nothing of",
            Refused,
            guest(
                "(call $publish (i32.const 16) (i32.const 1) (i32.const 16) (i32.const 0) (i32.const 0))",
            ),
        ),
        Hostile::new(
            "no-on-event",
            "nothing to call",
            Refused,
            wasm(&format!("(module {MEMORY} {INBOX_EXPORT})")),
        ),
        Hostile::new(
            "wrong-on-event",
            "an entry of another type",
            Refused,
            wasm(&format!(
                "(module {MEMORY} {INBOX_EXPORT} (func (export \"on_event\") (param i64)))"
            )),
        ),
        Hostile::new(
            "no-memory",
            "no memory",
            Refused,
            wasm(&format!("(module {INBOX_EXPORT} {ON_EVENT})")),
        ),
        Hostile::new(
            "start-loop",
            "a start function that never ends",
            Refused,
            module("(func $s (loop $again (br $again))) (start $s)"),
        ),
        Hostile::new(
            "init-loop",
            "an init that never ends",
            Refused,
            module(
                "(func (export \"tidegate_init\") (result i32) (loop $again (br $again))
                   (i32.const 0))",
            ),
        ),
        Hostile::new(
            "init-trap",
            "an init that traps",
            Refused,
            module("(func (export \"tidegate_init\") (result i32) unreachable)"),
        ),
        Hostile::new(
            "inbox-loop",
            "an inbox that is never found",
            Refused,
            wasm(&format!(
                "(module {MEMORY} {ON_EVENT} (func (export \"tidegate_inbox\") (result i64)
                   (loop $again (br $again)) (i64.const 0)))"
            )),
        ),
        Hostile::new("inbox-outside", "an inbox outside its memory", Refused, inbox_at(-1, 4096)),
        Hostile::new(
            "inbox-over-end",
            "an inbox that ends outside",
            Refused,
            inbox_at(130_000, 4096),
        ),
        Hostile::new("inbox-small", "an inbox too small for the head", Refused, inbox_at(1024, 8)),
        Hostile::new("trap-unreachable", "trapping at each event", Stopped, guest("unreachable")),
        Hostile::new(
            "trap-divide",
            "dividing by zero at each event",
            Stopped,
            guest("(i32.div_u (i32.const 1) (local.get $i))"),
        ),
        Hostile::new(
            "trap-outside",
            "reading a neighbour's memory",
            Stopped,
            guest("(i32.load (i32.const 0x7ffffff0))"),
        ),
        Hostile::new(
            "trap-indirect",
            "calling what is not in the table",
            Stopped,
            guest_with(
                "(type $t (func (result i32))) (table 1 1 funcref)",
                "(call_indirect (type $t) (i32.const 7))",
            ),
        ),
        Hostile::new(
            "returns-min",
            "an error number that is none",
            Stopped,
            guest("(i32.const 0x80000000)"),
        ),
        Hostile::new(
            "spoils-itself",
            "writing over its own memory, then trapping at the next event",
            super::Fate::Harmless,
            spoils_itself(),
        ),
    ]
}

/// `tidegate_inbox` that answers with this place.
fn inbox_at(pointer: i32, capacity: u32) -> Vec<u8> {
    let place = (u64::from(capacity) << 32) | u64::from(pointer as u32);
    wasm(&format!(
        "(module {MEMORY} {ON_EVENT}
           (func (export \"tidegate_inbox\") (result i64) (i64.const {place})))"
    ))
}

/// Traps when it finds what an earlier event left in memory, in a global or above the inbox:
/// with `isolation = "event"` it never does.
fn spoils_itself() -> Vec<u8> {
    guest_with(
        "(global $seen (mut i32) (i32.const 0))",
        &format!(
            "(if (i32.or (global.get $seen) (i32.load8_u (i32.const 131071))) (then unreachable))
             (global.set $seen (i32.const 1))
             (memory.fill (i32.const 0) (i32.const 255) (i32.const {INBOX}))
             (memory.fill (i32.const {}) (i32.const 255) (i32.const {}))
             (i32.const 0)",
            INBOX + INBOX_LEN,
            131_072 - INBOX - INBOX_LEN,
        ),
    )
}
