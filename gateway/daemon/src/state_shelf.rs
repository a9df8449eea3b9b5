//! The shelf that the daemon uses: sled behind its ladder, with the note that tells the next start how it was left.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use tidegate_store::{Rows, Shelf};
use tracing::{error, warn};

use crate::shelf_ladder::{self, Prober, Rung};
use crate::shelf_mark::{Mark, MarkFile, checksum};
use crate::sled_shelf::SledShelf;

/// After a failed write: the first wait before the folder is opened again, and the longest.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(300);
/// sled's own threads may hold its file a little longer than its handle lives.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
const CLOSE_STEP: Duration = Duration::from_millis(2);

/// What became of the folder.
#[derive(Debug)]
enum Standing {
    Open(SledShelf),
    /// When it could not be opened, or a write failed that may have made it this generation. Then it may be tried again.
    Failed {
        generation: Option<u64>,
        wait: Duration,
        again_at: Instant,
    },
    /// When it is not what it was: only a start can set that right.
    Lost,
}

/// The shelf in a data folder.
#[derive(Debug)]
pub struct StateShelf {
    data_dir: PathBuf,
    prober: Prober,
    cache_mb: u64,
    standing: Standing,
    rung: Option<Rung>,
    mark: MarkFile,
    /// What the note says, and runs before this one that did not come back from their first write.
    noted: Mark,
    runs: u32,
    has_tried: bool,
}

fn failed(generation: Option<u64>, wait: Duration) -> Standing {
    Standing::Failed { generation, wait, again_at: Instant::now() + wait }
}

impl StateShelf {
    /// Opens it, whatever it takes. When not even an empty folder can be opened, such as on a disk that is read-only, it
    /// answers with errors until one can.
    pub fn open(data_dir: &Path, prober: Prober, cache_mb: u64) -> StateShelf {
        let mark = MarkFile::new(data_dir);
        let noted = mark.read();
        let (standing, rung) = match shelf_ladder::climb(data_dir, &prober, cache_mb) {
            Ok((shelf, rung)) => (Standing::Open(shelf), Some(rung)),
            Err(error) => {
                error!(%error, "no folder for state in {}", data_dir.display());
                (failed(None, RETRY_MIN), None)
            }
        };
        let is_other = matches!(rung, None | Some(Rung::Quarantined | Rung::Fresh));
        let runs = match noted {
            Mark::Trying { runs } if !is_other => runs,
            Mark::Trying { .. } | Mark::Clean { .. } | Mark::Dirty => 0,
        };
        StateShelf {
            data_dir: data_dir.to_owned(),
            prober,
            cache_mb,
            standing,
            rung,
            mark,
            noted,
            runs,
            has_tried: false,
        }
    }

    /// What it took; none: it is not open.
    pub fn rung(&self) -> Option<Rung> {
        self.rung
    }

    fn shelf(&mut self) -> io::Result<&mut SledShelf> {
        if let Standing::Failed { generation, wait, again_at } = self.standing
            && Instant::now() >= again_at
        {
            self.standing = self.open_again(generation, (wait * 2).min(RETRY_MAX));
        }
        match &mut self.standing {
            Standing::Open(shelf) => Ok(shelf),
            Standing::Failed { .. } => Err(io::Error::other("the state's folder has failed")),
            Standing::Lost => Err(io::Error::other(
                "the state's folder is lost; the journal keeps everything until the next start",
            )),
        }
    }

    /// Opens the folder after a failure. If it was written to, only the same will do: the store takes what it has
    /// written for granted. One that was never open is reset before it is written to.
    fn open_again(&self, generation: Option<u64>, wait: Duration) -> Standing {
        let failed = failed(generation, wait);
        let Some(generation) = generation else {
            let opened = shelf_ladder::climb(&self.data_dir, &self.prober, self.cache_mb);
            return opened.map_or(failed, |(shelf, _)| Standing::Open(shelf));
        };
        if !self.is_closed() {
            return failed;
        }
        let folder = shelf_ladder::folder(&self.data_dir);
        match shelf_ladder::repair(&folder, &self.prober, self.cache_mb) {
            Ok(Some((shelf, _))) => {
                let is_same = [generation - 1, generation].contains(&shelf.generation());
                if is_same { Standing::Open(shelf) } else { Standing::Lost }
            }
            Ok(None) => Standing::Lost,
            Err(_) => failed,
        }
    }

    /// Changes the folder, which the note says first.
    fn change(&mut self, change: impl FnOnce(&mut SledShelf) -> io::Result<()>) -> io::Result<()> {
        self.shelf()?;
        if !self.has_tried {
            self.note(Mark::Trying { runs: self.runs + 1 })?;
            self.has_tried = true;
        }
        let shelf = self.shelf()?;
        let generation = shelf.generation() + 1;
        match change(shelf) {
            Ok(()) => self.note(Mark::Dirty),
            Err(error) => {
                error!(%error, "state could not be written; the journal keeps it");
                self.standing = failed(Some(generation), RETRY_MIN);
                Err(error)
            }
        }
    }

    /// Ends with a note that says how the folder was left.
    fn close(&mut self) -> io::Result<()> {
        let folder = shelf_ladder::folder(&self.data_dir);
        match std::mem::replace(&mut self.standing, Standing::Lost) {
            Standing::Open(shelf) => drop(shelf),
            Standing::Failed { .. } | Standing::Lost => return Ok(()),
        }
        if !self.is_closed() {
            return Err(io::Error::other("sled has not let go of its file"));
        }
        // What sled wrote on its way out is durable before the note says so.
        sync_all(&folder)?;
        match checksum(&folder)? {
            Some(crc) => self.note(Mark::Clean { crc }),
            None => Ok(()),
        }
    }

    /// Whether nobody holds sled's file any more.
    fn is_closed(&self) -> bool {
        let end = Instant::now() + CLOSE_LIMIT;
        let path = shelf_ladder::folder(&self.data_dir).join("db");
        loop {
            let Ok(file) = File::open(&path) else {
                return false;
            };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(CLOSE_STEP);
        }
    }

    fn note(&mut self, mark: Mark) -> io::Result<()> {
        if self.noted != mark {
            self.mark.write(mark)?;
            self.noted = mark;
        }
        Ok(())
    }
}

/// Every file of a folder, and their names.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

impl Shelf for StateShelf {
    fn read(
        &mut self,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.shelf()?.read(after, bytes_max)
    }

    fn get(&mut self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.shelf()?.get(key)
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.change(|shelf| shelf.write(rows))
    }

    fn reset(&mut self) -> io::Result<()> {
        self.change(SledShelf::reset)
    }
}

impl Drop for StateShelf {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            warn!(%error, "the state's folder was not closed; the next start looks at it first");
        }
    }
}
