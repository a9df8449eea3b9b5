//! What lasts: disks that the gateway and the world both hold.

use std::cell::{RefCell, RefMut};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_journal::{Disk, ModelDisk};
use tidegate_store::{ModelShelf, Rows, Shelf};

use super::drive::ModelDrive;

/// A model that outlives the gateway on it.
#[derive(Debug)]
pub struct Shared<T>(Rc<RefCell<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared(Rc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    pub fn lend(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }
}

/// The journal's folder, the shelf, and the folders of pushed handlers.
#[derive(Clone, Debug)]
pub struct Disks {
    pub journal: Shared<ModelDisk>,
    pub shelf: Shared<ModelShelf>,
    pub drive: Arc<ModelDrive>,
}

impl Disks {
    pub fn new(seed: u64) -> Disks {
        let journal = ModelDisk::new(seed);
        let shelf = ModelShelf::new(seed, journal.power());
        let drive = Arc::new(ModelDrive::new(seed, journal.power()));
        Disks {
            drive,
            journal: Shared(Rc::new(RefCell::new(journal))),
            shelf: Shared(Rc::new(RefCell::new(shelf))),
        }
    }

    /// The power goes: what was not synced may be gone.
    pub fn cut(&self) {
        self.journal.lend().cut();
        self.drive.cut();
    }
}

impl Disk for Shared<ModelDisk> {
    fn list(&mut self) -> io::Result<Vec<String>> {
        self.lend().list()
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        self.lend().len(name)
    }

    fn preallocate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.lend().preallocate(name, len)
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.lend().read_at(name, offset, buffer)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.lend().write_at(name, offset, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.lend().sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.lend().rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.lend().remove(name)
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.lend().sync_dir()
    }
}

impl Shelf for Shared<ModelShelf> {
    fn read(
        &mut self,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.lend().read(after, bytes_max)
    }

    fn get(&mut self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.lend().get(key)
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.lend().write(rows)
    }

    fn reset(&mut self) -> io::Result<()> {
        self.lend().reset()
    }
}
