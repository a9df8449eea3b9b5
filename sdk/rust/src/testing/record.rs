//! The inbox record, written as the host writes it.

use std::vec;
use std::vec::Vec;

use tidegate_abi::{Trigger, flags, inbox};

use super::world::World;

/// A message for the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// Client identifier of the sender.
    pub source: &'a str,
    /// 0 at the first try.
    pub attempt: u16,
    /// Bits of [`flags`]; `TRUNCATED` is set by the harness.
    pub flags: u8,
}

impl Default for Message<'_> {
    fn default() -> Self {
        Message { topic: "test", payload: b"", source: "test", attempt: 0, flags: 0 }
    }
}

/// Writes the record into an inbox of so many bytes, in the order topic, source, payload.
pub(super) fn write(message: &Message<'_>, world: &World, inbox_bytes: usize) -> Vec<u8> {
    let mut record = vec![0; inbox::HEAD_LEN];
    let mut flags = message.flags;
    for (at, bytes) in [
        (inbox::TOPIC, message.topic.as_bytes()),
        (inbox::SOURCE, message.source.as_bytes()),
        (inbox::PAYLOAD, message.payload),
    ] {
        let room = inbox_bytes.saturating_sub(record.len());
        let mut taken = &bytes[..bytes.len().min(room)];
        if taken.len() < bytes.len() {
            flags |= flags::TRUNCATED;
            if at != inbox::PAYLOAD {
                taken = match core::str::from_utf8(taken) {
                    Ok(_) => taken,
                    Err(error) => &taken[..error.valid_up_to()],
                };
            }
        }
        let off = record.len() as u32;
        put(&mut record, at, &off.to_le_bytes());
        put(&mut record, at + 4, &(taken.len() as u32).to_le_bytes());
        record.extend_from_slice(taken);
    }
    let len = record.len() as u32;
    put(&mut record, inbox::TOTAL_LEN, &len.to_le_bytes());
    let is_pin = message.topic.starts_with("$pin/");
    record[inbox::TRIGGER] = if is_pin { Trigger::Gpio } else { Trigger::Mqtt } as u8;
    record[inbox::FLAGS] = flags;
    put(&mut record, inbox::ATTEMPT, &message.attempt.to_le_bytes());
    put(&mut record, inbox::TS_US, &world.wall_us.to_le_bytes());
    put(&mut record, inbox::EVENT_ID, &world.event_id.to_le_bytes());
    put(&mut record, inbox::CLOCK_QUALITY, &2u32.to_le_bytes());
    record
}

fn put(record: &mut [u8], at: usize, bytes: &[u8]) {
    record[at..at + bytes.len()].copy_from_slice(bytes);
}
