//! The hot path's bytes: framing, PUBLISH both ways, and the acks of four bytes. Every other packet
//! goes through the codec library, which is slower and allocates. Layouts: MQTT 3.1.1 and 5, 2.1, 3.3.

use tidegate_core::message::QoS;

use crate::reader::{Malformed, Reader};

/// Which MQTT a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V3_1_1,
    V5,
}

/// Packet types: the high half of the first byte (2.1.2).
pub(crate) mod packet {
    pub const CONNECT: u8 = 1;
    pub const PUBLISH: u8 = 3;
    pub const PUBACK: u8 = 4;
    pub const PUBREC: u8 = 5;
    pub const PUBREL: u8 = 6;
    pub const PUBCOMP: u8 = 7;
    pub const SUBSCRIBE: u8 = 8;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const PINGREQ: u8 = 12;
    pub const PINGRESP: u8 = 13;
    pub const DISCONNECT: u8 = 14;
}

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// When a whole packet is there: its body is `bytes[body..end]`.
    Whole { body: usize, end: usize },
    /// When at least so many bytes more are needed.
    Partial { missing: usize },
    /// When it would be longer than allowed.
    TooLarge,
    /// When the length field never ends.
    Malformed,
}

/// Finds the packet at the start of `bytes`.
pub(crate) fn frame(bytes: &[u8], packet_bytes_max: usize) -> Frame {
    let mut length = 0usize;
    for at in 1..=4 {
        let Some(&byte) = bytes.get(at) else {
            return Frame::Partial { missing: 1 };
        };
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            let body = at + 1;
            let end = body + length;
            if end > packet_bytes_max {
                return Frame::TooLarge;
            }
            if end > bytes.len() {
                return Frame::Partial { missing: end - bytes.len() };
            }
            return Frame::Whole { body, end };
        }
    }
    Frame::Malformed
}

/// An inbound PUBLISH, still in the bytes that it came in. The topic is not checked yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub topic: &'a [u8],
    pub payload: &'a [u8],
    /// 0 for QoS 0, otherwise not 0.
    pub packet_id: u16,
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    /// The v5 properties without their length.
    pub properties: &'a [u8],
}

/// Reads a PUBLISH: the low half of its first byte, and its body.
#[inline]
pub(crate) fn read_publish(
    version: Version,
    flags: u8,
    body: &[u8],
) -> Result<Publish<'_>, Malformed> {
    let qos = QoS::from_bits(flags >> 1 & 3).ok_or(Malformed)?;
    let dup = flags & 8 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(Malformed);
    }
    let mut reader = Reader(body);
    let topic = reader.bytes16()?;
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { reader.u16()? };
    if packet_id == 0 && qos != QoS::AtMostOnce {
        return Err(Malformed);
    }
    let properties: &[u8] = match version {
        Version::V3_1_1 => &[],
        Version::V5 => {
            let length = reader.varint()?;
            reader.take(length as usize)?
        }
    };
    Ok(Publish {
        topic,
        payload: reader.0,
        packet_id,
        qos,
        retain: flags & 1 != 0,
        dup,
        properties,
    })
}

/// Appends a number of one to four bytes.
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// How many bytes a number takes.
pub(crate) const fn varint_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Longest body of a packet (2.1.4).
pub(crate) const BODY_BYTES_MAX: usize = 268_435_455;

/// An outbound PUBLISH to one client.
pub(crate) struct PublishOut<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// 0 for QoS 0.
    pub packet_id: u16,
    pub qos: QoS,
    pub retain: bool,
    /// v5 only; `None` for 3.1.1.
    pub properties: Option<OutboundProperties<'a>>,
}

/// The v5 properties of an outbound PUBLISH.
#[derive(Clone, Copy)]
pub(crate) struct OutboundProperties<'a> {
    /// Passed on as they came.
    pub forwarded: &'a [u8],
    pub expiry_s: Option<u32>,
    pub subscription_ids: &'a [u32],
}

impl OutboundProperties<'_> {
    fn len(&self) -> usize {
        let ids: usize = self.subscription_ids.iter().map(|id| 1 + varint_len(*id as usize)).sum();
        self.forwarded.len() + if self.expiry_s.is_some() { 5 } else { 0 } + ids
    }
}

impl PublishOut<'_> {
    fn body_len(&self) -> usize {
        let id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = self.properties.as_ref().map_or(0, |p| varint_len(p.len()) + p.len());
        2 + self.topic.len() + id + properties + self.payload.len()
    }

    /// Length of the whole packet.
    #[inline]
    pub fn len(&self) -> usize {
        let body = self.body_len();
        1 + varint_len(body) + body
    }

    /// Appends the packet. The caller has checked that its body is at most [`BODY_BYTES_MAX`].
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let body = self.body_len();
        out.reserve(5 + body);
        out.push(packet::PUBLISH << 4 | (self.qos as u8) << 1 | u8::from(self.retain));
        write_varint(out, body);
        out.extend_from_slice(&(self.topic.len() as u16).to_be_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        if self.qos != QoS::AtMostOnce {
            out.extend_from_slice(&self.packet_id.to_be_bytes());
        }
        if let Some(properties) = &self.properties {
            write_varint(out, properties.len());
            if let Some(expiry_s) = properties.expiry_s {
                out.push(crate::properties::id::MESSAGE_EXPIRY);
                out.extend_from_slice(&expiry_s.to_be_bytes());
            }
            for id in properties.subscription_ids {
                out.push(crate::properties::id::SUBSCRIPTION_ID);
                write_varint(out, *id as usize);
            }
            out.extend_from_slice(properties.forwarded);
        }
        out.extend_from_slice(self.payload);
    }
}

/// Appends PUBACK, PUBREC or PUBCOMP. A reason code other than 0 is for v5 only.
pub(crate) fn write_ack(out: &mut Vec<u8>, packet_type: u8, packet_id: u16, reason: u8) {
    let [high, low] = packet_id.to_be_bytes();
    if reason == 0 {
        out.extend_from_slice(&[packet_type << 4, 2, high, low]);
    } else {
        out.extend_from_slice(&[packet_type << 4, 3, high, low, reason]);
    }
}

/// Reads PUBACK or PUBREL: its packet identifier. v5 may add a reason and properties, which say
/// nothing that we act on.
pub(crate) fn read_ack(version: Version, body: &[u8]) -> Result<u16, Malformed> {
    let mut reader = Reader(body);
    let packet_id = reader.u16()?;
    let rest_is_fine = match version {
        Version::V3_1_1 => reader.0.is_empty(),
        Version::V5 => match reader.0 {
            [] | [_] => true,
            [_, properties @ ..] => {
                let mut properties = Reader(properties);
                properties.varint()? as usize == properties.0.len()
            }
        },
    };
    if packet_id == 0 || !rest_is_fine { Err(Malformed) } else { Ok(packet_id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing() {
        let check =
            |bytes: &[u8], expect: Frame| assert_eq!(frame(bytes, 1000), expect, "{bytes:?}");
        check(&[], Frame::Partial { missing: 1 });
        check(&[0x30], Frame::Partial { missing: 1 });
        check(&[0x30, 0x80], Frame::Partial { missing: 1 });
        check(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], Frame::Malformed);
        check(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], Frame::TooLarge);
        check(&[0x30, 0xE6, 0x07], Frame::TooLarge);
        check(&[0x30, 0xE5, 0x07, 1], Frame::Partial { missing: 996 });
        check(&[0xC0, 0, 1, 2], Frame::Whole { body: 2, end: 2 });
        check(&[0x40, 2, 0, 1, 9], Frame::Whole { body: 2, end: 4 });
    }

    #[test]
    fn what_is_no_publish_is_malformed() {
        let check = |version, flags, body: &[u8]| {
            assert_eq!(read_publish(version, flags, body), Err(Malformed), "{flags} {body:?}");
        };
        check(Version::V3_1_1, 0, &[]);
        check(Version::V3_1_1, 0, &[0, 2, b'a']);
        check(Version::V3_1_1, 6, &[0, 1, b'a', 0, 1]);
        check(Version::V3_1_1, 2, &[0, 1, b'a', 0]);
        check(Version::V3_1_1, 2, &[0, 1, b'a', 0, 0]);
        check(Version::V3_1_1, 8, &[0, 1, b'a']);
        check(Version::V5, 0, &[0, 1, b'a']);
        check(Version::V5, 0, &[0, 1, b'a', 2, 1]);
        check(Version::V5, 0, &[0, 1, b'a', 0x80, 0x80, 0x80, 0x80, 0]);
    }

    #[test]
    fn a_publish_reads_back_as_written() {
        for (version, qos, payload) in [
            (Version::V3_1_1, QoS::AtMostOnce, &b""[..]),
            (Version::V3_1_1, QoS::AtLeastOnce, &[7; 200]),
            (Version::V5, QoS::AtMostOnce, &[7; 20_000]),
            (Version::V5, QoS::AtLeastOnce, &b"x"[..]),
        ] {
            let forwarded = [0x01, 1];
            let packet_id = if qos == QoS::AtMostOnce { 0 } else { 500 };
            let properties = OutboundProperties {
                forwarded: &forwarded,
                expiry_s: Some(9),
                subscription_ids: &[1, 300],
            };
            let outbound = PublishOut {
                topic: "a/b",
                payload,
                packet_id,
                qos,
                retain: true,
                properties: (version == Version::V5).then_some(properties),
            };
            let mut out = Vec::new();
            outbound.write(&mut out);
            assert_eq!(out.len(), outbound.len());
            let Frame::Whole { body, end } = frame(&out, 1 << 20) else { panic!("{version:?}") };
            assert_eq!(end, out.len());
            let read = read_publish(version, out[0] & 0xF, &out[body..end]).expect("a publish");
            assert_eq!(
                (read.topic, read.payload, read.packet_id),
                (&b"a/b"[..], payload, packet_id)
            );
            assert_eq!((read.qos, read.retain, read.dup), (qos, true, false));
            let expect: &[u8] = match version {
                Version::V3_1_1 => &[],
                Version::V5 => &[0x02, 0, 0, 0, 9, 0x0B, 1, 0x0B, 0xAC, 2, 0x01, 1],
            };
            assert_eq!(read.properties, expect);
        }
    }
}
