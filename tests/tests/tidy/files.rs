//! The files of the checkout, and Rust files without their comments and texts.

use std::process::Command;
use std::{fs, str};

use tidegate_tests::programs;

/// One file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// From the workspace's root, with `/`.
    pub path: String,
    pub text: String,
    /// The text with comments and the insides of string literals blanked out; lines stay.
    pub code: String,
}

impl SourceFile {
    pub fn new(path: &str, text: &str) -> SourceFile {
        let code = if path.ends_with(".rs") { code_of(text) } else { String::new() };
        SourceFile { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// Every Rust file.
    pub fn all_rust() -> Vec<SourceFile> {
        let files: Vec<SourceFile> = names()
            .iter()
            .filter(|name| name.ends_with(".rs"))
            .filter_map(|name| SourceFile::read(name))
            .collect();
        assert!(files.len() > 20, "the checkout is listed: {} Rust files", files.len());
        files
    }

    /// Every text file but the lock file.
    pub fn all_text() -> Vec<SourceFile> {
        let names = names();
        names
            .iter()
            .filter(|name| !name.ends_with("Cargo.lock"))
            .filter_map(|name| SourceFile::read(name))
            .collect()
    }

    pub fn lock_file() -> SourceFile {
        SourceFile::read("Cargo.lock").expect("the workspace has a lock file")
    }

    /// The names of all files that are, or are about to be, committed.
    pub fn committed_names() -> Vec<String> {
        names()
    }

    fn read(name: &str) -> Option<SourceFile> {
        let bytes = fs::read(programs::workspace().join(name)).ok()?;
        let text = str::from_utf8(&bytes).ok()?;
        Some(SourceFile::new(name, text))
    }

    /// Whether `word` stands in the code as a word of its own.
    pub fn has_word(&self, word: &str) -> bool {
        !self.lines_with(word).is_empty()
    }

    /// The numbers of the lines of code in which `word` stands as a word of its own.
    pub fn lines_with(&self, word: &str) -> Vec<usize> {
        let is_part = |char: char| char.is_alphanumeric() || char == '_';
        let stands_alone = |line: &str| {
            line.match_indices(word).any(|(at, _)| {
                !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
            })
        };
        (1..)
            .zip(self.code.lines())
            .filter(|(_, line)| stands_alone(line))
            .map(|(number, _)| number)
            .collect()
    }
}

/// Files that git knows, and new ones that it does not ignore.
fn names() -> Vec<String> {
    let output = Command::new("git")
        .current_dir(programs::workspace())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("file names here are UTF-8");
    names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Blanks out comments, and the insides of string and character literals.
fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let len = match rest {
            [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => block_comment_len(rest),
            [b'"', ..] => string_len(rest),
            [b'r', b'"' | b'#', ..] if !ends_with_word(&code) => raw_string_len(rest),
            [b'\'', b'\\', ..] => {
                2 + rest[2..].iter().position(|b| *b == b'\'').map_or(1, |n| n + 1)
            }
            [b'\'', _, b'\'', ..] => 3,
            _ => 0,
        };
        if len == 0 {
            code.push(bytes[at]);
            at += 1;
        } else {
            let blank = rest[..len].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' });
            code.extend(blank);
            at += len;
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// Whether an identifier ends here, so that a following `r` belongs to it.
fn ends_with_word(code: &[u8]) -> bool {
    code.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn block_comment_len(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// 0 when it is no raw string but a raw identifier.
fn raw_string_len(bytes: &[u8]) -> usize {
    let hashes = bytes[1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end: Vec<u8> = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let start = 2 + hashes;
    bytes[start..]
        .windows(end.len())
        .position(|window| window == end)
        .map_or(bytes.len(), |at| start + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, has: bool) {
        let file = SourceFile::new("x.rs", text);
        assert_eq!(file.has_word("boom"), has, "{text} became {}", file.code);
        assert_eq!(file.code.lines().count(), text.lines().count());
    }

    #[test]
    fn words_are_found_in_code_and_nowhere_else() {
        check("boom()", true);
        check("a.boom", true);
        check("boom_box", false);
        check("// boom", false);
        check("/* a /* boom */ boom */ x", false);
        check("/* a */ boom", true);
        check("let x = \"a \\\" boom\";", false);
        check("let x = \"a\"; boom", true);
        check("r#\"a \" boom\"# ", false);
        check("r#type; boom", true);
        check("bar\"boom\"", false);
        check("let c = '\"'; boom; let d = '\"';", true);
        check("let c = '\\''; boom", true);
        check("fn f<'a>(x: &'a str) { boom }", true);
        check("\"line\nboom\"\nx", false);
    }
}
