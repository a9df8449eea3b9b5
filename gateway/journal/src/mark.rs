//! What the journal knows about itself: in every segment's header, and as a frame where it changes.

use crate::ledger::Ledger;

/// Evictions that never came to their end, kept by the seqs of what they carried. Each is a power cut or a
/// disk error in the middle of one; they leave with their segments. Beyond it, the oldest is left out.
pub(crate) const ABANDONED_MAX: usize = 32;

/// Layout: `forgotten u64 | attempt u64 | count u8 | count x (first u64 | last u64) | ledger`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Nobody needs this seq or one before it; their segments may be gone.
    pub forgotten: u64,
    /// In a frame: the first seq of what the eviction that ends here has carried. In a header: of what one
    /// that is not at its end has carried so far. 0 is none.
    pub attempt: u64,
    /// Seqs of carried frames that do not count, since their eviction did not come to its end.
    pub abandoned: Vec<(u64, u64)>,
    pub ledger: Ledger,
}

impl Mark {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.forgotten.to_le_bytes());
        out.extend_from_slice(&self.attempt.to_le_bytes());
        let skip = self.abandoned.len().saturating_sub(ABANDONED_MAX);
        let abandoned = &self.abandoned[skip..];
        out.push(abandoned.len() as u8);
        for (first, last) in abandoned {
            out.extend_from_slice(&first.to_le_bytes());
            out.extend_from_slice(&last.to_le_bytes());
        }
        self.ledger.encode(out);
    }

    pub fn decode(bytes: &[u8]) -> Option<Mark> {
        let (forgotten, rest) = bytes.split_first_chunk()?;
        let (attempt, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first()?;
        let ranges_bytes = usize::from(*count) * 16;
        let (ranges, _) = rest.get(..ranges_bytes)?.as_chunks::<16>();
        let abandoned = ranges
            .iter()
            .map(|range| {
                let number = u128::from_le_bytes(*range);
                (number as u64, (number >> 64) as u64)
            })
            .collect();
        Some(Mark {
            forgotten: u64::from_le_bytes(*forgotten),
            attempt: u64::from_le_bytes(*attempt),
            abandoned,
            ledger: Ledger::decode(&rest[ranges_bytes..])?,
        })
    }

    /// Takes up an eviction that did not come to its end.
    pub fn abandon(&mut self, first: u64, last: u64) {
        let forgotten = self.forgotten;
        self.abandoned.retain(|(_, last)| *last > forgotten);
        self.abandoned.push((first, last));
    }

    /// Whether a frame still counts. `replaces` is set for a carried one.
    pub fn is_live(&self, seq: u64, replaces: Option<u64>) -> bool {
        let within = |(first, last): &(u64, u64)| (*first..=*last).contains(&seq);
        seq > self.forgotten
            && replaces.is_none_or(|replaces| {
                replaces <= self.forgotten && !self.abandoned.iter().any(within)
            })
    }
}
