//! Appending and committing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::disk::Disk;
use crate::error::Error;
use crate::frame::{self, CARRIED, Frame, HEAD_BYTES, Head, KIND_MARK, KIND_MASK, KIND_MAX};
use crate::header::{BLOCK, TAIL_BYTES};
use crate::ledger::Ledger;
use crate::mark::Mark;
use crate::planted::{Bug, planted};
use crate::recovery::Recovery;
use crate::segments::Segment;
use crate::settings::{SEGMENTS_RESERVED, Settings};

/// What was done so far, for the write budget and for the curious.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of all writes, headers and zeros among them.
    pub bytes_written: u64,
    pub commits: u64,
    pub syncs: u64,
    /// Segments begun.
    pub segments_started: u64,
    /// Writes or syncs that failed, each followed by a fresh segment.
    pub failures: u64,
    /// Frames that evictions have carried forward, and frames that they did not.
    pub frames_carried: u64,
    pub frames_evicted: u64,
}

/// The log. One owner, one thread; every call is over when it returns.
#[derive(Debug)]
pub struct Journal<D: Disk> {
    pub(crate) disk: D,
    pub(crate) settings: Settings,
    pub(crate) epoch: u64,
    /// By generation, which is the order of the log.
    pub(crate) segments: BTreeMap<u32, Segment>,
    /// Slots whose content nobody needs, and their files' lengths. The next one to use is first.
    pub(crate) free: VecDeque<(u32, u64)>,
    pub(crate) next_slot: u32,
    pub(crate) last_generation: u32,
    /// Slots whose first header may not be durable, whatever can be read.
    pub(crate) torn_slots: BTreeSet<u32>,
    /// The segment that is written to. None: the next commit begins one.
    pub(crate) active: Option<u32>,
    pub(crate) write_at: u64,
    /// Holds the only copy of what is pending, if that is durable: not used again before it is written anew.
    pub(crate) kept: Option<u32>,
    /// Whole frames, not yet durable, without checksums.
    pub(crate) pending: Vec<u8>,
    pub(crate) next_seq: u64,
    pub(crate) durable_seq: u64,
    /// What is in force, and what will be when that seq is durable.
    pub(crate) mark: Mark,
    pub(crate) marks: VecDeque<(u64, Mark)>,
    /// The first seq of the eviction that is going on; 0 is none.
    pub(crate) attempt: u64,
    /// Bytes carried since the last append found room: more than the quota is going in circles.
    pub(crate) carried_bytes: u64,
    pub(crate) counters: Counters,
    pub(crate) recovery: Recovery,
}

impl<D: Disk> Journal<D> {
    /// The store's epoch: the one given when it was created.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What `open` found, and [`Journal::verify_next`] since.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The last seq that a power cut cannot take; 0 is none.
    pub fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// The last seq given out; 0 is none.
    pub fn last_seq(&self) -> u64 {
        self.next_seq - 1
    }

    /// Up to here nobody needs anything.
    pub fn forgotten_seq(&self) -> u64 {
        self.mark.forgotten
    }

    /// The first seq of the segment in which a frame stands, when that is durable.
    pub fn segment_start(&self, seq: u64) -> Option<u64> {
        let segments = self.segments.values().rev();
        segments.map(|segment| segment.first_seq).find(|first| *first <= seq)
    }

    /// Bytes that wait for [`Journal::commit`].
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Bytes of the segments in use, of the quota.
    pub fn used_bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.file_len).sum()
    }

    /// What all segments together may take: the quota, rounded to segments.
    pub fn quota_bytes(&self) -> u64 {
        self.settings.segments_max() as u64 * self.segment_bytes()
    }

    /// Length of a segment's file.
    pub fn segment_bytes(&self) -> u64 {
        u64::from(self.settings.segment_bytes)
    }

    /// What was lost on purpose, as far as it is durable.
    pub fn ledger(&self) -> &Ledger {
        &self.mark.ledger
    }

    /// The disk, to look at.
    pub fn disk(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back. What was not committed is gone.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Takes a frame, to be written with the next [`Journal::commit`], and returns its seq.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Pending`], [`Error::TooLarge`], [`Error::Kind`]; then nothing was taken.
    pub fn append(&mut self, kind: u8, payload: &[u8]) -> Result<u64, Error> {
        if kind == 0 || kind > KIND_MAX {
            return Err(Error::Kind { kind });
        }
        let max = self.settings.payload_bytes_max();
        if payload.len() > max {
            let len = payload.len();
            return Err(Error::TooLarge { len, max });
        }
        let pending_bytes = self.pending.len();
        let len = payload.len() + HEAD_BYTES;
        if pending_bytes > 0 && pending_bytes + len > self.settings.pending_bytes_max {
            return Err(Error::Pending { pending_bytes });
        }
        if !self.has_room(len) {
            let quota_bytes = self.settings.quota_bytes;
            return Err(Error::Full { quota_bytes });
        }
        self.carried_bytes = 0;
        Ok(self.push(kind, &[payload]))
    }

    /// Whether a payload of this length would find the quota used up.
    pub fn is_full(&self, payload_len: usize) -> bool {
        !self.has_room(payload_len + HEAD_BYTES)
    }

    fn has_room(&self, frame_len: usize) -> bool {
        let need = (self.pending.len() + frame_len) as u64;
        let more = if need <= self.active_room() {
            0
        } else {
            // At the end of each, up to one frame's length stays unused.
            let used = self.settings.segment_room() * 3 / 4;
            need.div_ceil(used) as usize
        };
        self.segments.len() + more <= self.settings.segments_max() - SEGMENTS_RESERVED
    }

    /// The caller's frames that wait for [`Journal::commit`], but for carried ones. After a start they are what
    /// [`Recovery::is_tail_pending`] is about; no cursor shows them before they are durable.
    pub fn pending_frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            while let Some(head) = Head::parse(&self.pending[at..]) {
                let payload = &self.pending[at + HEAD_BYTES..at + head.total()];
                at += head.total();
                let kind = head.kind & KIND_MASK;
                if kind != KIND_MARK && head.kind & CARRIED == 0 {
                    return Some(Frame { seq: head.seq, origin: head.seq, kind, payload });
                }
            }
            None
        })
    }

    /// Lets the next frame have this seq, if it is not there already: for a caller that knows of frames which the
    /// disk has lost, so that no seq is given twice. What lies between is a gap like any other.
    /// With frames pending it does nothing.
    pub fn skip_to(&mut self, seq: u64) {
        if seq > self.next_seq && self.pending.is_empty() {
            // Frames of one segment are dense.
            self.next_seq = seq;
            self.active = None;
        }
    }

    /// Takes a frame of any kind.
    pub(crate) fn push(&mut self, kind: u8, parts: &[&[u8]]) -> u64 {
        let seq = self.next_seq;
        frame::push(&mut self.pending, kind, seq, parts);
        self.next_seq += 1;
        seq
    }

    /// Writes what is pending and makes it durable: one write and one sync, more only where a segment ends.
    /// Returns the last durable seq; every seq up to it is durable. Without anything pending it does nothing.
    ///
    /// When a write or sync fails, the segment is left as it is, for good, and everything pending goes to a fresh
    /// one within the same call.
    ///
    /// # Errors
    /// When that fails, too. Everything stays pending; nothing more is durable than [`Journal::durable_seq`] says.
    pub fn commit(&mut self) -> Result<u64, Error> {
        if !self.pending.is_empty() {
            self.counters.commits += 1;
        }
        while !self.pending.is_empty() {
            if self.write_some().is_err() {
                self.leave();
                if let Err(error) = self.write_some() {
                    self.leave();
                    return Err(error);
                }
            }
        }
        Ok(self.durable_seq)
    }

    /// Writes as much as one segment takes.
    fn write_some(&mut self) -> Result<(), Error> {
        let fits = self.fitting(self.active_room());
        let all = self.pending.len();
        if fits < all && (fits == 0 || all as u64 <= self.settings.segment_room()) {
            let first = Head::parse(&self.pending).expect("whole frames are pending");
            self.start_segment(first.seq)?;
        }
        let fits = self.fitting(self.active_room());
        let generation = self.active.expect("a segment was begun");
        let mut last_seq = 0;
        let mut at = 0;
        while at < fits {
            let head = Head::parse(&self.pending[at..]).expect("whole frames are pending");
            let end = at + head.total();
            frame::seal(&mut self.pending[at..end], at == 0, generation);
            last_seq = head.seq;
            at = end;
        }
        let segment = self.segments.get(&generation).expect("active is one of them");
        let name = segment.name();
        let io = Error::io("write", &name);
        self.disk.write_at(&name, self.write_at, &self.pending[..fits]).map_err(io)?;
        self.counters.bytes_written += fits as u64;
        if !planted(Bug::AckBeforeSync) {
            self.sync(&name)?;
        }
        self.wrote(generation, fits, last_seq);
        Ok(())
    }

    /// Accounts for what has become durable.
    fn wrote(&mut self, generation: u32, bytes: usize, last_seq: u64) {
        self.pending.drain(..bytes);
        self.durable_seq = last_seq;
        if self.pending.is_empty() {
            self.kept = None;
        }
        let end = self.write_at + bytes as u64;
        if let Some(segment) = self.segments.get_mut(&generation) {
            segment.end_at = end;
            segment.end_seq = last_seq + 1;
        }
        // A large write ends its block: the next one then touches one block less, and none that holds anything
        // durable. A small one shares its block with the next, or the log would be mostly padding.
        let padded = end.next_multiple_of(BLOCK);
        let is_large = (padded - end) * 4 <= bytes as u64;
        self.write_at = if is_large { padded } else { end };
        while self.marks.front().is_some_and(|(seq, _)| *seq <= last_seq)
            && let Some((_, mark)) = self.marks.pop_front()
        {
            // A seq that was forgotten meanwhile stays forgotten.
            self.mark.forgotten = self.mark.forgotten.max(mark.forgotten);
            self.mark.ledger = mark.ledger;
            if mark.attempt != 0 {
                self.attempt = 0;
            }
            self.release();
        }
    }

    /// Stops writing to the active segment. What is durable in it stays.
    fn leave(&mut self) {
        self.counters.failures += 1;
        let Some(generation) = self.active.take() else {
            return;
        };
        let is_empty = |segment: &Segment| segment.first_seq == segment.end_seq;
        if self.segments.get(&generation).is_some_and(is_empty)
            && let Some(segment) = self.segments.remove(&generation)
        {
            self.free.push_back((segment.slot, segment.file_len));
        }
    }

    /// A sync that is believed only if it succeeds at once.
    pub(crate) fn sync(&mut self, name: &str) -> Result<(), Error> {
        self.counters.syncs += 1;
        match self.disk.sync(name) {
            Err(_) if planted(Bug::BelieveSecondSync) => {
                self.disk.sync(name).map_err(Error::io("sync", name))
            }
            other => other.map_err(Error::io("sync", name)),
        }
    }

    fn active_room(&self) -> u64 {
        match self.active.and_then(|active| self.segments.get(&active)) {
            Some(segment) => (segment.file_len - TAIL_BYTES).saturating_sub(self.write_at),
            None => 0,
        }
    }

    /// The length of as many whole pending frames as `room` takes.
    fn fitting(&self, room: u64) -> usize {
        if self.pending.len() as u64 <= room {
            return self.pending.len();
        }
        let mut at = 0;
        while let Some(head) = Head::parse(&self.pending[at..])
            && (at + head.total()) as u64 <= room
        {
            at += head.total();
        }
        at
    }
}
