//! The bytes that `tidegate plan` reckons with, as the store writes them: what commits, records, state and checkpoints
//! take beside payloads, keys and values. Prints one JSON line a constant of `src/cmd/plan/constants.rs`.
//!
//! `cargo run --profile quick -p tidegate --example measure`

use std::sync::Arc;

use tidegate_core::commit::{
    Change, Commit, CommitId, Progress, Span, StateChange, Value, Waiting,
};
use tidegate_core::record::{PRIORITY_MAX, Place, Record, Stamp, StreamId};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_journal::ModelDisk;
use tidegate_store::{ModelShelf, Settings, Store};

/// A gateway that has run for ten days and made ten million records.
const SEQ: u64 = 10_000_000;
const MONO_MS: u64 = 10 * 86_400_000;
const UNIX_US: i64 = 1_795_000_000_000_000;

const PAYLOAD_BYTES: usize = 200;
const KEY_BYTES: usize = 16;
const VALUE_BYTES: usize = 16;
const FRAME_BYTES: usize = 17;

type Measured = Store<ModelDisk, ModelShelf>;

fn store() -> Measured {
    let disk = ModelDisk::new(1);
    let shelf = ModelShelf::new(1, disk.power());
    let opened = Store::open(disk, shelf, Settings::default(), 1);
    opened.expect("a model disk without faults opens").0
}

/// Records of devices that report every 50 ms.
fn records(count: u64) -> Vec<Arc<Record>> {
    let record = |n: u64| {
        let unix_us = UNIX_US + 50_321 * n as i64;
        let wall = WallTime { unix_us, quality: ClockQuality::Ntp };
        Arc::new(Record {
            seq: SEQ + n,
            stream: StreamId(4711),
            priority: 0,
            ttl_s: 0,
            stamp: Stamp { boot: 12, mono_ms: MONO_MS + 50 * n, wall },
            topic: None,
            payload: vec![7; PAYLOAD_BYTES].into(),
        })
    };
    (0..count).map(record).collect()
}

fn states(keys: u64) -> Vec<StateChange> {
    let change = |n: u64| {
        let value = Value { bytes: vec![7; VALUE_BYTES].into(), version: SEQ, expires_us: None };
        Change { key: format!("device-{n:09}").into_bytes().into(), value: Some(value) }
    };
    let changes = (0..keys).map(change).collect();
    vec![StateChange { handler: "thermostat".into(), version: SEQ, changes }]
}

/// Two priorities with something behind, and two streams.
fn progress() -> Progress {
    let span = |priority| Span { priority, from: Place { frame: SEQ - 40, index: 3 }, until: None };
    let waiting =
        |stream| Waiting { stream: StreamId(stream), records: 40, bytes: 8000, delivered: SEQ };
    Progress {
        known: SEQ,
        spans: (0..=PRIORITY_MAX).map(span).collect(),
        waiting: vec![waiting(1), waiting(2)],
    }
}

/// The bytes of a commit's frame.
fn frame(commit: Commit) -> usize {
    let mut store = store();
    store.take(Commit { id: CommitId(1), ..commit }).expect("it is small");
    store.pending_bytes()
}

fn of_records(count: u64) -> usize {
    frame(Commit { records: records(count), ..Commit::default() })
}

fn of_states(keys: u64) -> usize {
    frame(Commit { states: states(keys), ..Commit::default() })
}

/// Bytes that a checkpoint of so many keys hands to the shelf, and an export to the disk.
fn checkpoint(keys: u64) -> (f64, f64) {
    let mut store = store();
    // Several frames, as they come: the facts say where records stand.
    for (id, n) in (1..).zip(0..200) {
        let states = if n == 0 && keys > 0 { states(keys) } else { Vec::new() };
        let commit = Commit { id: CommitId(id), records: records(64), states, ..Commit::default() };
        store.take(commit).expect("it is small");
        store.commit().expect("a model disk without faults writes");
    }
    store.stop().expect("a model shelf without faults writes");
    let counters = store.counters();
    (counters.shelf_bytes_written as f64, counters.export_bytes_written as f64)
}

fn tell(name: &str, value: f64) {
    println!("{{\"constant\":\"{name}\",\"value\":{value:.1}}}");
}

fn main() {
    // In a frame of their own, as they come at a slow rate; and each further one.
    let further = (of_records(65) - of_records(1)) as f64 / 64.0 - PAYLOAD_BYTES as f64;
    tell("commit_bytes", (of_records(1) - PAYLOAD_BYTES - FRAME_BYTES) as f64 - further);
    tell("record_bytes", further);
    let entry = (KEY_BYTES + VALUE_BYTES) as f64;
    let change = (of_states(101) - of_states(1)) as f64 / 100.0 - entry;
    tell("change_bytes", change);
    tell("state_head_bytes", (of_states(1) - FRAME_BYTES) as f64 - change - entry);
    let with_progress = frame(Commit { progress: Some(progress()), ..Commit::default() });
    tell("progress_bytes", (with_progress - frame(Commit::default())) as f64);
    let ((none, none_export), (some, some_export)) = (checkpoint(0), checkpoint(1000));
    tell("row_bytes", (some - none) / 1000.0 - entry);
    tell("facts_bytes", none);
    tell("row_bytes_of_an_export", (some_export - none_export) / 1000.0 - entry);
    tell("facts_bytes_of_an_export", none_export);
}
