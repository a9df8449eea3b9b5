//! Taking commits and making them durable.

use std::collections::VecDeque;

use tidegate_core::commit::{Commit, CommitId, LedgerLine, Waiting};
use tidegate_core::record::{LossReason, StreamId};
use tidegate_core::store::{Committed, Evict, Evicted};
use tidegate_journal::{Disk, Journal, Ledger, Loss};

use crate::checkpoint::Exports;
use crate::codec::{Damage, Draft};
use crate::downsample::Downsampled;
use crate::error::Error;
use crate::evict::Doubt;
use crate::facts::Facts;
use crate::fetch::Lane;
use crate::memtable::Memtable;
use crate::planted::{Bug, planted};
use crate::settings::Settings;
use crate::shelf::Shelf;

/// The kind of a frame that holds a commit.
pub(crate) const COMMIT: u8 = 1;
/// Places are counted by 16 bits.
const RECORDS_MAX: usize = u16::MAX as usize;
/// With fewer segments, none is kept back.
const SPARE_FROM_SEGMENTS: u64 = 8;
/// How far wall time goes on before a commit takes it along.
const FLOOR_STEP_US: i64 = 60_000_000;

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub checkpoints: u64,
    pub exports: u64,
    /// Bytes of rows and of exports that were written.
    pub shelf_bytes_written: u64,
    pub export_bytes_written: u64,
    /// Checkpoints and exports that failed.
    pub checkpoints_failed: u64,
    pub exports_failed: u64,
    /// Frames that could be read and not understood.
    pub frames_strange: u64,
    /// Evictions, and those that would have freed nothing and were not begun.
    pub evictions: u64,
    pub evictions_futile: u64,
}

/// A commit on its way to the disk.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub seq: u64,
    /// None: the store's own, or left over from the last run.
    pub id: Option<CommitId>,
    pub commit: Commit,
    pub boot: u32,
    pub bytes: u64,
    pub floor_unix_us: Option<i64>,
    pub damage: Option<Damage>,
}

/// A commit for which the journal had no room.
#[derive(Debug)]
pub(crate) struct Queued {
    payload: Vec<u8>,
    pub(crate) flight: InFlight,
}

/// The store. One owner, one thread; every call is over when it returns.
#[derive(Debug)]
pub struct Store<D: Disk, S: Shelf> {
    pub(crate) journal: Journal<D>,
    pub(crate) shelf: S,
    pub(crate) settings: Settings,
    pub(crate) boot: u32,
    /// As of `durable_seq`, as is the memtable together with the shelf.
    pub(crate) facts: Facts,
    pub(crate) memtable: Memtable,
    /// Up to here the shelf has everything; None: there is nothing on it.
    pub(crate) applied_seq: Option<u64>,
    /// The sum of [`crate::rows::share`] over what is on the shelf; None: it must be read to tell.
    pub(crate) sum: Option<u32>,
    /// Up to here the start had everything, whatever the journal must write again.
    pub(crate) base_seq: u64,
    /// Frames of commits since the last checkpoint and export, bytes.
    pub(crate) grown_bytes: u64,
    pub(crate) grown_since_export: u64,
    pub(crate) segments_at_checkpoint: u64,
    pub(crate) exports: Exports,
    pub(crate) in_flight: VecDeque<InFlight>,
    pub(crate) queue: VecDeque<Queued>,
    pub(crate) committed: Committed,
    floor_now: i64,
    pub(crate) lanes: [Option<Lane>; 8],
    pub(crate) downsampled: Downsampled,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) evicted: Option<Evicted>,
    /// What cannot make room.
    pub(crate) futile: Option<Evict>,
    /// The shelf has rows that nobody believes: it is reset before anything is written to it.
    pub(crate) is_stale: bool,
    pub(crate) has_written: bool,
    /// The last of the frames that the disk did not take again at the start, until they are durable.
    pub(crate) left_over_seq: Option<u64>,
    /// The start has found damage and told what it has cost; that is on its way to the journal.
    pub(crate) is_start_damaged: bool,
    pub(crate) counters: Counters,
}

impl<D: Disk, S: Shelf> Store<D, S> {
    pub(crate) fn new(
        journal: Journal<D>,
        shelf: S,
        settings: Settings,
        facts: Facts,
        applied_seq: Option<u64>,
    ) -> Store<D, S> {
        Store {
            journal,
            shelf,
            settings,
            boot: 1,
            facts,
            memtable: Memtable::default(),
            applied_seq,
            sum: None,
            base_seq: 0,
            grown_bytes: 0,
            grown_since_export: 0,
            segments_at_checkpoint: 0,
            exports: Exports::default(),
            in_flight: VecDeque::new(),
            queue: VecDeque::new(),
            committed: Committed::default(),
            floor_now: 0,
            lanes: Default::default(),
            downsampled: Downsampled::default(),
            doubt: None,
            evicted: None,
            futile: None,
            is_stale: false,
            left_over_seq: None,
            is_start_damaged: false,
            has_written: false,
            counters: Counters::default(),
        }
    }

    /// The store's epoch: new when there was nothing.
    pub fn epoch(&self) -> u64 {
        self.journal.epoch()
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The journal, to look at.
    pub fn journal(&mut self) -> &mut Journal<D> {
        &mut self.journal
    }

    /// The shelf, to look at.
    pub fn shelf(&mut self) -> &mut S {
        &mut self.shelf
    }

    /// Gives disk and shelf back. What was not committed is gone.
    pub fn into_parts(self) -> (D, S) {
        (self.journal.into_disk(), self.shelf)
    }

    /// Bytes that the journal takes, of [`Store::quota_bytes`].
    pub fn used_bytes(&self) -> u64 {
        self.journal.used_bytes()
    }

    pub fn quota_bytes(&self) -> u64 {
        self.journal.quota_bytes()
    }

    /// Whether it is time to evict, for a commit of about so many bytes: a segment is kept back beside the journal's
    /// own, so that what an eviction carries always finds room.
    pub fn is_full(&self, bytes: usize) -> bool {
        let segment = self.journal.segment_bytes();
        // A journal of a few segments has none to spare.
        let has_many = self.journal.quota_bytes() >= SPARE_FROM_SEGMENTS * segment;
        let kept_back = if has_many { segment as usize } else { 0 };
        self.journal.is_full(self.queued_bytes() + bytes + kept_back)
    }

    fn queued_bytes(&self) -> usize {
        self.queue.iter().map(|queued| queued.payload.len()).sum()
    }

    /// Bytes of commits that wait for [`Store::commit`].
    pub fn pending_bytes(&self) -> usize {
        self.journal.pending_bytes() + self.queued_bytes()
    }

    /// Whether there is anything for [`Store::commit`] to do.
    pub fn has_pending(&self) -> bool {
        self.pending_bytes() > 0 || self.committed != Committed::default()
    }

    /// Says that wall time is at least this, unix microseconds; a later commit takes it along when it has gone on by
    /// a minute.
    pub fn know_time(&mut self, unix_us: i64) {
        self.floor_now = self.floor_now.max(unix_us);
    }

    /// Takes a commit, to be made durable by [`Store::commit`]. What the journal has no room for waits here.
    ///
    /// # Errors
    /// [`Error::TooLarge`] and [`Error::TooMany`], which the core's limits rule out. Then it was not taken.
    pub fn take(&mut self, commit: Commit) -> Result<(), Error> {
        let (id, count) = (commit.id, commit.records.len());
        if count > RECORDS_MAX {
            return Err(Error::TooMany { id: id.0, count, max: RECORDS_MAX });
        }
        let is_news = self.floor_now >= self.facts.floor_unix_us.saturating_add(FLOOR_STEP_US);
        let floor_unix_us = is_news.then_some(self.floor_now);
        self.put(Some(id), commit, floor_unix_us, None)
    }

    /// Takes a commit of the core's or of our own.
    pub(crate) fn put(
        &mut self,
        id: Option<CommitId>,
        commit: Commit,
        floor_unix_us: Option<i64>,
        damage: Option<Damage>,
    ) -> Result<(), Error> {
        let boot = self.boot;
        let draft = Draft { boot, commit: &commit, floor_unix_us, damage: damage.as_ref() };
        let payload = draft.encode();
        let (len, max) = (payload.len(), self.settings.journal.payload_bytes_max());
        if len > max {
            return Err(Error::TooLarge { id: id.unwrap_or_default().0, len, max });
        }
        let bytes = len as u64;
        let flight = InFlight { seq: 0, id, commit, boot, bytes, floor_unix_us, damage };
        self.queue.push_back(Queued { payload, flight });
        self.append_queue()
    }

    /// Takes a commit of our own if there is room for it at once.
    pub(crate) fn put_now(&mut self, commit: Commit) {
        if self.queue.is_empty() && self.put(None, commit, None, None).is_ok() {
            // It would come too late behind others.
            self.queue.clear();
        }
    }

    /// Appends what the journal has room for.
    fn append_queue(&mut self) -> Result<(), Error> {
        while let Some(Queued { payload, mut flight }) = self.queue.pop_front() {
            use tidegate_journal::Error as Refused;
            match self.journal.append(COMMIT, &payload) {
                Ok(seq) => {
                    flight.seq = seq;
                    account(&mut self.journal, &flight.commit, flight.damage.as_ref());
                    if planted(Bug::StateAhead) {
                        for state in &flight.commit.states {
                            self.memtable.take(seq, state);
                        }
                    }
                    self.in_flight.push_back(flight);
                    self.has_written = true;
                }
                Err(Refused::Full { .. } | Refused::Pending { .. }) => {
                    self.queue.push_front(Queued { payload, flight });
                    break;
                }
                Err(
                    error @ (Refused::TooLarge { .. } | Refused::Kind { .. } | Refused::Io { .. }),
                ) => {
                    self.queue.push_front(Queued { payload, flight });
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Makes durable what was taken: one write and one sync, more only where a segment ends or more waits than is
    /// written at once. Says which commits have become durable since the last answer; those for which the journal is
    /// full are not among them.
    ///
    /// What [`Store::poll_evicted`] gives afterwards must reach the core before this answer.
    ///
    /// # Errors
    /// When the disk refuses. Nothing is reported then, all stays, and the next call tries again.
    pub fn commit(&mut self) -> Result<Committed, Error> {
        loop {
            let done = self.journal.commit();
            self.settle();
            if planted(Bug::ReportsTooEarly) && done.is_err() {
                self.in_flight.iter().for_each(|flight| report(&mut self.committed, flight));
            } else {
                done?;
            }
            let waiting = self.queue.len();
            self.append_queue()?;
            if self.queue.len() == waiting {
                let last_frame = self.journal.durable_seq();
                return Ok(Committed { last_frame, ..std::mem::take(&mut self.committed) });
            }
        }
    }

    /// Takes up what has become durable.
    pub(crate) fn settle(&mut self) {
        self.resolve_doubt();
        let durable = self.journal.durable_seq();
        while self.in_flight.front().is_some_and(|flight| flight.seq <= durable)
            && let Some(flight) = self.in_flight.pop_front()
        {
            let start = self.journal.segment_start(flight.seq).unwrap_or(flight.seq);
            self.facts.begin(flight.seq, start);
            self.facts.take_flight(&flight, self.settings.seen_max);
            for state in &flight.commit.states {
                self.memtable.take(flight.seq, state);
            }
            self.grow(flight.bytes);
            report(&mut self.committed, &flight);
            self.tell_damage(flight.damage.as_ref());
        }
        if self.left_over_seq.take_if(|last| *last <= durable).is_some() {
            self.committed.has_left_over = true;
        }
        self.forget();
    }

    pub(crate) fn grow(&mut self, bytes: u64) {
        self.grown_bytes += bytes;
        self.grown_since_export += bytes;
    }

    /// What waits of each stream, as far as durable commits say.
    pub fn waiting(&self) -> &[Waiting] {
        &self.facts.progress.waiting
    }

    /// The ledger, with what the next commit makes durable.
    pub fn ledger(&self) -> Vec<LedgerLine> {
        lines(self.journal.ledger_ahead())
    }
}

fn report(committed: &mut Committed, flight: &InFlight) {
    if let Some(id) = flight.id {
        committed.up_to = id;
        if !flight.commit.records.is_empty() {
            committed.frames.push((id, flight.seq));
        }
    }
}

/// Enters a commit's losses into the ledger, behind its frame.
pub(crate) fn account<D: Disk>(journal: &mut Journal<D>, commit: &Commit, damage: Option<&Damage>) {
    for lost in &commit.losses {
        journal.lose(lost.stream.0, lost.reason as u8, lost.seq, lost.bytes);
    }
    for told in &commit.told {
        journal.told(told.stream.0, told.reason as u8, told.count);
    }
    for lost in damage.iter().flat_map(|damage| &damage.lost) {
        let seqs = lost.first_seq..=lost.last_seq;
        journal.lose_range(lost.stream.0, LossReason::Damaged as u8, lost.count, seqs, 0);
    }
}

/// A ledger as the core reads it.
pub(crate) fn lines(ledger: &Ledger) -> Vec<LedgerLine> {
    let line = |(stream, reason, loss): (u16, u8, &Loss)| {
        Some(LedgerLine {
            stream: StreamId(stream),
            reason: LossReason::from_number(reason)?,
            count: loss.count,
            told: loss.told,
            first_seq: loss.first_seq,
            last_seq: loss.last_seq,
            bytes: loss.bytes,
        })
    };
    ledger.iter().filter_map(line).collect()
}
