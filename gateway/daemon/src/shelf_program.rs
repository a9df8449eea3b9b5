//! How the process that keeps the state is started, and how long it may take.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How long it may take.
#[derive(Clone, Copy, Debug)]
pub struct ShelfLimits {
    /// Until it is open, with a look at every row. A state of 10,000 keys takes 50 ms on a desktop; a start must not
    /// wait much longer for one that hangs.
    pub open: Duration,
    /// For a piece of the rows, 256 KiB.
    pub read: Duration,
    /// Until a checkpoint is durable. A worn card may be busy with itself for seconds, and who is given up then begins
    /// anew; but nothing is acked meanwhile.
    pub write: Duration,
    /// Until it has ended. A clean stop has about so long.
    pub close: Duration,
    /// After a failure: the first wait before it is tried again.
    pub retry: Duration,
    /// How long nobody must have asked for anything before it is ended: it takes 2.9 MB beside the daemon's 5.9 (PSS, on a
    /// desktop), for nothing between two checkpoints, and comes back in some milliseconds. Longer than the pauses
    /// between checkpoints under load, because each time sled writes a little when it opens and closes its folder.
    pub idle: Duration,
}

impl ShelfLimits {
    pub const DAEMON: ShelfLimits = ShelfLimits {
        open: Duration::from_secs(3),
        read: Duration::from_secs(3),
        write: Duration::from_secs(30),
        close: Duration::from_secs(2),
        retry: Duration::from_secs(5),
        idle: Duration::from_secs(2),
    };
}

/// How the process is started.
#[derive(Clone, Debug)]
pub struct ShelfProgram {
    pub(crate) program: PathBuf,
    pub(crate) cache_mb: u64,
    pub limits: ShelfLimits,
}

impl ShelfProgram {
    /// This very program.
    ///
    /// # Errors
    /// When the system does not say where it is.
    pub fn own(cache_mb: u64) -> io::Result<ShelfProgram> {
        Ok(ShelfProgram::new(std::env::current_exe()?, cache_mb))
    }

    /// A program that knows `state-shelf --dir DIR --cache-mb N`.
    pub fn new(program: PathBuf, cache_mb: u64) -> ShelfProgram {
        ShelfProgram { program, cache_mb, limits: ShelfLimits::DAEMON }
    }
}
