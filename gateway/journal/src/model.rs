//! A [`Disk`] in memory that knows written from durable, and fails on purpose. Seeded: the same seed and
//! the same calls give the same disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::Disk;

/// What a device writes whole or not at all.
const SECTOR: usize = 512;

/// What goes wrong. `*_one_in`: by chance, once in so many; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The operation at which the power goes, counted by [`ModelDisk::operations`].
    pub cut_at: Option<u64>,
    /// A sync fails with EIO. Some of what it should have written is on the disk; a later sync knows nothing.
    pub sync_error_one_in: u64,
    /// A sync answers well and does nothing.
    pub sync_lie_one_in: u64,
    /// A write fails half done.
    pub write_error_one_in: u64,
    /// A read fails with EIO.
    pub read_error_one_in: u64,
    /// ENOSPC when all files together would be longer.
    pub capacity_bytes: Option<u64>,
    pub read_only: bool,
}

/// The power that several models hang on. A copy is the same power.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<AtomicBool>);

impl Power {
    pub fn is_down(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Switches it off, for all of them.
    pub fn fail(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Switches it on again.
    pub fn restore(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A change that is not durable.
#[derive(Clone, Debug)]
enum Change {
    Zeros(usize),
    Write(usize, Vec<u8>),
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What a read sees.
    current: Vec<u8>,
    /// What a power cut leaves at least.
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

/// The disk.
#[derive(Clone, Debug)]
pub struct ModelDisk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    pub faults: Faults,
    random: u64,
    operations: u64,
    power: Power,
}

impl ModelDisk {
    pub fn new(seed: u64) -> ModelDisk {
        ModelDisk::on(seed, Power::default())
    }

    /// One of several on the same power.
    pub fn on(seed: u64, power: Power) -> ModelDisk {
        ModelDisk {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            faults: Faults::default(),
            random: seed,
            operations: 0,
            power,
        }
    }

    /// Operations that change something, syncs among them, since the disk was made.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether the power is gone.
    pub fn is_down(&self) -> bool {
        self.power.is_down()
    }

    /// For others that lose their power together with the disk.
    pub fn power(&self) -> Power {
        self.power.clone()
    }

    /// Cuts the power and switches it on again. Each change that was not synced is kept, dropped, or, a write,
    /// torn into sectors of which any may be kept; names as contents.
    pub fn cut(&mut self) {
        for at in 0..self.files.len() {
            let changes = std::mem::take(&mut self.files[at].unsynced);
            // Whole cuts without a trace, and without a loss, are likely enough to be seen.
            let mood = self.below(4);
            for change in changes {
                self.settle(at, change, mood);
            }
            self.files[at].current = self.files[at].durable.clone();
        }
        for change in std::mem::take(&mut self.unsynced_names) {
            if self.below(2) == 0 {
                apply_name(&mut self.durable_names, &change);
            }
        }
        self.names = self.durable_names.clone();
        self.power.restore();
        self.faults.cut_at = None;
    }

    /// Changes bytes at rest; `change` gets the whole file.
    pub fn damage(&mut self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        if let Some(at) = self.names.get(name) {
            change(&mut self.files[*at].current);
            change(&mut self.files[*at].durable);
        }
    }

    /// A number below `end`, from the seed.
    pub fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    /// Lets one unsynced change reach the disk, or not.
    fn settle(&mut self, at: usize, change: Change, mood: u64) {
        let fate = match mood {
            0 => 0,
            1 => 1,
            _ => self.below(3),
        };
        match (fate, change) {
            (0, _) => {}
            (1, change) => apply(&mut self.files[at].durable, &change),
            (_, Change::Zeros(len)) => {
                let len = self.below(len as u64 + 1) as usize;
                apply(&mut self.files[at].durable, &Change::Zeros(len));
            }
            (_, Change::Write(from, bytes)) => {
                let mut start = 0;
                while start < bytes.len() {
                    let end = ((from + start) / SECTOR + 1) * SECTOR - from;
                    let end = end.min(bytes.len());
                    if self.below(2) == 0 {
                        let piece = Change::Write(from + start, bytes[start..end].to_vec());
                        apply(&mut self.files[at].durable, &piece);
                    }
                    start = end;
                }
            }
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.below(one_in) == 0
    }

    /// Counts a change; the one at which the power goes is not answered, but may have been made.
    fn operate(&mut self) -> io::Result<()> {
        if self.is_down() {
            return Err(io::Error::other("the power is gone"));
        }
        self.operations += 1;
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if self.faults.cut_at.is_some_and(|at| self.operations >= at) {
            self.power.fail();
        }
        Ok(())
    }

    fn answer(&self) -> io::Result<()> {
        if self.is_down() {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, at: usize, change: Change) {
        let file = &mut self.files[at];
        apply(&mut file.current, &change);
        file.unsynced.push(change);
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.names, &change);
        self.unsynced_names.push(change);
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Zeros(len) => {
            bytes.clear();
            bytes.resize(*len, 0);
        }
        Change::Write(at, new) => {
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
    }
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Create(name, at) => {
            names.insert(name.clone(), *at);
        }
        NameChange::Rename(from, to) => {
            if let Some(at) = names.remove(from) {
                names.insert(to.clone(), at);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

impl Disk for ModelDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.answer()?;
        Ok(self.names.keys().cloned().collect())
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        self.answer()?;
        let at = self.find(name)?;
        Ok(self.files[at].current.len() as u64)
    }

    fn preallocate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.operate()?;
        let used: u64 = self.names.values().map(|at| self.files[*at].current.len() as u64).sum();
        if self.faults.capacity_bytes.is_some_and(|capacity| used + len > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let at = match self.find(name) {
            Ok(at) => at,
            Err(_) => {
                self.files.push(File::default());
                let at = self.files.len() - 1;
                self.change_name(NameChange::Create(name.to_owned(), at));
                at
            }
        };
        self.change(at, Change::Zeros(len as usize));
        self.answer()
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.answer()?;
        if self.chance(self.faults.read_error_one_in) {
            return Err(io::Error::other("EIO on read"));
        }
        let at = self.find(name)?;
        let bytes = self.files[at].current.get(offset as usize..).unwrap_or(&[]);
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.operate()?;
        let at = self.find(name)?;
        if self.chance(self.faults.write_error_one_in) {
            let half = bytes[..bytes.len() / 2].to_vec();
            self.change(at, Change::Write(offset as usize, half));
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.change(at, Change::Write(offset as usize, bytes.to_vec()));
        self.answer()
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.operate()?;
        // A cut during a sync: any part of it may be done, as in any cut.
        self.answer()?;
        let at = self.find(name)?;
        if self.chance(self.faults.sync_lie_one_in) {
            return Ok(());
        }
        let changes = std::mem::take(&mut self.files[at].unsynced);
        if self.chance(self.faults.sync_error_one_in) {
            for change in changes {
                self.settle(at, change, 2);
            }
            return Err(io::Error::other("EIO on sync"));
        }
        for change in changes {
            apply(&mut self.files[at].durable, &change);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.operate()?;
        self.find(from)?;
        self.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        self.answer()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.operate()?;
        self.find(name)?;
        self.change_name(NameChange::Remove(name.to_owned()));
        self.answer()
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.operate()?;
        self.answer()?;
        self.unsynced_names.clear();
        self.durable_names = self.names.clone();
        Ok(())
    }
}
