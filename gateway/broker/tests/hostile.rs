//! Bytes that no good client sends: one bad connection harms no other.

mod peer;

use mqtt_protocol_core::mqtt::packet::{Qos, v3_1_1, v5_0};
use peer::{
    Hello, V3, V5, World, ack, connect, packet, publish, publish_with, subscribe, subscribe_with,
    text, unsubscribe,
};
use tidegate_broker::{CloseReason, Limits, Version};

const BOTH: [Version; 2] = [V3, V5];

/// A client that sends `bytes` after its CONNECT is closed for `reason`, with this DISCONNECT if it
/// speaks v5, and nobody else notices.
#[track_caller]
fn check(version: Version, bytes: &[u8], reason: CloseReason, code: u8) {
    let mut w = World::new(Limits::DEV);
    w.join_subscribed("other", V3, &[("a", 0)]);
    w.join("x", version);
    w.send("x", bytes);
    let mut expect = vec!["close".to_owned()];
    if version == V5 {
        expect.insert(0, format!("DISCONNECT {code:02x}"));
    }
    assert_eq!(w.hear("x"), expect, "{version:?} {:?}", &bytes[..bytes.len().min(40)]);
    assert_eq!(w.broker.counters().closed(reason), 1, "{:?}", w.broker.counters());
    assert_eq!(w.events(), [format!("gone x {}", reason.name())]);
    w.send("other", &publish(V3, 0, 0, "a", b"1"));
    assert_eq!(w.hear("other"), ["PUBLISH q0 a '1'"]);
}

#[test]
fn malformed_packets_close() {
    for version in BOTH {
        let malformed = |bytes: &[u8]| check(version, bytes, CloseReason::Malformed, 0x81);
        malformed(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
        malformed(&packet(0x30, &[]));
        malformed(&packet(0x30, &[&[0, 9, b'a']]));
        malformed(&publish(version, 6, 1, "a", b""));
        malformed(&publish(version, 8, 0, "a", b""));
        malformed(&publish(version, 2, 0, "a", b""));
        malformed(&publish(version, 4, 0, "a", b""));
        malformed(&publish_with(version, 0, 0, [b'a', 0xFF], &[], b""));
        malformed(&publish_with(version, 0, 0, "a\0b", &[], b""));
        malformed(&subscribe(version, 0, &[("a", 0)]));
        malformed(&subscribe(version, 1, &[("a", 3)]));
        malformed(&subscribe(version, 1, &[("a", 0x40)]));
        malformed(&unsubscribe(version, 0, &["a"]));
        malformed(&packet(0x80, &[&subscribe(version, 1, &[("a", 0)])[2..]]));
        malformed(&packet(0xA0, &[&unsubscribe(version, 1, &["a"])[2..]]));
        malformed(&ack(0x40, 0));
        malformed(&ack(0x60, 1));
        malformed(&ack(0x62, 0));
        malformed(&packet(0x40, &[&[1]]));
        malformed(&packet(0xC0, &[&[1]]));
        malformed(&[0xC1, 0]);
        malformed(&[0xE1, 0]);
    }
    check(V3, &packet(0x40, &[&[0, 1, 0]]), CloseReason::Malformed, 0);
    check(V3, &subscribe(V3, 1, &[("a", 4)]), CloseReason::Malformed, 0);
    check(V5, &packet(0x40, &[&[0, 1, 0, 5]]), CloseReason::Malformed, 0x81);
    check(V5, &packet(0x30, &[&text("a"), &[9, 1]]), CloseReason::Malformed, 0x81);
}

#[test]
fn packets_that_are_not_allowed_close() {
    for version in BOTH {
        let protocol = |bytes: &[u8]| check(version, bytes, CloseReason::Protocol, 0x82);
        protocol(&subscribe(version, 1, &[]));
        protocol(&unsubscribe(version, 1, &[]));
        protocol(&packet(0x20, &[&[0, 0]]));
        protocol(&packet(0x00, &[]));
        protocol(&packet(0xF0, &[]));
        protocol(&ack(0x50, 1));
        protocol(&ack(0x70, 1));
        protocol(&connect(version, "x", &Hello::default()));
        let name = |bytes: &[u8]| check(version, bytes, CloseReason::TopicName, 0x90);
        name(&publish(version, 0, 0, "a/+", b""));
        name(&publish(version, 0, 0, "a/#", b""));
        name(&publish(version, 0, 0, "", b""));
        name(&publish(version, 0, 0, &"/".repeat(200), b""));
    }
    check(V5, &publish_with(V5, 0, 0, "a", &[0x0B, 1], b""), CloseReason::Protocol, 0x82);
    check(V5, &subscribe_with(V5, 1, &[0x0B, 0], &[("a", 0)]), CloseReason::Protocol, 0x82);
}

#[test]
fn long_packets() {
    for version in BOTH {
        let large = |bytes: &[u8]| check(version, bytes, CloseReason::PacketTooLarge, 0x95);
        // The length alone says it; nothing is kept of it.
        large(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
        large(&[0x82, 0x80, 0x80, 0x80, 0x01]);
        large(&publish(version, 0, 0, "a", &vec![b'x'; 10 * 1024 * 1024]));
        let mut w = World::new(Limits::DEV);
        w.join_subscribed("x", version, &[("#", 0)]);
        let topic = "t".repeat(65_535);
        w.send("x", &publish(version, 0, 0, &topic, b"1"));
        w.send("x", &publish(version, 0, 0, "a", b""));
        assert_eq!(w.hear("x"), [format!("PUBLISH q0 {topic} '1'"), "PUBLISH q0 a ''".to_owned()]);
        w.send("x", &publish(version, 0, 0, "a", &vec![b'x'; 250_000]));
        assert_eq!(w.hear("x"), ["PUBLISH q0 a [250000]"]);
        assert_eq!(w.events().len(), 3);
    }
}

#[test]
fn a_too_long_connect_is_refused_before_it_is_kept() {
    let mut w = World::new(Limits { packet_bytes_max: 100, ..Limits::DEV });
    w.dial("x", V3);
    w.send("x", &[0x10, 99]);
    assert_eq!(w.hear("x"), ["close"]);
    assert_eq!(w.broker.counters().closed(CloseReason::PacketTooLarge), 1);
}

#[test]
fn the_codec_librarys_packets_are_understood() {
    let mut w = World::new(Limits::DEV);
    w.join_subscribed("s", V5, &[("lib/#", 1)]);
    w.dial("x", V3);
    let hello = v3_1_1::Connect::builder()
        .client_id("x")
        .expect("an id")
        .clean_session(true)
        .keep_alive(30)
        .will_message("lib/will", b"bye".to_vec(), Qos::AtLeastOnce, false)
        .expect("a will")
        .user_name("u")
        .expect("a name")
        .password(b"p".to_vec())
        .expect("a password")
        .build()
        .expect("a connect");
    w.send("x", &hello.to_continuous_buffer());
    assert_eq!(w.hear("x"), ["CONNACK 00 00"]);
    let publish = v3_1_1::Publish::builder()
        .topic_name("lib/a")
        .expect("a topic")
        .qos(Qos::ExactlyOnce)
        .packet_id(9u16)
        .payload(b"1".to_vec())
        .build()
        .expect("a publish");
    w.send("x", &publish.to_continuous_buffer());
    w.ack("x", 9);
    let release = v3_1_1::Pubrel::builder().packet_id(9u16).build().expect("a pubrel");
    w.send("x", &release.to_continuous_buffer());
    assert_eq!(w.hear("x"), ["PUBREC 9", "PUBCOMP 9"]);
    w.hang_up("x");
    assert_eq!(w.hear("s"), ["PUBLISH q1 id 1 lib/a '1'", "PUBLISH q1 id 2 lib/will 'bye'"]);

    // And what we write, the library reads back.
    w.broker.publish(&tidegate_core::Message {
        topic: tidegate_core::topic::Topic::new("lib/b").expect("a topic"),
        payload: b"2".as_slice().into(),
        qos: tidegate_core::message::QoS::AtLeastOnce,
        retain: false,
        dup: false,
        source: "h".into(),
        at: Default::default(),
        hops: 1,
        mark: None,
    });
    let conn = w.conn("s");
    let bytes = w.broker.output(conn).to_vec();
    let (read, used) =
        v5_0::Publish::parse(bytes[0] & 0xF, bytes[2..].into()).expect("a well-formed publish");
    assert_eq!((read.topic_name(), read.packet_id(), used), ("lib/b", Some(3), bytes.len() - 2));
    assert_eq!(read.payload().as_slice(), b"2");
}
