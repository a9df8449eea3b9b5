//! `golden.json` in a handler's folder: events, and what must come of them.
//!
//! ```json
//! [
//!   { "topic": "devices/a/telemetry", "payload": "{\"temp\": 71.3, \"seq\": 1}",
//!     "expect": [ { "publish": { "topic": "devices/a/cmd", "payload": "{\"fan\":\"on\"}" } } ] },
//!   { "topic": "devices/a/telemetry", "payload_json": { "temp": 20 }, "expect": [] },
//!   { "topic": "devices/a/telemetry", "payload": "not json", "expect": [ "fails" ] }
//! ]
//! ```
//! `payload_json` is written without spaces, keys in order; what must come is always the exact text.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use tidegate_release::Name;
use tidegate_release::golden::{Case, Expect, Golden};

use crate::failure::Failure;

/// Its name.
pub const FILE: &str = "golden.json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    topic: String,
    payload: Option<String>,
    payload_json: Option<serde_json::Value>,
    #[serde(default)]
    expect: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Written {
    Publish(WrittenPublish),
    Send(WrittenSend),
    Pin(WrittenPin),
    Nothing,
    Fails,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPublish {
    topic: String,
    payload: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSend {
    stream: String,
    payload: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPin {
    name: String,
    on: bool,
}

/// The golden events of a handler's folder, when it has some.
///
/// # Errors
/// When the file is there and is wrong: where.
pub fn read(dir: &Path) -> Result<Option<Golden>, Failure> {
    let path = dir.join(FILE);
    let told = |what: String| Failure::data(format!("{}: {what}", path.display()));
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).map(Some).map_err(told),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(told(format!("cannot be read: {error}"))),
    }
}

fn parse(text: &str) -> Result<Golden, String> {
    let written: Vec<WrittenCase> = serde_json::from_str(text).map_err(|error| {
        format!(
            "{error}; it is a list of {{\"topic\": .., \"payload\": .., \"expect\": [{{\"publish\": {{\"topic\": .., \
             \"payload\": ..}}}}]}}"
        )
    })?;
    let cases = (1..).zip(written).map(|(number, case)| {
        case.into_case().map_err(|what| format!("golden event {number}: {what}"))
    });
    let golden = Golden { cases: cases.collect::<Result<_, _>>()? };
    golden.encode().map_err(|error| error.to_string())?;
    Ok(golden)
}

impl WrittenCase {
    fn into_case(self) -> Result<Case, String> {
        let payload = match (self.payload, self.payload_json) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(value)) => value.to_string().into_bytes(),
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => return Err("has payload and payload_json; keep one".to_owned()),
        };
        let mut expect: Vec<Expect> =
            self.expect.into_iter().map(Written::into_expect).collect::<Result<_, _>>()?;
        if expect.is_empty() {
            expect.push(Expect::Nothing);
        }
        Ok(Case { topic: self.topic, payload, expect })
    }
}

impl Written {
    fn into_expect(self) -> Result<Expect, String> {
        Ok(match self {
            Written::Publish(WrittenPublish { topic, payload }) => {
                Expect::Publish { topic, payload: payload.into_bytes() }
            }
            Written::Send(WrittenSend { stream, payload }) => {
                let name = Name::new(&stream).map_err(|error| format!("{stream:?} {error}"))?;
                Expect::Send { stream: name, payload: payload.into_bytes() }
            }
            Written::Pin(WrittenPin { name, on }) => {
                let name = Name::new(&name).map_err(|error| format!("{name:?} {error}"))?;
                Expect::Pin { name, on }
            }
            Written::Nothing => Expect::Nothing,
            Written::Fails => Expect::Fails,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_golden_event_is_refused_with_its_place() {
        for (text, part) in [
            ("{}", "it is a list of"),
            ("[{\"topic\": \"a\", \"expct\": []}]", "line 1"),
            (
                "[{\"topic\": \"a\", \"payload\": \"1\", \"payload_json\": 1}]",
                "golden event 1: has payload and",
            ),
            ("[{\"topic\": \"a\", \"expect\": [\"fials\"]}]", "fials"),
            (
                "[{\"topic\": \"a\", \"expect\": [{\"send\": {\"stream\": \"A\", \"payload\": \"\"}}]}]",
                "\"A\" is no name",
            ),
            ("[{\"topic\": \"a/+\"}]", "golden event 1"),
            ("[]", "give 1 to 64"),
            ("[{\"topic\": \"a\", \"expect\": [\"fails\", \"nothing\"]}]", "stand alone"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn events_are_read_in_order() {
        let golden = parse(
            r#"[{"topic": "a", "payload_json": {"b": 1, "a": 2.5}, "expect": [
                   {"publish": {"topic": "x", "payload": "1"}}, {"send": {"stream": "alerts", "payload": "2"}}]},
                {"topic": "b"}, {"topic": "c", "payload": "no", "expect": ["fails"]}]"#,
        )
        .expect("it is good");
        let [first, second, third] = &golden.cases[..] else {
            panic!("three events");
        };
        assert_eq!(first.payload, br#"{"a":2.5,"b":1}"#);
        let stream = Name::new("alerts").expect("a name");
        let expect = [
            Expect::Publish { topic: "x".to_owned(), payload: b"1".to_vec() },
            Expect::Send { stream, payload: b"2".to_vec() },
        ];
        assert_eq!(first.expect, expect);
        assert_eq!(second.expect, [Expect::Nothing]);
        assert_eq!(third.expect, [Expect::Fails]);
    }
}
