//! JSON as the gateway's host reads it: the whole payload is checked (RFC 8259), at most 64 deep;
//! of equal keys the last one counts; a path goes over keys and indices, `a.b.0.c`.

use std::string::String;
use std::vec::Vec;

/// Objects and arrays inside one another, as on the host.
const DEPTH_MAX: usize = 64;

/// A payload that is JSON.
pub(super) enum Document {
    Object(Vec<(String, Document)>),
    Array(Vec<Document>),
    Text(String),
    Number(f64),
    /// `true`, `false`, `null`, or a number beyond f64.
    Other,
}

impl Document {
    /// Reads a payload; nothing when it is not one JSON document.
    pub fn new(payload: &[u8]) -> Option<Document> {
        let mut reader = Reader { rest: core::str::from_utf8(payload).ok()? };
        let document = reader.value(0)?;
        reader.skip_space();
        reader.rest.is_empty().then_some(document)
    }

    /// The value at a path; the empty path is the whole document.
    pub fn find(&self, path: &str) -> Option<&Document> {
        if path.is_empty() {
            return Some(self);
        }
        path.split('.').try_fold(self, |at, segment| match at {
            Document::Object(members) => {
                members.iter().rev().find(|(key, _)| key == segment).map(|(_, value)| value)
            }
            Document::Array(elements) if segment.bytes().all(|byte| byte.is_ascii_digit()) => {
                elements.get(segment.parse::<usize>().ok()?)
            }
            Document::Array(_) | Document::Text(_) | Document::Number(_) | Document::Other => None,
        })
    }

    pub fn number(&self) -> Option<f64> {
        if let Document::Number(number) = self { Some(*number) } else { None }
    }

    pub fn text(&self) -> Option<&str> {
        if let Document::Text(text) = self { Some(text) } else { None }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Document> {
        self.skip_space();
        match self.rest.bytes().next()? {
            b'{' | b'[' if depth == DEPTH_MAX => None,
            b'{' => self.members(depth + 1).map(Document::Object),
            b'[' => self.elements(depth + 1).map(Document::Array),
            b'"' => self.string().map(Document::Text),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let word = ["true", "false", "null"];
                let word = word.iter().find(|word| self.rest.starts_with(**word))?;
                self.rest = &self.rest[word.len()..];
                Some(Document::Other)
            }
        }
    }

    fn members(&mut self, depth: usize) -> Option<Vec<(String, Document)>> {
        let mut members = Vec::new();
        self.take('{')?;
        if self.take('}').is_some() {
            return Some(members);
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.take(':')?;
            members.push((key, self.value(depth)?));
            if self.take(',').is_none() {
                return self.take('}').map(|()| members);
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Option<Vec<Document>> {
        let mut elements = Vec::new();
        self.take('[')?;
        if self.take(']').is_some() {
            return Some(elements);
        }
        loop {
            elements.push(self.value(depth)?);
            if self.take(',').is_none() {
                return self.take(']').map(|()| elements);
            }
        }
    }

    fn number(&mut self) -> Option<Document> {
        let whole = self.rest;
        self.accept('-');
        if !self.accept('0') {
            self.digits()?;
        }
        if self.accept('.') {
            self.digits()?;
        }
        if self.accept('e') || self.accept('E') {
            let _signed = self.accept('+') || self.accept('-');
            self.digits()?;
        }
        let number: f64 = whole[..whole.len() - self.rest.len()].parse().ok()?;
        Some(if number.is_finite() { Document::Number(number) } else { Document::Other })
    }

    fn digits(&mut self) -> Option<()> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let any = rest.len() < self.rest.len();
        self.rest = rest;
        any.then_some(())
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(escape(&mut chars)?),
                '\0'..='\x1f' => return None,
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }

    /// Space, and then this character.
    fn take(&mut self, c: char) -> Option<()> {
        self.skip_space();
        self.accept(c).then_some(())
    }

    fn accept(&mut self, c: char) -> bool {
        let rest: Option<&'a str> = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}

/// The character behind a backslash.
fn escape(chars: &mut core::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = hex4(chars)?;
            if !(0xd800..0xdc00).contains(&first) {
                return char::from_u32(first);
            }
            let second = (chars.next()? == '\\' && chars.next()? == 'u').then(|| hex4(chars))??;
            if !(0xdc00..0xe000).contains(&second) {
                return None;
            }
            return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        }
        _ => return None,
    })
}

fn hex4(chars: &mut core::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |value, _| Some(value * 16 + chars.next()?.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "[",
            "}",
            "{]",
            "[1,]",
            "{\"a\":1,}",
            "{,}",
            "{\"a\"}",
            "{a:1}",
            "[1 2]",
            "1 2",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "NaN",
            "tru",
            "truex",
            "\"",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\t\"",
            "\u{feff}1",
            "[1]]",
            "{\"a\":1}x",
        ] {
            assert!(Document::new(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Document::new(b"\"\xff\"").is_none());
        assert!(Document::new("[".repeat(65).as_bytes()).is_none());
        let deepest = "[".repeat(64) + &"]".repeat(64);
        assert!(Document::new(deepest.as_bytes()).is_some());
        let too_deep = "[".repeat(65) + &"]".repeat(65);
        assert!(Document::new(too_deep.as_bytes()).is_none());
    }

    const DOCUMENT: &str = r#" {"t":1.5,"n":{"a":[10,{"x":"y"},[],30]},"s":"h\u00e9\n\ud83d\ude00",
        "":7, "t.u":8,"big":1e999,"yes":true,"d":1,"d":2,"\u0061b":3,"neg":-0.25e1} "#;

    #[track_caller]
    fn check(path: &str, number: Option<f64>, text: Option<&str>) {
        let document = Document::new(DOCUMENT.as_bytes()).expect("a document");
        let found = document.find(path);
        assert_eq!(found.and_then(Document::number), number, "{path}");
        assert_eq!(found.and_then(Document::text), text, "{path}");
    }

    #[test]
    fn paths_lead_to_numbers_and_strings_only() {
        for nowhere in
            ["x", "t.x", "n.a.4", "n.a.-1", "n.a.+1", "n.a.", "t.u", "t.", "big", "yes", "n", "s.0"]
        {
            check(nowhere, None, None);
        }
        check("t", Some(1.5), None);
        check("n.a.3", Some(30.0), None);
        check("n.a.1.x", None, Some("y"));
        check("s", None, Some("hé\n😀"));
        check("d", Some(2.0), None);
        check("ab", Some(3.0), None);
        check("neg", Some(-2.5), None);
    }
}
