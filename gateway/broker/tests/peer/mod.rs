//! A broker and its peers: packets in as bytes, packets out as one line of text each.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use tidegate_broker::{Broker, ConnId, Event, Limits, Version};
use tidegate_core::message::{AckTo, QoS};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_core::topic::Topic;
use tidegate_core::{Message, Timestamp};

pub const V3: Version = Version::V3_1_1;
pub const V5: Version = Version::V5;

/// Bytes behind their length in two bytes.
pub fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u16).to_be_bytes()[..], text].concat()
}

/// A packet: first byte, length, body.
pub fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let low = (left & 0x7F) as u8;
        left >>= 7;
        out.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

/// What a CONNECT says; the default is a clean session without keep-alive.
#[derive(Clone, Default)]
pub struct Hello<'a> {
    pub keep_alive_s: u16,
    pub kept_session: bool,
    /// Topic, payload, QoS, retain.
    pub will: Option<(&'a str, &'a str, u8, bool)>,
    pub properties: Vec<u8>,
    pub will_properties: Vec<u8>,
}

pub fn connect(version: Version, client: &str, hello: &Hello<'_>) -> Vec<u8> {
    let mut flags = if hello.kept_session { 0 } else { 2 };
    let mut tail = text(client);
    if let Some((topic, payload, qos, retain)) = hello.will {
        flags |= 4 | qos << 3 | u8::from(retain) << 5;
        if version == V5 {
            tail.push(hello.will_properties.len() as u8);
            tail.extend(&hello.will_properties);
        }
        tail.extend(text(topic));
        tail.extend(text(payload));
    }
    let level = if version == V5 { 5 } else { 4 };
    let length = [hello.properties.len() as u8];
    let properties: &[&[u8]] = if version == V5 { &[&length, &hello.properties] } else { &[] };
    let head = [&[0, 4][..], b"MQTT", &[level, flags], &hello.keep_alive_s.to_be_bytes()].concat();
    packet(0x10, &[&head, &properties.concat(), &tail])
}

/// A PUBLISH; `flags` are the low four bits: dup 8, QoS 2 and 4, retain 1.
pub fn publish(version: Version, flags: u8, id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    publish_with(version, flags, id, topic, &[], payload)
}

pub fn publish_with(
    version: Version,
    flags: u8,
    id: u16,
    topic: impl AsRef<[u8]>,
    properties: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let id = id.to_be_bytes();
    let id: &[u8] = if flags & 6 == 0 { &[] } else { &id };
    let length = [properties.len() as u8];
    let length: &[u8] = if version == V5 { &length } else { &[] };
    packet(0x30 | flags, &[&text(topic), id, length, properties, payload])
}

/// A SUBSCRIBE of filters with their option bytes.
pub fn subscribe(version: Version, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    subscribe_with(version, id, &[], filters)
}

pub fn subscribe_with(
    version: Version,
    id: u16,
    properties: &[u8],
    filters: &[(&str, u8)],
) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == V5 {
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    for (filter, options) in filters {
        body.extend(text(filter));
        body.push(*options);
    }
    packet(0x82, &[&body])
}

pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == V5 {
        body.push(0);
    }
    for filter in filters {
        body.extend(text(filter));
    }
    packet(0xA2, &[&body])
}

pub fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, &[&id.to_be_bytes()])
}

/// What a handler publishes.
pub fn reaction(topic: &str, payload: &str, qos: QoS, retain: bool) -> Message {
    Message {
        topic: Topic::new(topic).expect("a good topic"),
        payload: payload.as_bytes().into(),
        qos,
        retain,
        dup: false,
        source: "overheat".into(),
        at: Default::default(),
        hops: 1,
        mark: None,
    }
}

pub fn wall(ms: u64) -> WallTime {
    WallTime { unix_us: ms as i64 * 1000, quality: ClockQuality::Ntp }
}

pub struct World {
    pub broker: Broker,
    pub now_ms: u64,
    pub peers: BTreeMap<String, (ConnId, Version)>,
    /// Connections that the broker wanted looked at since their output was last read.
    dirty: BTreeSet<ConnId>,
}

impl World {
    pub fn new(limits: Limits) -> World {
        World {
            broker: Broker::new(limits),
            now_ms: 0,
            peers: BTreeMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.now_ms)
    }

    pub fn conn(&self, name: &str) -> ConnId {
        self.peers[name].0
    }

    /// A transport without a CONNECT.
    pub fn dial(&mut self, name: &str, version: Version) {
        let conn = self.broker.handle_connected(self.now()).expect("room for a transport");
        self.peers.insert(name.to_owned(), (conn, version));
    }

    /// A connected client whose CONNACK and event have been taken.
    pub fn join(&mut self, name: &str, version: Version) {
        self.join_with(name, version, &Hello::default());
    }

    pub fn join_with(&mut self, name: &str, version: Version, hello: &Hello<'_>) {
        self.dial(name, version);
        self.send(name, &connect(version, name, hello));
        let heard = self.hear(name);
        assert!(heard[0].starts_with("CONNACK 00 00"), "{heard:?}");
        self.events();
    }

    /// A client that has subscribed.
    pub fn join_subscribed(&mut self, name: &str, version: Version, filters: &[(&str, u8)]) {
        self.join(name, version);
        self.send(name, &subscribe(version, 1, filters));
        let heard = self.hear(name);
        assert!(heard[0].starts_with("SUBACK 1"), "{heard:?}");
    }

    pub fn send(&mut self, name: &str, bytes: &[u8]) -> usize {
        let (now, wall) = (self.now(), wall(self.now_ms));
        self.broker.handle_bytes(now, wall, self.peers[name].0, bytes)
    }

    pub fn hang_up(&mut self, name: &str) {
        let (conn, _) = self.peers.remove(name).expect("a peer");
        self.broker.handle_disconnected(Timestamp(self.now_ms), wall(self.now_ms), conn);
    }

    pub fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.broker.handle_timeout(Timestamp(self.now_ms), wall(self.now_ms));
    }

    /// Packets that a peer gets, all written at once, and "close" when it is closed after them.
    pub fn hear(&mut self, name: &str) -> Vec<String> {
        let (conn, version) = self.peers[name];
        let mut heard = Vec::new();
        loop {
            self.dirty.extend(std::iter::from_fn(|| self.broker.poll_dirty()));
            let looked_at = self.dirty.remove(&conn);
            let bytes = self.broker.output(conn).to_vec();
            if bytes.is_empty() {
                break;
            }
            assert!(looked_at, "output that the driver does not hear of");
            heard.extend(show_all(version, &bytes));
            self.broker.written(conn, bytes.len());
        }

        if self.broker.is_closing(conn) {
            heard.push("close".to_owned());
        }
        heard
    }

    pub fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.broker.poll_event()).map(|event| show_event(&event)).collect()
    }

    pub fn ack(&mut self, name: &str, packet_id: u16) {
        self.broker.ack(AckTo { source: self.peers[name].0, packet_id });
    }
}

pub fn show_event(event: &Event) -> String {
    match event {
        Event::Connected { client, .. } => format!("connected {client}"),
        Event::Gone { client, reason, .. } => format!("gone {client} {}", reason.name()),
        Event::Message { message, ack } => {
            let mut shown = format!("{} {} q{}", message.source, message.topic, message.qos as u8);
            if message.retain {
                shown += " retain";
            }
            if message.dup {
                shown += " dup";
            }
            if let Some(ack) = ack {
                write!(shown, " ack {}", ack.packet_id).expect("a string takes all");
            }
            format!("{shown} {}", show_payload(&message.payload))
        }
    }
}

fn show_payload(payload: &[u8]) -> String {
    match str::from_utf8(payload) {
        Ok(text) if payload.len() <= 40 => format!("'{text}'"),
        _ => format!("[{}]", payload.len()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// Reads a number of one to four bytes.
fn take_varint(bytes: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

pub fn show_all(version: Version, mut bytes: &[u8]) -> Vec<String> {
    let mut shown = Vec::new();
    while let Some(first) = bytes.first().copied() {
        bytes = &bytes[1..];
        let length = take_varint(&mut bytes);
        let (body, rest) = bytes.split_at(length);
        shown.push(show(version, first, body));
        bytes = rest;
    }
    shown
}

fn show(version: Version, first: u8, body: &[u8]) -> String {
    let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let name = match first {
        0x20 => return format!("CONNACK {}", hex(body)),
        0xD0 => return "PINGRESP".to_owned(),
        0xE0 => return format!("DISCONNECT {}", hex(body)),
        0x90 => "SUBACK",
        0xB0 => "UNSUBACK",
        0x40 => "PUBACK",
        0x50 => "PUBREC",
        0x70 => "PUBCOMP",
        _ if first >> 4 == 3 => return show_publish(version, first, body),
        _ => panic!("a broker sends no {first:02x}"),
    };
    let rest = if version == V5 && body.len() > 2 && matches!(first, 0x90 | 0xB0) { 3 } else { 2 };
    format!("{name} {} {}", id(0), hex(&body[rest..])).trim_end().to_owned()
}

fn show_publish(version: Version, first: u8, body: &[u8]) -> String {
    let (length, rest) = body.split_at(2);
    let (topic, mut rest) = rest.split_at(usize::from(u16::from_be_bytes([length[0], length[1]])));
    let topic = str::from_utf8(topic).expect("a topic is text");
    let qos = first >> 1 & 3;
    let mut shown = format!("PUBLISH q{qos}");
    if first & 1 != 0 {
        shown += " retain";
    }
    assert_eq!(first & 8, 0, "nothing is sent twice");
    if qos > 0 {
        write!(shown, " id {}", u16::from_be_bytes([rest[0], rest[1]]))
            .expect("a string takes all");
        rest = &rest[2..];
    }
    if version == V5 {
        let length = take_varint(&mut rest);
        let (properties, payload) = rest.split_at(length);
        if length > 0 {
            write!(shown, " <{}>", hex(properties)).expect("a string takes all");
        }
        rest = payload;
    }
    format!("{shown} {topic} {}", show_payload(rest))
}
