//! What an image is written to: a card, or a file that stands for one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

/// A place of fixed length.
pub(super) trait Card: Read + Write + Seek {
    /// Everything written is on the medium.
    ///
    /// # Errors
    /// When it is not.
    fn sync(&mut self) -> io::Result<()>;

    /// What is read from now on comes from the medium.
    ///
    /// # Errors
    /// When the system does not let go of what it remembers.
    fn forget(&mut self) -> io::Result<()>;
}

/// A block device that nobody else has.
pub(super) struct BlockDevice(File);

impl BlockDevice {
    /// O_EXCL on a block device fails while anything of it is mounted, even if that was not seen before (open(2)).
    ///
    /// # Errors
    /// When it is not there, in use, or not ours to write.
    pub fn open(path: &Path) -> io::Result<BlockDevice> {
        let exclusive = rustix::fs::OFlags::EXCL.bits() as i32;
        let file = OpenOptions::new().read(true).write(true).custom_flags(exclusive).open(path);
        file.map(BlockDevice)
    }
}

impl Read for BlockDevice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for BlockDevice {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for BlockDevice {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Card for BlockDevice {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }
}
