//! The events.

use std::sync::Arc;

use tidegate_core::Message;
use tidegate_core::job::Event;
use tidegate_core::message::QoS;
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_core::topic::Topic;

/// Numbers at the ends of what a double holds and in all ways to write them; texts with every escape; broken ones.
const PAYLOADS: [&str; 30] = [
    r#"{"a":71.5,"b":3,"s":"on","n":[{"x":1}]}"#,
    r#"{"a":0,"b":-0.0,"s":""}"#,
    r#"{"a":-0,"b":0,"s":"a\u00e9\n\t\\\"\/"}"#,
    r#"{"a":0.1,"b":0.2,"s":"\ud83d\ude00"}"#,
    r#"{"a":1e308,"b":1e-308}"#,
    r#"{"a":1.7976931348623157e308,"b":10}"#,
    r#"{"a":1e309,"b":-1e309}"#,
    r#"{"a":5e-324,"b":2.2250738585072011e-308}"#,
    r#"{"a":2.2250738585072014e-308,"b":4.9406564584124654e-324}"#,
    r#"{"a":9007199254740993,"b":9007199254740992}"#,
    r#"{"a":123456789012345678901234567890,"b":-1}"#,
    r#"{"a":4294967296,"b":-2147483649}"#,
    r#"{"a":9223372036854775808,"b":18446744073709551616}"#,
    r#"{"a":2.5,"b":-2.5}"#,
    r#"{"a":3.4028235677973366e38,"b":1.1754943508222875e-38}"#,
    r#"{"a":0.000000000000000000000000000000000000000000001,"b":1.0000000000000002220446049250313}"#,
    r#"{"a":179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880,"b":7}"#,
    r#"{"a":true,"b":null,"s":12}"#,
    r#"{"a":"71.5","b":"3","s":{"t":1}}"#,
    r#"{"n":[{"x":-12345.678e-2}],"a":1E+2,"b":1e-2}"#,
    r#"{"a":.5,"b":5.}"#,
    r#"{"a":01,"b":+1}"#,
    r#"{"a":1,"a":2,"b":3,"s":"first","s":"second"}"#,
    r#"{"s":"\ud83d","a":1}"#,
    r#"{"s":"a text that is longer than forty-eight bytes, so that it is cut somewhere"}"#,
    r#"[1,2,3]"#,
    r#"{"a":1"#,
    "",
    "not json",
    "{\"s\":\"\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\",\"a\":1e0}",
];

/// When the first of them happens.
pub const START_US: i64 = 1_790_000_000_000_000;

/// One after the other, 1.5 s apart.
pub fn all() -> Vec<Event> {
    let texts = PAYLOADS.iter().map(|text| text.as_bytes());
    let binary: [&[u8]; 2] = [b"\xff\x00\xfe{\"a\":1}", &[7; 1500]];
    (1..).zip(texts.chain(binary)).map(|(id, payload)| event(id, payload)).collect()
}

fn event(id: u64, payload: &[u8]) -> Event {
    let qualities = [ClockQuality::None, ClockQuality::Floor, ClockQuality::Ntp];
    let quality = qualities[id as usize % qualities.len()];
    let message = Message {
        topic: Topic::new("devices/7/telemetry").expect("a topic"),
        payload: Arc::from(payload),
        qos: if id.is_multiple_of(2) { QoS::AtLeastOnce } else { QoS::AtMostOnce },
        retain: id.is_multiple_of(5),
        dup: false,
        source: "device-7".into(),
        at: WallTime { unix_us: START_US + id as i64 * 1_500_000, quality },
        hops: 0,
        mark: None,
    };
    Event { id, message: Arc::new(message), ticket: None, attempt: 0, first: false, invoke: None }
}
