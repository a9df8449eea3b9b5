//! What was lost on purpose: exact counts by stream and reason, and the seqs they lie between.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Stream and reason are the caller's numbers. Beyond this many pairs, streams are summed up under
/// [`OTHER_STREAMS`]; every pair stands in every segment's header, which is one block.
pub(crate) const LOSSES_MAX: usize = 64;
/// The stream of losses that found no line of their own.
pub const OTHER_STREAMS: u16 = u16::MAX;
/// The reason when an eviction was asked to carry more than there is room for.
pub const REASON_NO_ROOM: u8 = u8::MAX;

const LOSS_BYTES: usize = 43;

/// What one stream lost for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Records, since the journal was created.
    pub count: u64,
    /// Of those, how many the caller has told upstream of. See [`crate::Journal::told`].
    pub told: u64,
    /// The first and the last of those lost since then. The seqs are what the caller counted them by.
    pub first_seq: u64,
    pub last_seq: u64,
    /// Payload bytes, since the journal was created.
    pub bytes: u64,
}

impl Loss {
    /// How many upstream has not been told of.
    pub fn untold(&self) -> u64 {
        self.count.saturating_sub(self.told)
    }
}

/// All losses, by stream and reason. It stands in every segment's header, so it lives as long as the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    losses: BTreeMap<(u16, u8), Loss>,
}

impl Ledger {
    /// Every line.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u8, &Loss)> {
        self.losses.iter().map(|((stream, reason), loss)| (*stream, *reason, loss))
    }

    pub fn get(&self, stream: u16, reason: u8) -> Option<&Loss> {
        self.losses.get(&(stream, reason))
    }

    pub(crate) fn lose(&mut self, stream: u16, reason: u8, seq: u64, bytes: u64) {
        self.lose_range(stream, reason, 1, seq..=seq, bytes);
    }

    /// Several at once, whose seqs lie somewhere in a range.
    pub(crate) fn lose_range(
        &mut self,
        stream: u16,
        reason: u8,
        count: u64,
        seqs: RangeInclusive<u64>,
        bytes: u64,
    ) {
        let mut key = (stream, reason);
        // Room for one summary line per reason is not promised; the very last pair takes everything.
        if !self.losses.contains_key(&key) && self.losses.len() >= LOSSES_MAX - 1 {
            key = (OTHER_STREAMS, reason);
            if !self.losses.contains_key(&key) && self.losses.len() >= LOSSES_MAX {
                let last = self.losses.keys().next_back();
                key = *last.expect("the ledger is full");
            }
        }
        let loss = self.losses.entry(key).or_default();
        if loss.untold() == 0 {
            loss.first_seq = *seqs.start();
        }
        loss.first_seq = loss.first_seq.min(*seqs.start());
        loss.last_seq = loss.last_seq.max(*seqs.end());
        loss.count += count;
        loss.bytes += bytes;
    }

    /// Says that upstream knows of the first `count`; whether that is news.
    pub(crate) fn tell(&mut self, stream: u16, reason: u8, count: u64) -> bool {
        match self.losses.get_mut(&(stream, reason)) {
            Some(loss) if count > loss.told && count <= loss.count => {
                loss.told = count;
                true
            }
            _ => false,
        }
    }

    /// `count u8`, then for each `stream u16 | reason u8 | count | told | first_seq | last_seq | bytes`, all `u64`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.losses.len() as u8);
        for ((stream, reason), loss) in &self.losses {
            out.extend_from_slice(&stream.to_le_bytes());
            out.push(*reason);
            for number in [loss.count, loss.told, loss.first_seq, loss.last_seq, loss.bytes] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Ledger> {
        let (count, rest) = bytes.split_first()?;
        let (lines, _) = rest.as_chunks::<LOSS_BYTES>();
        let lines = lines.get(..usize::from(*count))?;
        let mut losses = BTreeMap::new();
        for line in lines {
            let number = |n: usize| {
                let at = 3 + n * 8;
                u64::from_le_bytes(line[at..at + 8].try_into().expect("eight bytes"))
            };
            let loss = Loss {
                count: number(0),
                told: number(1),
                first_seq: number(2),
                last_seq: number(3),
                bytes: number(4),
            };
            losses.insert((u16::from_le_bytes([line[0], line[1]]), line[2]), loss);
        }
        Some(Ledger { losses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ledger_still_counts_everything() {
        let mut ledger = Ledger::default();
        for n in 0..500u64 {
            ledger.lose(n as u16, (n % 7) as u8, n, 10);
        }
        assert_eq!(ledger.iter().count(), LOSSES_MAX);
        assert_eq!(ledger.iter().map(|(_, _, loss)| loss.count).sum::<u64>(), 500);
        let mut bytes = Vec::new();
        ledger.encode(&mut bytes);
        assert_eq!(Ledger::decode(&bytes), Some(ledger));
        assert_eq!(Ledger::decode(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn told_is_never_more_than_lost_and_opens_a_new_range() {
        let mut ledger = Ledger::default();
        ledger.lose(1, 2, 10, 5);
        ledger.lose(1, 2, 14, 5);
        assert!(!ledger.tell(1, 2, 3), "more than was lost");
        assert!(!ledger.tell(1, 3, 1), "another reason");
        assert!(ledger.tell(1, 2, 2));
        assert!(!ledger.tell(1, 2, 2), "no news");
        ledger.lose(1, 2, 20, 5);
        let loss = ledger.get(1, 2).copied().unwrap_or_default();
        assert_eq!((loss.count, loss.untold()), (3, 1));
        assert_eq!((loss.first_seq, loss.last_seq, loss.bytes), (20, 20, 15));
    }
}
