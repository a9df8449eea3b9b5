//! What reaches the flash in a day.

use serde::Serialize;
use tidegate_config::Board;

use super::asked::Asked;
use super::constants as c;
use super::used::Used;
use super::whole;

const DAY_S: f64 = 86_400.0;
const MIB: f64 = 1_048_576.0;

/// Bytes a day that reach the device while the link is up, and how long the board's budget takes them.
#[derive(Debug, PartialEq, Serialize)]
pub struct Flash {
    #[serde(serialize_with = "whole")]
    pub records_bytes_per_day: f64,
    #[serde(serialize_with = "whole")]
    pub state_bytes_per_day: f64,
    #[serde(serialize_with = "whole")]
    pub checkpoints_bytes_per_day: f64,
    #[serde(serialize_with = "whole")]
    pub exports_bytes_per_day: f64,
    /// Its own journal.
    #[serde(serialize_with = "whole")]
    pub file_system_bytes_per_day: f64,
    #[serde(serialize_with = "whole")]
    pub total_bytes_per_day: f64,
    #[serde(serialize_with = "whole")]
    pub budget_bytes_per_day: f64,
    /// Of the budget.
    pub share: f64,
    /// Until as much is written as the budget allows over its years. None: nothing is written.
    pub years: Option<f64>,
    #[serde(serialize_with = "whole")]
    pub syncs_per_day: f64,
    /// Device bytes of the journal for each payload byte. None without records.
    pub amplification: Option<f64>,
}

/// How commits come: what the journal is written with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Commits {
    /// With records, or state that must be durable at once.
    pub records_per_s: f64,
    /// Bytes of one such frame.
    pub frame_bytes: f64,
    /// With waiting state alone.
    pub lazy_per_s: f64,
    pub lazy_frame_bytes: f64,
    /// That only say how far upstream is.
    pub progress_per_s: f64,
    pub progress_frame_bytes: f64,
}

impl Commits {
    pub fn of(asked: &Asked, used: &mut Used) -> Commits {
        let frame = used.of(&c::FRAME_BYTES);
        let head = frame + used.of(&c::COMMIT_BYTES);
        let has_state = asked.state_keys > 0 && asked.rate > 0.0;
        let is_lazy = asked.qos == 0;
        let change = if has_state { change_bytes(asked, used) } else { 0.0 };
        let state_head = if has_state { used.of(&c::STATE_HEAD_BYTES) } else { 0.0 };
        let per_s = if has_state && !is_lazy {
            asked.rate.max(asked.records_per_s)
        } else {
            asked.records_per_s
        };
        // Several frames on average have so many records and changes.
        let share = |count: f64| if per_s > 0.0 { count / per_s } else { 0.0 };
        let record = if asked.records_per_s > 0.0 {
            used.of(&c::RECORD_BYTES) + asked.bytes as f64
        } else {
            0.0
        };
        let with_state = if has_state && !is_lazy {
            state_head.min(share(asked.rate) * state_head) + share(asked.rate) * change
        } else {
            0.0
        };
        let frame_bytes = head + share(asked.records_per_s) * record + with_state;
        let (lazy_per_s, changes) = if has_state && is_lazy { lazy(asked) } else { (0.0, 0.0) };
        Commits {
            records_per_s: per_s,
            frame_bytes,
            lazy_per_s,
            lazy_frame_bytes: frame + state_head + changes * change,
            progress_per_s: progress(asked, used),
            progress_frame_bytes: head + used.of(&c::PROGRESS_BYTES),
        }
    }

    /// Bytes a second that the log grows by, padding left out.
    pub fn log_bytes_per_s(&self) -> f64 {
        self.records_per_s * self.frame_bytes + self.lazy_per_s * self.lazy_frame_bytes
    }
}

fn change_bytes(asked: &Asked, used: &mut Used) -> f64 {
    used.of(&c::CHANGE_BYTES) + used.of(&c::KEY_BYTES) + asked.state_bytes as f64
}

/// How often waiting state is committed, and how many keys go together: the newest value of each that changed.
fn lazy(asked: &Asked) -> (f64, f64) {
    let every_s = asked.lazy_ms as f64 / 1000.0;
    let commits_per_s = if every_s > 0.0 { asked.rate.min(1.0 / every_s) } else { asked.rate };
    let changes = (asked.rate / commits_per_s).min(asked.state_keys as f64);
    (commits_per_s, changes)
}

/// Delivered records are written down with the next commit; when none comes for long enough, in one of its own.
fn progress(asked: &Asked, used: &mut Used) -> f64 {
    let alone_below = 1000.0 / used.of(&c::PROGRESS_MS);
    if asked.records_per_s < alone_below { asked.records_per_s } else { 0.0 }
}

/// Where writes of one length end up in the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Writes {
    /// What the log grows by with each, padding included.
    pub log_bytes: f64,
    /// Blocks that each touches, as bytes.
    pub device_bytes: f64,
}

impl Writes {
    /// As the journal lays them out: one behind the other, a large one up to the end of its block.
    pub fn of(bytes: f64, used: &mut Used) -> Writes {
        const WRITES: u32 = 4096;
        let block = used.of(&c::BLOCK_BYTES);
        let (mut at, mut touched) = (0.0, 0.0);
        for _ in 0..WRITES {
            let end: f64 = at + bytes;
            touched += (end / block).ceil() - (at / block).floor();
            let padded = (end / block).ceil() * block;
            at = if (padded - end) * 4.0 <= bytes { padded } else { end };
        }
        let count = f64::from(WRITES);
        Writes { log_bytes: at / count, device_bytes: touched * block / count }
    }
}

/// Frames that share a write and a sync: those that come while the last one goes on.
pub fn batch(per_s: f64, asked: &Asked, used: &mut Used) -> f64 {
    let sync_ms = asked.sync_ms.unwrap_or_else(|| used.of(&c::SYNC_MS));
    (per_s * sync_ms / 1000.0).max(1.0)
}

impl Flash {
    pub fn of(asked: &Asked, board: &Board, commits: &Commits, used: &mut Used) -> Flash {
        let records_batch = batch(commits.records_per_s, asked, used);
        let mut written = |per_s: f64, frame_bytes: f64, batch: f64| {
            let writes_per_s = per_s / batch;
            (
                writes_per_s,
                writes_per_s * Writes::of(frame_bytes * batch, used).device_bytes * DAY_S,
            )
        };
        let (records_syncs, records) =
            written(commits.records_per_s, commits.frame_bytes, records_batch);
        let (progress_syncs, progress) =
            written(commits.progress_per_s, commits.progress_frame_bytes, 1.0);
        let (lazy_syncs, state) = written(commits.lazy_per_s, commits.lazy_frame_bytes, 1.0);
        let shelf = Shelf::of(asked, commits, used);
        let (checkpoints, exports) = (shelf.checkpoints * DAY_S, shelf.exports * DAY_S);
        let records = records + progress;
        let syncs_per_s = records_syncs + progress_syncs + lazy_syncs;
        let ext4_per_s = syncs_per_s.min(1.0 / used.of(&c::EXT4_COMMIT_S));
        let file_system = ext4_per_s * used.of(&c::EXT4_COMMIT_BYTES) * DAY_S;
        let total = records + state + checkpoints + exports + file_system;
        let budget = board.flash.write_mib_per_day_max as f64 * MIB;
        let payload = asked.records_per_s * asked.bytes as f64 * DAY_S;
        Flash {
            records_bytes_per_day: records,
            state_bytes_per_day: state,
            checkpoints_bytes_per_day: checkpoints,
            exports_bytes_per_day: exports,
            file_system_bytes_per_day: file_system,
            total_bytes_per_day: total,
            budget_bytes_per_day: budget,
            share: total / budget,
            years: (total > 0.0).then(|| used.of(&c::BUDGET_YEARS) * budget / total),
            syncs_per_day: syncs_per_s * DAY_S,
            amplification: (payload > 0.0).then(|| records / payload),
        }
    }
}

/// Bytes a second that checkpoints and exports write.
#[derive(Debug, PartialEq)]
struct Shelf {
    checkpoints: f64,
    exports: f64,
}

impl Shelf {
    fn of(asked: &Asked, commits: &Commits, used: &mut Used) -> Shelf {
        let grown = commits.log_bytes_per_s();
        let facts = used.of(&c::FACTS_BYTES);
        let (keys, changed_per_s) =
            if asked.state_keys > 0 { (asked.state_keys as f64, asked.rate) } else { (0.0, 0.0) };
        let row = if keys > 0.0 {
            used.of(&c::ROW_BYTES) + used.of(&c::KEY_BYTES) + asked.state_bytes as f64
        } else {
            0.0
        };
        let by_growth = grown / used.of(&c::CHECKPOINT_BYTES);
        let by_memory = if keys > 0.0 { full_memtables(asked, used) } else { 0.0 };
        let per_s = by_growth.max(by_memory);
        let changed = if per_s > 0.0 { (changed_per_s / per_s).min(keys) } else { 0.0 };
        let amplification = used.of(&c::SHELF_AMPLIFICATION);
        let rows = changed * row + facts;
        Shelf {
            checkpoints: per_s * (used.of(&c::CHECKPOINT_FIXED_BYTES) + rows * amplification),
            exports: grown / used.of(&c::EXPORT_BYTES) * (keys * row + facts),
        }
    }
}

/// How often a second waiting state fills its memory: never, when all keys fit.
fn full_memtables(asked: &Asked, used: &mut Used) -> f64 {
    let entry =
        used.of(&c::MEMTABLE_ENTRY_BYTES) + used.of(&c::KEY_BYTES) + asked.state_bytes as f64;
    let fit = used.of(&c::MEMTABLE_BYTES) / entry;
    if asked.state_keys as f64 > fit { asked.rate / fit } else { 0.0 }
}
