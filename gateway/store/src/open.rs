//! Starting: from the shelf or an export, and from what the journal has beyond it.

use std::io;

use tidegate_core::commit::StateChange;
use tidegate_core::record::StreamId;
use tidegate_core::store::Restored;
use tidegate_journal::{Cursor, Disk, Frame, Journal, Recovery};

use crate::checkpoint::Exports;
use crate::codec::{Entry, EntryView, LostRange};
use crate::damage::{Suspicion, assess};
use crate::error::{CodecError, Error};
use crate::export::{self, Check};
use crate::facts::{At, Base, Facts};
use crate::planted::{Bug, planted};
use crate::rows::{Gathered, Tables, changes};
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::store::{COMMIT, InFlight, Store, account, lines};

/// The shelf is read in pieces of about this size.
const PIECE_BYTES: usize = 256 * 1024;

/// What a start found. Nothing in it is an error: the store is open and goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub recovery: Recovery,
    /// Why the shelf could not be read.
    pub shelf_error: Option<String>,
    /// Rows on the shelf, and those among them that cannot be believed.
    pub rows: u64,
    pub rows_bad: u64,
    /// The shelf is not as it was left: rows are missing, or older than they were.
    pub is_shelf_outdated: bool,
    /// The shelf was of no use, and this export took its place.
    pub export_restored: Option<u32>,
    /// Exports that are not whole.
    pub exports_bad: u64,
    /// What the journal had beyond.
    pub frames_replayed: u64,
    pub bytes_replayed: u64,
    /// Frames that could be read and not understood.
    pub frames_strange: u64,
    /// The journal is another one than the shelf knows: records that waited in the old one are gone, and counted.
    pub is_journal_lost: bool,
    /// The journal ends before what the shelf knows of.
    pub is_end_lost: bool,
    /// Neither shelf nor export could say which seqs were given.
    pub are_facts_lost: bool,
}

/// What a start gives to those who go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub restored: Restored,
    /// The whole state, as a commit would bring it to an empty gateway.
    pub tables: Vec<StateChange>,
    pub found: Found,
}

/// Where the replay begins.
struct Ground {
    base: Base,
    tables: Tables,
    /// Rows of the shelf to be removed.
    bad: Vec<Vec<u8>>,
    /// The tables are not what is on the shelf.
    is_elsewhere: bool,
    /// Frames behind this one are replayed for their state.
    state_from: u64,
}

impl<D: Disk, S: Shelf> Store<D, S> {
    /// Opens the store, or begins one with `new_epoch`, which must be a new random number each time. No content makes
    /// it fail. Nothing is written but the journal's last frames, once more.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn open(
        disk: D,
        mut shelf: S,
        settings: Settings,
        new_epoch: u64,
    ) -> Result<(Store<D, S>, Opened), Error> {
        let mut journal = Journal::open(disk, settings.journal.clone(), new_epoch)?;
        let mut found = Found::default();
        let mut ground = ground(&mut journal, &mut shelf, &mut found);
        let is_shelf_good = found.rows > 0
            && !ground.is_elsewhere
            && found.rows_bad == 0
            && !found.is_shelf_outdated;
        let lost = leave_lost_journal(&mut ground.base, journal.epoch());
        found.is_journal_lost = lost.is_some();
        let known = ground.base.applied_seq.max(ground.base.facts.progress.known);
        let last = journal.last_seq();
        let mut suspicion = Suspicion {
            end_lost: (known > last).then_some((last + 1, known)),
            are_facts_lost: found.are_facts_lost,
            is_shelf_lost: !is_shelf_good,
        };
        if planted(Bug::NextSeqRepeats) {
            suspicion = Suspicion::default();
            ground.base.facts.next_seq = 1;
        }
        journal.skip_to(known.saturating_add(1).max(last + 1));
        found.is_end_lost = suspicion.end_lost.is_some();
        let exports = exports(&mut journal);
        let Ground { base, mut tables, bad, is_elsewhere, state_from } = ground;
        let applied_seq = (!is_elsewhere && found.rows > 0).then_some(base.applied_seq);
        let mut store = Store::new(journal, shelf, settings, base.facts, applied_seq);
        store.exports = exports;
        store.base_seq = base.applied_seq;
        store.sum = match found.rows {
            0 => Some(0),
            _ => is_shelf_good.then_some(base.sum),
        };
        store.is_stale = is_elsewhere && (found.rows > 0 || found.shelf_error.is_some());
        if is_elsewhere {
            for state in changes(tables.clone()) {
                store.memtable.take(0, &state);
            }
        }
        bad.into_iter().for_each(|key| store.memtable.remove(key));
        store.replay(base.applied_seq, state_from, &mut found);
        store.take_pending(base.applied_seq, state_from, &mut found);
        suspicion.are_facts_lost &= found.are_facts_lost;
        let mut damage = assess(&mut store.journal, &store.facts, &store.facts.damage, suspicion);
        // Unless the journal knows what was before it: then a start has counted that.
        if let Some((left_epoch, lost)) = lost
            && store.facts.damage.left_epoch != left_epoch
        {
            let damage = damage.get_or_insert_default();
            damage.left_epoch = left_epoch;
            damage.lost.extend(lost);
        }
        let facts = store.facts_ahead(&mut tables);
        store.boot = facts.boot.saturating_add(1);
        let mut restored = store.restored(&facts);
        if let Some(damage) = damage {
            restored.next_seq = restored.next_seq.max(damage.next_seq);
            store.is_start_damaged = !damage.lost.is_empty();
            store.put_damage(damage);
            restored.ledger = lines(store.journal.ledger_ahead());
        }
        found.recovery = store.journal.recovery().clone();
        store.counters.frames_strange = found.frames_strange;
        Ok((store, Opened { restored, tables: changes(tables), found }))
    }

    /// Takes up what the journal has beyond the base.
    fn replay(&mut self, applied_seq: u64, state_from: u64, found: &mut Found) {
        // The last frame at least: its losses may not be in the ledger.
        let from = self.journal.last_seq().min(applied_seq.min(state_from) + 1);
        let mut cursor = Cursor::from(from);
        let mut last = None;
        // Nothing in the journal makes reading fail.
        while let Ok(Some(frame)) = cursor.next(&mut self.journal) {
            let is_new = frame.seq > applied_seq;
            if is_new || frame.seq > state_from {
                found.frames_replayed += 1;
                found.bytes_replayed += frame.payload.len() as u64;
            }
            let at = At {
                seq: frame.seq,
                origin: frame.origin,
                is_fresh: frame.origin > applied_seq || planted(Bug::CarriedStateTwice),
            };
            let given = self.facts.next_seq;
            if is_new && let Some(start) = self.journal.segment_start(frame.seq) {
                // A gap may be between.
                self.facts.begin(start.max(applied_seq + 1), start);
            }
            let seen_max = self.settings.seen_max;
            let read = read(&frame, is_new, at, &mut self.facts, seen_max);
            let Ok(entry) = read else {
                found.frames_strange += 1;
                continue;
            };
            if frame.origin > state_from || planted(Bug::CarriedStateTwice) {
                for state in &entry.commit.states {
                    self.memtable.take(frame.origin, state);
                }
            }
            if is_new {
                let len = frame.payload.len() as u64;
                self.grown_bytes += len;
                self.grown_since_export += len;
            }
            // Where the newest records are, they tell which seqs were given; carried ones are old.
            let has_records = self.facts.next_seq > given;
            found.are_facts_lost &= !(frame.origin == frame.seq && has_records);
            last = Some((frame.seq, entry));
        }
        self.account_again(last);
        self.facts.forget(self.journal.forgotten_seq());
    }

    /// A commit's losses stand in a mark behind its frame. If the frame is the very last, the mark was torn off.
    fn account_again(&mut self, last: Option<(u64, Entry)>) {
        if let Some((seq, entry)) = last
            && seq == self.journal.last_seq()
            && !planted(Bug::LosesLosses)
        {
            account(&mut self.journal, &entry.commit, entry.damage.as_ref());
        }
    }

    /// Takes up frames that the disk did not take again: they wait for a commit, as if they had been taken just now.
    /// What the base has of them already is only written again.
    fn take_pending(&mut self, applied_seq: u64, state_from: u64, found: &mut Found) {
        let mut last = None;
        for frame in self.journal.pending_frames() {
            let Ok(entry) = EntryView::parse(frame.payload).and_then(|view| view.read()) else {
                found.frames_strange += 1;
                continue;
            };
            last = Some((frame.seq, entry.clone()));
            if frame.seq <= applied_seq {
                let states = entry.commit.states.iter().filter(|_| frame.seq > state_from);
                states.for_each(|state| self.memtable.take(frame.seq, state));
                continue;
            }
            self.in_flight.push_back(InFlight {
                seq: frame.seq,
                id: None,
                commit: entry.commit,
                boot: entry.boot,
                bytes: frame.payload.len() as u64,
                floor_unix_us: entry.floor_unix_us,
                damage: entry.damage,
            });
        }
        self.left_over_seq = last.as_ref().map(|(seq, _)| *seq);
        if last.is_some() {
            self.account_again(last);
        }
    }

    /// Facts and tables with what is pending.
    fn facts_ahead(&self, tables: &mut Tables) -> Facts {
        let mut facts = self.facts.clone();
        let mut memtable = self.memtable.clone();
        for flight in &self.in_flight {
            facts.take_flight(flight, self.settings.seen_max);
            for state in &flight.commit.states {
                memtable.take(flight.seq, state);
            }
        }
        memtable.overlay(tables);
        facts
    }

    fn restored(&self, facts: &Facts) -> Restored {
        let last_frame = self.journal.durable_seq();
        let mut progress = facts.progress_up_to(last_frame);
        progress.waiting.sort_by_key(|waiting| waiting.stream);
        Restored {
            boot: self.boot,
            next_seq: facts.next_seq,
            progress,
            last_frame,
            ledger: lines(self.journal.ledger_ahead()),
            seen: facts.seen.iter().map(|(_, seen)| *seen).collect(),
            clocks: facts.clock_list(),
            floor_unix_us: facts.floor_unix_us,
        }
    }
}

/// Reads a frame; its facts count if it is new.
fn read(
    frame: &Frame<'_>,
    is_new: bool,
    at: At,
    facts: &mut Facts,
    seen_max: usize,
) -> Result<Entry, CodecError> {
    if frame.kind != COMMIT {
        return Err(CodecError::Tag { tag: frame.kind });
    }
    let view = EntryView::parse(frame.payload)?;
    let entry = view.read_rest()?;
    if is_new {
        for record in view.records()? {
            facts.take_record(at, &record?.1);
        }
        facts.take_entry(at, &entry, seen_max);
    }
    Ok(entry)
}

/// Everything on the shelf.
pub(crate) fn read_shelf(shelf: &mut impl Shelf) -> io::Result<Gathered> {
    let mut gathered = Gathered::default();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = shelf.read(after.as_deref(), PIECE_BYTES)?;
        for (key, row) in &rows {
            gathered.take(key, row);
        }
        match rows.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(gathered),
        }
    }
}

fn ground<D: Disk>(journal: &mut Journal<D>, shelf: &mut impl Shelf, found: &mut Found) -> Ground {
    let gathered = read_shelf(shelf).unwrap_or_else(|error| {
        found.shelf_error = Some(error.to_string());
        Gathered::default()
    });
    (found.rows, found.rows_bad) = (gathered.rows, gathered.bad.len() as u64);
    let base = gathered.facts().and_then(|facts| Base::decode(facts).ok());
    let Gathered { tables, bad, sum, .. } = gathered;
    if let Some(base) = &base
        && bad.is_empty()
        && found.shelf_error.is_none()
    {
        // A shelf may forget what it was told, as a whole or in parts, and not know.
        let exported = newest_head(journal, base.epoch);
        found.is_shelf_outdated = base.sum != sum || base.applied_seq < exported;
        if !found.is_shelf_outdated {
            let (base, state_from) = (base.clone(), base.applied_seq);
            return Ground { base, tables, bad, is_elsewhere: false, state_from };
        }
    }
    if let Some((base, tables)) = newest_export(journal, found) {
        let state_from = base.applied_seq;
        return Ground { base, tables, bad: Vec::new(), is_elsewhere: true, state_from };
    }
    // What the shelf still has, and on top of it whatever the journal has. Without an export the journal has not
    // forgotten any state.
    found.are_facts_lost = base.is_none() && journal.forgotten_seq() > 0;
    let base = base.unwrap_or_else(|| Base::empty(journal.epoch()));
    let is_elsewhere = found.shelf_error.is_some();
    Ground { base, tables, bad, is_elsewhere, state_from: 0 }
}

/// The newest export that is whole.
fn newest_export<D: Disk>(journal: &mut Journal<D>, found: &mut Found) -> Option<(Base, Tables)> {
    for number in export::list(journal.disk()) {
        let mut gathered = Gathered::default();
        let is_whole = export::read(journal.disk(), number, |key, row| gathered.take(key, row));
        let base = gathered.facts().and_then(|facts| Base::decode(facts).ok());
        if let Some(base) = base
            && is_whole
            && gathered.bad.is_empty()
            && gathered.sum == base.sum
        {
            found.export_restored = Some(number);
            return Some((base, gathered.tables));
        }
        found.exports_bad += 1;
    }
    None
}

/// Up to where the newest export of an epoch says it has everything.
fn newest_head<D: Disk>(journal: &mut Journal<D>, epoch: u64) -> u64 {
    let newest = export::list(journal.disk()).first().copied();
    let head = newest.and_then(|newest| export::head(journal.disk(), newest));
    head.filter(|(known, _)| *known == epoch).map_or(0, |(_, applied_seq)| applied_seq)
}

/// What is known of exports without reading them.
fn exports<D: Disk>(journal: &mut Journal<D>) -> Exports {
    let Some(newest) = export::list(journal.disk()).first().copied() else {
        return Exports::default();
    };
    let epoch = journal.epoch();
    let head = export::head(journal.disk(), newest).filter(|(known, _)| *known == epoch);
    let check = head.map(|(_, applied_seq)| (Check::new(journal.disk(), newest), applied_seq));
    Exports { newest, applied_seq: 0, check }
}

/// When the journal is another one than the base knows, everything about places and seqs is void: the new epoch
/// begins anew. Returns what waited in the old one.
fn leave_lost_journal(base: &mut Base, epoch: u64) -> Option<(u64, Vec<LostRange>)> {
    if base.epoch == epoch {
        return None;
    }
    let waiting = std::mem::take(&mut base.facts.progress.waiting);
    let facts = Facts {
        boot: base.facts.boot,
        floor_unix_us: base.facts.floor_unix_us,
        clocks: std::mem::take(&mut base.facts.clocks),
        seen: std::mem::take(&mut base.facts.seen),
        ..Facts::new()
    };
    let left_epoch = std::mem::replace(base, Base { epoch, applied_seq: 0, sum: 0, facts }).epoch;
    let lost = |stream: StreamId, count| LostRange { stream, count, first_seq: 0, last_seq: 0 };
    let lost = waiting
        .iter()
        .filter(|waiting| waiting.records > 0)
        .map(|waiting| lost(waiting.stream, waiting.records))
        .collect();
    Some((left_epoch, lost))
}
