//! Opens the store in the data folder, and says what was found there.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};
use tidegate_config::Settings;
use tidegate_journal::RealDisk;
use tidegate_store::{Opened, Settings as StoreSettings, Store};
use tracing::{error, info, warn};

use crate::shelf_program::ShelfProgram;
use crate::state_shelf::StateShelf;

/// The store of a running daemon.
pub type RealStore = Store<RealDisk, StateShelf>;

/// Memory for what sled reads, MB. The handlers' tables are in memory anyway: it is read at the start, and written.
const CACHE_MB: u64 = 2;

/// Keeps a second daemon out of the data folder for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: Option<File>,
}

/// Opens what is there, or begins anew.
///
/// # Errors
/// When the folder cannot be made or listed, or another daemon has it. Damage is no error: it is reported, and the
/// store goes on with what is good.
pub fn open(settings: &Settings, seed: u64) -> anyhow::Result<(RealStore, Opened, Lock)> {
    let folder = &settings.data_dir;
    let journal = folder.join("journal");
    // Before the lock, which lies beside it. The disk makes the folders, so that their names are durable too.
    let disk = RealDisk::open(&journal).with_context(|| {
        format!(
            "cannot make or open {} (gateway.data_dir); make it, or let the daemon's user write there",
            journal.display()
        )
    })?;
    let lock = lock(folder)?;
    let program = ShelfProgram::own(CACHE_MB).context("cannot tell where this program is")?;
    let shelf = StateShelf::open(folder, program);
    let (store, opened) = Store::open(disk, shelf, store_settings(settings), epoch(seed))
        .with_context(|| format!("cannot open the store in {}", folder.display()))?;
    tell(folder, &opened);
    Ok((store, opened, lock))
}

/// Says what was found, where it is more than what a clean stop leaves.
fn tell(folder: &Path, opened: &Opened) {
    let (found, restored) = (&opened.found, &opened.restored);
    let waiting: u64 = restored.progress.waiting.iter().map(|line| line.records).sum();
    info!(
        boot = restored.boot,
        handlers_with_state = opened.tables.len(),
        records_waiting = waiting,
        frames_replayed = found.frames_replayed,
        "the store is open"
    );
    if let Some(error) = &found.shelf_error {
        error!(
            error,
            export = found.export_restored,
            "the state's checkpoint could not be read; it comes from the last export and the journal"
        );
    }
    // The segments' length is not configured: one that has another was cut.
    if found.recovery.is_damaged()
        || found.recovery.files_resized > 0
        || found.rows_bad > 0
        || found.is_shelf_outdated
        || found.is_journal_lost
        || found.is_end_lost
    {
        error!(
            gaps = found.recovery.gaps_total,
            frames_missing = found.recovery.frames_missing,
            rows_bad = found.rows_bad,
            state_outdated = found.is_shelf_outdated,
            export = found.export_restored,
            journal_lost = found.is_journal_lost,
            end_lost = found.is_end_lost,
            "the store in {} was damaged; what is good is kept, what is lost is counted",
            folder.display()
        );
    }
}

/// Held until the process ends, however it ends.
fn lock(folder: &Path) -> anyhow::Result<Lock> {
    let path = folder.join("lock");
    let file = match File::create(&path) {
        Ok(file) => file,
        // A disk that is read-only must not keep the handlers from reacting.
        Err(error) => {
            warn!(%error, "cannot write to {}; nothing will be durable", folder.display());
            return Ok(Lock { _file: None });
        }
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!(
            "{} is in use by another daemon (gateway.data_dir); stop it, or give this one another folder",
            folder.display()
        );
    }
    Ok(Lock { _file: Some(file) })
}

fn store_settings(settings: &Settings) -> StoreSettings {
    let quota_bytes = settings.store.quota_bytes();
    let journal = tidegate_journal::Settings { quota_bytes, ..Default::default() };
    StoreSettings { journal, streams: Arc::clone(&settings.streams), ..Default::default() }
}

/// A number that no other store has.
fn epoch(seed: u64) -> u64 {
    let mut bytes = [0; 8];
    match File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(error) => {
            warn!(%error, "no /dev/urandom; if this store is new, its epoch comes from the clock");
            seed
        }
    }
}
