//! Escapes in JSON strings.

/// Reads one escape at the start of `bytes`: the character and how many bytes it took. `None`
/// when it is none, or half a surrogate pair.
pub(super) fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let simple = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(bytes),
        _ => return None,
    };
    Some((simple, 2))
}

fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = hex4(bytes.get(2..6)?)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 6));
    }
    if bytes.get(6..8)? != b"\\u" {
        return None;
    }
    let second = hex4(bytes.get(8..12)?)?;
    let mut pair = char::decode_utf16([first as u16, second as u16]);
    match (pair.next(), pair.next()) {
        (Some(Ok(character)), None) => Some((character, 12)),
        _ => None,
    }
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
}

/// The characters behind a string that the parser accepted.
pub(super) struct Unescaped<'a>(pub &'a str);

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let character = self.0.chars().next()?;
        if character != '\\' {
            self.0 = &self.0[character.len_utf8()..];
            return Some(character);
        }
        let (character, len) = escape(self.0.as_bytes())?;
        self.0 = &self.0[len..];
        Some(character)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(char, usize)>) {
        assert_eq!(escape(text.as_bytes()), expect, "{text}");
    }

    #[test]
    fn half_pairs_and_unknown_escapes_are_none() {
        for bad in [
            "\\",
            "\\x",
            "\\u",
            "\\u00",
            "\\u00g0",
            "\\ud800",
            "\\ud800x",
            "\\ud800\\n",
            "\\ud800\\ud800",
            "\\udc00\\ud800",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn escapes_become_characters() {
        check("\\n", Some(('\n', 2)));
        check("\\u00e9", Some(('é', 6)));
        check("\\u0000", Some(('\0', 6)));
        check("\\uD83D\\uDE00!", Some(('😀', 12)));
        let whole: String = Unescaped(r#"a\"b\u00e9ü\ud83d\ude00"#).collect();
        assert_eq!(whole, "a\"béü😀");
    }
}
