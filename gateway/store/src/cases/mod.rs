//! Small cases, each about one thing.

mod damage;
mod room;
mod start;

use std::sync::Arc;

use tidegate_core::commit::{Change, Commit, CommitId, Progress, Span, StateChange, Value};
use tidegate_core::record::{Place, Record, Stamp, StreamId};
use tidegate_core::store::Fetch;
use tidegate_core::stream::{Stream, Streams, WhenFull};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_journal::{Disk, ModelDisk};

use crate::{ModelShelf, Opened, Settings, Shelf, Store};

pub const SEGMENT: u64 = 16 * 1024;

fn settings(segments: u64) -> Settings {
    let sparse = WhenFull::Downsample { keep_raw_s: 10, then_every_s: 5 };
    let streams =
        [("oldest", WhenFull::DropOldest), ("newest", WhenFull::DropNewest), ("sparse", sparse)];
    let stream = |(name, when_full): (&str, WhenFull)| Stream {
        id: StreamId::of(name),
        name: name.into(),
        priority: 0,
        ttl_s: 0,
        when_full,
    };
    let streams = streams.into_iter().map(stream).collect();
    Settings {
        journal: tidegate_journal::Settings {
            segment_bytes: SEGMENT as u32,
            quota_bytes: segments * SEGMENT,
            ..tidegate_journal::Settings::default()
        },
        streams: Arc::new(Streams::new(streams, Vec::new()).expect("names of their own")),
        ..Settings::default()
    }
}

/// A store, and what its driver would know.
struct Bench {
    store: Store<ModelDisk, ModelShelf>,
    opened: Opened,
    next_id: u64,
    next_seq: u64,
    /// The last frame with records.
    known: u64,
}

impl Bench {
    fn new() -> Bench {
        let disk = ModelDisk::new(1);
        let shelf = ModelShelf::new(1, disk.power());
        Bench::open(disk, shelf, 1)
    }

    fn open(disk: ModelDisk, shelf: ModelShelf, new_epoch: u64) -> Bench {
        let (store, opened) =
            Store::open(disk, shelf, settings(16), new_epoch).expect("a folder that can be listed");
        let next_seq = opened.restored.next_seq;
        Bench { store, next_id: 1, next_seq, known: opened.restored.last_frame, opened }
    }

    /// Ends the process, lets something happen, and starts again.
    fn again(self, change: impl FnOnce(&mut ModelDisk, &mut ModelShelf)) -> Bench {
        let (mut disk, mut shelf) = self.store.into_parts();
        change(&mut disk, &mut shelf);
        Bench::open(disk, shelf, 2)
    }

    fn record(&mut self, stream: &str, priority: u8, len: usize) -> Arc<Record> {
        let seq = self.next_seq;
        self.next_seq += 1;
        // One a second.
        let mono_ms = seq * 1000;
        let wall = WallTime { unix_us: mono_ms as i64 * 1000, quality: ClockQuality::Ntp };
        let boot = self.opened.restored.boot;
        Arc::new(Record {
            seq,
            stream: StreamId::of(stream),
            priority,
            ttl_s: 0,
            stamp: Stamp { boot, mono_ms, wall },
            topic: None,
            payload: vec![seq as u8; len].into(),
        })
    }

    /// Takes a commit and makes it durable; returns the frame if it has records.
    fn commit(&mut self, commit: Commit) -> u64 {
        let id = CommitId(self.next_id);
        self.next_id += 1;
        self.store.take(Commit { id, ..commit }).expect("it is small");
        let committed = self.store.commit().expect("a good disk");
        assert_eq!(committed.up_to, id);
        let frame = committed.frames.first().map_or(0, |(_, frame)| *frame);
        self.known = self.known.max(frame);
        frame
    }

    fn send(&mut self, stream: &str, priority: u8, len: usize) -> u64 {
        let records = vec![self.record(stream, priority, len)];
        self.commit(Commit { records, ..Commit::default() })
    }

    fn set(&mut self, key: &str, value: &str, version: u64) {
        let value = Value { bytes: value.as_bytes().into(), version, expires_us: None };
        let changes = vec![Change { key: key.as_bytes().into(), value: Some(value) }];
        let states = vec![StateChange { handler: "h".into(), version, changes }];
        self.commit(Commit { states, ..Commit::default() });
    }

    /// Everything from a place on is not settled.
    fn unsettled_from(&self, frame: u64) -> Progress {
        let span = |priority| Span { priority, from: Place::of(frame), until: None };
        Progress { known: self.known, spans: (0..8).map(span).collect(), waiting: Vec::new() }
    }

    /// Upstream has everything up to here.
    fn settle(&mut self, up_to: u64) {
        let progress = Some(self.unsettled_from(up_to + 1));
        self.commit(Commit { progress, ..Commit::default() });
    }

    /// All seqs of a priority.
    fn seqs(&mut self, priority: u8) -> Vec<u64> {
        seqs(&mut self.store, priority)
    }
}

fn seqs(store: &mut Store<impl Disk, impl Shelf>, priority: u8) -> Vec<u64> {
    let mut found = Vec::new();
    let mut from = Place::default();
    loop {
        let fetched = store.fetch(&Fetch { priority, from, until: None, bytes_max: 1000 });
        found.extend(fetched.records.iter().map(|(_, record)| record.seq));
        if fetched.is_end {
            return found;
        }
        from = fetched.next;
    }
}

/// Keys and values of all handlers.
fn values(tables: &[StateChange]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    tables
        .iter()
        .flat_map(|table| &table.changes)
        .filter_map(|change| Some((text(&change.key), text(&change.value.as_ref()?.bytes))))
        .collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}
