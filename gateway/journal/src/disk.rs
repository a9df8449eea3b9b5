//! What the journal asks of a disk.

use std::io;

/// One flat folder of files. Nothing is durable before its `sync`: contents by [`Disk::sync`], names by
/// [`Disk::sync_dir`]. [`crate::RealDisk`] is a folder, [`crate::ModelDisk`] knows what a power cut leaves.
///
/// # Errors
/// Every function passes on what the system says. After a failed `sync` the contents written since the
/// last good one are lost for this disk, whatever a read shows; another `sync` proves nothing about them.
pub trait Disk {
    /// The names of all files, in any order.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// How long a file is, bytes.
    fn len(&mut self, name: &str) -> io::Result<u64>;

    /// Creates a file of `len` zeros, or makes an existing one that. The zeros are really written: a
    /// later write then changes no metadata, which is what makes its sync cheap.
    fn preallocate(&mut self, name: &str, len: u64) -> io::Result<()>;

    /// Fills `buffer` from `offset` on; fewer bytes only at the end of the file.
    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// `fdatasync`.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name; an existing file of that name is gone.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    fn sync_dir(&mut self) -> io::Result<()>;
}
