//! One file being read: its text, and what has been found wrong with it so far.

use std::cell::RefCell;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::problem::{Problem, Problems};
use crate::reader::Table;

/// Longest file that is read at all. The longest sensible `gateway.toml` (256 handlers with comments) is a twentieth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file's text under the name that problems are reported under.
pub(crate) struct Source {
    pub file: PathBuf,
    pub text: String,
}

impl Source {
    /// Reads a file. `missing` is what to do next when it is not there.
    pub fn open(file: &Path, missing: &str) -> Result<Source, Problem> {
        let text = read_text(file, FILE_BYTES_MAX).map_err(|what| {
            let next = if file.exists() { "" } else { missing };
            Problem::of_file(file, format!("{what}{next}"))
        })?;
        Ok(Source { file: file.to_path_buf(), text })
    }

    /// Folder that the file's relative paths start from.
    pub fn folder(&self) -> &Path {
        match self.file.parent() {
            Some(parent) => parent,
            None => Path::new(""),
        }
    }

    /// Turns what is written into what it means. `mean` notes what is wrong as it goes, and may
    /// return `None` only after it has noted something.
    ///
    /// Returns the warnings beside the meaning.
    pub fn read<T>(
        &self,
        mean: impl FnOnce(Table<'_>) -> Option<T>,
    ) -> Result<(T, Vec<Problem>), Problems> {
        let (root, errors) = DeTable::parse_recoverable(&self.text);
        let page = Page {
            source: self,
            wrong: RefCell::default(),
            warnings: RefCell::default(),
            elsewhere: RefCell::default(),
            also: RefCell::default(),
        };
        for error in &errors {
            let at = error.span().unwrap_or(0..0);
            // After a duplicate key the rest of the file still means what it says; after any
            // other mistake the parser is guessing, and so would be whatever we said about it.
            if error.message() == "duplicate key" {
                let name = self.text.get(at.clone()).unwrap_or_default().to_owned();
                page.note(
                    at.start,
                    String::new(),
                    format!("`{name}` is written twice; remove one of the two"),
                );
            } else {
                let what = format!("is not TOML: {}", error.message());
                return Err(page.problem(at.start, String::new(), what).into());
            }
        }
        let value = mean(Table::root(&page, root.get_ref()));
        let by_place = |problem: &Problem| (problem.line, problem.column);
        let mut wrong = page.wrong.into_inner();
        wrong.sort_by_key(by_place);
        wrong.extend(page.elsewhere.into_inner());
        match value {
            Some(value) if wrong.is_empty() => {
                let mut warnings = page.warnings.into_inner();
                warnings.sort_by_key(by_place);
                Ok((value, warnings))
            }
            _ => {
                assert!(!wrong.is_empty(), "a reader that gives up says why");
                wrong.extend(page.also.into_inner());
                Err(Problems(wrong))
            }
        }
    }

    /// Line and column of a byte, both from 1, the column in characters.
    fn position(&self, byte: usize) -> (usize, usize) {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = &self.text[..byte];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// A source while it is read.
pub(crate) struct Page<'s> {
    pub source: &'s Source,
    wrong: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    elsewhere: RefCell<Vec<Problem>>,
    also: RefCell<Vec<Problem>>,
}

impl Page<'_> {
    pub fn problem(&self, byte: usize, key: String, what: String) -> Problem {
        let (line, column) = self.source.position(byte);
        Problem { file: self.source.file.clone(), line, column, key, what }
    }

    pub fn note(&self, byte: usize, key: String, what: String) {
        self.wrong.borrow_mut().push(self.problem(byte, key, what));
    }

    pub fn warn(&self, byte: usize, key: String, what: String) {
        self.warnings.borrow_mut().push(self.problem(byte, key, what));
    }

    /// Takes over what is wrong with another file that this one leads to.
    pub fn adopt(&self, problems: Problems) {
        self.elsewhere.borrow_mut().extend(problems.0);
    }

    /// Notes what is no reason to fail, but belongs in the list if there is one.
    pub fn mention(&self, problem: Problem) {
        self.also.borrow_mut().push(problem);
    }

    /// Whether nothing is wrong so far: only then do values stand for what was written.
    pub fn is_clean(&self) -> bool {
        self.wrong.borrow().is_empty()
    }

    /// What is written in these bytes, cut short for a message.
    pub fn quote(&self, span: Range<usize>) -> &str {
        self.source.text.get(span).unwrap_or_default()
    }
}

/// Reads a text file of bounded size, or says why not.
pub(crate) fn read_text(file: &Path, bytes_max: u64) -> Result<String, String> {
    let reason = |e: std::io::Error| format!("cannot be read: {}", plain(&e));
    let opened = fs::File::open(file).map_err(reason)?;
    let mut bytes = Vec::new();
    opened.take(bytes_max + 1).read_to_end(&mut bytes).map_err(reason)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("is longer than {bytes_max} bytes"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let byte = e.utf8_error().valid_up_to();
        format!("is not UTF-8 at byte {byte}; save it as UTF-8")
    })
}

/// An IO error without the "(os error 2)".
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = match text.find(" (os error") {
        Some(end) => &text[..end],
        None => &text,
    };
    let mut chars = plain.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => text,
    }
}
