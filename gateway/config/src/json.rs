//! Writes JSON. A few small documents leave this crate and the daemon, which is not worth a dependency on a serialiser.

use std::fmt::Write;

/// A JSON value that is about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Text(String),
    Number(u64),
    Flag(bool),
    Null,
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
    /// An object whose names are data.
    Map(Vec<(String, Json)>),
}

impl Json {
    pub fn text(text: impl Into<String>) -> Json {
        Json::Text(text.into())
    }

    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Json {
        Json::List(texts.into_iter().map(Json::text).collect())
    }

    /// The document on one line.
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Text(text) => string(text, out),
            Json::Number(number) => out.push_str(&number.to_string()),
            Json::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Json::Null => out.push_str("null"),
            Json::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(fields) => object(fields.iter().map(|(name, value)| (*name, value)), out),
            Json::Map(fields) => {
                object(fields.iter().map(|(name, value)| (name.as_str(), value)), out);
            }
        }
    }
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a Json)>, out: &mut String) {
    out.push('{');
    for (i, (name, value)) in fields.enumerate() {
        if i > 0 {
            out.push(',');
        }
        string(name, out);
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

/// A string with what RFC 8259 section 7 says must be escaped.
fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if (c as u32) < 0x20 => {
                write!(out, "\\u{:04x}", c as u32).expect("a String takes everything");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_escaped() {
        let json = Json::Object(vec![
            ("a", Json::text("q\" b\\ n\n t\t é\u{1}")),
            ("n", Json::Number(7)),
            ("l", Json::texts(["x", "y"])),
            ("f", Json::Flag(false)),
            ("z", Json::Null),
            ("e", Json::List(Vec::new())),
            ("m", Json::Map(vec![("k\"".to_owned(), Json::Number(1))])),
        ]);
        assert_eq!(
            json.render(),
            r#"{"a":"q\" b\\ n\n t\u0009 é\u0001","n":7,"l":["x","y"],"f":false,"z":null,"e":[],"m":{"k\"":1}}"#
        );
    }
}
