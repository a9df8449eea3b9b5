//! Files on the boot partition of an image.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fatfs::{FileSystem, FsOptions};

use super::partitions::{self, Partition, SECTOR};
use crate::failure::Failure;

/// Puts files there, and the folders that they lie in.
pub(super) fn put(image: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::data(format!("the boot partition of {}: {error}", image.display()))
    };
    let mut file = OpenOptions::new().read(true).write(true).open(image).map_err(failed)?;
    let mut sector = [0; SECTOR as usize];
    file.read_exact(&mut sector).map_err(failed)?;
    let boot = partitions::boot(&sector).ok_or_else(|| {
        Failure::data(format!(
            "{} has no FAT partition; is it an image that boards/image/build has made?",
            image.display()
        ))
    })?;
    let window = Window { file, place: boot, at: 0 };
    let system = FileSystem::new(window, FsOptions::new()).map_err(failed)?;
    for (path, content) in files {
        write(&system, path, content).map_err(failed)?;
    }
    system.unmount().map_err(failed)
}

fn write(system: &FileSystem<Window>, path: &str, content: &[u8]) -> io::Result<()> {
    let root = system.root_dir();
    if let Some((folder, _)) = path.rsplit_once('/') {
        root.create_dir(folder)?;
    }
    let mut file = root.create_file(path)?;
    file.truncate()?;
    file.write_all(content)?;
    file.flush()
}

/// A partition as if it were a file.
struct Window {
    file: File,
    place: Partition,
    at: u64,
}

impl Window {
    /// As much of a buffer as the partition still has room for, with the file at its place.
    fn room(&mut self, wanted: usize) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(self.place.start + self.at))?;
        let left = self.place.bytes.saturating_sub(self.at);
        Ok(usize::try_from(left).map_or(wanted, |left| left.min(wanted)))
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.room(buffer.len())?;
        let read = self.file.read(&mut buffer[..room])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Window {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let room = self.room(buffer.len())?;
        let written = self.file.write(&buffer[..room])?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.place.bytes.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::other("a place before the partition"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests;
