//! A segment's header, in its first block and again in its last.
//!
//! ```text
//!  0  magic "TIDEJRNL"
//!  8  version u16 = 1 | length of the mark u16
//! 12  generation u32
//! 16  epoch u64
//! 24  first_seq u64       the seq of the first frame
//! 32  crc32c u32          over all of this but itself
//! 36  mark                forgotten, abandoned evictions, loss ledger
//! ```
//! Frames lie between the two blocks.

use crate::crc::Crc;
use crate::mark::Mark;

pub(crate) const BLOCK: u64 = 4096;
pub(crate) const SECTOR: u64 = 512;
/// Where frames start.
pub(crate) const DATA_START: u64 = BLOCK;
/// What the second copy takes.
pub(crate) const TAIL_BYTES: u64 = BLOCK;
pub(crate) const VERSION: u16 = 1;
pub(crate) const MAGIC: &[u8; 8] = b"TIDEJRNL";
const CRC_AT: usize = 32;
const MARK_AT: usize = 36;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub generation: u32,
    pub epoch: u64,
    pub first_seq: u64,
    pub mark: Mark,
}

/// What a block says that should hold a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Header(Header),
    /// When another version of the journal wrote it.
    OtherVersion,
    Damaged,
}

impl Header {
    pub fn encode(&self) -> Vec<u8> {
        let mut mark = Vec::new();
        self.mark.encode(&mut mark);
        let len = u16::try_from(mark.len()).expect("a mark is bounded to fit a block");
        let mut out = Vec::with_capacity(MARK_AT + mark.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&mark);
        let crc = checksum(&out);
        out[CRC_AT..MARK_AT].copy_from_slice(&crc.to_le_bytes());
        debug_assert!(out.len() as u64 <= BLOCK);
        out
    }

    pub fn look(block: &[u8]) -> Look {
        if block.len() < MARK_AT || !block.starts_with(MAGIC) {
            return Look::Damaged;
        }
        let short = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
        let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four"));
        let long = |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight"));
        let Some(bytes) = block.get(..MARK_AT + usize::from(short(10))) else {
            return Look::Damaged;
        };
        // Every version keeps magic, version, length and crc where they are.
        if checksum(bytes) != word(CRC_AT) {
            return Look::Damaged;
        }
        if short(8) != VERSION {
            return Look::OtherVersion;
        }
        let Some(mark) = Mark::decode(&bytes[MARK_AT..]) else {
            return Look::Damaged;
        };
        Look::Header(Header { generation: word(12), epoch: long(16), first_seq: long(24), mark })
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    Crc::new().update(&bytes[..CRC_AT]).update(&bytes[MARK_AT..]).finish()
}
