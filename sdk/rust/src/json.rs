//! JSON objects, written into a [`Text`] in one go.

use crate::{Fixed, Piece, Text};

/// What can stand as a value in [`json!`](crate::json).
pub trait Value {
    fn put_value<const N: usize>(&self, out: &mut Text<N>);
}

/// JSON that is ready: an object within an object, or a field copied as it came.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a>(pub &'a str);

impl Value for Raw<'_> {
    #[inline]
    fn put_value<const N: usize>(&self, out: &mut Text<N>) {
        out.put_str(self.0);
    }
}

impl Value for str {
    #[inline]
    fn put_value<const N: usize>(&self, out: &mut Text<N>) {
        out.put_ascii(b"\"");
        put_escaped(out, self);
        out.put_ascii(b"\"");
    }
}

impl<const M: usize> Value for Text<M> {
    #[inline]
    fn put_value<const N: usize>(&self, out: &mut Text<N>) {
        self.as_str().put_value(out);
    }
}

impl Value for Fixed {
    #[inline]
    fn put_value<const N: usize>(&self, out: &mut Text<N>) {
        if self.is_finite() { self.put_into(out) } else { out.put_ascii(b"null") }
    }
}

impl<T: Value> Value for Option<T> {
    #[inline]
    fn put_value<const N: usize>(&self, out: &mut Text<N>) {
        match self {
            Some(value) => value.put_value(out),
            None => out.put_ascii(b"null"),
        }
    }
}

impl<T: Value> Value for [T] {
    fn put_value<const N: usize>(&self, out: &mut Text<N>) {
        out.put_ascii(b"[");
        for (index, value) in self.iter().enumerate() {
            if index > 0 {
                out.put_ascii(b",");
            }
            value.put_value(out);
        }
        out.put_ascii(b"]");
    }
}

impl<T: Value + ?Sized> Value for &T {
    #[inline]
    fn put_value<const N: usize>(&self, out: &mut Text<N>) {
        (**self).put_value(out);
    }
}

macro_rules! as_written {
    ($($plain:ty),+) => {
        $(impl Value for $plain {
            #[inline]
            fn put_value<const N: usize>(&self, out: &mut Text<N>) {
                self.put_into(out);
            }
        })+
    };
}
as_written!(bool, i8, i16, i32, i64, u8, u16, u32, u64, usize);

/// Adds `text` with what JSON wants escaped (RFC 8259, section 7): runs in between are copied whole.
fn put_escaped<const N: usize>(out: &mut Text<N>, text: &str) {
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if is_plain_byte(byte) {
            continue;
        }
        out.put_str(text.get(start..at).unwrap_or_default());
        start = at + 1;
        match byte {
            b'"' => out.put_ascii(b"\\\""),
            b'\\' => out.put_ascii(b"\\\\"),
            b'\n' => out.put_ascii(b"\\n"),
            b'\r' => out.put_ascii(b"\\r"),
            b'\t' => out.put_ascii(b"\\t"),
            control => {
                let hex = |digit: u8| {
                    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
                };
                out.put_ascii(&[b'\\', b'u', b'0', b'0', hex(control >> 4), hex(control & 15)]);
            }
        }
    }
    out.put_str(text.get(start..).unwrap_or_default());
}

const fn is_plain_byte(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// Whether a key needs no escape. Used by [`json!`](crate::json) when the handler is compiled.
#[doc(hidden)]
pub const fn is_plain(key: &str) -> bool {
    let bytes = key.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !is_plain_byte(bytes[at]) {
            return false;
        }
        at += 1;
    }
    true
}

/// `json!(64; "fan": "on", "ewma": fixed(ewma, 1), "seq": seq)`: an object of at most so many bytes.
///
/// Keys are literals. Values are strings, whole numbers, `bool`, [`fixed`](crate::fixed), slices and
/// `Option`s of those (`None` is `null`), and [`Raw`](crate::Raw).
/// [`Error::TooLarge`](crate::Error::TooLarge) when it does not fit.
#[macro_export]
macro_rules! json {
    ($bytes:expr; $first:literal : $value:expr $(, $key:literal : $more:expr)* $(,)?) => {{
        const {
            assert!($crate::is_plain($first) $(&& $crate::is_plain($key))*, "a key may not hold quotes");
        }
        let mut text = $crate::Text::<{ $bytes }>::new();
        text.put_str(concat!("{\"", $first, "\":"));
        $crate::Value::put_value(&$value, &mut text);
        $(
            text.put_str(concat!(",\"", $key, "\":"));
            $crate::Value::put_value(&$more, &mut text);
        )*
        text.put_str("}");
        text.whole()
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, fixed};

    #[test]
    fn an_object_that_does_not_fit_is_an_error() {
        assert_eq!(json!(16; "name": "much too long").err(), Some(Error::TooLarge));
        assert_eq!(json!(9; "a": 12345).err(), Some(Error::TooLarge));
        assert!(json!(9; "a": 123).is_ok());
    }

    #[test]
    fn strings_are_escaped() {
        let object = json!(64; "s": "a\"b\\c\nd\u{1}é").expect("fits");
        assert_eq!(object, r#"{"s":"a\"b\\c\nd\u0001é"}"#);
    }

    #[test]
    fn every_kind_of_value_is_json() {
        let none: Option<i64> = None;
        let object =
            json!(160; "fan": "on", "ewma": fixed(63.15, 1), "seq": 17, "nan": fixed(f64::NAN, 1),
            "none": none, "some": Some(true), "list": [1u8, 2][..], "raw": Raw("{\"x\":[]}"))
            .expect("fits");
        assert_eq!(
            object,
            r#"{"fan":"on","ewma":63.1,"seq":17,"nan":null,"none":null,"some":true,"list":[1,2],"raw":{"x":[]}}"#
        );
    }
}
