//! Keeping the loss ledger, outside of evictions.

use std::ops::RangeInclusive;

use crate::disk::Disk;
use crate::frame::Head;
use crate::journal::Journal;
use crate::ledger::Ledger;

impl<D: Disk> Journal<D> {
    /// Counts one record as lost, as [`crate::Judge::lose`] does. Becomes durable with the next commit, right behind
    /// what was appended before: a power cut may leave that without the loss.
    pub fn lose(&mut self, stream: u16, reason: u8, seq: u64, bytes: u64) {
        self.lose_range(stream, reason, 1, seq..=seq, bytes);
    }

    /// The same for several whose seqs lie in a range, not necessarily all of it.
    pub fn lose_range(
        &mut self,
        stream: u16,
        reason: u8,
        count: u64,
        seqs: RangeInclusive<u64>,
        bytes: u64,
    ) {
        self.amend(|ledger| {
            ledger.lose_range(stream, reason, count, seqs, bytes);
            true
        });
    }

    /// Says that upstream knows of the first `count` records that a stream lost for a reason; `count` as in
    /// [`crate::Loss::count`]. Becomes durable with the next commit, behind what was appended before.
    pub fn told(&mut self, stream: u16, reason: u8, count: u64) {
        self.amend(|ledger| ledger.tell(stream, reason, count));
    }

    /// The ledger with what the next commit makes durable.
    pub fn ledger_ahead(&self) -> &Ledger {
        match self.marks.back() {
            Some((_, latest)) => &latest.ledger,
            None => &self.mark.ledger,
        }
    }

    /// Changes the ledger; `false` from `change` is no news. Changes with no other frame between them share a mark.
    fn amend(&mut self, change: impl FnOnce(&mut Ledger) -> bool) {
        let mut mark = match self.marks.back() {
            Some((_, latest)) => latest.clone(),
            None => self.mark.clone(),
        };
        if change(&mut mark.ledger) {
            mark.attempt = 0;
            self.take_last_mark();
            self.push_mark(mark);
        }
    }

    /// Takes back the mark that is the last thing pending, unless it ends an eviction.
    fn take_last_mark(&mut self) {
        let Some((seq, mark)) = self.marks.back() else {
            return;
        };
        if *seq + 1 != self.next_seq || mark.attempt != 0 {
            return;
        }
        let mut at = 0;
        while let Some(head) = Head::parse(&self.pending[at..])
            && head.seq != *seq
        {
            at += head.total();
        }
        self.pending.truncate(at);
        self.next_seq = *seq;
        self.marks.pop_back();
    }
}
