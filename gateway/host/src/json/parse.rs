//! A validating parser (RFC 8259) without recursion: bytes in, a flat list of tokens out.

use super::{JsonLimits, Unreadable, text};

/// Deepest nesting that the parser's own stack has room for.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    /// A string, or a key, that stands as it is.
    Plain,
    /// A string, or a key, with escapes.
    Escaped,
    Number,
    /// `true`, `false`, `null`.
    Literal,
}

/// One value or key. Children follow their parent; `next` is the index behind the last of them.
/// For strings `start..end` lies inside the quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub start: u32,
    pub end: u32,
    pub next: u32,
    pub kind: Kind,
}

/// Bytes that cannot stand in a string as they are: the quote, the backslash, control characters.
static ENDS_PLAIN: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        ends[byte] = true;
        byte += 1;
    }
    ends[b'"' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    tokens: &'a mut Vec<Token>,
    tokens_max: usize,
}

/// What must come next.
enum Expect {
    Value,
    Key,
    End,
}

/// Parses one document into `tokens`, which must be empty.
pub(super) fn parse(
    payload: &[u8],
    limits: &JsonLimits,
    tokens: &mut Vec<Token>,
) -> Result<(), Unreadable> {
    debug_assert!(tokens.is_empty());
    if u32::try_from(payload.len()).is_err() {
        return Err(Unreadable::TooLarge);
    }
    if std::str::from_utf8(payload).is_err() {
        return Err(Unreadable::NotJson);
    }
    let mut parser = Parser { bytes: payload, at: 0, tokens, tokens_max: limits.tokens_max };
    let result = parser.document(limits.depth_max.min(DEPTH_MAX));
    if result.is_err() {
        parser.tokens.clear();
    }
    result
}

impl Parser<'_> {
    fn document(&mut self, depth_max: usize) -> Result<(), Unreadable> {
        let mut open = [0u32; DEPTH_MAX];
        let mut depth = 0;
        let mut expect = Expect::Value;
        loop {
            self.skip_space();
            match expect {
                Expect::Key => {
                    self.take(b'"')?;
                    self.string()?;
                    self.skip_space();
                    self.take(b':')?;
                    expect = Expect::Value;
                }
                Expect::Value => {
                    let Some(&byte) = self.bytes.get(self.at) else {
                        return Err(Unreadable::NotJson);
                    };
                    if byte != b'{' && byte != b'[' {
                        self.scalar(byte)?;
                        expect = Expect::End;
                        continue;
                    }
                    if depth == depth_max {
                        return Err(Unreadable::NotJson);
                    }
                    let (kind, close) =
                        if byte == b'{' { (Kind::Object, b'}') } else { (Kind::Array, b']') };
                    open[depth] = self.tokens.len() as u32;
                    depth += 1;
                    self.push(kind, self.at, self.at)?;
                    self.at += 1;
                    self.skip_space();
                    expect = match (self.bytes.get(self.at) == Some(&close), kind) {
                        (true, _) => Expect::End,
                        (false, Kind::Object) => Expect::Key,
                        (false, _) => Expect::Value,
                    };
                }
                Expect::End => {
                    let Some(top) = depth.checked_sub(1) else {
                        let whole = self.at == self.bytes.len();
                        return if whole { Ok(()) } else { Err(Unreadable::NotJson) };
                    };
                    let object = self.tokens[open[top] as usize].kind == Kind::Object;
                    let byte = self.bytes.get(self.at).copied();
                    self.at += 1;
                    match (byte, object) {
                        (Some(b','), true) => expect = Expect::Key,
                        (Some(b','), false) => expect = Expect::Value,
                        (Some(b'}'), true) | (Some(b']'), false) => {
                            let next = self.tokens.len() as u32;
                            let token = &mut self.tokens[open[top] as usize];
                            token.end = self.at as u32;
                            token.next = next;
                            depth = top;
                        }
                        _ => return Err(Unreadable::NotJson),
                    }
                }
            }
        }
    }

    fn scalar(&mut self, byte: u8) -> Result<(), Unreadable> {
        match byte {
            b'"' => {
                self.at += 1;
                self.string()
            }
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number(),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Unreadable> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Unreadable::NotJson);
        }
        let start = self.at;
        self.at += word.len();
        self.push(Kind::Literal, start, self.at)
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.push(Kind::Number, start, self.at)
    }

    fn digits(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(Unreadable::NotJson) } else { Ok(()) }
    }

    /// The rest of a string whose opening quote has been taken.
    fn string(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        let mut kind = Kind::Plain;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(plain) = rest.iter().position(|&byte| ENDS_PLAIN[usize::from(byte)]) else {
                return Err(Unreadable::NotJson);
            };
            self.at += plain;
            match rest[plain] {
                b'"' => break,
                b'\\' => {
                    kind = Kind::Escaped;
                    let (_, len) = text::escape(&rest[plain..]).ok_or(Unreadable::NotJson)?;
                    self.at += len;
                }
                _ => return Err(Unreadable::NotJson),
            }
        }
        let end = self.at;
        self.at += 1;
        self.push(kind, start, end)
    }

    #[inline]
    fn push(&mut self, kind: Kind, start: usize, end: usize) -> Result<(), Unreadable> {
        if self.tokens.len() == self.tokens_max {
            return Err(Unreadable::TooLarge);
        }
        let next = self.tokens.len() as u32 + 1;
        self.tokens.push(Token { start: start as u32, end: end as u32, next, kind });
        Ok(())
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), Unreadable> {
        if self.peek() != Some(byte) {
            return Err(Unreadable::NotJson);
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JsonLimits = JsonLimits { bytes_max: 1 << 20, tokens_max: 100, depth_max: 4 };

    #[track_caller]
    fn check(payload: impl AsRef<[u8]>, expect: Result<usize, Unreadable>) {
        let payload = payload.as_ref();
        let mut tokens = Vec::new();
        let result = parse(payload, &LIMITS, &mut tokens).map(|()| tokens.len());
        assert_eq!(result, expect, "{:?}", String::from_utf8_lossy(payload));
        if result.is_err() {
            assert!(tokens.is_empty());
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "[",
            "}",
            "]",
            "{]",
            "[}",
            "[1,]",
            "{\"a\":1,}",
            "{,}",
            "[,1]",
            "{\"a\"}",
            "{\"a\" 1}",
            "{a:1}",
            "{1:2}",
            "[1 2]",
            "1 2",
            "{} {}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "NaN",
            "Infinity",
            "tru",
            "truex",
            "nul",
            "\"",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\t\"",
            "'a'",
            "\u{feff}1",
            "[[[[[1]]]]]",
            "//",
            "[1]]",
        ] {
            check(bad, Err(Unreadable::NotJson));
        }
        check(b"\"\xff\"", Err(Unreadable::NotJson));
        check(b"\"\xed\xa0\x80\"", Err(Unreadable::NotJson));
    }

    #[test]
    fn every_beginning_of_a_document_is_refused() {
        let whole = r#" {"a":[1,-2.5e+3,"x\u00e9\ud83d\ude00\\"],"b":{"c":true,"d":[]}} "#;
        check(whole, Ok(12));
        for end in 0..whole.trim_end().len() {
            if whole.is_char_boundary(end) {
                check(&whole[..end], Err(Unreadable::NotJson));
            }
        }
    }

    #[test]
    fn limits_end_the_parse() {
        check(format!("[{}1]", "1,".repeat(98)), Ok(100));
        check(format!("[{}1]", "1,".repeat(99)), Err(Unreadable::TooLarge));
        check("[[[[]]]]", Ok(4));
        check("[".repeat(100_000), Err(Unreadable::NotJson));
    }

    #[test]
    fn json_is_accepted() {
        for good in ["0", "-0", "1.5", "1e9", "1E-9", "\"\"", "true", "false", "null", " 1\r\n\t"] {
            check(good, Ok(1));
        }
        check("{}", Ok(1));
        check("[ ]", Ok(1));
        check("{\"\":{}}", Ok(3));
    }
}
