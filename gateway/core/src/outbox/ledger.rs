//! What was given up, and what upstream has been told of it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::commit::{LedgerLine, Lost, Told};
use crate::record::{LossReason, StreamId};
use crate::store::LossTotal;
use crate::time::Timestamp;

/// The lines of the journal's ledger as they will be, once everything under way is durable.
#[derive(Debug, Default)]
pub struct Losses {
    lines: BTreeMap<(StreamId, LossReason), LedgerLine>,
    /// When upstream may be told of more.
    next: Timestamp,
}

impl Losses {
    /// Takes over what the journal said at the start.
    pub fn restore(&mut self, lines: &[LedgerLine]) {
        self.lines = lines.iter().map(|line| ((line.stream, line.reason), *line)).collect();
    }

    /// An eviction has given up so much; `ledger` says between which seqs.
    pub fn handle_evicted(&mut self, losses: &[LossTotal], ledger: &[LedgerLine]) {
        for loss in losses {
            let key = (loss.stream, loss.reason);
            let Some(theirs) = ledger.iter().find(|line| (line.stream, line.reason) == key) else {
                continue;
            };
            let none = LedgerLine { count: 0, told: 0, bytes: 0, ..*theirs };
            let line = self.lines.entry(key).or_insert(none);
            line.count += loss.records;
            line.bytes += loss.bytes;
            line.first_seq = line.first_seq.min(theirs.first_seq);
            line.last_seq = line.last_seq.max(theirs.last_seq);
        }
    }

    /// Counts one. Returns how many of this stream and reason there are now.
    pub fn lose(&mut self, lost: &Lost) -> u64 {
        let line = self.lines.entry((lost.stream, lost.reason)).or_insert(LedgerLine {
            stream: lost.stream,
            reason: lost.reason,
            count: 0,
            told: 0,
            first_seq: lost.seq,
            last_seq: lost.seq,
            bytes: 0,
        });
        line.count += 1;
        line.bytes += lost.bytes;
        line.first_seq = line.first_seq.min(lost.seq);
        line.last_seq = line.last_seq.max(lost.seq);
        line.count
    }

    /// Whether upstream does not know of everything.
    pub fn has_untold(&self) -> bool {
        self.lines.values().any(is_untold)
    }

    /// When to look again.
    pub fn due(&self) -> Timestamp {
        self.next
    }

    /// What to tell upstream now. It counts as told: the telling is committed together with that.
    pub fn tell(&mut self, now: Timestamp, next: Timestamp) -> Vec<(LedgerLine, Told)> {
        if now < self.next || !self.has_untold() {
            return Vec::new();
        }
        self.next = next;
        self.lines
            .values_mut()
            .filter(|line| is_untold(line))
            .map(|line| {
                line.told = line.count;
                let (stream, reason, count) = (line.stream, line.reason, line.count);
                (*line, Told { stream, reason, count })
            })
            .collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &LedgerLine> {
        self.lines.values()
    }
}

/// A lost announcement is not announced: that would never end. The counts are cumulative, the next one makes up for it.
fn is_untold(line: &LedgerLine) -> bool {
    line.told < line.count && line.stream != StreamId::LOSSES
}
