//! A commit: one atomic change of all that must last. One frame in the journal.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::job::Write;
use crate::record::{LossReason, Place, Record, StreamId};

/// Commits in order, dense from 1 in each run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitId(pub u64);

/// What becomes durable together, or not at all. Commits become durable in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    pub id: CommitId,
    /// At most one entry a handler.
    pub states: Vec<StateChange>,
    /// In order of seq.
    pub records: Vec<Arc<Record>>,
    /// Records that have a seq and are given up with this commit.
    pub losses: Vec<Lost>,
    /// What upstream knows once this commit's records have reached it.
    pub told: Vec<Told>,
    /// How far upstream has everything.
    pub progress: Option<Progress>,
    /// Messages that are not to be taken twice.
    pub seen: Vec<Seen>,
    /// Clocks of boots that became known.
    pub clocks: Vec<BootClock>,
}

/// What one handler's state becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    pub handler: Arc<str>,
    /// Number of the handler's latest commit; what the table's next one follows.
    pub version: u64,
    /// The newest of each key, in order of key.
    pub changes: Vec<Change>,
}

/// What one key becomes. `value: None` deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: Arc<[u8]>,
    pub value: Option<Value>,
}

impl Change {
    /// What a write becomes, in a handler's commit of that number, for an event at `at_us` (unix microseconds).
    pub fn of(write: &Write, version: u64, at_us: i64) -> Change {
        let value = write.value.as_ref().map(|bytes| Value {
            bytes: Arc::clone(bytes),
            version,
            expires_us: expires_us(write.ttl_s, at_us),
        });
        Change { key: Arc::clone(&write.key), value }
    }
}

/// From when a value counts as absent that was written at `at_us`, both unix microseconds.
pub fn expires_us(ttl_s: u32, at_us: i64) -> Option<i64> {
    (ttl_s > 0).then(|| at_us.saturating_add(i64::from(ttl_s) * 1_000_000))
}

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub bytes: Arc<[u8]>,
    /// The handler's commit that wrote it; never 0.
    pub version: u64,
    /// Unix microseconds from which it counts as absent.
    pub expires_us: Option<i64>,
}

/// One record that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub stream: StreamId,
    pub reason: LossReason,
    pub seq: u64,
    pub bytes: u64,
}

/// That upstream will know of the first `count` losses of a stream for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub stream: StreamId,
    pub reason: LossReason,
    pub count: u64,
}

/// A line of the loss ledger: what a stream lost for one reason, from the store's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    pub stream: StreamId,
    pub reason: LossReason,
    pub count: u64,
    /// How many of them upstream has been told of.
    pub told: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    pub bytes: u64,
}

/// A message that has had its effect: the client's name and its own number for the message, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen(pub u64);

/// What the wall clock said, as it turned out, when a boot's monotonic clock began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootClock {
    pub boot: u32,
    pub start_unix_us: i64,
}

/// How far upstream has everything, and how much waits. Records outside every span are settled: delivered or lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub spans: Vec<Span>,
    pub waiting: Vec<Waiting>,
}

/// Records of one priority from `from` on, up to `until` or to the end of the log, are not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub priority: u8,
    pub from: Place,
    pub until: Option<Place>,
}

/// What waits of one stream: everything committed up to and with this commit, less what is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub stream: StreamId,
    pub records: u64,
    pub bytes: u64,
    /// Since the store's beginning.
    pub delivered: u64,
}

impl Progress {
    /// Whether a record of this priority at this place is delivered or lost.
    pub fn is_settled(&self, priority: u8, place: Place) -> bool {
        !self.spans.iter().any(|span| {
            span.priority == priority
                && span.from <= place
                && span.until.is_none_or(|until| place < until)
        })
    }

    /// The first place that is not settled in some span: nothing before it is needed.
    pub fn low(&self) -> Option<Place> {
        self.spans.iter().map(|span| span.from).min()
    }
}
