//! Checkpoints, exports, and what the journal may forget after them.

use tidegate_journal::Disk;

use crate::error::Error;
use crate::export::{self, Check};
use crate::facts::Base;
use crate::open::read_shelf;
use crate::planted::{Bug, planted};
use crate::rows::{facts_rows, share};
use crate::shelf::{Rows, Shelf};
use crate::store::Store;

/// Looked at in one idle moment.
const CHECK_BYTES: u64 = 1 << 20;

/// What is known of the files of [`mod@export`].
#[derive(Debug, Default)]
pub(crate) struct Exports {
    /// The number of the newest; 0 is none.
    pub newest: u32,
    /// Up to here every change of state is in an export that is whole.
    pub applied_seq: u64,
    /// The newest is being looked at, and what it says when it is whole.
    pub check: Option<(Check, u64)>,
}

impl<D: Disk, S: Shelf> Store<D, S> {
    /// Whether a checkpoint is due: much state waits in memory, the journal has grown or begun a segment, or it is full
    /// and one would make room.
    pub fn wants_checkpoint(&self) -> bool {
        // The shelf then knows of the newest segment, should its file be lost.
        self.journal.counters().segments_started > self.segments_at_checkpoint
            || self.memtable.bytes() > self.settings.memtable_bytes_max
            || self.grown_bytes >= self.settings.checkpoint_bytes
            || self.would_make_room()
    }

    /// Whether the journal is full of what upstream has and only the export has not.
    fn would_make_room(&self) -> bool {
        let settled = self.settled_up_to().min(self.journal.durable_seq());
        self.is_full(0)
            && self
                .journal
                .oldest_last_seq()
                .is_some_and(|oldest| oldest <= settled && oldest > self.exports.applied_seq)
    }

    fn wants_export(&self) -> bool {
        self.grown_since_export >= self.settings.export_bytes || self.would_make_room()
    }

    /// Brings what is durable to the shelf, and makes an export when one is due. When both are durable, the journal
    /// forgets what nobody needs. Does nothing when nothing has changed.
    ///
    /// # Errors
    /// When shelf or disk refuse. The journal then keeps what it has, and the call may be repeated.
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        if planted(Bug::ForgetsTooEarly) {
            self.exports.applied_seq = self.journal.durable_seq();
            self.forget();
        }
        self.write_shelf()?;
        if self.wants_export() {
            self.export()?;
        }
        self.forget();
        Ok(())
    }

    /// The end of a run that was asked to end, after the last [`Store::commit`]: the shelf has everything that is
    /// durable, and so has an export.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn stop(&mut self) -> Result<(), Error> {
        self.write_shelf()?;
        if self.grown_since_export > 0 {
            self.export()?;
        }
        self.forget();
        Ok(())
    }

    fn write_shelf(&mut self) -> Result<(), Error> {
        let mut durable = self.journal.durable_seq().max(self.base_seq);
        if planted(Bug::AppliedTooHigh) {
            durable = self.journal.last_seq();
        }
        let is_there = self.applied_seq.unwrap_or(0) == durable;
        if is_there && self.memtable.bytes() == 0 {
            return Ok(());
        }
        // Before all state is copied, for nothing.
        self.shelf.check().map_err(Error::shelf("take a checkpoint"))?;
        if self.is_stale {
            // From here until it is written, a start would find nothing and restore everything once more.
            self.shelf.reset().map_err(Error::shelf("be reset"))?;
            self.is_stale = false;
            self.sum = Some(0);
        }
        let mut rows = self.memtable.rows();
        let sum = self.sum_with(&rows)?;
        let facts = Base::encode(self.journal.epoch(), durable, sum, &self.facts);
        rows.extend(facts_rows(&facts).map(|(key, row)| (key, Some(row))));
        if let Err(error) = self.shelf.write(&rows) {
            // They may be there or not.
            self.sum = None;
            self.counters.checkpoints_failed += 1;
            return Err(Error::shelf("take a checkpoint")(error));
        }
        let len = |(key, row): (&Vec<u8>, &Option<Vec<u8>>)| {
            (key.len() + row.as_ref().map_or(0, Vec::len)) as u64
        };
        self.counters.shelf_bytes_written += rows.iter().map(len).sum::<u64>();
        self.counters.checkpoints += 1;
        self.sum = Some(sum);
        self.applied_seq = Some(durable);
        self.memtable = Default::default();
        self.grown_bytes = 0;
        self.segments_at_checkpoint = self.journal.counters().segments_started;
        Ok(())
    }

    /// The sum over the shelf's rows when these are among them.
    fn sum_with(&mut self, rows: &Rows) -> Result<u32, Error> {
        let mut sum = match self.sum {
            Some(sum) => sum,
            None => read_shelf(&mut self.shelf).map_err(Error::shelf("be read"))?.raw_sum,
        };
        let keys: Vec<&[u8]> = rows.keys().map(Vec::as_slice).collect();
        let olds = self.shelf.find(&keys).map_err(Error::shelf("be read"))?;
        for ((key, row), old) in rows.iter().zip(olds) {
            sum ^= old.map_or(0, |old| share(key, &old));
            sum ^= row.as_ref().map_or(0, |row| share(key, row));
        }
        Ok(sum)
    }

    /// Copies the shelf, which must have everything that is durable.
    pub(crate) fn export(&mut self) -> Result<(), Error> {
        self.write_shelf()?;
        let number = self.exports.newest + 1;
        let applied_seq = self.applied_seq.unwrap_or(0);
        let head = (self.journal.epoch(), applied_seq);
        match export::write(self.journal.disk(), &mut self.shelf, number, head) {
            Ok(bytes) => self.counters.export_bytes_written += bytes,
            Err(error) => {
                self.counters.exports_failed += 1;
                return Err(error);
            }
        }
        self.counters.exports += 1;
        // What could not be left behind can be now.
        self.futile = None;
        self.exports = Exports { newest: number, applied_seq, check: None };
        self.grown_since_export = 0;
        Ok(())
    }

    /// Frames up to here hold nothing that upstream needs, as far as a start would know.
    pub(crate) fn settled_up_to(&self) -> u64 {
        self.facts.progress.low().frame.saturating_sub(1)
    }

    /// Lets the journal forget what upstream and an export have.
    pub(crate) fn forget(&mut self) {
        // An eviction that may yet come true is waited for, or it could not be told from this.
        if self.doubt.is_some() {
            return;
        }
        self.journal.forget(self.exports.applied_seq.min(self.settled_up_to()));
        self.facts.forget(self.journal.forgotten_seq());
    }

    /// A piece of work for an idle moment: makes the next segment ready, looks whether the newest export is whole,
    /// and reads segments that the start did not read. `false` when nothing is left to do.
    pub fn rest(&mut self) -> bool {
        if self.has_written {
            // A commit will try for itself.
            self.journal.prepare().ok();
        }
        if let Some((mut check, applied_seq)) = self.exports.check.take() {
            match check.step(self.journal.disk(), CHECK_BYTES) {
                None => self.exports.check = Some((check, applied_seq)),
                Some(true) => self.exports.applied_seq = self.exports.applied_seq.max(applied_seq),
                // It counts for nothing: the next checkpoint makes another.
                Some(false) => self.grown_since_export = self.settings.export_bytes,
            }
            return true;
        }
        let has_more = self.journal.verify_next().unwrap_or(false);
        if has_more {
            self.note_damage();
        }
        // All of it is to be called, whatever there is to do beside it.
        let shelf_rests = !self.shelf.rest();
        has_more || !shelf_rests
    }
}
