//! A folder as a [`Disk`].

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::disk::Disk;

/// File handles kept open. The journal writes one file and reads one or two; a long outage has hundreds.
const HANDLES_MAX: usize = 16;
/// Zeros are written in pieces of this size.
const ZEROS_BYTES: usize = 64 * 1024;
/// Records are nobody else's to read.
const MODE: u32 = 0o600;

/// A folder.
#[derive(Debug)]
pub struct RealDisk {
    folder: PathBuf,
    /// Kept open between write and sync, so that a failed write-back is told to us and to nobody else. The
    /// latest used is last.
    handles: VecDeque<(String, File)>,
    /// Folders whose names are not durable yet: before they are, nothing in here is.
    owed: Vec<PathBuf>,
}

impl RealDisk {
    /// Opens a folder and creates it when it is not there.
    ///
    /// # Errors
    /// When it cannot be created. Whether its name is durable is told by the first sync.
    pub fn open(folder: &Path) -> io::Result<RealDisk> {
        let missing: Vec<&Path> =
            folder.ancestors().take_while(|path| !path.is_dir()).filter_map(Path::parent).collect();
        fs::create_dir_all(folder)?;
        let mut owed: Vec<PathBuf> = missing.into_iter().map(Path::to_owned).collect();
        owed.retain(|parent| sync_folder(parent).is_err());
        // Also when it was there: whoever made it may have been stopped before its name was durable. Costs
        // nothing when nothing has changed; a folder that cannot be written keeps what it has.
        if let Some(parent) = folder.parent()
            && let Err(error) = sync_folder(parent)
            && !is_read_only(&error)
        {
            owed.push(parent.to_owned());
        }
        Ok(RealDisk { folder: folder.to_owned(), handles: VecDeque::new(), owed })
    }

    fn pay(&mut self) -> io::Result<()> {
        while let Some(folder) = self.owed.first() {
            sync_folder(folder)?;
            self.owed.remove(0);
        }
        Ok(())
    }

    fn handle(&mut self, name: &str) -> io::Result<&File> {
        let entry = match self.handles.iter().position(|(known, _)| known == name) {
            Some(at) => self.handles.remove(at),
            None => None,
        };
        let entry = match entry {
            Some(entry) => entry,
            None => (name.to_owned(), open(&self.folder.join(name))?),
        };
        if self.handles.len() >= HANDLES_MAX {
            self.handles.pop_front();
        }
        self.handles.push_back(entry);
        Ok(&self.handles.back().expect("just pushed").1)
    }

    fn close(&mut self, name: &str) {
        self.handles.retain(|(known, _)| known != name);
    }
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    let here = Path::new(".");
    File::open(if folder.as_os_str().is_empty() { here } else { folder })?.sync_all()
}

fn is_read_only(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), ReadOnlyFilesystem | PermissionDenied)
}

/// For reading and writing; a disk that became read-only can still be read.
fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if is_read_only(&error) => File::open(path),
        other => other,
    }
}

impl Disk for RealDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn len(&mut self, name: &str) -> io::Result<u64> {
        Ok(self.handle(name)?.metadata()?.len())
    }

    fn preallocate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.close(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(MODE)
            .open(self.folder.join(name))?;
        let zeros = [0; ZEROS_BYTES];
        let mut at = 0;
        while at < len {
            let part = (len - at).min(ZEROS_BYTES as u64);
            file.write_all_at(&zeros[..part as usize], at)?;
            at += part;
        }
        self.handles.push_back((name.to_owned(), file));
        Ok(())
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.handle(name)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.handle(name)?.write_all_at(bytes, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.pay()?;
        self.handle(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.close(from);
        self.close(to);
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.close(name);
        fs::remove_file(self.folder.join(name))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.pay()?;
        sync_folder(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_durable_before_the_name_of_its_folder() {
        let top =
            std::env::temp_dir().join(format!("tidegate-journal-real-{}", std::process::id()));
        let missing = top.join("missing");
        let mut disk = RealDisk::open(&top).expect("a temporary folder");
        disk.preallocate("a", 10).expect("a temporary folder");
        disk.sync("a").expect("a temporary folder");
        // Stands for one that the disk does not sync.
        disk.owed.push(missing.clone());
        assert!(disk.sync("a").is_err() && disk.sync_dir().is_err());
        fs::create_dir(&missing).expect("a temporary folder");
        disk.sync("a").expect("a temporary folder");
        assert!(disk.owed.is_empty());
        fs::remove_dir_all(&top).expect("it is ours");
    }
}
