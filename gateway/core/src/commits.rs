//! Gathers what must last into commits, and holds back what may only happen once they are durable.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commit::{BootClock, Change, Commit, CommitId, Lost, Progress, Seen, StateChange, Told};
use crate::job::{Publish, Ticket};
use crate::limits::CommitLimits;
use crate::message::Message;
use crate::pins::PinWrite;
use crate::record::Record;
use crate::time::Timestamp;

/// What a commit's bytes are reckoned as beyond keys, values and payloads: framing, times, lengths.
const OVERHEAD_BYTES: usize = 32;

/// A reaction that waits for its commit.
#[derive(Debug)]
pub struct HeldPublish {
    pub handler: Arc<str>,
    pub cause: Arc<Message>,
    pub publish: Publish,
}

/// What may happen once a commit is durable.
#[derive(Debug, Default)]
pub struct Held {
    pub id: CommitId,
    bytes: usize,
    /// Messages that one handler has finished with.
    pub tickets: Vec<Ticket>,
    pub publishes: Vec<HeldPublish>,
    pub pins: Vec<PinWrite>,
    pub records: Vec<Arc<Record>>,
    /// Messages that were forwarded: their credits come back now.
    pub forwarded: Vec<Arc<Message>>,
    /// The registry's state up to this version.
    pub registry: Option<u64>,
}

/// One handler's newest values, since its last commit.
#[derive(Debug, Default)]
struct Dirty {
    version: u64,
    changes: BTreeMap<Arc<[u8]>, Change>,
    bytes: usize,
}

/// The open commit, those under way, and the state that can wait.
#[derive(Debug)]
pub struct Commits {
    limits: CommitLimits,
    open: Commit,
    held: Held,
    /// The open commit has something that cannot wait.
    is_due: bool,
    /// Handlers whose state goes with the open commit.
    takes: Vec<Arc<str>>,
    dirty: BTreeMap<Arc<str>, Dirty>,
    dirty_bytes: usize,
    /// When the state that can wait has waited long enough.
    lazy_due: Option<Timestamp>,
    under_way: VecDeque<Held>,
    under_way_bytes: usize,
    last_id: CommitId,
}

impl Commits {
    pub fn new(limits: CommitLimits) -> Commits {
        Commits {
            limits,
            open: Commit::default(),
            held: Held::default(),
            is_due: false,
            takes: Vec::new(),
            dirty: BTreeMap::new(),
            dirty_bytes: 0,
            lazy_due: None,
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            last_id: CommitId(0),
        }
    }

    /// Whether the store is so far behind that nothing more may begin.
    pub fn is_full(&self) -> bool {
        self.under_way_bytes >= self.limits.held_bytes_max
    }

    /// Whether nothing waits to become durable, but state that can wait.
    pub fn is_settled(&self) -> bool {
        !self.is_due && self.under_way.is_empty()
    }

    /// Takes what one event changed in its handler's state.
    pub fn write(
        &mut self,
        now: Timestamp,
        handler: &Arc<str>,
        version: u64,
        changes: Vec<Change>,
    ) {
        let dirty = self.dirty.entry(Arc::clone(handler)).or_default();
        dirty.version = version;
        for change in changes {
            let bytes = weight(&change);
            dirty.bytes += bytes;
            self.dirty_bytes += bytes;
            if let Some(old) = dirty.changes.insert(Arc::clone(&change.key), change) {
                let bytes = weight(&old);
                dirty.bytes -= bytes;
                self.dirty_bytes -= bytes;
            }
        }
        if self.lazy_due.is_none() {
            self.lazy_due = Some(now.after(Duration::from_millis(self.limits.lazy_ms)));
        }
        if self.dirty_bytes > self.limits.lazy_bytes_max {
            self.take_all();
        }
    }

    /// What this handler's state has become goes with the open commit: somebody relies on it.
    pub fn take_state(&mut self, handler: &Arc<str>) {
        self.is_due = true;
        if !self.takes.contains(handler) {
            self.takes.push(Arc::clone(handler));
        }
    }

    /// A message is finished with, by one handler, once the open commit is durable.
    pub fn hold_ticket(&mut self, ticket: Ticket) {
        self.is_due = true;
        self.held.tickets.push(ticket);
    }

    /// A reaction leaves once everything so far is durable. Gives it back when it is.
    pub fn hold_publish(&mut self, held: HeldPublish) -> Option<HeldPublish> {
        if self.is_due {
            self.held.publishes.push(held);
            return None;
        }
        let Some(last) = self.under_way.back_mut() else {
            return Some(held);
        };
        last.publishes.push(held);
        None
    }

    /// The same for a pin.
    pub fn hold_pin(&mut self, write: PinWrite) -> Option<PinWrite> {
        if self.is_due {
            self.held.pins.push(write);
            return None;
        }
        let Some(last) = self.under_way.back_mut() else {
            return Some(write);
        };
        last.pins.push(write);
        None
    }

    pub fn record(&mut self, record: Arc<Record>) {
        self.is_due = true;
        self.held.bytes += record.bytes() + OVERHEAD_BYTES;
        self.open.records.push(Arc::clone(&record));
        self.held.records.push(record);
    }

    /// A message that became a record as it is.
    pub fn forwarded(&mut self, message: Arc<Message>) {
        self.held.forwarded.push(message);
    }

    /// A row of the registry, as of its `version`: it goes with the open commit.
    pub fn register(&mut self, now: Timestamp, table: &Arc<str>, version: u64, row: Change) {
        self.write(now, table, version, [row].into());
        self.take_state(table);
        self.held.registry = Some(version);
    }

    pub fn lose(&mut self, lost: Lost) {
        self.is_due = true;
        self.held.bytes += OVERHEAD_BYTES;
        self.open.losses.push(lost);
    }

    pub fn tell(&mut self, told: Told) {
        self.is_due = true;
        self.open.told.push(told);
    }

    pub fn see(&mut self, seen: Seen) {
        self.is_due = true;
        self.open.seen.push(seen);
    }

    pub fn know_clock(&mut self, clock: BootClock) {
        self.is_due = true;
        self.open.clocks.push(clock);
    }

    /// The open commit is due, whatever it has: how far upstream is goes with it.
    pub fn demand(&mut self) {
        self.is_due = true;
    }

    /// All state that can wait goes with the open commit: the gateway stops, or it has waited long enough.
    pub fn take_all(&mut self) {
        if !self.dirty.is_empty() {
            self.takes = self.dirty.keys().cloned().collect();
            self.is_due = true;
        }
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.lazy_due
    }

    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.lazy_due.is_some_and(|due| due <= now) {
            self.take_all();
        }
    }

    /// Whether the open commit should be closed before more goes in.
    pub fn is_large(&self) -> bool {
        self.held.bytes >= self.limits.commit_bytes_max
    }

    /// Whether the next [`Commits::poll_commit`] gives one.
    pub fn has_commit(&self) -> bool {
        self.is_due
    }

    /// The next commit, if anything cannot wait. `progress` goes with it.
    pub fn poll_commit(&mut self, progress: Option<Progress>) -> Option<Commit> {
        if !core::mem::take(&mut self.is_due) {
            return None;
        }
        for handler in core::mem::take(&mut self.takes) {
            let Some(dirty) = self.dirty.remove(&handler) else {
                continue;
            };
            self.dirty_bytes -= dirty.bytes;
            self.held.bytes += dirty.bytes + OVERHEAD_BYTES;
            let (version, changes) = (dirty.version, dirty.changes.into_values().collect());
            self.open.states.push(StateChange { handler, version, changes });
        }
        if self.dirty.is_empty() {
            self.lazy_due = None;
        }
        self.last_id = CommitId(self.last_id.0 + 1);
        let mut commit = core::mem::take(&mut self.open);
        let mut held = core::mem::take(&mut self.held);
        (commit.id, held.id) = (self.last_id, self.last_id);
        commit.progress = progress;
        held.bytes += OVERHEAD_BYTES;
        self.under_way_bytes += held.bytes;
        self.under_way.push_back(held);
        Some(commit)
    }

    /// The next one that is durable now, oldest first.
    pub fn poll_durable(&mut self, up_to: CommitId) -> Option<Held> {
        self.under_way.front().filter(|held| held.id <= up_to)?;
        let held = self.under_way.pop_front()?;
        self.under_way_bytes -= held.bytes;
        Some(held)
    }
}

fn weight(change: &Change) -> usize {
    change.key.len() + change.value.as_ref().map_or(0, |value| value.bytes.len()) + OVERHEAD_BYTES
}
