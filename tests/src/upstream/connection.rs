//! One connection of the gateway's uplink.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::{Mood, Shared};
use crate::mqtt::packet::{Packet, puback};

/// The packets that only a client sends, by number.
const CONNECT: u8 = 1;
const PINGREQ: u8 = 12;

/// Where CONNECT of a client with a short packet has its protocol version.
const VERSION_AT: usize = 8;

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
/// Session present.
const CONNACK_SESSION: [u8; 4] = [0x20, 2, 1, 0];
/// Code 5: not authorised.
const CONNACK_REFUSED: [u8; 4] = [0x20, 2, 0, 5];
/// In MQTT 5 a code and, here, no properties follow.
const CONNACK_V5: [u8; 5] = [0x20, 3, 0, 0, 0];
/// "Payload format invalid"; no properties.
const REFUSED_V5: u8 = 0x99;
const PINGRESP: [u8; 2] = [0xd0, 0];

/// Serves it until it ends.
pub(super) fn serve(
    mut stream: &TcpStream,
    mood: Mood,
    generation: u64,
    shared: &Shared,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut is_v5 = false;
    let mut piece = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&piece[..count]);
        if mood == Mood::Silent {
            bytes.clear();
            continue;
        }
        let mut answers = Vec::new();
        let mut at = 0;
        while let Some((packet, len)) = Packet::decode(&bytes[at..])? {
            at += len;
            is_v5 |= matches!(packet, Packet::Other(CONNECT)) && bytes.get(VERSION_AT) == Some(&5);
            let packet = if is_v5 { without_properties(packet)? } else { packet };
            match answer(packet, mood, is_v5, generation, shared) {
                Some(answer) => answers.extend(answer),
                None => return Ok(()),
            }
        }
        bytes.drain(..at);
        stream.write_all(&answers)?;
    }
}

/// A PUBLISH of MQTT 5 whose properties, which stand before the payload and have less than 128 bytes, are cut off.
fn without_properties(packet: Packet) -> io::Result<Packet> {
    let Packet::Publish(mut message) = packet else {
        return Ok(packet);
    };
    let len = message.payload.first().map_or(0, |len| usize::from(*len) + 1);
    if len == 0 || len > 128 || len > message.payload.len() {
        return Err(io::Error::other("properties that are none, or longer than records have"));
    }
    message.payload.drain(..len);
    Ok(Packet::Publish(message))
}

/// What a packet gets; none ends the connection.
fn answer(
    packet: Packet,
    mood: Mood,
    is_v5: bool,
    generation: u64,
    shared: &Shared,
) -> Option<Vec<u8>> {
    match packet {
        Packet::Other(CONNECT) if is_v5 => Some(CONNACK_V5.to_vec()),
        Packet::Other(CONNECT) if mood == Mood::Refuses => Some(CONNACK_REFUSED.to_vec()),
        Packet::Other(CONNECT) if mood == Mood::OtherSession => Some(CONNACK_SESSION.to_vec()),
        Packet::Other(CONNECT) => Some(CONNACK.to_vec()),
        Packet::Other(PINGREQ) => Some(PINGRESP.to_vec()),
        Packet::Publish(_) if mood == Mood::HangsUp => None,
        Packet::Publish(message) => {
            let mut inside = shared.lock();
            if inside.generation != generation {
                return None;
            }
            if mood == Mood::RefusesThirds && is_v5 && inside.books.refuse(&message) {
                let id = message.packet_id.to_be_bytes();
                return Some(vec![0x40, 4, id[0], id[1], REFUSED_V5, 0]);
            }
            let mark = inside.marks.as_ref().map_or(0, |mark| mark());
            inside.books.enter(&message, mark);
            shared.changed.notify_all();
            Some(puback(message.packet_id))
        }
        // DISCONNECT, or what has no place here.
        _ => None,
    }
}
