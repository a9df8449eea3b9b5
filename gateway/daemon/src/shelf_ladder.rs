//! The boot ladder: from a sled folder that may be damaged to one that is open, whatever it takes. Opening a damaged
//! one may fail, panic or never return (sled issues 1527, 1533), so it is tried in a child process first, with a limit.
//! After a clean stop nobody pays for that: the files have the checksum that was noted then.
//!
//! What is set aside is not lost to the gateway: the store restores state from its newest export and the journal.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::shelf_mark::{Mark, MarkFile, checksum};
use crate::sled_shelf::SledShelf;

/// How long a child may take for one look. A state of 10,000 keys takes 50 ms on a desktop.
const PROBE_LIMIT: Duration = Duration::from_secs(3);
/// Between two looks at the child.
const PROBE_STEP: Duration = Duration::from_millis(2);
/// Runs in a row that did not come back from their first write; then the folder is not tried any more.
const TRIES_MAX: u32 = 2;
/// Folders that are kept for a person to look at.
const QUARANTINES_MAX: usize = 2;
/// The child is gone soon.
const PROBE_CACHE_MB: u64 = 1;
const FOLDER: &str = "state";
const QUARANTINE: &str = "quarantine-";
/// A sled snapshot, and the ending of one that was not finished.
const SNAPSHOT: &str = "snap.";
const UNFINISHED: &str = ".generating";
/// sled does not look at files with this in front.
const ASIDE: &str = "aside-";

/// What it took to get a folder that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// When there was none.
    Fresh,
    /// When it is as it was left.
    Clean,
    /// When a child could read all of it.
    Probed,
    /// When an unfinished snapshot stood in the way.
    LeftoverRemoved,
    /// When all snapshots did.
    SnapshotsAside,
    /// When it was set aside, and an empty one is there.
    Quarantined,
}

/// Looks at a folder in another process.
#[derive(Clone, Debug)]
pub struct Prober {
    program: PathBuf,
    limit: Duration,
}

impl Prober {
    /// With this very program.
    ///
    /// # Errors
    /// When the system does not say where it is.
    pub fn own() -> io::Result<Prober> {
        Ok(Prober::new(std::env::current_exe()?))
    }

    /// With a program that knows `probe-store --dir DIR`.
    pub fn new(program: PathBuf) -> Prober {
        Prober { program, limit: PROBE_LIMIT }
    }

    /// Whether a child can open the folder and read every row in time.
    pub fn can_read(&self, folder: &Path) -> bool {
        let child = Command::new(&self.program)
            .arg("probe-store")
            .arg("--dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                error!(%error, "cannot start a process that looks at the state's folder");
                return false;
            }
        };
        let end = Instant::now() + self.limit;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) if Instant::now() < end => thread::sleep(PROBE_STEP),
                Ok(None) | Err(_) => {
                    // It may have ended just now; either way it is gone afterwards.
                    child.kill().ok();
                    child.wait().ok();
                    return false;
                }
            }
        }
    }
}

/// What the child does: opens a folder and reads every row.
///
/// # Errors
/// When it cannot. It may also panic, or not return.
pub fn probe(folder: &Path) -> io::Result<u64> {
    SledShelf::open(folder, PROBE_CACHE_MB)?.read_all()
}

/// The folder in a data folder.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER)
}

/// Opens the shelf in a data folder.
///
/// # Errors
/// When not even an empty folder can be opened, such as on a disk that is read-only.
pub fn climb(data_dir: &Path, prober: &Prober, cache_mb: u64) -> io::Result<(SledShelf, Rung)> {
    let folder = folder(data_dir);
    let open = || SledShelf::open(&folder, cache_mb);
    let crc = match fs::exists(&folder)? {
        true => checksum(&folder)?,
        false => None,
    };
    let Some(crc) = crc else {
        return Ok((open()?, Rung::Fresh));
    };
    let is_hopeless = match MarkFile::new(data_dir).read() {
        Mark::Clean { crc: known } if known == crc => return Ok((open()?, Rung::Clean)),
        Mark::Trying { runs } => runs >= TRIES_MAX,
        Mark::Clean { .. } | Mark::Dirty => false,
    };
    if is_hopeless {
        error!("the last {TRIES_MAX} runs ended in their first write of state");
    } else if let Some(found) = repair(&folder, prober, cache_mb)? {
        return Ok(found);
    }
    let aside = quarantine(data_dir)?;
    error!(
        "the state's folder cannot be read; it is {} now, and state comes from the export and the journal",
        aside.display()
    );
    Ok((open()?, Rung::Quarantined))
}

/// Tries the folder as it is, and with less and less of sled's own shortcuts.
pub fn repair(
    folder: &Path,
    prober: &Prober,
    cache_mb: u64,
) -> io::Result<Option<(SledShelf, Rung)>> {
    let steps = [
        (Rung::Probed, None),
        (Rung::LeftoverRemoved, Some(remove_unfinished as fn(&Path) -> io::Result<usize>)),
        (Rung::SnapshotsAside, Some(set_snapshots_aside)),
    ];
    for (rung, change) in steps {
        if let Some(change) = change {
            let count = change(folder)?;
            error!(count, "the state's folder cannot be read; next try: {}", name(rung));
            if count == 0 {
                continue;
            }
        }
        if prober.can_read(folder) {
            info!("the state's folder was not closed, and can be read: {}", name(rung));
            match SledShelf::open(folder, cache_mb) {
                Ok(shelf) => return Ok(Some((shelf, rung))),
                Err(error) => error!(%error, "a child could read the state's folder, we cannot"),
            }
        }
    }
    Ok(None)
}

fn name(rung: Rung) -> &'static str {
    match rung {
        Rung::Fresh => "a new one",
        Rung::Clean => "as it was left",
        Rung::Probed => "as it is",
        Rung::LeftoverRemoved => "without unfinished snapshots",
        Rung::SnapshotsAside => "without snapshots",
        Rung::Quarantined => "set aside",
    }
}

/// The folder's snapshots.
fn snapshots(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        // What is not UTF-8 is not sled's.
        if let Ok(name) = entry?.file_name().into_string()
            && name.starts_with(SNAPSHOT)
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn remove_unfinished(folder: &Path) -> io::Result<usize> {
    let mut names = snapshots(folder)?;
    names.retain(|name| name.ends_with(UNFINISHED));
    for name in &names {
        fs::remove_file(folder.join(name))?;
    }
    File::open(folder)?.sync_all()?;
    Ok(names.len())
}

fn set_snapshots_aside(folder: &Path) -> io::Result<usize> {
    let names = snapshots(folder)?;
    for name in &names {
        fs::rename(folder.join(name), folder.join(format!("{ASIDE}{name}")))?;
    }
    File::open(folder)?.sync_all()?;
    Ok(names.len())
}

/// Gives the folder another name, and removes the oldest of those that were set aside before.
fn quarantine(data_dir: &Path) -> io::Result<PathBuf> {
    let mut numbers: Vec<u32> = Vec::new();
    for entry in fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(QUARANTINE));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let path = |number: u32| data_dir.join(format!("{QUARANTINE}{number}"));
    fs::rename(folder(data_dir), path(next))?;
    let spare = (numbers.len() + 1).saturating_sub(QUARANTINES_MAX);
    for number in &numbers[..spare.min(numbers.len())] {
        // One that stays takes room; the next time it is tried again.
        if let Err(error) = fs::remove_dir_all(path(*number)) {
            error!(%error, "cannot remove {}", path(*number).display());
        }
    }
    File::open(data_dir)?.sync_all()?;
    Ok(path(next))
}
