//! The shelf on sled: the only file that knows it, and runs only in the process of [`crate::shelf_server`]. What sled
//! leaves to chance is done here.
//!
//! sled 0.34.7 writes with `sync_file_range`, which leaves a disk's cache and a file's length alone, so the file is
//! synced by us (sled issues 1351, 1452). A page that is longer than a quarter of sled's segment goes into a blob file that
//! nobody syncs; a leaf holds up to 17 rows before it is split, so a row is cut into pieces that keep it far below.
//!
//! ```text
//! key of a piece    key | number of the piece u8
//! piece             count of pieces u8, 0 in all but the first | bytes
//! ff                how often this was written to, u64 little-endian
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::shelf_wire::Row;

/// 24 pieces with the longest keys stay below the 131,052 bytes of a page that sled keeps inline.
const PIECE_BYTES: usize = 4 * 1024;
const PIECES_MAX: usize = 255;
/// No piece has a key of one byte that is not 0.
const GENERATION: [u8; 1] = [0xff];
/// How long sled's file may be held by others: its own threads live a little longer than its handle, and a process that
/// was killed in the middle of a sync ends when the disk lets it.
const LOCK_LIMIT: Duration = Duration::from_secs(1);
const LOCK_STEP: Duration = Duration::from_millis(2);

/// An open sled folder.
#[derive(Debug)]
pub struct SledShelf {
    db: sled::Db,
    /// Its own handle, so that an error of the sync is told to us.
    file: File,
    folder: PathBuf,
    generation: u64,
    /// What is to be written next.
    batch: sled::Batch,
}

impl SledShelf {
    /// Opens a folder and creates it when it is not there. It may panic or never return on a damaged one, or on a disk
    /// that fails: see [`crate::shelf_ladder`].
    ///
    /// # Errors
    /// When another process has it ([`io::ErrorKind::ResourceBusy`]), or sled refuses.
    pub fn open(folder: &Path, cache_mb: u64) -> io::Result<SledShelf> {
        let path = folder.join("db");
        if path.exists() {
            wait_for_lock(folder)?;
            // A killed process may have left it in the page cache only; what sled derives from it now would be durable
            // before it.
            File::open(&path)?.sync_data()?;
        }
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(cache_mb.max(1) << 20)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(None)
            .open()?;
        let file = File::options().read(true).write(true).open(&path)?;
        let generation = db.get(GENERATION)?;
        let generation = generation.and_then(|bytes| bytes.first_chunk().copied());
        let generation = generation.map_or(0, u64::from_le_bytes);
        let folder = folder.to_owned();
        let shelf = SledShelf { db, file, folder, generation, batch: sled::Batch::default() };
        shelf.sync()?;
        // Its name and those of its neighbours.
        File::open(shelf.folder.join("conf"))?.sync_data()?;
        File::open(&shelf.folder)?.sync_all()?;
        // And its own.
        if let Some(parent) = shelf.folder.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(shelf)
    }

    /// Counts the writes since the folder was begun: who comes back to it knows by this whether it is the same.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn sync(&self) -> io::Result<()> {
        self.db.flush()?;
        self.file.sync_data()
    }

    /// Reads every row, and touches every page by it; returns how many there are.
    ///
    /// # Errors
    /// When sled cannot read one.
    pub fn read_all(&self) -> io::Result<u64> {
        let mut count = 0;
        for row in self.db.iter() {
            let (key, value) = row?;
            count += u64::from(!key.is_empty() && !value.is_empty());
        }
        Ok(count)
    }

    /// Rows behind this key, or from the first on: some, of about `bytes_max` bytes; none at the end.
    ///
    /// # Errors
    /// When sled cannot read one.
    pub fn read(&self, after: Option<&[u8]>, bytes_max: usize) -> io::Result<Vec<Row>> {
        let from = after.map(|after| piece_key(after, 0)).unwrap_or_default();
        let mut rows = Vec::new();
        let mut bytes = 0;
        for found in self.db.range(from.clone()..) {
            let (key, first) = found?;
            let is_first = first.first().is_some_and(|count| *count > 0);
            let is_after = after.is_none() || *key > *from;
            let Some(([0], name)) = key.split_last().map(|(last, name)| ([*last], name)) else {
                continue;
            };
            if !is_first || !is_after {
                continue;
            }
            let row = self.gather(name, &first)?;
            bytes += name.len() + row.len();
            rows.push((name.to_vec(), row));
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(rows)
    }

    /// One row.
    ///
    /// # Errors
    /// When sled cannot read it.
    pub fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match self.db.get(piece_key(key, 0))? {
            Some(first) => self.gather(key, &first).map(Some),
            None => Ok(None),
        }
    }

    /// A row whose first piece was found.
    fn gather(&self, key: &[u8], first: &[u8]) -> io::Result<Vec<u8>> {
        let (count, bytes) = first.split_first().ok_or(io::ErrorKind::InvalidData)?;
        let mut row = bytes.to_vec();
        for number in 1..*count {
            // Without it the row is too short, and its checksum says so.
            if let Some(piece) = self.db.get(piece_key(key, number))? {
                row.extend_from_slice(piece.get(1..).unwrap_or(&[]));
            }
        }
        Ok(row)
    }

    /// How many pieces of a row are there.
    fn pieces(&self, key: &[u8]) -> io::Result<u8> {
        let first = self.db.get(piece_key(key, 0))?;
        Ok(first.and_then(|first| first.first().copied()).unwrap_or(0))
    }

    /// Takes a row to be written with others, each key once.
    ///
    /// # Errors
    /// When it is too long, or sled cannot read the one that is there.
    pub fn put(&mut self, key: &[u8], row: Option<&[u8]>) -> io::Result<()> {
        let pieces: Vec<&[u8]> =
            row.map(|row| row.chunks(PIECE_BYTES).collect()).unwrap_or_default();
        if pieces.len() > PIECES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        for number in pieces.len() as u8..self.pieces(key)? {
            self.batch.remove(piece_key(key, number));
        }
        for (number, piece) in (0..).zip(&pieces) {
            let count = if number == 0 { pieces.len() as u8 } else { 0 };
            self.batch.insert(piece_key(key, number), [&[count], *piece].concat());
        }
        Ok(())
    }

    /// Writes what was put, all or nothing, durable when it returns. After an error it may be either.
    ///
    /// # Errors
    /// When sled or the disk refuses; or they panic, or do not return.
    pub fn write(&mut self) -> io::Result<()> {
        let generation = self.generation + 1;
        let mut batch = std::mem::take(&mut self.batch);
        batch.insert(&GENERATION, &generation.to_le_bytes());
        self.db.apply_batch(batch)?;
        self.sync()?;
        self.generation = generation;
        Ok(())
    }

    /// Removes every row. A folder that cannot be read was set aside before it came to this.
    ///
    /// # Errors
    /// As [`SledShelf::write`], but afterwards some rows may be there and some not.
    pub fn reset(&mut self) -> io::Result<()> {
        self.batch = sled::Batch::default();
        self.db.clear()?;
        self.write()
    }

    /// Lets go of the folder, and makes durable what sled wrote on its way out.
    ///
    /// # Errors
    /// When sled keeps it, or the disk refuses.
    pub fn close(self) -> io::Result<()> {
        let SledShelf { db, file, folder, generation: _, batch: _ } = self;
        drop((db, file));
        wait_for_lock(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        File::open(folder)?.sync_all()
    }
}

/// Waits until nobody holds sled's file.
fn wait_for_lock(folder: &Path) -> io::Result<()> {
    let end = Instant::now() + LOCK_LIMIT;
    let file = File::open(folder.join("db"))?;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= end {
            let what =
                "another process has it; if none should, look for who holds the file db there";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
        }
        thread::sleep(LOCK_STEP);
    }
    Ok(())
}

fn piece_key(key: &[u8], number: u8) -> Vec<u8> {
    [key, &[number]].concat()
}
