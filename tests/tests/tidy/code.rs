//! What no Rust file may hold.

use crate::files::SourceFile;

/// At this many lines a file has a seam that was not found.
const LINES_MAX: usize = 400;

/// Where `unsafe` may stand: the glue between a guest and its host.
const UNSAFE_MAY: [&str; 1] = ["sdk/rust/src/"];

/// Crates that are simulated: there, order is behaviour.
const ORDERED: [&str; 2] = ["gateway/core/", "gateway/broker/"];

/// Files that are too long.
pub fn too_long(files: &[SourceFile]) -> Vec<String> {
    files
        .iter()
        .map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(file, lines)| format!("{} has {lines} lines, more than {LINES_MAX}", file.path))
        .collect()
}

/// Places where work was put off, or a developer looked at a value.
pub fn left_undone(files: &[SourceFile]) -> Vec<String> {
    let macros = ["todo", "unimplemented", "dbg"];
    let mut findings = Vec::new();
    for file in files {
        for name in macros {
            for number in file.lines_with(name) {
                let line = file.code.lines().nth(number - 1).unwrap_or_default();
                if line.contains(&format!("{name}!")) {
                    findings.push(format!("{}:{number} has {name}!", file.path));
                }
            }
        }
    }
    findings
}

/// `unsafe` outside the guest glue. An example that measures may count what it allocates: one
/// `unsafe impl GlobalAlloc`, each `unsafe` in it with its SAFETY comment.
pub fn stray_unsafe(files: &[SourceFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| !UNSAFE_MAY.iter().any(|folder| file.path.starts_with(folder)))
        .flat_map(|file| {
            let allowed =
                if is_measurement(&file.path) { counting_allocator(file) } else { Vec::new() };
            file.lines_with("unsafe")
                .into_iter()
                .filter(move |line| !allowed.contains(line))
                .map(|line| format!("{}:{line}", file.path))
        })
        .collect()
}

fn is_measurement(path: &str) -> bool {
    path.starts_with("gateway/") && path.contains("/examples/")
}

/// The lines of the file's first `unsafe impl GlobalAlloc` on which `unsafe` may stand: signatures
/// that the trait asks for, and what a SAFETY comment right above explains.
fn counting_allocator(file: &SourceFile) -> Vec<usize> {
    let code: Vec<&str> = file.code.lines().collect();
    let text: Vec<&str> = file.text.lines().collect();
    let is_head = |line: &&str| line.starts_with("unsafe impl GlobalAlloc for ");
    let Some(head) = code.iter().position(is_head) else {
        return Vec::new();
    };
    // rustfmt puts the block's end at the margin.
    let len = code[head..].iter().position(|line| line.starts_with('}'));
    let explained = |at: usize| {
        text[..at]
            .iter()
            .rev()
            .map(|line| line.trim_start())
            .take_while(|line| line.starts_with("//"))
            .any(|line| line.starts_with("// SAFETY: "))
    };
    (head..=head + len.unwrap_or(0))
        .filter(|at| code[*at].contains("unsafe fn ") || explained(*at))
        .map(|at| at + 1)
        .collect()
}

/// Collections whose order is chance, where order is behaviour.
pub fn hashed_order(files: &[SourceFile]) -> Vec<String> {
    files
        .iter()
        .filter(|file| ORDERED.iter().any(|folder| file.path.starts_with(folder)))
        .flat_map(|file| {
            ["HashMap", "HashSet"].iter().flat_map(move |name| {
                file.lines_with(name)
                    .into_iter()
                    .map(move |line| format!("{}:{line} has {name}; use a BTreeMap", file.path))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&[SourceFile]) -> Vec<String>, path: &str, text: &str, findings: usize) {
        let found = rule(&[SourceFile::new(path, text)]);
        assert_eq!(found.len(), findings, "{found:?}");
    }

    #[test]
    fn a_long_file_is_found() {
        check(too_long, "a.rs", &"x\n".repeat(400), 0);
        check(too_long, "a.rs", &"x\n".repeat(401), 1);
    }

    #[test]
    fn work_put_off_is_found() {
        check(left_undone, "a.rs", "fn f() { todo!() }\nfn g() { unimplemented!() }", 2);
        check(left_undone, "a.rs", "let x = dbg!(y);", 1);
        check(left_undone, "a.rs", "let todo = list; // todo! later\nx(\"dbg!\")", 0);
    }

    #[test]
    fn unsafe_in_the_house_is_found() {
        check(stray_unsafe, "gateway/host/src/a.rs", "let x = unsafe { f() };", 1);
        check(stray_unsafe, "gateway/host/src/a.rs", "#![deny(unsafe_code)] // unsafe", 0);
        check(stray_unsafe, "sdk/rust/src/guest.rs", "unsafe { f() }", 0);
    }

    const COUNTING: &str = "// SAFETY: passed on.\n\
        unsafe impl GlobalAlloc for Counting {\n    \
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {\n        \
                // SAFETY: passed on.\n        \
                unsafe { System.alloc(layout) }\n    \
            }\n\
        }\n";

    #[test]
    fn a_measurement_may_count_what_it_allocates_and_no_more() {
        let example = "gateway/host/examples/a.rs";
        check(stray_unsafe, example, COUNTING, 0);
        check(stray_unsafe, "gateway/host/src/a.rs", COUNTING, 3);
        check(stray_unsafe, "sdk/examples/a/src/lib.rs", COUNTING, 3);
        let silent = COUNTING.replace("// SAFETY: passed on.", "// Passed on.");
        check(stray_unsafe, example, &silent, 2);
        let twice = COUNTING.repeat(2);
        check(stray_unsafe, example, &twice, 3);
        let more = format!("{COUNTING}\n// SAFETY: none.\nlet x = unsafe {{ f() }};\n");
        check(stray_unsafe, example, &more, 1);
        let other = COUNTING.replace("GlobalAlloc", "Send");
        check(stray_unsafe, example, &other, 3);
    }

    #[test]
    fn a_hash_map_in_the_core_is_found() {
        check(hashed_order, "gateway/core/src/a.rs", "use std::collections::HashMap;", 1);
        check(hashed_order, "gateway/broker/src/a.rs", "let x = HashSet::new();", 1);
        check(hashed_order, "gateway/core/src/a.rs", "use alloc::collections::BTreeMap;", 0);
        check(hashed_order, "tests/src/a.rs", "use std::collections::HashMap;", 0);
    }
}
