//! What reaches the device for each payload byte, how fast records come back, and how long a start takes with many of
//! them waiting. `cargo run --release -p tidegate-store --example measure [FOLDER] [RECORDS]`

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tidegate_core::commit::{Commit, CommitId, Progress, Span};
use tidegate_core::record::{Place, Record, Stamp, StreamId};
use tidegate_core::store::Fetch;
use tidegate_core::stream::{Stream, Streams, WhenFull};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_journal::{Disk, RealDisk};
use tidegate_store::{Rows, Settings, Shelf, Store};

const RECORD_BYTES: usize = 200;
const BATCH: u64 = 64;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Counts the sectors and blocks that each sync sends to the device.
struct Counting {
    disk: RealDisk,
    dirty: BTreeSet<(String, u64)>,
    sectors: u64,
    blocks: u64,
}

impl Counting {
    fn open(folder: &Path) -> io::Result<Counting> {
        let disk = RealDisk::open(folder)?;
        Ok(Counting { disk, dirty: BTreeSet::new(), sectors: 0, blocks: 0 })
    }

    fn touch(&mut self, name: &str, at: u64, len: u64) {
        for sector in at / 512..(at + len).div_ceil(512) {
            self.dirty.insert((name.to_owned(), sector));
        }
    }
}

impl Disk for Counting {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn len(&mut self, name: &str) -> io::Result<u64> {
        self.disk.len(name)
    }
    fn preallocate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.touch(name, 0, len);
        self.disk.preallocate(name, len)
    }
    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.read_at(name, offset, buffer)
    }
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.touch(name, offset, bytes.len() as u64);
        self.disk.write_at(name, offset, bytes)
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        let is_here = |(file, _): &&(String, u64)| file == name;
        let sectors: Vec<u64> =
            self.dirty.iter().filter(is_here).map(|(_, sector)| *sector).collect();
        let blocks: BTreeSet<u64> = sectors.iter().map(|sector| sector / 8).collect();
        self.sectors += sectors.len() as u64;
        self.blocks += blocks.len() as u64;
        self.dirty.retain(|(file, _)| file != name);
        self.disk.sync(name)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_dir(&mut self) -> io::Result<()> {
        self.disk.sync_dir()
    }
}

/// A shelf whose bytes are counted, in memory: what sled makes of them is measured with sled.
#[derive(Default)]
struct Memory {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: u64,
}

impl Shelf for Memory {
    fn read(
        &mut self,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut bytes = 0;
        let is_next = |key: &Vec<u8>| after.is_none_or(|after| key.as_slice() > after);
        let rows = self.rows.iter().filter(|(key, _)| is_next(key));
        let rows = rows.take_while(|(key, row)| {
            let is_room = bytes < bytes_max;
            bytes += key.len() + row.len();
            is_room
        });
        Ok(rows.map(|(key, row)| (key.clone(), row.clone())).collect())
    }

    fn get(&mut self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.rows.get(key).cloned())
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        for (key, row) in rows {
            self.bytes += (key.len() + row.as_ref().map_or(0, Vec::len)) as u64;
            match row {
                Some(row) => self.rows.insert(key.clone(), row.clone()),
                None => self.rows.remove(key),
            };
        }
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.rows.clear();
        Ok(())
    }
}

fn settings(quota_mb: u64) -> Settings {
    let raw = Stream {
        id: StreamId::of("raw"),
        name: "raw".into(),
        priority: 0,
        ttl_s: 0,
        when_full: WhenFull::DropOldest,
    };
    Settings {
        journal: tidegate_journal::Settings {
            quota_bytes: quota_mb << 20,
            ..tidegate_journal::Settings::default()
        },
        streams: Arc::new(Streams::new(vec![raw], Vec::new()).expect("one name")),
        ..Settings::default()
    }
}

fn commit(id: u64, progress: Option<Progress>) -> Commit {
    let record = |n: u64| {
        let seq = (id - 1) * BATCH + n + 1;
        let unix_us = 1_790_000_000_000_000 + seq as i64 * 10_137;
        let wall = WallTime { unix_us, quality: ClockQuality::Ntp };
        Arc::new(Record {
            seq,
            stream: StreamId::of("raw"),
            priority: 0,
            ttl_s: 0,
            stamp: Stamp { boot: 1, mono_ms: seq * 10, wall },
            topic: None,
            payload: vec![0x5a; RECORD_BYTES].into(),
        })
    };
    let records = (0..BATCH).map(record).collect();
    Commit { id: CommitId(id), records, progress, ..Commit::default() }
}

/// Upstream keeps up: everything is delivered soon, and segments go round.
fn written(folder: &Path, commits: u64) -> Outcome<()> {
    let (mut store, _) = Store::open(Counting::open(folder)?, Memory::default(), settings(256), 1)?;
    let mut before = (0, 0, 0, Instant::now());
    let warm = 3_000;
    for id in 1..=warm + commits {
        if id == warm + 1 {
            let shelf = store.shelf().bytes + store.counters().export_bytes_written;
            let disk = store.journal().disk();
            before = (disk.sectors, disk.blocks, shelf, Instant::now());
        }
        let known = store.journal().durable_seq();
        let span = Span { priority: 0, from: Place::of(known + 1), until: None };
        let progress =
            (id % 8 == 0).then(|| Progress { known, spans: vec![span], waiting: Vec::new() });
        store.take(commit(id, progress))?;
        store.commit()?;
        if store.wants_checkpoint() {
            store.checkpoint()?;
        }
    }
    let took = before.3.elapsed().as_secs_f64();
    let shelf = store.shelf().bytes + store.counters().export_bytes_written - before.2;
    let disk = store.journal().disk();
    let bytes = (commits * BATCH) as f64 * RECORD_BYTES as f64;
    println!(
        "{{\"what\":\"written\",\"batch\":{BATCH},\"records_per_s\":{:.0},\"bytes_512\":{:.3},\"bytes_4096\":{:.3},\
         \"shelf\":{:.4}}}",
        (commits * BATCH) as f64 / took,
        (disk.sectors - before.0) as f64 * 512.0 / bytes,
        (disk.blocks - before.1) as f64 * 4096.0 / bytes,
        shelf as f64 / bytes,
    );
    Ok(())
}

/// Upstream is away, then it is back.
fn waiting(folder: &Path, records: u64) -> Outcome<()> {
    let commits = records / BATCH;
    let settings = settings(records * 230 / 1_000_000 + 64);
    let disk = RealDisk::open(folder)?;
    let (mut store, _) = Store::open(disk, Memory::default(), settings.clone(), 1)?;
    for id in 1..=commits {
        store.take(commit(id, None))?;
        // Not each on its own: this is about what lies there afterwards.
        if id % 64 == 0 || id == commits {
            store.commit()?;
        }
        if store.wants_checkpoint() {
            store.checkpoint()?;
        }
    }
    let (used, (_, shelf)) = (store.used_bytes(), store.into_parts());
    let start = Instant::now();
    let (mut store, opened) = Store::open(RealDisk::open(folder)?, shelf, settings.clone(), 1)?;
    println!(
        "{{\"what\":\"start\",\"waiting\":{},\"journal_mb\":{},\"ms\":{:.1},\"replayed_frames\":{},\"replayed_mb\":{:.1}}}",
        opened.restored.progress.waiting[0].records,
        used >> 20,
        start.elapsed().as_secs_f64() * 1e3,
        opened.found.frames_replayed,
        opened.found.bytes_replayed as f64 / 1e6,
    );
    let start = Instant::now();
    let (mut from, mut found) = (Place::default(), 0);
    loop {
        let fetch = Fetch { priority: 0, from, until: None, bytes_max: 32 * RECORD_BYTES };
        let fetched = store.fetch(&fetch);
        found += fetched.records.len() as u64;
        from = fetched.next;
        if fetched.is_end {
            break;
        }
    }
    println!(
        "{{\"what\":\"fetch\",\"window\":32,\"records\":{found},\"records_per_s\":{:.0}}}",
        found as f64 / start.elapsed().as_secs_f64()
    );
    assert_eq!(found, commits * BATCH, "all of them");
    for what in ["start without the shelf", "start without shelf and exports"] {
        let start = Instant::now();
        let disk = RealDisk::open(folder)?;
        let (_, opened) = Store::open(disk, Memory::default(), settings.clone(), 1)?;
        println!(
            "{{\"what\":\"{what}\",\"ms\":{:.1},\"replayed_frames\":{}}}",
            start.elapsed().as_secs_f64() * 1e3,
            opened.found.frames_replayed
        );
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("export-") {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let records = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let folder = folder.join(format!("tidegate-store-measure-{}", std::process::id()));
    written(&folder.join("written"), 6_000)?;
    waiting(&folder.join("waiting"), records)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
