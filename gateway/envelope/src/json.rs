//! The JSON layout.

use std::fmt::Write;
use std::str::from_utf8;

use serde::de::IgnoredAny;
use tidegate_core::notice::{write_base64, write_json_string};

use crate::encode::Fields;
use crate::{field, quality_name};

/// A payload that is nested deeper is a string to us: many parsers stop at 100 levels or so.
const DEPTH_MAX: usize = 64;

/// The object; `on_one_line` without the line breaks that an embedded payload may have.
pub(crate) fn write(fields: &Fields<'_>, on_one_line: bool) -> String {
    let topic_len = fields.topic.map_or(0, str::len);
    let mut out = String::with_capacity(Fields::BYTES + topic_len + fields.payload.len() * 3 / 2);
    out.push('{');
    text(&mut out, field::GATEWAY, fields.gateway);
    put(&mut out, field::EPOCH, format_args!("\"{:016x}\"", fields.epoch));
    put(&mut out, field::SEQ, fields.seq);
    text(&mut out, field::STREAM, fields.stream);
    put(&mut out, field::TS, fields.at.unix_us);
    text(&mut out, field::CLOCK_QUALITY, quality_name(fields.at.quality));
    put(&mut out, field::HISTORICAL, fields.historical);
    put(&mut out, field::BOOT, fields.boot);
    put(&mut out, field::MONO_MS, fields.mono_ms);
    if let Some(topic) = fields.topic {
        text(&mut out, field::TOPIC, topic);
    }
    payload(&mut out, fields.payload, on_one_line);
    out.push('}');
    out
}

fn key(out: &mut String, name: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
}

fn text(out: &mut String, name: &str, value: &str) {
    key(out, name);
    write_json_string(value, out);
}

fn put(out: &mut String, name: &str, value: impl std::fmt::Display) {
    key(out, name);
    write!(out, "{value}").expect("a String takes everything");
}

fn payload(out: &mut String, payload: &[u8], on_one_line: bool) {
    match from_utf8(payload) {
        Ok(json) if is_embeddable(json) => {
            key(out, field::PAYLOAD);
            if on_one_line {
                // In valid JSON a line break stands between tokens, where a space does as well.
                out.extend(json.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
            } else {
                out.push_str(json);
            }
        }
        Ok(plain) => text(out, "payload_text", plain),
        Err(_) => {
            key(out, "payload_base64");
            write_base64(payload, out);
        }
    }
}

/// Whether a payload can stand in an object as it is, and be taken out again byte for byte.
fn is_embeddable(payload: &str) -> bool {
    let is_space = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii_whitespace());
    let bytes = payload.as_bytes();
    !is_space(bytes.first())
        && !is_space(bytes.last())
        && depth(bytes) <= DEPTH_MAX
        && serde_json::from_str::<IgnoredAny>(payload).is_ok()
}

/// How deep it is nested, if it is JSON.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut most) = (0usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' if !in_string => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_that_comes_out_again_is_embedded() {
        for good in ["{}", "[1, 2]", "null", "-1.5e3", "\"a\\n\"", "{\"a\":\n1}", "\"]]]\\\"[[\""] {
            assert!(is_embeddable(good), "{good}");
        }
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(is_embeddable(&deep(DEPTH_MAX)));
        for bad in [
            "",
            " {}",
            "1\n",
            "{",
            "1 2",
            "nul",
            "01",
            "{a:1}",
            "'a'",
            "\"\u{1}\"",
            &deep(DEPTH_MAX + 1),
        ] {
            assert!(!is_embeddable(bad), "{bad}");
        }
    }
}
