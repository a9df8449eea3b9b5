//! MQTT 3.1.1 packets to and from bytes: only those a test client sends and gets.

use std::io;

use super::Received;

/// What the client asks for in CONNECT.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    pub id: &'a str,
    pub clean: bool,
    pub keep_alive_s: u16,
    pub will: Option<Will<'a>>,
}

impl Default for Connect<'_> {
    fn default() -> Self {
        Connect { id: "", clean: true, keep_alive_s: 0, will: None }
    }
}

/// What the broker publishes when the client is gone without a word.
#[derive(Clone, Copy, Debug)]
pub struct Will<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub retain: bool,
}

/// What a broker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    ConnAck {
        session_present: bool,
        code: u8,
    },
    Publish(Received),
    PubAck {
        packet_id: u16,
    },
    SubAck {
        packet_id: u16,
        code: u8,
    },
    UnsubAck {
        packet_id: u16,
    },
    PingResp,
    /// Any other packet, by its number.
    Other(u8),
}

pub(crate) fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("MQTT strings have at most 65535 bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![head];
    put_length(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

/// CONNECT.
pub fn connect(options: &Connect<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    put_bytes(&mut body, b"MQTT");
    body.push(4);
    let mut flags = if options.clean { 0x02 } else { 0 };
    if let Some(will) = options.will {
        flags |= 0x04 | if will.retain { 0x20 } else { 0 };
    }
    body.push(flags);
    body.extend_from_slice(&options.keep_alive_s.to_be_bytes());
    put_bytes(&mut body, options.id.as_bytes());
    if let Some(will) = options.will {
        put_bytes(&mut body, will.topic.as_bytes());
        put_bytes(&mut body, will.payload);
    }
    packet(0x10, &body)
}

/// SUBSCRIBE to one filter.
pub fn subscribe(packet_id: u16, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    put_bytes(&mut body, filter.as_bytes());
    body.push(qos);
    packet(0x82, &body)
}

/// UNSUBSCRIBE from one filter.
pub fn unsubscribe(packet_id: u16, filter: &str) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    put_bytes(&mut body, filter.as_bytes());
    packet(0xa2, &body)
}

/// PUBACK.
pub fn puback(packet_id: u16) -> Vec<u8> {
    packet(0x40, &packet_id.to_be_bytes())
}

/// PUBLISH, appended to `out`. `packet_id` counts only above QoS 0.
pub fn publish(
    out: &mut Vec<u8>,
    topic: &str,
    payload: &[u8],
    qos: u8,
    packet_id: u16,
    retain: bool,
) {
    out.push(0x30 | (qos << 1) | u8::from(retain));
    put_length(out, 2 + topic.len() + if qos > 0 { 2 } else { 0 } + payload.len());
    put_bytes(out, topic.as_bytes());
    if qos > 0 {
        out.extend_from_slice(&packet_id.to_be_bytes());
    }
    out.extend_from_slice(payload);
}

/// A packet as it is on the wire: head byte and body.
pub(crate) type Frame<'a> = (u8, &'a [u8]);

/// One whole packet at the start of `bytes`, as head byte and body, and its length; `None` when
/// there is less than one.
pub(crate) fn frame(bytes: &[u8]) -> io::Result<Option<(Frame<'_>, usize)>> {
    let mut length = 0usize;
    for at in 0..4 {
        let Some(byte) = bytes.get(1 + at) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let start = 2 + at;
            let Some(body) = bytes.get(start..start + length) else {
                return Ok(None);
            };
            return Ok(Some(((bytes[0], body), start + length)));
        }
    }
    Err(io::Error::other("a remaining length of more than four bytes"))
}

/// Topic and payload when the packet is a PUBLISH.
pub(super) fn as_publish((head, body): Frame<'_>) -> Option<(&str, &[u8])> {
    if head >> 4 != 3 {
        return None;
    }
    let (topic, rest) = take_string(body)?;
    let rest = if head & 0x06 > 0 { rest.get(2..)? } else { rest };
    Some((topic, rest))
}

fn take_string(body: &[u8]) -> Option<(&str, &[u8])> {
    let length = usize::from(u16_at(body, 0)?);
    let topic = std::str::from_utf8(body.get(2..2 + length)?).ok()?;
    Some((topic, &body[2 + length..]))
}

fn u16_at(body: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?))
}

impl Packet {
    /// One packet at the start of `bytes` and its length; `None` when there is less than one.
    ///
    /// # Errors
    /// When the bytes are no packet.
    pub fn decode(bytes: &[u8]) -> io::Result<Option<(Packet, usize)>> {
        let Some(((head, body), length)) = frame(bytes)? else {
            return Ok(None);
        };
        let packet = Packet::parse(head, body)
            .ok_or_else(|| io::Error::other(format!("a broken packet {head:#04x}")))?;
        Ok(Some((packet, length)))
    }

    fn parse(head: u8, body: &[u8]) -> Option<Packet> {
        Some(match head >> 4 {
            2 => Packet::ConnAck { session_present: body.first()? & 1 == 1, code: *body.get(1)? },
            3 => {
                let (topic, mut payload) = take_string(body)?;
                let qos = (head >> 1) & 3;
                let mut packet_id = 0;
                if qos > 0 {
                    packet_id = u16_at(payload, 0)?;
                    payload = &payload[2..];
                }
                Packet::Publish(Received {
                    topic: topic.to_owned(),
                    payload: payload.to_vec(),
                    qos,
                    retain: head & 1 == 1,
                    dup: head & 8 == 8,
                    packet_id,
                })
            }
            4 => Packet::PubAck { packet_id: u16_at(body, 0)? },
            9 => Packet::SubAck { packet_id: u16_at(body, 0)?, code: *body.get(2)? },
            11 => Packet::UnsubAck { packet_id: u16_at(body, 0)? },
            13 => Packet::PingResp,
            other => Packet::Other(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_packet_is_none_and_a_fifth_length_byte_is_an_error() {
        let whole = subscribe(7, "a/+", 1);
        for cut in 0..whole.len() {
            assert!(frame(&whole[..cut]).expect("no error yet").is_none(), "cut at {cut}");
        }
        assert!(frame(&[0x30, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
    }

    #[test]
    fn a_publish_comes_back_as_it_went() {
        for (qos, len) in [(0, 3), (1, 127), (1, 128), (0, 20_000), (1, 2_100_000)] {
            let payload = vec![b'x'; len];
            let mut bytes = Vec::new();
            publish(&mut bytes, "devices/7/cmd", &payload, qos, 9, true);
            let (packet, length) = Packet::decode(&bytes).expect("good").expect("whole");
            assert_eq!(length, bytes.len());
            let Packet::Publish(message) = packet else { panic!("a PUBLISH") };
            assert_eq!((message.topic.as_str(), message.qos), ("devices/7/cmd", qos));
            assert_eq!(message.packet_id, if qos > 0 { 9 } else { 0 });
            assert!(message.retain && !message.dup && message.payload == payload);
            let (frame, _) = frame(&bytes).expect("good").expect("whole");
            assert_eq!(as_publish(frame), Some(("devices/7/cmd", &payload[..])));
        }
    }

    #[test]
    fn connect_has_the_bytes_of_the_specification() {
        let will = Some(Will { topic: "w", payload: b"x", retain: true });
        let bytes = connect(&Connect { id: "a", clean: true, keep_alive_s: 10, will });
        assert_eq!(bytes, b"\x10\x13\0\x04MQTT\x04\x26\0\x0a\0\x01a\0\x01w\0\x01x");
    }
}
