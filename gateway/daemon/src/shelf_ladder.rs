//! The boot ladder: from a sled folder that may be damaged to one that is open, whatever it takes. Opening a damaged
//! one may fail, panic or never return (sled issues 1527, 1533), which the process that has it open does for us: it is
//! tried with a limit, and with a look at every row. After a clean stop nobody pays for that look: the files have the
//! checksum that was noted then.
//!
//! A disk that refuses to write is no reason to touch the folder: it is left as it is until the disk is well.
//!
//! What is set aside is not lost to the gateway: the store restores state from its newest export and the journal.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tracing::{error, info};

use crate::shelf_mark::{Mark, MarkFile, checksum};
use crate::shelf_process::{ShelfProcess, Unopened};
use crate::shelf_program::ShelfProgram;

/// Runs in a row that did not come back from their first write; then the folder is not tried any more.
const TRIES_MAX: u32 = 2;
/// Folders that are kept for a person to look at.
const QUARANTINES_MAX: usize = 2;
const FOLDER: &str = "state";
const QUARANTINE: &str = "quarantine-";
/// A sled snapshot, and the ending of one that was not finished.
const SNAPSHOT: &str = "snap.";
const UNFINISHED: &str = ".generating";
/// sled does not look at files with this in front.
const ASIDE: &str = "aside-";
/// Written to see whether the disk takes it, and removed.
const TRY: &str = "aside-try";

/// What it took to get a folder that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// When there was none; it is made by the first write.
    Fresh,
    /// When it is as it was left.
    Clean,
    /// When it was not closed, and all of it could be read.
    Probed,
    /// When an unfinished snapshot stood in the way.
    LeftoverRemoved,
    /// When all snapshots did.
    SnapshotsAside,
    /// When it was set aside; the next is made by the first write.
    Quarantined,
}

/// The folder in a data folder.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER)
}

/// Opens the folder in a data folder; none: there is none, or none any more.
///
/// # Errors
/// When it can neither be opened nor set aside, such as on a disk that is read-only or fails.
pub fn climb(data_dir: &Path, program: &ShelfProgram) -> io::Result<(Option<ShelfProcess>, Rung)> {
    let folder = folder(data_dir);
    let crc = match fs::exists(&folder)? {
        true => checksum(&folder)?,
        false => None,
    };
    let Some(crc) = crc else {
        return Ok((None, Rung::Fresh));
    };
    let is_hopeless = match MarkFile::new(data_dir).read() {
        Mark::Clean { crc: known } if known == crc => {
            match ShelfProcess::open(program, &folder, false) {
                Ok(process) => return Ok((Some(process), Rung::Clean)),
                Err(unopened) => blame(&folder, unopened)?,
            }
            false
        }
        Mark::Trying { runs } => runs >= TRIES_MAX,
        Mark::Clean { .. } | Mark::Dirty => false,
    };
    if is_hopeless {
        can_write(&folder)?;
        error!("the last {TRIES_MAX} runs ended in their first write of state");
    } else if let Some((process, rung)) = repair(&folder, program)? {
        return Ok((Some(process), rung));
    }
    let aside = quarantine(data_dir)?;
    error!(
        "the state's folder cannot be read; it is {} now, and state comes from the export and the journal",
        aside.display()
    );
    Ok((None, Rung::Quarantined))
}

/// Tries the folder as it is, and with less and less of sled's own shortcuts; none: all in vain.
///
/// # Errors
/// When it is not the folder's fault.
pub fn repair(folder: &Path, program: &ShelfProgram) -> io::Result<Option<(ShelfProcess, Rung)>> {
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
        match ShelfProcess::open(program, folder, true) {
            Ok(process) => {
                info!("the state's folder was not closed, and can be read: {}", name(rung));
                return Ok(Some((process, rung)));
            }
            Err(unopened) => blame(folder, unopened)?,
        }
    }
    Ok(None)
}

/// Goes on if it is the folder's fault that it did not open.
fn blame(folder: &Path, unopened: Unopened) -> io::Result<()> {
    match unopened {
        Unopened::NotNow(error) => Err(error),
        Unopened::Unreadable(error) => {
            can_write(folder)?;
            error!(%error, "the state's folder did not open");
            Ok(())
        }
    }
}

/// Whether the disk takes a write and makes it durable, in this folder.
///
/// # Errors
/// When it does not.
pub fn can_write(folder: &Path) -> io::Result<()> {
    let path = folder.join(TRY);
    let mut file = File::create(&path)?;
    let done = file.write_all(&[1; 512]).and_then(|()| file.sync_data());
    // One that stays is written over by the next.
    fs::remove_file(&path).ok();
    done
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
