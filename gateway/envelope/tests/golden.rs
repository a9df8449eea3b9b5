//! The bytes of every layout: what receivers rely on. If one of these changes, they break.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use tidegate_core::commit::LedgerLine;
use tidegate_core::notice;
use tidegate_core::record::{LossReason, Record, Refusal, Sending, Stamp, StreamId};
use tidegate_core::stream::Format;
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_envelope::{DeadLetter, Encoded, Envelope, Error, Identity, Loss, decode, encode};

fn identity() -> Identity {
    Identity { gateway: "gw-01".to_owned(), epoch: 0x00c0_ffee_0000_0001 }
}

fn sending(payload: &[u8], topic: Option<&str>, quality: ClockQuality) -> Sending {
    let record = Record {
        seq: 300,
        stream: StreamId::of("alerts"),
        priority: 7,
        ttl_s: 0,
        stamp: Stamp { boot: 3, mono_ms: 70_000, wall: WallTime::default() },
        topic: topic.map(Arc::from),
        payload: Arc::from(payload),
    };
    let at = WallTime { unix_us: 1_790_000_000_000_000, quality };
    Sending { record: Arc::new(record), at, historical: topic.is_some() }
}

fn written(payload: &[u8], topic: Option<&str>, format: Format) -> Encoded {
    encode(&sending(payload, topic, ClockQuality::Ntp), &identity(), "alerts", format)
}

fn envelope(payload: &[u8], topic: Option<&str>) -> Envelope {
    Envelope {
        gateway: "gw-01".to_owned(),
        epoch: 0x00c0_ffee_0000_0001,
        seq: 300,
        stream: "alerts".to_owned(),
        at: WallTime { unix_us: 1_790_000_000_000_000, quality: ClockQuality::Ntp },
        historical: topic.is_some(),
        boot: 3,
        mono_ms: 70_000,
        topic: topic.map(str::to_owned),
        payload: payload.to_vec(),
    }
}

#[track_caller]
fn read(encoded: &Encoded) -> Envelope {
    decode(&encoded.payload, &encoded.properties).unwrap()
}

#[test]
fn cbor() {
    let expect = [
        &b"\xab"[..],
        b"\x62ts\x1b\x00\x06\x5b\xfe\xda\x25\xe0\x00",
        b"\x63seq\x19\x01\x2c",
        b"\x64boot\x03",
        b"\x65epoch\x7000c0ffee00000001",
        b"\x65topic\x69devices/7",
        b"\x66stream\x66alerts",
        b"\x67gateway\x65gw-01",
        b"\x67mono_ms\x1a\x00\x01\x11\x70",
        b"\x67payload\x43\xff\x00a",
        b"\x6ahistorical\xf5",
        b"\x6dclock_quality\x63ntp",
    ]
    .concat();
    let encoded = written(b"\xff\x00a", Some("devices/7"), Format::Cbor);
    assert_eq!(encoded.payload, expect, "{:02x?}", encoded.payload);
    assert_eq!(encoded.properties, []);
    assert_eq!(read(&encoded), envelope(b"\xff\x00a", Some("devices/7")));
    // Keys stand in the order of their encoded bytes.
    let without = written(b"", None, Format::Cbor);
    assert_eq!(without.payload[0], 0xaa);
    assert_eq!(read(&without), envelope(b"", None));
}

#[test]
fn json() {
    for (payload, field) in [
        (&b"{\"temp\": 70.5}"[..], r#""payload":{"temp": 70.5}"#),
        (b"null", r#""payload":null"#),
        (b"[1,\n2]", "\"payload\":[1,\n2]"),
        (b"on \"fire\"", r#""payload_text":"on \"fire\"""#),
        (b"", r#""payload_text":"""#),
        (b" 1", r#""payload_text":" 1""#),
        (b"\xff\x00a", r#""payload_base64":"/wBh""#),
    ] {
        let encoded = written(payload, Some("devices/\"7\""), Format::Json);
        let expect = format!(
            r#"{{"gateway":"gw-01","epoch":"00c0ffee00000001","seq":300,"stream":"alerts","ts":1790000000000000,"clock_quality":"ntp","historical":true,"boot":3,"mono_ms":70000,"topic":"devices/\"7\"",{field}}}"#
        );
        assert_eq!(String::from_utf8(encoded.payload.clone()).unwrap(), expect);
        assert_eq!(encoded.properties, []);
        let envelope = envelope(payload, Some("devices/\"7\""));
        assert_eq!(read(&encoded), envelope);
        assert_eq!(envelope.to_json_line(), expect.replace('\n', " "));
    }
    assert_eq!(read(&written(b"1", None, Format::Json)), envelope(b"1", None));
}

#[test]
fn raw() {
    let encoded = written(b"\xff\x00a", Some("devices/7"), Format::Raw);
    assert_eq!(encoded.payload, b"\xff\x00a");
    let properties: Vec<(&str, &str)> =
        encoded.properties.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(
        properties,
        [
            ("gateway", "gw-01"),
            ("epoch", "00c0ffee00000001"),
            ("seq", "300"),
            ("stream", "alerts"),
            ("ts", "1790000000000000"),
            ("clock_quality", "ntp"),
            ("historical", "true"),
            ("boot", "3"),
            ("mono_ms", "70000"),
            ("topic", "devices/7"),
        ]
    );
    assert_eq!(read(&encoded), envelope(b"\xff\x00a", Some("devices/7")));
    assert_eq!(read(&written(b"{}", None, Format::Raw)), envelope(b"{}", None));
}

#[test]
fn a_clock_that_was_never_set_is_said_so() {
    for (quality, name) in
        [(ClockQuality::None, "none"), (ClockQuality::Floor, "floor"), (ClockQuality::Ntp, "ntp")]
    {
        for format in [Format::Cbor, Format::Json, Format::Raw] {
            let mut sending = sending(b"x", None, quality);
            sending.at.unix_us = -5;
            let envelope = read(&encode(&sending, &identity(), "alerts", format));
            assert_eq!((envelope.at.unix_us, envelope.at.quality), (-5, quality), "{name}");
            assert!(envelope.to_json_line().contains(&format!("\"clock_quality\":\"{name}\"")));
        }
    }
}

#[test]
fn what_is_no_envelope_is_refused() {
    let json = |text: &str| decode(text.as_bytes(), &[]).unwrap_err();
    assert!(matches!(json(""), Error::Unknown));
    assert!(matches!(json("hello"), Error::Unknown));
    assert!(matches!(json("{\"seq\":1"), Error::Json(_)));
    assert!(matches!(json("{\"seq\":\"1\"}"), Error::Json(_)));
    assert!(matches!(json("{}"), Error::Missing("clock_quality")));
    let good = String::from_utf8(written(b"1", None, Format::Json).payload).unwrap();
    for (from, to, expect) in [
        ("\"seq\":300", "\"seq\":0", "has a `seq` that cannot be"),
        ("00c0ffee00000001", "c0ffee", "has a `epoch` that cannot be"),
        ("00c0ffee00000001", "+0c0ffee00000001", "has a `epoch` that cannot be"),
        ("\"ntp\"", "\"gps\"", "has a `clock_quality` that cannot be"),
        ("\"payload\":1", "\"payload\":1,\"payload_text\":\"1\"", "has a `payload` that cannot be"),
        ("\"payload\":1", "\"payload_base64\":\"?\"", "has a `payload_base64` that cannot be"),
        (",\"payload\":1", "", "has no `payload`"),
        ("\"gateway\":\"gw-01\",", "", "has no `gateway`"),
    ] {
        assert!(good.contains(from));
        assert_eq!(json(&good.replace(from, to)).to_string(), expect);
    }
    let raw = written(b"1", None, Format::Raw);
    for at in 0..raw.properties.len() {
        let mut fewer = raw.properties.clone();
        fewer.remove(at);
        assert!(decode(&raw.payload, &fewer).is_err());
        let mut twice = raw.properties.clone();
        twice.push(twice[at].clone());
        assert!(decode(&raw.payload, &twice).is_err());
    }
}

#[test]
fn what_is_new_in_an_envelope_is_passed_over() {
    let mut cbor = written(b"1", None, Format::Cbor).payload;
    cbor[0] += 1;
    cbor.extend_from_slice(b"\x63new\x82\x01\xa1\x61a\xf6");
    assert_eq!(decode(&cbor, &[]).unwrap(), envelope(b"1", None));
    let json = String::from_utf8(written(b"1", None, Format::Json).payload).unwrap();
    let json = json.replace("\"seq\"", "\"new\":[{}],\"seq\"");
    assert_eq!(decode(json.as_bytes(), &[]).unwrap(), envelope(b"1", None));
    let mut raw = written(b"1", None, Format::Raw);
    raw.properties.push(("new".to_owned(), "x".to_owned()));
    assert_eq!(read(&raw), envelope(b"1", None));
}

#[test]
fn damage_never_panics_and_a_part_is_never_a_whole() {
    for format in [Format::Cbor, Format::Json] {
        let good = written(b"{\"a\":[1,2]}", Some("t"), format).payload;
        for len in 0..good.len() {
            assert!(decode(&good[..len], &[]).is_err(), "{format:?} cut to {len}");
        }
        let mut longer = good.clone();
        longer.push(b'x');
        assert!(decode(&longer, &[]).is_err());
        let mut refused = 0;
        for at in 0..good.len() {
            for byte in [0x00, 0x1f, 0x3b, 0x5b, 0x7b, 0x9f, 0xbb, 0xff, good[at] ^ 1] {
                let mut bad = good.clone();
                bad[at] = byte;
                refused += usize::from(decode(&bad, &[]).is_err());
            }
        }
        assert!(refused > good.len());
    }
}

#[test]
fn the_gateways_own_words_are_read_again() {
    let line = LedgerLine {
        stream: StreamId::of("raw"),
        reason: LossReason::Expired,
        count: 5,
        told: 2,
        first_seq: 10,
        last_seq: 20,
        bytes: 99,
    };
    let loss = Loss::read(&notice::loss("raw", &line)).unwrap();
    assert_eq!((&loss.stream[..], &loss.reason[..]), ("raw", "expired"));
    assert_eq!((loss.count, loss.first_seq, loss.last_seq, loss.bytes), (5, 10, 20, 99));
    assert!(Loss::read(b"{}").is_err());

    for (payload, refusal, max) in [
        (&b"text"[..], Refusal::Code(135), 100),
        (b"\xff", Refusal::NoTopic, 100),
        (b"long", Refusal::TooLarge { bytes: 4, max: 3 }, 3),
    ] {
        let record = sending(payload, Some("a\nb"), ClockQuality::None).record;
        let letter = DeadLetter::read(&notice::dead_letter("raw", &record, &refusal, max)).unwrap();
        assert_eq!(letter.reason, refusal.name());
        assert_eq!((letter.seq, letter.boot, letter.mono_ms), (300, 3, 70_000));
        assert_eq!(letter.topic.as_deref(), Some("a\nb"));
        assert_eq!(letter.payload_bytes, payload.len() as u64);
        assert_eq!(letter.payload(), (max > 3).then(|| payload.to_vec()));
    }
}
