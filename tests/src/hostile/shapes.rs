//! Modules whose shape is the attack: too large, too many, too deep.

use std::fmt::Write as _;

use super::Fate::{Contained, Refused};
use super::Hostile;
use crate::handlers::{guest_with, wasm, with_section};

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes all");
}

/// A handler whose `on_event` runs `body` with these fields and this memory.
fn module(memory: &str, fields: &str, body: &str) -> Vec<u8> {
    wasm(&format!(
        "(module {memory} {fields}
           (func (export \"tidegate_inbox\") (result i64) (i64.const 0x200000000400))
           (func (export \"on_event\") (param i32) (result i32) {body}))"
    ))
}

pub(super) fn all() -> Vec<Hostile> {
    let zero = "(i32.const 0)";
    let memory = "(memory (export \"memory\") 2 4)";
    vec![
        Hostile::new(
            "memory-huge",
            "4 GiB of memory from the start",
            Refused,
            module("(memory (export \"memory\") 65536)", "", zero),
        ),
        Hostile::new(
            "memory-over-cap",
            "more memory from the start than its manifest allows",
            Refused,
            module("(memory (export \"memory\") 5 5)", "", zero),
        ),
        Hostile::new(
            "memory-64",
            "a memory with 64-bit addresses",
            Refused,
            module("(memory (export \"memory\") i64 1 2)", "", zero),
        ),
        Hostile::new("memory-two", "two memories", Refused, module(memory, "(memory 1)", zero)),
        Hostile::new(
            "table-huge",
            "a table of a thousand million entries",
            Refused,
            module(memory, "(table 1000000000 funcref)", zero),
        ),
        Hostile::new(
            "table-large",
            "a table of ten million entries",
            Refused,
            module(memory, "(table 10000000 funcref)", zero),
        ),
        Hostile::new("functions-100k", "100,000 functions", Contained, functions(100_000)),
        Hostile::new("globals-100k", "100,000 globals", Contained, globals(100_000)),
        Hostile::new("types-100k", "100,000 types", Contained, types(100_000)),
        Hostile::new("exports-100k", "100,000 exports", Contained, exports(100_000)),
        Hostile::new("locals-50k", "50,000 locals in one function", Contained, locals(49_990)),
        Hostile::new(
            "locals-4g",
            "4 thousand million locals in one function",
            Refused,
            locals_4g(),
        ),
        Hostile::new("nesting-deep", "20,000 blocks in each other", Contained, nesting(20_000)),
        Hostile::new(
            "jump-table-wide",
            "a jump table with 200,000 targets",
            Contained,
            jump_table(200_000),
        ),
        Hostile::new("body-large", "one function of a megabyte", Contained, body(150_000)),
        Hostile::new("stack-high", "30,000 values on the stack", Contained, stack(30_000)),
        Hostile::new("file-large", "a module of 20 MB", Refused, padding(20_000_000)),
        Hostile::new(
            "data-outside",
            "a data segment outside its memory",
            Refused,
            module(memory, "(data (i32.const 131070) \"xxxx\")", zero),
        ),
    ]
}

fn functions(count: u32) -> Vec<u8> {
    let mut fields = String::new();
    for n in 0..count {
        push(&mut fields, format_args!("(func (result i32) (i32.const {n}))"));
    }
    guest_with(&fields, "(i32.const 0)")
}

fn globals(count: u32) -> Vec<u8> {
    guest_with(&"(global (mut i64) (i64.const 1))".repeat(count as usize), "(i32.const 0)")
}

fn types(count: u32) -> Vec<u8> {
    guest_with(&"(type (func (param i32 i64 f32 f64)))".repeat(count as usize), "(i32.const 0)")
}

fn exports(count: u32) -> Vec<u8> {
    let mut fields = String::new();
    for n in 0..count {
        push(&mut fields, format_args!("(export \"x{n}\" (func $on_event))"));
    }
    guest_with(&fields, "(i32.const 0)")
}

fn locals(count: usize) -> Vec<u8> {
    guest_with(
        &format!("(func $f (result i32) (local {}) (i32.const 0))", "i64 ".repeat(count)),
        "(call $f)",
    )
}

/// Text cannot say this shortly: a function whose one local group has 2^32 - 1 members, spliced
/// into a module that ends with its code section.
fn locals_4g() -> Vec<u8> {
    let mut bytes = wasm(
        "(module (memory (export \"memory\") 2 4)
           (func (export \"tidegate_inbox\") (result i64) (i64.const 0x200000000400))
           (func (export \"on_event\") (param i32) (result i32) (i32.const 0)))",
    );
    // The last function is `04 00 41 00 0b`: length, no locals, i32.const 0, end.
    let tail = [0x04, 0x00, 0x41, 0x00, 0x0b];
    let at = bytes.len() - tail.len();
    assert_eq!(bytes[at..], tail);
    bytes.truncate(at);
    let function = [0x0a, 0x01, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7e, 0x41, 0x00, 0x0b];
    bytes.extend(function);
    let code = section(&bytes, 10);
    // The section's length is one byte here, and grows by what was put in.
    bytes[code + 1] += (function.len() - tail.len()) as u8;
    bytes
}

/// The position of the section with this number.
fn section(bytes: &[u8], number: u8) -> usize {
    let mut at = 8;
    while bytes[at] != number {
        at += 2 + usize::from(bytes[at + 1]);
    }
    at
}

fn nesting(depth: usize) -> Vec<u8> {
    guest_with("", &format!("{} {} (i32.const 0)", "block ".repeat(depth), "end ".repeat(depth)))
}

fn jump_table(targets: usize) -> Vec<u8> {
    guest_with(
        "",
        &format!("(block $a (br_table {} (local.get $i))) (i32.const 0)", "$a ".repeat(targets)),
    )
}

fn body(statements: usize) -> Vec<u8> {
    let statement = "(local.set $k (i64.add (local.get $k) (i64.const 123456789)))";
    guest_with("", &format!("{} (i32.const 0)", statement.repeat(statements)))
}

fn stack(values: usize) -> Vec<u8> {
    guest_with("", &format!("{} {}", "i32.const 1 ".repeat(values), "i32.add ".repeat(values - 1)))
}

/// A good handler with a custom section of this many bytes.
fn padding(bytes: usize) -> Vec<u8> {
    let module = guest_with("", "(i32.const 0)");
    with_section(&module, "note", std::iter::repeat_n(b'x', bytes))
}
