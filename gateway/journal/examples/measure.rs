//! What reaches the device for each payload byte, and how fast: the journal beside a plain file that gets
//! the same batches with `write` and `fdatasync`. `cargo run --release -p tidegate-journal --example measure [FOLDER]`

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate_journal::{Disk, Journal, RealDisk, Settings};

const RECORD_BYTES: usize = 200;

/// Counts the sectors and blocks that each sync sends to the device, and the time syncs take.
struct Counting<D> {
    disk: D,
    dirty: BTreeSet<(String, u64)>,
    sectors: u64,
    blocks: u64,
    syncs: u64,
    syncing: Duration,
}

impl<D: Disk> Counting<D> {
    fn touch(&mut self, name: &str, at: u64, len: u64) {
        for sector in at / 512..(at + len).div_ceil(512) {
            self.dirty.insert((name.to_owned(), sector));
        }
    }
}

impl<D: Disk> Disk for Counting<D> {
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
        let sectors: Vec<u64> =
            self.dirty.iter().filter(|(file, _)| file == name).map(|(_, sector)| *sector).collect();
        let blocks: BTreeSet<u64> = sectors.iter().map(|sector| sector / 8).collect();
        self.sectors += sectors.len() as u64;
        self.blocks += blocks.len() as u64;
        self.dirty.retain(|(file, _)| file != name);
        let start = Instant::now();
        let result = self.disk.sync(name);
        self.syncing += start.elapsed();
        self.syncs += 1;
        result
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

/// What the device has written so far, bytes, where the kernel tells.
fn device_bytes() -> Option<u64> {
    let stats = std::fs::read_to_string("/proc/diskstats").ok()?;
    let sectors = stats.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_whole = Path::new("/sys/block").join(fields.get(2)?).exists();
        is_whole.then(|| fields.get(9)?.parse::<u64>().ok()).flatten()
    });
    Some(sectors.sum::<u64>() * 512)
}

fn journal(
    folder: &Path,
    records: usize,
    commits: usize,
) -> Result<f64, Box<dyn std::error::Error>> {
    let disk = Counting {
        disk: RealDisk::open(folder)?,
        dirty: BTreeSet::new(),
        sectors: 0,
        blocks: 0,
        syncs: 0,
        syncing: Duration::ZERO,
    };
    let mut journal = Journal::open(disk, Settings::default(), 1)?;
    let payload = [0x5a; RECORD_BYTES];
    // Once around, so that segments are recycled from here on.
    while journal.counters().segments_started < 3 {
        for _ in 0..64 {
            journal.append(1, &payload)?;
        }
        let durable = journal.commit()?;
        journal.forget(durable);
    }
    let (sectors, blocks) = (journal.disk().sectors, journal.disk().blocks);
    let (syncs, syncing) = (journal.disk().syncs, journal.disk().syncing);
    let device = device_bytes();
    let start = Instant::now();
    for _ in 0..commits {
        for _ in 0..records {
            journal.append(1, &payload)?;
        }
        let durable = journal.commit()?;
        journal.forget(durable);
    }
    let took = start.elapsed().as_secs_f64();
    let device = device_bytes().zip(device).map(|(now, then)| now - then);
    let disk = journal.disk();
    let bytes = (records * commits * RECORD_BYTES) as f64;
    println!(
        "{{\"what\":\"journal\",\"batch\":{records},\"per_s\":{:.0},\"sync_share\":{:.3},\"syncs_per_commit\":{:.3},\
         \"bytes_512\":{:.3},\"bytes_4096\":{:.3},\"device\":{:.3}}}",
        (records * commits) as f64 / took,
        (disk.syncing - syncing).as_secs_f64() / took,
        (disk.syncs - syncs) as f64 / commits as f64,
        (disk.sectors - sectors) as f64 * 512.0 / bytes,
        (disk.blocks - blocks) as f64 * 4096.0 / bytes,
        device.map_or(f64::NAN, |device| device as f64 / bytes),
    );
    Ok((records * commits) as f64 / took)
}

fn plain(path: &Path, records: usize, commits: usize) -> io::Result<f64> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    let batch = vec![0x5a; records * (RECORD_BYTES + 17)];
    let device = device_bytes();
    let start = Instant::now();
    for _ in 0..commits {
        file.write_all(&batch)?;
        file.sync_data()?;
    }
    let took = start.elapsed().as_secs_f64();
    let device = device_bytes().zip(device).map(|(now, then)| now - then);
    let bytes = (records * commits * RECORD_BYTES) as f64;
    println!(
        "{{\"what\":\"plain append\",\"batch\":{records},\"per_s\":{:.0},\"device\":{:.3}}}",
        (records * commits) as f64 / took,
        device.map_or(f64::NAN, |device| device as f64 / bytes),
    );
    Ok((records * commits) as f64 / took)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("tidegate-journal-measure-{}", std::process::id()));
    for (records, commits) in [(1, 1_000), (8, 1_000), (64, 1_000), (256, 500)] {
        let ours = journal(&folder.join(format!("{records}")), records, commits)?;
        let plain = plain(&folder.join("plain"), records, commits)?;
        println!(
            "{{\"what\":\"journal / plain\",\"batch\":{records},\"ratio\":{:.3}}}",
            ours / plain
        );
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
