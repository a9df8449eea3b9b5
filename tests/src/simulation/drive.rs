//! The folders of pushed handlers, each on a model disk: what was not synced may be gone after a cut.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use tidegate_journal::{Disk, Faults, ModelDisk, Power};
use tidegated::release_desk::Drive;

/// Several folders on one power. That a folder itself is there is taken for durable.
#[derive(Debug)]
pub struct ModelDrive(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    folders: BTreeMap<PathBuf, ModelDisk>,
    seed: u64,
    power: Power,
    faults: Faults,
    /// Over all folders.
    operations: u64,
}

impl ModelDrive {
    pub fn new(seed: u64, power: Power) -> ModelDrive {
        let folders = BTreeMap::new();
        let faults = Faults::default();
        ModelDrive(Mutex::new(Inner { folders, seed, power, faults, operations: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with it")
    }

    /// Operations that change something, since it was made.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// `cut_at` counts over all folders.
    pub fn set_faults(&self, faults: Faults) {
        let mut inner = self.lock();
        inner.faults = faults;
        let each = Faults { cut_at: None, ..faults };
        inner.folders.values_mut().for_each(|disk| disk.faults = each);
    }

    pub fn cut(&self) {
        let mut inner = self.lock();
        inner.faults.cut_at = None;
        inner.folders.values_mut().for_each(ModelDisk::cut);
    }

    /// One operation on the file's folder.
    fn change(
        &self,
        file: &Path,
        operation: impl FnOnce(&mut ModelDisk, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operations += 1;
        let is_last = inner.faults.cut_at.is_some_and(|at| inner.operations >= at);
        let (disk, name) = inner.find(file)?;
        if is_last {
            disk.faults.cut_at = Some(0);
        }
        operation(disk, &name)
    }
}

impl Inner {
    fn find(&mut self, file: &Path) -> io::Result<(&mut ModelDisk, String)> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = file.parent().and_then(|folder| self.folders.get_mut(folder));
        Ok((folder.ok_or(io::ErrorKind::NotFound)?, name.to_owned()))
    }
}

impl Drive for ModelDrive {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let paths: Vec<PathBuf> = folder.ancestors().map(Path::to_path_buf).collect();
        for path in paths {
            let seed = inner.seed ^ (inner.folders.len() as u64) << 8;
            let (power, faults) = (inner.power.clone(), inner.faults);
            inner.folders.entry(path).or_insert_with(|| {
                let mut disk = ModelDisk::on(seed, power);
                disk.faults = Faults { cut_at: None, ..faults };
                disk
            });
        }
        Ok(())
    }

    fn has_folder(&self, folder: &Path) -> bool {
        self.lock().folders.contains_key(folder)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let mut inner = self.lock();
        let names = inner.folders.get_mut(folder).map(Disk::list);
        names.and_then(Result::ok).unwrap_or_default()
    }

    fn len(&self, file: &Path) -> io::Result<u64> {
        let mut inner = self.lock();
        let (disk, name) = inner.find(file)?;
        disk.len(&name)
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        let mut inner = self.lock();
        let (disk, name) = inner.find(file)?;
        let mut bytes = vec![0; disk.len(&name)? as usize];
        disk.read_at(&name, 0, &mut bytes)?;
        Ok(bytes)
    }

    fn write_synced(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        self.change(file, |disk, name| disk.preallocate(name, 0))?;
        self.change(file, |disk, name| disk.write_at(name, 0, bytes))?;
        self.change(file, |disk, name| disk.sync(name))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let to = to.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        self.change(from, |disk, from| disk.rename(from, &to))
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.change(file, |disk, name| disk.remove(name))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        // Any name in it will do: `.` would be taken for the folder's own, in the one above.
        self.change(&folder.join("any"), |disk, _| disk.sync_dir())
    }
}
