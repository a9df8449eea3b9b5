//! What the store says: what was there at the start, and the answers to what it was asked.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::commit::{BootClock, CommitId, LedgerLine, Progress, Seen};
use crate::record::{LossReason, Place, Record, StreamId};

/// What was there when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Counts the starts with this store, this one included; never 0.
    pub boot: u32,
    /// The seq for the next record; never 0.
    pub next_seq: u64,
    /// As of the last commit, with everything counted that came after it was written.
    pub progress: Progress,
    /// The last durable frame; 0 is none.
    pub last_frame: u64,
    pub ledger: Vec<LedgerLine>,
    /// The latest, oldest first.
    pub seen: Vec<Seen>,
    pub clocks: Vec<BootClock>,
    /// Wall time was at least this, unix microseconds; 0 is unknown.
    pub floor_unix_us: i64,
}

/// That commits have become durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// This one and every one before it.
    pub up_to: CommitId,
    /// Where those of them stand that have records.
    pub frames: Vec<(CommitId, u64)>,
    /// The last durable frame.
    pub last_frame: u64,
    /// Frames of an earlier run are among them, before all others, that were not durable when the store was opened:
    /// their records are there to be fetched.
    pub has_left_over: bool,
    /// What damage has cost that was found since the start, and the whole ledger with it if it has cost anything.
    pub damaged: Vec<LossTotal>,
    pub ledger: Vec<LedgerLine>,
}

/// Asks for records of one priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub priority: u8,
    pub from: Place,
    /// Not this one nor anything behind it.
    pub until: Option<Place>,
    /// At least one record, if there is one, then no more than so many payload bytes.
    pub bytes_max: usize,
}

/// What a fetch found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub priority: u8,
    /// As it was asked for.
    pub from: Place,
    pub until: Option<Place>,
    /// In order of place.
    pub records: Vec<(Place, Arc<Record>)>,
    /// Where the next fetch goes on.
    pub next: Place,
    /// Nothing durable lies behind `next`, or `until` is reached.
    pub is_end: bool,
}

/// Asks for room: what is settled, and who is on the way just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evict {
    pub progress: Progress,
    /// Seqs of records that have been sent and not acked: neither settled nor to be given up. Sorted.
    pub under_way: Vec<u64>,
}

/// What making room took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Every frame up to here is gone; 0 when nothing was evicted.
    pub up_to: u64,
    /// The first of the frames that were carried forward from there.
    pub carried_from: Option<u64>,
    /// The last durable frame, those that were carried among them.
    pub last_frame: u64,
    pub losses: Vec<LossTotal>,
    /// The whole ledger afterwards.
    pub ledger: Vec<LedgerLine>,
    /// There is room again.
    pub has_room: bool,
}

/// What one eviction gave up of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossTotal {
    pub stream: StreamId,
    pub reason: LossReason,
    pub records: u64,
    pub bytes: u64,
}
