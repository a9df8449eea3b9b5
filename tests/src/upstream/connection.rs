//! One connection of the gateway's uplink.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::{Mood, Shared};
use crate::mqtt::packet::{Packet, puback};

/// The packets that only a client sends, by number.
const CONNECT: u8 = 1;
const PINGREQ: u8 = 12;

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
/// Session present.
const CONNACK_SESSION: [u8; 4] = [0x20, 2, 1, 0];
/// Code 5: not authorised.
const CONNACK_REFUSED: [u8; 4] = [0x20, 2, 0, 5];
const PINGRESP: [u8; 2] = [0xd0, 0];

/// Serves it until it ends.
pub(super) fn serve(
    mut stream: &TcpStream,
    mood: Mood,
    generation: u64,
    shared: &Shared,
) -> io::Result<()> {
    let mut bytes = Vec::new();
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
            match answer(packet, mood, generation, shared) {
                Some(answer) => answers.extend(answer),
                None => return Ok(()),
            }
        }
        bytes.drain(..at);
        stream.write_all(&answers)?;
    }
}

/// What a packet gets; none ends the connection.
fn answer(packet: Packet, mood: Mood, generation: u64, shared: &Shared) -> Option<Vec<u8>> {
    match packet {
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
            let mark = inside.marks.as_ref().map_or(0, |mark| mark());
            inside.books.enter(&message, mark);
            shared.changed.notify_all();
            Some(puback(message.packet_id))
        }
        // DISCONNECT, or what has no place here.
        _ => None,
    }
}
