//! Forgetting and evicting.

use crate::cursor::Cursor;
use crate::disk::Disk;
use crate::error::Error;
use crate::frame::{CARRIED, Frame, HEAD_BYTES, KIND_MARK, ORIGIN_BYTES};
use crate::journal::Journal;
use crate::ledger::{Ledger, OTHER_STREAMS, REASON_NO_ROOM};
use crate::mark::Mark;
use crate::planted::{Bug, planted};
use crate::segments::Segment;

/// Carried frames are written in pieces of this size: memory, not the disk, sets it.
const PIECE_BYTES: usize = 256 * 1024;

/// What becomes of an old frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// When all of it is needed: it is appended again, with its kind and origin.
    Carry,
    /// When a part of it is needed: the same with another payload, no longer than the old one.
    CarryAs(Vec<u8>),
    /// When nothing of it is needed. Records that are lost with it are counted by [`Judge::lose`].
    Drop,
}

/// Where a judgement over old frames counts what it gives up.
#[derive(Debug)]
pub struct Judge<'a> {
    ledger: &'a mut Ledger,
    room_bytes: u64,
}

impl Judge<'_> {
    /// Counts one record as lost. `seq` is whatever upstream knows it by, `bytes` its payload.
    pub fn lose(&mut self, stream: u16, reason: u8, seq: u64, bytes: u64) {
        self.ledger.lose(stream, reason, seq, bytes);
    }

    /// How much may still be carried, payload and 33 bytes for each frame. What is carried beyond it is dropped
    /// and counted under [`OTHER_STREAMS`] and [`REASON_NO_ROOM`], by the frame's origin.
    pub fn room_bytes(&self) -> u64 {
        self.room_bytes
    }
}

/// What an eviction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Everything up to here is forgotten; 0 when there was nothing to evict.
    pub up_to: u64,
    pub frames_carried: u64,
    pub frames_dropped: u64,
}

impl<D: Disk> Journal<D> {
    /// Says that nobody needs a frame up to `up_to` any more. Segments that hold nothing else are used again.
    /// This is not durable by itself: after a power cut, frames up to `up_to` may be there again. Seqs that
    /// are not durable yet are not forgotten.
    pub fn forget(&mut self, up_to: u64) {
        let up_to = up_to.min(self.durable_seq);
        if up_to > self.mark.forgotten {
            self.mark.forgotten = up_to;
            self.release();
        }
    }

    /// Gives up the oldest segment: each frame in it that still counts is shown to `judge`, which lets it be
    /// carried forward or drops it. Carried frames, losses and the new beginning become durable together, and only
    /// then is the segment free. What was pending is committed on the way.
    ///
    /// One call frees at most one segment, and none if everything was carried: repeat while [`Journal::is_full`].
    /// When more than the whole quota was carried without room for a single append, there is no room to carry.
    ///
    /// # Errors
    /// As [`Journal::commit`]. Then nothing was evicted or counted yet; a later commit may bring it to its end, and
    /// the call may be repeated either way.
    pub fn evict(
        &mut self,
        mut judge: impl FnMut(Frame<'_>, &mut Judge<'_>) -> Fate,
    ) -> Result<Evicted, Error> {
        self.commit()?;
        let Some((generation, oldest)) = self.segments.first_key_value() else {
            return Ok(Evicted::default());
        };
        if Some(*generation) == self.active {
            return Ok(Evicted::default());
        }
        let up_to = oldest.end_seq - 1;
        let attempt = self.next_seq;
        self.attempt = attempt;
        let done = self.carry(up_to, &mut judge).and_then(|(evicted, ledger)| {
            self.end_eviction(attempt, up_to, ledger)?;
            Ok(evicted)
        });
        match &done {
            Ok(evicted) => {
                self.counters.frames_carried += evicted.frames_carried;
                self.counters.frames_evicted += evicted.frames_dropped;
            }
            Err(_) => self.abandon(attempt),
        }
        done
    }

    /// Carries what is to be carried; returns what the ledger will be.
    fn carry(
        &mut self,
        up_to: u64,
        judge: &mut impl FnMut(Frame<'_>, &mut Judge<'_>) -> Fate,
    ) -> Result<(Evicted, Ledger), Error> {
        let mut evicted = Evicted { up_to, ..Evicted::default() };
        let mut ledger = self.mark.ledger.clone();
        let mut room_bytes = self.carry_room();
        let mut cursor = Cursor::from(0);
        while let Some(frame) = cursor.next(self)?
            && frame.seq <= up_to
        {
            let (seq, origin, kind) = (frame.seq, frame.origin, frame.kind);
            let len = frame.payload.len();
            let mut judging = Judge { ledger: &mut ledger, room_bytes };
            let other;
            let payload = match judge(frame, &mut judging) {
                Fate::Drop => None,
                Fate::Carry => Some(frame.payload),
                Fate::CarryAs(bytes) if bytes.len() <= len => {
                    other = bytes;
                    Some(&other[..])
                }
                Fate::CarryAs(_) => None,
            };
            let is_judged_drop = payload.is_none();
            let need = |payload: &[u8]| (payload.len() + HEAD_BYTES + ORIGIN_BYTES) as u64;
            let Some(payload) = payload.filter(|payload| need(payload) <= room_bytes) else {
                evicted.frames_dropped += 1;
                if !is_judged_drop {
                    ledger.lose(OTHER_STREAMS, REASON_NO_ROOM, origin, len as u64);
                }
                continue;
            };
            room_bytes -= need(payload);
            self.carried_bytes += need(payload);
            evicted.frames_carried += 1;
            let (replaces, origin) = (seq.to_le_bytes(), origin.to_le_bytes());
            self.push(CARRIED | kind, &[&replaces, &origin, payload]);
            if self.pending.len() >= PIECE_BYTES {
                self.commit()?;
            }
        }
        Ok((evicted, ledger))
    }

    /// The last seqs of the segments that evictions can give up, in the order in which they would.
    pub fn evictable_ends(&self) -> impl Iterator<Item = u64> {
        let is_done = |(generation, _): &(&u32, &Segment)| Some(**generation) != self.active;
        self.segments.iter().take_while(is_done).map(|(_, segment)| segment.end_seq - 1)
    }

    /// The first of them.
    pub fn oldest_last_seq(&self) -> Option<u64> {
        self.evictable_ends().next()
    }

    /// What [`Judge::room_bytes`] would begin with. Two segments are kept back: one to carry into, one in case the
    /// disk refuses.
    pub fn carry_room_bytes(&self) -> u64 {
        self.carry_room()
    }

    /// Whether an eviction that has returned an error is waiting for a commit that brings it to its end.
    pub fn is_evicting(&self) -> bool {
        self.marks.iter().any(|(_, mark)| mark.attempt != 0)
    }

    fn carry_room(&self) -> u64 {
        if self.carried_bytes > self.settings.quota_bytes {
            return 0;
        }
        let spare = self.settings.segments_max().saturating_sub(self.segments.len() + 1);
        // At the end of a segment up to one frame's length stays unused, and so does the rest of the active one.
        self.settings.segment_room() * 3 / 4 * spare as u64
    }

    /// The frame that makes it all true.
    fn end_eviction(&mut self, attempt: u64, up_to: u64, ledger: Ledger) -> Result<(), Error> {
        let mark = Mark {
            forgotten: self.mark.forgotten.max(up_to),
            attempt,
            abandoned: self.mark.abandoned.clone(),
            ledger,
        };
        if planted(Bug::ForgetBeforeDurable) {
            self.mark.forgotten = mark.forgotten;
            self.release();
        }
        self.push_mark(mark);
        self.commit()?;
        Ok(())
    }

    pub(crate) fn push_mark(&mut self, mark: Mark) {
        let mut payload = Vec::new();
        mark.encode(&mut payload);
        let seq = self.push(KIND_MARK, &[&payload]);
        self.marks.push_back((seq, mark));
    }

    /// An eviction has failed: what it carried does not count, wherever it may be. But when its end is pending
    /// already, it will be true with a later commit.
    fn abandon(&mut self, attempt: u64) {
        let is_end = |(seq, _): &(u64, Mark)| *seq >= attempt;
        if self.marks.back().is_some_and(is_end) {
            return;
        }
        self.attempt = 0;
        if self.next_seq > attempt {
            self.mark.abandon(attempt, self.next_seq - 1);
        }
    }
}
