//! What the gateway itself says upstream: that records were lost, and what became of one that was refused.
//!
//! Both are compact JSON, whatever their stream's format, so that a person can read them. `gateway/envelope`
//! reads them again.
//!
//! ```text
//! losses        {"stream":S,"reason":R,"count":N,"first_seq":N,"last_seq":N,"bytes":N}
//! dead-letters  {"stream":S,"seq":N,"reason":"refused","code":N,              <rest>}
//!               {"stream":S,"seq":N,"reason":"too-large","bytes":N,"max":N,   <rest>}
//!               {"stream":S,"seq":N,"reason":"no-topic",                      <rest>}
//! <rest>        "boot":N,"mono_ms":N[,"topic":T],"payload_bytes":N[,"payload_text":P | ,"payload_base64":P]
//! ```
//! `count` and `bytes` are sums since the store's beginning, the seqs lie around what was lost since the last
//! time it was told. A payload is left out when it is too long.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::commit::LedgerLine;
use crate::job::Failure;
use crate::message::Message;
use crate::record::{Record, Refusal};

/// The payload that tells upstream what a stream lost. `stream` is its name.
pub fn loss(stream: &str, line: &LedgerLine) -> Vec<u8> {
    let mut out = String::with_capacity(128);
    begin(&mut out, stream);
    text(&mut out, "reason", line.reason.name());
    number(&mut out, "count", line.count);
    number(&mut out, "first_seq", line.first_seq);
    number(&mut out, "last_seq", line.last_seq);
    number(&mut out, "bytes", line.bytes);
    out.push('}');
    out.into_bytes()
}

/// The payload that stands for a record that upstream did not take. It holds the record's own payload if that
/// has at most `payload_bytes_max` bytes.
pub fn dead_letter(
    stream: &str,
    record: &Record,
    refusal: &Refusal,
    payload_bytes_max: usize,
) -> Vec<u8> {
    let keep = record.payload.len() <= payload_bytes_max;
    let mut out = String::with_capacity(192 + if keep { record.payload.len() * 4 / 3 } else { 0 });
    begin(&mut out, stream);
    number(&mut out, "seq", record.seq);
    text(&mut out, "reason", refusal.name());
    match refusal {
        Refusal::Code(code) => number(&mut out, "code", u64::from(*code)),
        Refusal::TooLarge { bytes, max } => {
            number(&mut out, "bytes", *bytes as u64);
            number(&mut out, "max", *max as u64);
        }
        Refusal::NoTopic | Refusal::HangsUp => {}
    }
    number(&mut out, "boot", u64::from(record.stamp.boot));
    number(&mut out, "mono_ms", record.stamp.mono_ms);
    if let Some(topic) = &record.topic {
        text(&mut out, "topic", topic);
    }
    payload(&mut out, &record.payload, payload_bytes_max);
    out.push('}');
    out.into_bytes()
}

/// The payload that stands for a message whose event failed in a handler: the handler's name, why, and the message.
pub fn failed_event(
    handler: &str,
    failure: &Failure,
    message: &Message,
    payload_bytes_max: usize,
) -> Vec<u8> {
    let mut out = String::with_capacity(192 + payload_bytes_max.min(message.payload.len()) * 4 / 3);
    out.push_str("{\"handler\":");
    write_json_string(handler, &mut out);
    text(&mut out, "reason", failure.name());
    text(&mut out, "topic", message.topic.as_str());
    text(&mut out, "source", &message.source);
    payload(&mut out, &message.payload, payload_bytes_max);
    out.push('}');
    out.into_bytes()
}

/// A payload's length, and the payload itself unless it is too long to keep.
fn payload(out: &mut String, payload: &[u8], bytes_max: usize) {
    number(out, "payload_bytes", payload.len() as u64);
    if payload.len() > bytes_max {
        return;
    }
    match core::str::from_utf8(payload) {
        Ok(payload) => text(out, "payload_text", payload),
        Err(_) => {
            key(out, "payload_base64");
            write_base64(payload, out);
        }
    }
}

fn begin(out: &mut String, stream: &str) {
    out.push_str("{\"stream\":");
    write_json_string(stream, out);
}

fn key(out: &mut String, key: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
}

fn text(out: &mut String, name: &str, value: &str) {
    key(out, name);
    write_json_string(value, out);
}

fn number(out: &mut String, name: &str, value: u64) {
    key(out, name);
    write!(out, "{value}").expect("a String takes everything");
}

/// Appends `text` as a JSON string, with what RFC 8259 section 7 says must be escaped.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    while let Some(at) = rest.bytes().position(is_special) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            byte => write!(out, "\\u{byte:04x}").expect("a String takes everything"),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends `bytes` as a JSON string in base64 with padding (RFC 4648 section 4).
pub fn write_base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.push('"');
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at)) as usize & 63;
            out.push(if at <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::sync::Arc;

    use super::*;
    use crate::record::{LossReason, Stamp, StreamId};
    use crate::time::WallTime;

    #[track_caller]
    fn check(bytes: Vec<u8>, expect: &str) {
        assert_eq!(String::from_utf8(bytes).expect("text"), expect);
    }

    fn record(payload: &[u8], topic: Option<&str>) -> Record {
        Record {
            seq: 9,
            stream: StreamId::of("raw"),
            priority: 0,
            ttl_s: 0,
            stamp: Stamp { boot: 3, mono_ms: 70, wall: WallTime::default() },
            topic: topic.map(Arc::from),
            payload: Arc::from(payload),
        }
    }

    #[test]
    fn a_loss_is_told_like_this() {
        let line = LedgerLine {
            stream: StreamId::of("raw"),
            reason: LossReason::DroppedOldest,
            count: u64::MAX,
            told: 1,
            first_seq: 2,
            last_seq: 40,
            bytes: 800,
        };
        check(
            loss("raw", &line),
            r#"{"stream":"raw","reason":"dropped-oldest","count":18446744073709551615,"first_seq":2,"last_seq":40,"bytes":800}"#,
        );
    }

    #[test]
    fn a_dead_letter_is_told_like_this() {
        let of = |payload: &[u8], topic, refusal| {
            dead_letter("raw", &record(payload, topic), &refusal, 4)
        };
        check(
            of(b"{\"\\\n", Some("a/\u{1}"), Refusal::Code(135)),
            r#"{"stream":"raw","seq":9,"reason":"refused","code":135,"boot":3,"mono_ms":70,"topic":"a/\u0001","payload_bytes":4,"payload_text":"{\"\\\n"}"#,
        );
        check(
            of(b"\xff\x00", None, Refusal::NoTopic),
            r#"{"stream":"raw","seq":9,"reason":"no-topic","boot":3,"mono_ms":70,"payload_bytes":2,"payload_base64":"/wA="}"#,
        );
        check(
            of(b"12345", None, Refusal::TooLarge { bytes: 6, max: 5 }),
            r#"{"stream":"raw","seq":9,"reason":"too-large","bytes":6,"max":5,"boot":3,"mono_ms":70,"payload_bytes":5}"#,
        );
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expect) in [
            ("", "\"\""),
            ("f", "\"Zg==\""),
            ("fo", "\"Zm8=\""),
            ("foo", "\"Zm9v\""),
            ("foob", "\"Zm9vYg==\""),
        ] {
            let mut out = String::new();
            write_base64(bytes.as_bytes(), &mut out);
            assert_eq!(out, expect.to_string(), "{bytes}");
        }
    }
}
