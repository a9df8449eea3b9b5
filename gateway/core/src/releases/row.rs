//! What lasts of a handler's releases: one row of the registry.
//!
//! ```text
//! 2                       format; 1 had no tables
//! phase u8                0 nothing runs, 1 active, 2 on probation, 3 removed, 4 rejected
//! tries u8                starts on this probation
//! flags u8                bit 0: running follows, bit 1: previous follows
//! key_epoch u32 | seq u64 the highest rank that was ever accepted, little-endian
//! digest 32 bytes         of the order that had it
//! running 32 bytes        when flagged
//! previous 32 bytes       when flagged
//! count u8 | digests      refused from now on, newest first
//! table u64 | table u64   tags of the state tables of `running` and of what it comes back to; 0 is the one without
//! crc32 u32               of everything before it (IEEE 802.3)
//! ```

use alloc::vec::Vec;

use crate::release::{Digest, Rank};

const FORMAT: u8 = 2;
/// Had no tables.
const FIRST_FORMAT: u8 = 1;
/// Digests that are remembered as refused. The ratchet refuses them anyway; this is what tells why.
pub const REFUSED_MAX: usize = 4;

/// How the newest order for a handler ended, as far as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RowPhase {
    /// When no release runs: what is configured does, if anything.
    None = 0,
    Active = 1,
    Probation = 2,
    Removed = 3,
    /// When the newest order was refused; `running`, if there is one, runs on.
    Rejected = 4,
}

impl RowPhase {
    fn of(byte: u8) -> Option<RowPhase> {
        Some(match byte {
            0 => RowPhase::None,
            1 => RowPhase::Active,
            2 => RowPhase::Probation,
            3 => RowPhase::Removed,
            4 => RowPhase::Rejected,
            _ => return None,
        })
    }
}

/// One handler's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub phase: RowPhase,
    pub tries: u8,
    pub highest: (Rank, Digest),
    pub running: Option<Digest>,
    pub previous: Option<Digest>,
    pub refused: Vec<Digest>,
    /// Tags of the state tables of what runs, and of what it comes back to. 0: the handler's name alone.
    pub tables: (u64, u64),
}

impl Row {
    /// For a handler whose first order this is.
    pub fn first(highest: (Rank, Digest)) -> Row {
        let (running, previous, refused) = (None, None, Vec::new());
        let phase = RowPhase::None;
        Row { phase, tries: 0, highest, running, previous, refused, tables: (0, 0) }
    }

    pub fn refuse(&mut self, digest: Digest) {
        self.refused.retain(|known| *known != digest);
        self.refused.insert(0, digest);
        self.refused.truncate(REFUSED_MAX);
    }

    /// Whether the newest order has neither run nor been refused: it waited for its turn. Where the files of what runs
    /// were damaged, it may have its turn again.
    pub fn is_unfollowed(&self) -> bool {
        let digest = self.highest.1;
        self.phase != RowPhase::Removed
            && self.running != Some(digest)
            && !self.refused.contains(&digest)
    }

    pub fn encode(&self) -> Vec<u8> {
        let flags = u8::from(self.running.is_some()) | u8::from(self.previous.is_some()) << 1;
        let mut bytes = Vec::from([FORMAT, self.phase as u8, self.tries, flags]);
        let (rank, digest) = self.highest;
        bytes.extend(rank.key_epoch.to_le_bytes());
        bytes.extend(rank.seq.to_le_bytes());
        bytes.extend(digest.0);
        for digest in self.running.iter().chain(&self.previous) {
            bytes.extend(digest.0);
        }
        let refused = &self.refused[..self.refused.len().min(REFUSED_MAX)];
        bytes.push(refused.len() as u8);
        refused.iter().for_each(|digest| bytes.extend(digest.0));
        bytes.extend(self.tables.0.to_le_bytes());
        bytes.extend(self.tables.1.to_le_bytes());
        let crc = crc32(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    /// None: this is no row, or a damaged one. Whoever reads it must take nothing for the handler then.
    pub fn decode(bytes: &[u8]) -> Option<Row> {
        let (rest, crc) = bytes.split_last_chunk::<4>()?;
        if crc32(rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let ([format, phase, tries, flags], mut rest) = rest.split_first_chunk::<4>()?;
        let tables = match *format {
            FIRST_FORMAT => (0, 0),
            FORMAT => {
                let (head, tables) = rest.split_last_chunk::<16>()?;
                rest = head;
                let tables = u128::from_le_bytes(*tables);
                (tables as u64, (tables >> 64) as u64)
            }
            _ => return None,
        };
        let (key_epoch, rest) = rest.split_first_chunk::<4>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (digest, mut rest) = rest.split_first_chunk::<32>()?;
        let key_epoch = u32::from_le_bytes(*key_epoch);
        let rank = Rank { key_epoch, seq: u64::from_le_bytes(*seq) };
        let mut optional = |bit: u8| -> Option<Option<Digest>> {
            if flags & bit == 0 {
                return Some(None);
            }
            let (digest, tail) = rest.split_first_chunk::<32>()?;
            rest = tail;
            Some(Some(Digest(*digest)))
        };
        let (running, previous) = (optional(1)?, optional(2)?);
        let (count, rest) = rest.split_first()?;
        let (refused, tail) = rest.as_chunks::<32>();
        let fits = refused.len() == usize::from(*count) && refused.len() <= REFUSED_MAX;
        (tail.is_empty() && fits && *flags < 4).then_some(())?;
        Some(Row {
            phase: RowPhase::of(*phase)?,
            tries: *tries,
            highest: (rank, Digest(*digest)),
            running,
            previous,
            refused: refused.iter().map(|digest| Digest(*digest)).collect(),
            tables,
        })
    }
}

/// Rows are written some times a day: bit by bit is fast enough.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    #[test]
    fn a_row_comes_back_and_a_damaged_one_does_not() {
        let rank = Rank { key_epoch: 3, seq: u64::MAX - 1 };
        for (running, previous, refused) in
            [(None, None, 0), (Some(2), None, 4), (Some(2), Some(3), 1), (None, Some(3), 2)]
        {
            let row = Row {
                phase: RowPhase::Probation,
                tries: 2,
                highest: (rank, digest(1)),
                running: running.map(digest),
                previous: previous.map(digest),
                refused: (0..refused).map(|n| digest(9 + n)).collect(),
                tables: (1, u64::MAX - u64::from(refused)),
            };
            let bytes = row.encode();
            assert_eq!(Row::decode(&bytes), Some(row));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Row::decode(&bad), None, "bit {bit}");
            }
            (0..bytes.len()).for_each(|len| assert_eq!(Row::decode(&bytes[..len]), None));
        }
    }

    #[test]
    fn an_order_that_waited_for_its_turn_is_known_by_its_row() {
        let waits = Row::first((Rank::default(), digest(3)));
        assert!(waits.is_unfollowed());
        assert!(Row { running: Some(digest(1)), ..waits.clone() }.is_unfollowed());
        assert!(!Row { running: Some(digest(3)), ..waits.clone() }.is_unfollowed());
        assert!(!Row { refused: [digest(4), digest(3)].into(), ..waits.clone() }.is_unfollowed());
        assert!(!Row { phase: RowPhase::Removed, ..waits }.is_unfollowed());
    }

    #[test]
    fn a_row_without_tables_is_read() {
        let row = Row::first((Rank { key_epoch: 1, seq: 2 }, digest(3)));
        let mut bytes = row.encode();
        bytes.truncate(bytes.len() - 20);
        bytes[0] = FIRST_FORMAT;
        let crc = crc32(&bytes);
        bytes.extend(crc.to_le_bytes());
        assert_eq!(Row::decode(&bytes), Some(row));
    }

    #[test]
    fn the_check_sum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn only_the_newest_refused_are_remembered() {
        let mut row = Row::first((Rank::default(), digest(0)));
        (1..7).for_each(|n| row.refuse(digest(n)));
        row.refuse(digest(4));
        assert_eq!(row.refused, [4, 6, 5, 3].map(digest));
    }
}
