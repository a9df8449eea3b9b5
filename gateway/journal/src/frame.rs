//! One frame: `len u32 | crc32c u32 | kind u8 | seq u64 | payload`, little-endian. `len` is the payload's.
//! The crc covers the segment's generation (`u32`), then len, kind, seq and payload.
//!
//! `kind` is the caller's number in the low six bits, [`CARRIED`] and [`BATCH`] above it.

use crate::crc::Crc;
use crate::planted::{Bug, planted};

/// Bytes before the payload.
pub(crate) const HEAD_BYTES: usize = 17;
/// A carried frame's payload starts with `replaces u64 | origin u64`.
pub(crate) const ORIGIN_BYTES: usize = 16;
/// The caller's kinds are 1 to this.
pub const KIND_MAX: u8 = 62;
/// The journal's own: a [`crate::mark::Mark`] takes effect here.
pub(crate) const KIND_MARK: u8 = 63;
pub(crate) const KIND_MASK: u8 = 0x3f;
/// An eviction has copied the frame forward.
pub(crate) const CARRIED: u8 = 0x40;
/// The first frame of a write: what stands before it was durable when it was written.
pub(crate) const BATCH: u8 = 0x80;

/// What stands before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub len: usize,
    pub crc: u32,
    pub kind: u8,
    pub seq: u64,
}

impl Head {
    /// Reads a head; `None` when no frame can start like this.
    pub fn parse(bytes: &[u8]) -> Option<Head> {
        let bytes: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind, seq @ ..] = *bytes;
        let carried_mark = kind & CARRIED != 0 && kind & KIND_MASK == KIND_MARK;
        if kind & KIND_MASK == 0 || carried_mark {
            return None;
        }
        Some(Head {
            len: u32::from_le_bytes([l0, l1, l2, l3]) as usize,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
            kind,
            seq: u64::from_le_bytes(seq),
        })
    }

    /// Length of the whole frame.
    pub fn total(&self) -> usize {
        HEAD_BYTES + self.len
    }
}

/// Appends a frame without its checksum, which needs the segment it will land in.
pub(crate) fn push(buffer: &mut Vec<u8>, kind: u8, seq: u64, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let len = u32::try_from(len).expect("payloads are a part of a segment");
    buffer.extend_from_slice(&len.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.push(kind);
    buffer.extend_from_slice(&seq.to_le_bytes());
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

/// Marks a frame as the first of its write or not, and closes it for a generation.
pub(crate) fn seal(frame: &mut [u8], is_first: bool, generation: u32) {
    frame[8] = frame[8] & !BATCH | if is_first { BATCH } else { 0 };
    let crc = checksum(frame, generation);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// The checksum of a whole frame.
pub(crate) fn checksum(frame: &[u8], generation: u32) -> u32 {
    let generation = if planted(Bug::CrcWithoutGeneration) { 0 } else { generation };
    Crc::new().update(&generation.to_le_bytes()).update(&frame[..4]).update(&frame[8..]).finish()
}

/// What a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where it stands now; rising, and dense but for the journal's own frames.
    pub seq: u64,
    /// Where it stood first; the same as `seq` unless an eviction has carried it forward.
    pub origin: u64,
    /// The caller's number.
    pub kind: u8,
    pub payload: &'a [u8],
}

/// `replaces` and `origin` of a carried frame, and its payload.
pub(crate) fn split_carried(payload: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (replaces, rest) = payload.split_first_chunk()?;
    let (origin, rest) = rest.split_first_chunk()?;
    Some((u64::from_le_bytes(*replaces), u64::from_le_bytes(*origin), rest))
}
