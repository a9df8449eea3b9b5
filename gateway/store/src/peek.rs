//! A look at a store that nobody has open, or that somebody else has: nothing on the disk changes.

use std::io;

use tidegate_journal::Disk;

use crate::error::Error;
use crate::open::Opened;
use crate::settings::Settings;
use crate::shelf::{Rows, Shelf};
use crate::store::Store;

/// A disk that answers every change well and does not make it.
#[derive(Debug)]
pub struct Frozen<D>(D);

impl<D> Frozen<D> {
    /// The disk, as it was.
    pub fn into_inner(self) -> D {
        self.0
    }
}

impl<D: Disk> Disk for Frozen<D> {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        self.0.len(name)
    }

    fn preallocate(&mut self, _name: &str, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(name, offset, buffer)
    }

    fn write_at(&mut self, _name: &str, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, _from: &str, _to: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A shelf with nothing on it: the newest export and the journal know everything without it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoShelf;

impl Shelf for NoShelf {
    fn read(
        &mut self,
        _after: Option<&[u8]>,
        _bytes_max: usize,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Ok(Vec::new())
    }

    fn get(&mut self, _key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn write(&mut self, _rows: &Rows) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a store to look at: what waits and what was lost is in the answer, and records can be fetched. What is written
/// by its owner meanwhile may be missed.
///
/// # Errors
/// When the folder cannot be listed.
pub fn peek<D: Disk>(
    disk: D,
    settings: Settings,
) -> Result<(Store<Frozen<D>, NoShelf>, Opened), Error> {
    Store::open(Frozen(disk), NoShelf, settings, 0)
}
