//! Making room when the journal is full.

mod plan;
mod verdict;

use std::sync::Arc;

use tidegate_core::commit::Commit;
use tidegate_core::record::{LossReason, Place, StreamId};
use tidegate_core::store::{Evict, Evicted, LossTotal};
use tidegate_core::stream::Streams;
use tidegate_journal::{Disk, Fate, Frame, Judge, OTHER_STREAMS};

use crate::codec::{EntryView, RecordView, RecordWriter, strip};
use crate::downsample::Downsampled;
use crate::error::Error;
use crate::shelf::Shelf;
use crate::store::{Store, lines};
use plan::plan;
use verdict::{Rules, Verdict, base_level};

/// Segments that one call may give up.
const SEGMENTS_MAX: usize = 8;
/// What the journal adds to a carried frame.
const CARRIED_BYTES: u64 = 33;

/// An eviction that has begun: what is true when it comes to its end.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    up_to: u64,
    carried_from: u64,
    /// Bytes and records that were carried, by priority.
    carried: [(u64, u64); 8],
    losses: Vec<LossTotal>,
    downsampled: Downsampled,
}

impl<D: Disk, S: Shelf> Store<D, S> {
    /// Makes room: the oldest segments are given up, and what of them must stay is carried to the log's end. Settled
    /// records go silently; others by their stream's rule, the less important first, and each is counted in the
    /// ledger. When nothing can go, nothing is written.
    ///
    /// # Errors
    /// When the disk refuses. What was evicted before that is told by [`Store::poll_evicted`], and so is an eviction
    /// in doubt that a later commit brings to its end.
    pub fn evict(&mut self, evict: &Evict) -> Result<Evicted, Error> {
        let done = self.evict_segments(evict);
        let mut evicted = match done {
            Ok(()) => self.evicted.take().unwrap_or_default(),
            Err(error) => return Err(error),
        };
        evicted.has_room = self.has_room();
        evicted.last_frame = self.journal.durable_seq();
        evicted.ledger = lines(self.journal.ledger());
        Ok(evicted)
    }

    /// An eviction that came true after its call had failed. To be looked for after every [`Store::commit`] and failed
    /// [`Store::evict`], and told before anything that is newer.
    pub fn poll_evicted(&mut self) -> Option<Evicted> {
        let mut evicted = self.evicted.take()?;
        evicted.has_room = self.has_room();
        evicted.last_frame = self.journal.durable_seq();
        evicted.ledger = lines(self.journal.ledger());
        Some(evicted)
    }

    /// Room for the largest commit. Without it, it is time to evict.
    pub fn has_room(&self) -> bool {
        !self.is_full(self.settings.journal.payload_bytes_max())
    }

    fn evict_segments(&mut self, evict: &Evict) -> Result<(), Error> {
        let done = self.journal.commit();
        self.settle();
        done?;
        let mut left = SEGMENTS_MAX;
        while left > 0 && !self.has_room() {
            if self.futile.as_ref() == Some(evict) {
                return Ok(());
            }
            // What is missing there is missed before it is forgotten.
            if let Some(end) = self.journal.oldest_last_seq()
                && self.journal.verify_through(end)
            {
                self.note_damage();
            }
            self.make_strippable()?;
            let streams = Arc::clone(&self.settings.streams);
            let (exported_seq, base) = (self.exports.applied_seq, self.base_level(evict));
            let facts = &self.facts;
            let rules = Rules { evict, streams: &streams, facts, exported_seq, base };
            let Some(level) = plan(&mut self.journal, &rules, &self.downsampled) else {
                self.counters.evictions_futile += 1;
                self.futile = Some(evict.clone());
                return Ok(());
            };
            self.evict_one(evict, &streams, level)?;
            left -= 1;
        }
        Ok(())
    }

    fn base_level(&self, evict: &Evict) -> u8 {
        let waiting = self.facts.weights.waiting(&evict.progress);
        base_level(waiting, self.journal.segment_bytes())
    }

    /// Tries that everything but records can be left behind with the oldest segment.
    fn make_strippable(&mut self) -> Result<(), Error> {
        let Some(end) = self.journal.oldest_last_seq() else {
            return Ok(());
        };
        // When shelf or export do not work, state is carried along.
        if end <= self.exports.applied_seq || self.export().is_ok() {
            return Ok(());
        }
        let origin = self.facts.progress_origin;
        if origin > end || origin <= self.exports.applied_seq {
            return Ok(());
        }
        // The progress means the place where it stands, so it is not carried but said again. If there is no room, what
        // was sent since the last one is sent once more.
        let progress = Some(self.facts.progress.clone());
        self.put_now(Commit { progress, ..Commit::default() });
        let done = self.journal.commit();
        self.settle();
        done?;
        Ok(())
    }

    /// Gives up one segment.
    fn evict_one(&mut self, evict: &Evict, streams: &Streams, level: u8) -> Result<(), Error> {
        let Some(up_to) = self.journal.oldest_last_seq() else {
            return Ok(());
        };
        let mut doubt = Doubt {
            up_to,
            carried_from: self.journal.last_seq() + 1,
            carried: [(0, 0); 8],
            losses: Vec::new(),
            downsampled: self.downsampled.clone(),
        };
        let (exported_seq, base) = (self.exports.applied_seq, self.base_level(evict));
        let rules = Rules { evict, streams, facts: &self.facts, exported_seq, base };
        let result = self
            .journal
            .evict(|frame, judge| judge_frame(&frame, judge, &rules, level, &mut doubt));
        self.counters.evictions += 1;
        self.doubt = Some(doubt);
        if result.is_err() && !self.journal.is_evicting() {
            self.doubt = None;
        }
        self.settle();
        result?;
        Ok(())
    }

    /// Looks whether an eviction has come true.
    pub(crate) fn resolve_doubt(&mut self) {
        if self.journal.is_evicting() {
            return;
        }
        let Some(doubt) = self.doubt.take() else {
            return;
        };
        if self.journal.forgotten_seq() < doubt.up_to {
            return;
        }
        self.facts.forget(doubt.up_to);
        for (priority, (records, bytes)) in (0..).zip(doubt.carried) {
            self.facts.weights.add_many(doubt.carried_from, priority, records, bytes);
        }
        for loss in &doubt.losses {
            self.facts.lose(loss.stream, loss.records, loss.bytes);
        }
        self.downsampled = doubt.downsampled;
        // What they hold may be gone.
        self.lanes = Default::default();
        let is_carried = doubt.carried.iter().any(|(records, _)| *records > 0);
        let carried_from = is_carried.then_some(doubt.carried_from);
        let evicted = self.evicted.get_or_insert_default();
        evicted.up_to = doubt.up_to;
        evicted.carried_from = evicted.carried_from.or(carried_from);
        for loss in doubt.losses {
            add_loss(&mut evicted.losses, loss.stream, loss.reason, loss.records, loss.bytes);
        }
    }
}

fn add_loss(
    losses: &mut Vec<LossTotal>,
    stream: StreamId,
    reason: LossReason,
    records: u64,
    bytes: u64,
) {
    match losses.iter_mut().find(|loss| loss.stream == stream && loss.reason == reason) {
        Some(loss) => {
            loss.records += records;
            loss.bytes += bytes;
        }
        None => losses.push(LossTotal { stream, reason, records, bytes }),
    }
}

/// Decides about a frame: what is left of it is carried, what is lost is counted.
fn judge_frame(
    frame: &Frame<'_>,
    judge: &mut Judge<'_>,
    rules: &Rules<'_>,
    level: u8,
    doubt: &mut Doubt,
) -> Fate {
    let parsed = EntryView::parse(frame.payload).and_then(|view| Ok((view, view.records()?)));
    let Ok((view, records)) = parsed else {
        // Another version's. How many records are in it, nobody here can tell.
        judge.lose(OTHER_STREAMS, LossReason::Damaged as u8, frame.origin, 0);
        let other = StreamId(OTHER_STREAMS);
        add_loss(&mut doubt.losses, other, LossReason::Damaged, 1, 0);
        return Fate::Drop;
    };
    let mut kept: Vec<RecordView<'_>> = Vec::new();
    let mut lose = |record: &RecordView<'_>, reason: LossReason| {
        judge.lose(record.stream.0, reason as u8, record.seq, record.bytes());
        add_loss(&mut doubt.losses, record.stream, reason, 1, record.bytes());
    };
    for (index, record) in records.flatten() {
        let place = Place { frame: frame.seq, index };
        match rules.judge(place, &record, &mut doubt.downsampled) {
            Verdict::Settled => {}
            Verdict::Lost(reason) => lose(&record, reason),
            Verdict::LostAt(from) if from <= level => lose(&record, LossReason::DroppedOldest),
            Verdict::LostAt(_) | Verdict::Kept => kept.push(record),
        }
    }
    let mut writer = RecordWriter::default();
    kept.iter().for_each(|record| writer.push(record));
    let keeps_rest = frame.origin > rules.exported_seq;
    let Some(payload) = strip(&view, writer, keeps_rest) else {
        return Fate::Drop;
    };
    if payload.len() as u64 + CARRIED_BYTES > judge.room_bytes() {
        // The plan has looked for room, so this is what a plan could not know.
        kept.iter().for_each(|record| {
            judge.lose(record.stream.0, LossReason::NoRoom as u8, record.seq, record.bytes());
            add_loss(&mut doubt.losses, record.stream, LossReason::NoRoom, 1, record.bytes());
        });
        return Fate::Drop;
    }
    for record in &kept {
        let carried = &mut doubt.carried[usize::from(record.priority & 7)];
        *carried = (carried.0 + 1, carried.1 + record.bytes());
    }
    Fate::CarryAs(payload)
}
