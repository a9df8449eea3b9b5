//! A simulated device: bytes out in chunks as chance has it, acks in.

use std::collections::{BTreeMap, VecDeque};

use tidegate_core::message::SourceId;

use crate::mqtt::packet::{self, Connect, Packet};

/// One message that a device sent. Written into its payload, so that a reaction tells what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub device: usize,
    pub seq: u64,
    /// What it does to a handler.
    pub kind: u8,
}

/// One device and its connection, if it has one.
#[derive(Debug)]
pub struct Device {
    pub number: usize,
    pub conn: Option<SourceId>,
    pub connected: bool,
    /// Bytes on their way to the gateway.
    out: Vec<u8>,
    /// Length of all bytes that ever went out on this connection, and where each publish ended.
    sent: usize,
    ends: VecDeque<(usize, Id)>,
    /// Bytes from the gateway that are no whole packet yet.
    partial: Vec<u8>,
    pub unacked: BTreeMap<u16, Id>,
    next_packet: u16,
    next_seq: u64,
    /// Sent on an earlier connection, and not acked there.
    again: Vec<Id>,
}

impl Device {
    pub fn new(number: usize) -> Device {
        Device {
            number,
            conn: None,
            connected: false,
            out: Vec::new(),
            sent: 0,
            ends: VecDeque::new(),
            partial: Vec::new(),
            unacked: BTreeMap::new(),
            next_packet: 1,
            next_seq: 1,
            again: Vec::new(),
        }
    }

    /// A fresh connection. What was under way on the old one is gone.
    pub fn connect(&mut self, conn: SourceId, filter: Option<&str>) {
        self.disconnect();
        self.conn = Some(conn);
        let id = format!("device-{}", self.number);
        self.out.extend(packet::connect(&Connect { id: &id, ..Connect::default() }));
        if let Some(filter) = filter {
            self.out.extend(packet::subscribe(1, filter, 0));
        }
        for id in std::mem::take(&mut self.again) {
            self.put(id, 1);
        }
    }

    pub fn disconnect(&mut self) {
        self.conn = None;
        self.connected = false;
        self.out.clear();
        self.sent = 0;
        self.ends.clear();
        self.partial.clear();
        self.again.extend(std::mem::take(&mut self.unacked).into_values());
        self.next_packet = 1;
    }

    /// Puts one message on its way.
    pub fn publish(&mut self, kind: u8, qos: u8) {
        let id = Id { device: self.number, seq: self.next_seq, kind };
        self.next_seq += 1;
        self.put(id, qos);
    }

    fn put(&mut self, id: Id, qos: u8) {
        let packet_id = self.next_packet;
        if qos > 0 {
            self.next_packet = self.next_packet % 60_000 + 1;
            self.unacked.insert(packet_id, id);
        }
        let payload = format!("{}:{}:{}", char::from(id.kind), id.device, id.seq);
        let topic = format!("in/{}", self.number);
        packet::publish(&mut self.out, &topic, payload.as_bytes(), qos, packet_id, false);
        self.ends.push_back((self.sent + self.out.len(), id));
    }

    /// Puts a retained message on its way that no handler sees.
    pub fn put_control(&mut self, topic: &str, payload: &[u8]) {
        packet::publish(&mut self.out, topic, payload, 0, 0, true);
    }

    pub fn waiting(&self) -> &[u8] {
        &self.out
    }

    /// The gateway took `count` bytes. Gives the publishes that it has whole now, in order.
    pub fn taken(&mut self, count: usize) -> Vec<Id> {
        self.out.drain(..count);
        self.sent += count;
        let whole = self.ends.iter().take_while(|(end, _)| *end <= self.sent).count();
        self.ends.drain(..whole).map(|(_, id)| id).collect()
    }

    /// Bytes from the gateway. Gives the packets that are whole now.
    pub fn heard(&mut self, bytes: &[u8]) -> Vec<Packet> {
        self.partial.extend_from_slice(bytes);
        let mut packets = Vec::new();
        while let Some((packet, length)) =
            Packet::decode(&self.partial).expect("the gateway speaks MQTT")
        {
            self.partial.drain(..length);
            packets.push(packet);
        }
        packets
    }
}

impl Id {
    /// The message that a payload is or answers.
    pub fn parse(payload: &[u8]) -> Option<Id> {
        let text = std::str::from_utf8(payload).ok()?;
        let mut parts = text.split(':');
        let kind = *parts.next()?.as_bytes().first()?;
        let device = parts.next()?.parse().ok()?;
        let seq = parts.next()?.parse().ok()?;
        Some(Id { device, seq, kind })
    }
}
