//! Walks from the root to the value at a dot-separated path.

use super::parse::{Kind, Token};
use super::text::Unescaped;
use crate::costs::BYTE_FUEL;

/// A value that a guest can read, as it stands in the document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Found<'p> {
    Number(&'p str),
    /// A string without escapes.
    Plain(&'p str),
    /// A string with escapes.
    Escaped(&'p str),
    /// An object, an array, `true`, `false`, `null`.
    Other,
}

impl Found<'_> {
    /// What reading it costs, beyond copying.
    pub fn fuel(&self) -> u64 {
        match self {
            Found::Number(text) | Found::Escaped(text) => text.len() as u64 * BYTE_FUEL,
            Found::Plain(_) | Found::Other => 0,
        }
    }

    /// The number, if it is one that f64 reaches.
    pub fn number(&self) -> Option<f64> {
        match self {
            Found::Number(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            Found::Plain(_) | Found::Escaped(_) | Found::Other => None,
        }
    }

    /// Length of the string once unescaped.
    pub fn text_len(&self) -> Option<usize> {
        match self {
            Found::Plain(text) => Some(text.len()),
            Found::Escaped(text) => Some(Unescaped(text).map(char::len_utf8).sum()),
            Found::Number(_) | Found::Other => None,
        }
    }

    /// Writes the string into `buf`, which has exactly [`Found::text_len`] bytes.
    pub fn write_text(&self, buf: &mut [u8]) {
        match self {
            Found::Plain(text) => buf.copy_from_slice(text.as_bytes()),
            Found::Escaped(text) => {
                let mut at = 0;
                for character in Unescaped(text) {
                    at += character.encode_utf8(&mut buf[at..]).len();
                }
            }
            Found::Number(_) | Found::Other => {}
        }
    }
}

/// The value at `path`. An empty path is the whole document; in an array a segment is an index.
/// `passed` counts the values walked past.
pub(super) fn find<'p>(
    tokens: &[Token],
    payload: &'p [u8],
    path: &str,
    passed: &mut u64,
) -> Option<Found<'p>> {
    let mut at = 0;
    tokens.first()?;
    if !path.is_empty() {
        for segment in path.split('.') {
            at = match tokens[at].kind {
                Kind::Object => member(tokens, payload, at, segment, passed)?,
                Kind::Array => element(tokens, at, segment, passed)?,
                Kind::Plain | Kind::Escaped | Kind::Number | Kind::Literal => return None,
            };
        }
    }
    let token = &tokens[at];
    let text = text(payload, token)?;
    Some(match token.kind {
        Kind::Plain => Found::Plain(text),
        Kind::Escaped => Found::Escaped(text),
        Kind::Number => Found::Number(text),
        Kind::Object | Kind::Array | Kind::Literal => Found::Other,
    })
}

/// The last member of that name, as most readers take it.
fn member(
    tokens: &[Token],
    payload: &[u8],
    object: usize,
    name: &str,
    passed: &mut u64,
) -> Option<usize> {
    let behind = tokens[object].next as usize;
    let mut key = object + 1;
    let mut found = None;
    while key < behind {
        *passed += 1;
        let token = &tokens[key];
        let same = match token.kind {
            Kind::Escaped => {
                text(payload, token).is_some_and(|key| Unescaped(key).eq(name.chars()))
            }
            _ => payload.get(token.start as usize..token.end as usize) == Some(name.as_bytes()),
        };
        if same {
            found = Some(key + 1);
        }
        key = tokens[key + 1].next as usize;
    }
    found
}

fn element(tokens: &[Token], array: usize, index: &str, passed: &mut u64) -> Option<usize> {
    if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut left = index.parse::<u32>().ok()?;
    let behind = tokens[array].next as usize;
    let mut at = array + 1;
    while at < behind {
        *passed += 1;
        if left == 0 {
            return Some(at);
        }
        left -= 1;
        at = tokens[at].next as usize;
    }
    None
}

fn text<'p>(payload: &'p [u8], token: &Token) -> Option<&'p str> {
    std::str::from_utf8(payload.get(token.start as usize..token.end as usize)?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Json, JsonLimits};
    use super::*;

    const DOCUMENT: &str = r#"{"t":1.5,"n":{"a":[10,{"x":"y"},[],30]},"s":"h\u00e9\n","":7,"t.u":8,
        "big":1e999,"yes":true,"no":null,"d":1,"d":2,"\u0061b":3,"neg":-0.25e1}"#;

    #[track_caller]
    fn check(path: &str, expect: Option<Found<'_>>) {
        let mut json = Json::default();
        let limits = JsonLimits { bytes_max: 4096, tokens_max: 100, depth_max: 8 };
        json.parse(DOCUMENT.as_bytes(), &limits).expect("a document");
        assert_eq!(json.find(DOCUMENT.as_bytes(), path).0, expect, "{path}");
    }

    #[test]
    fn paths_that_lead_nowhere() {
        for path in [
            "x",
            "t.x",
            "n.a.4",
            "n.a.-1",
            "n.a.+1",
            "n.a.x",
            "n.a.",
            "n.a.1.y",
            "t.u",
            ".t",
            "t.",
            "s.0",
            "n.a.99999999999999999999",
            "n.a.2.0",
            "no.x",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn paths_that_lead_to_values() {
        check("t", Some(Found::Number("1.5")));
        check("n.a.0", Some(Found::Number("10")));
        check("n.a.3", Some(Found::Number("30")));
        check("n.a.1.x", Some(Found::Plain("y")));
        check("s", Some(Found::Escaped("h\\u00e9\\n")));
        check("", Some(Found::Other));
        check("big", Some(Found::Number("1e999")));
        check("yes", Some(Found::Other));
        check("no", Some(Found::Other));
        check("d", Some(Found::Number("2")));
        check("ab", Some(Found::Number("3")));
        check("neg", Some(Found::Number("-0.25e1")));
    }

    #[test]
    fn strings_are_unescaped() {
        let found = Found::Escaped("h\\u00e9\\n");
        let mut buf = vec![0; found.text_len().expect("a string")];
        found.write_text(&mut buf);
        assert_eq!(buf, "hé\n".as_bytes());
        assert_eq!(Found::Number("1.0").text_len(), None);
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(Found::Number("1e999").number(), None);
        assert_eq!(Found::Number("-0.25e1").number(), Some(-2.5));
        assert_eq!(Found::Number("1e-999").number(), Some(0.0));
        assert_eq!(Found::Plain("1").number(), None);
    }
}
