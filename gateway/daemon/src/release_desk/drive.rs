//! What the desk needs of a disk, and the real one. The simulation has another, which forgets what was not synced.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// A disk with folders.
pub trait Drive: fmt::Debug + Send + Sync {
    /// Makes a folder and those above it. Durable once the folder above is synced.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Whether the folder is there.
    fn has_folder(&self, folder: &Path) -> bool;

    /// The files of a folder, sorted. None when it is not there.
    fn names(&self, folder: &Path) -> Vec<String>;

    fn len(&self, file: &Path) -> io::Result<u64>;

    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;

    /// Writes a file anew, and makes its bytes durable; its name is not yet.
    fn write_synced(&self, file: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Within one folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Makes the names of a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The machine's.
#[derive(Clone, Copy, Debug)]
pub struct RealDrive;

impl Drive for RealDrive {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn has_folder(&self, folder: &Path) -> bool {
        folder.exists()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    fn len(&self, file: &Path) -> io::Result<u64> {
        Ok(fs::metadata(file)?.len())
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        fs::read(file)
    }

    fn write_synced(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(file)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
