//! What became of one event, as JSON.

use std::time::Duration;

use serde::Serialize;
use tidegate_core::job::{Event, EventOutcome, Failure, LogLine, Publish, Send, Verdict, Write};
use tidegate_core::pins::{PinWrite, Pins};
use tidegate_core::stream::Streams;

/// One event and its effects.
#[derive(Debug, Serialize)]
pub struct Shown {
    topic: String,
    /// `done`, `retry` or `failed`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    fuel: u64,
    time_us: f64,
    effects: Vec<Effect>,
}

/// One effect, or a line that the handler logged.
#[derive(Debug, Serialize)]
#[serde(tag = "effect", rename_all = "lowercase")]
enum Effect {
    Publish {
        topic: String,
        payload: Bytes,
        qos: u8,
        retain: bool,
    },
    /// Without priority and lifetime where the stream's own count.
    Send {
        stream: String,
        payload: Bytes,
        #[serde(skip_serializing_if = "Option::is_none")]
        priority: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl_s: Option<u32>,
    },
    Pin {
        name: String,
        on: bool,
    },
    Set {
        key: Bytes,
        value: Bytes,
        ttl_s: u32,
    },
    Delete {
        key: Bytes,
    },
    Log {
        level: &'static str,
        text: String,
    },
    #[serde(rename = "logs-dropped")]
    LogsDropped {
        count: u32,
    },
}

/// Text where it is text, else hexadecimal. Eight bytes of state also as the two numbers that the SDK
/// may have meant by them.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Number { hex: String, f64: f64, i64: i64 },
    Hex { hex: String },
}

impl Bytes {
    fn new(bytes: &[u8]) -> Bytes {
        let text = std::str::from_utf8(bytes).ok();
        if let Some(text) =
            text.filter(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()))
        {
            return Bytes::Text(text.to_owned());
        }
        Bytes::Hex { hex: hex(bytes) }
    }

    fn of_state(bytes: &[u8]) -> Bytes {
        match <[u8; 8]>::try_from(bytes) {
            Ok(eight) => Bytes::Number {
                hex: hex(bytes),
                f64: f64::from_le_bytes(eight),
                i64: i64::from_le_bytes(eight),
            },
            Err(_) => Bytes::new(bytes),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<&Publish> for Effect {
    fn from(publish: &Publish) -> Effect {
        Effect::Publish {
            topic: publish.topic.to_string(),
            payload: Bytes::new(&publish.payload),
            qos: publish.qos as u8,
            retain: publish.retain,
        }
    }
}

impl Effect {
    fn of_send(send: &Send, streams: &Streams) -> Effect {
        let stream = streams.get(send.stream).expect("the host sends only to streams that it has");
        Effect::Send {
            stream: stream.name.clone(),
            payload: Bytes::new(&send.payload),
            priority: send.priority,
            ttl_s: (send.ttl_s > 0).then_some(send.ttl_s),
        }
    }
}

impl Effect {
    fn of_pin(write: &PinWrite, pins: &Pins) -> Effect {
        let pin = pins.get(write.pin).expect("the host sets only pins that there are");
        Effect::Pin { name: pin.name.clone(), on: write.on }
    }
}

impl From<&Write> for Effect {
    fn from(write: &Write) -> Effect {
        let key = Bytes::new(&write.key);
        match &write.value {
            Some(value) => Effect::Set { key, value: Bytes::of_state(value), ttl_s: write.ttl_s },
            None => Effect::Delete { key },
        }
    }
}

impl From<&LogLine> for Effect {
    fn from(line: &LogLine) -> Effect {
        let level = match line.level {
            1 => "error",
            2 => "warn",
            3 => "info",
            4 => "debug",
            _ => "trace",
        };
        Effect::Log { level, text: line.text.clone() }
    }
}

impl Shown {
    /// `streams` and `pins` are those that the handler ran with.
    pub fn new(
        event: &Event,
        outcome: &EventOutcome,
        (streams, pins): (&Streams, &Pins),
        took: Duration,
    ) -> Shown {
        let (verdict, reason) = match &outcome.verdict {
            Verdict::Done => ("done", None),
            Verdict::Retry => ("retry", None),
            Verdict::Failed(failure) => ("failed", Some(describe(failure))),
        };
        let mut effects: Vec<Effect> = outcome.publishes.iter().map(Effect::from).collect();
        effects.extend(outcome.sends.iter().map(|send| Effect::of_send(send, streams)));
        effects.extend(outcome.pins.iter().map(|write| Effect::of_pin(write, pins)));
        effects.extend(outcome.writes.iter().map(Effect::from));
        effects.extend(outcome.logs.iter().map(Effect::from));
        if outcome.logs_dropped > 0 {
            effects.push(Effect::LogsDropped { count: outcome.logs_dropped });
        }
        Shown {
            topic: event.message.topic.to_string(),
            verdict,
            reason,
            fuel: outcome.fuel_used,
            time_us: took.as_nanos() as f64 / 1000.0,
            effects,
        }
    }

    /// One JSON object on one line.
    pub fn line(&self) -> String {
        json(self) + "\n"
    }

    /// A line about the event, and one with JSON for each effect.
    pub fn describe(&self) -> String {
        let reason = self.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let mut text = format!(
            "{}  {}{reason}  ({} fuel, {:.1} us)\n",
            self.topic, self.verdict, self.fuel, self.time_us
        );
        for effect in &self.effects {
            text.push_str(&format!("  {}\n", json(effect)));
        }
        text
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers are JSON")
}

fn describe(failure: &Failure) -> String {
    match failure {
        Failure::Trap(name) => format!("it trapped ({name})"),
        Failure::OutOfFuel => "it used up limits.fuel".to_owned(),
        Failure::Deadline => "it ran longer than limits.deadline_ms".to_owned(),
        Failure::Quota(name) => format!("it went beyond {name}"),
        Failure::Returned(code) => {
            let error = tidegate_abi::Errno::from_code(*code);
            format!("it returned {code} ({error:?})")
        }
        Failure::RetriesUsedUp => "it asked for a retry too often".to_owned(),
        Failure::Quarantined => "it is in quarantine".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_are_text() {
        assert_eq!(Bytes::new("{\"é\": 1}".as_bytes()), Bytes::Text("{\"é\": 1}".to_owned()));
        assert_eq!(Bytes::new(b"\xff\x00"), Bytes::Hex { hex: "ff00".to_owned() });
        let number = 63.2f64.to_le_bytes();
        assert!(matches!(Bytes::of_state(&number), Bytes::Number { f64, .. } if f64 == 63.2));
        assert_eq!(
            json(&Bytes::of_state(&f64::NAN.to_le_bytes())),
            r#"{"hex":"000000000000f87f","f64":null,"i64":9221120237041090560}"#
        );
    }
}
