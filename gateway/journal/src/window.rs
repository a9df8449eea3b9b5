//! A segment read in large blocks.

use crate::disk::Disk;
use crate::header::BLOCK;

/// How much is read at once.
const READ_BYTES: u64 = 64 * 1024;

/// A piece of a file. What lies beyond the file's end, and blocks that the disk cannot read, are zeros: both
/// are damage to be stepped over, not a reason to stop.
#[derive(Debug)]
pub(crate) struct Window {
    name: String,
    end: u64,
    start: u64,
    bytes: Vec<u8>,
    /// Blocks that could not be read.
    pub unreadable: u64,
}

impl Window {
    /// A window that never looks at `end` or beyond.
    pub fn new(name: String, end: u64) -> Window {
        Window { name, end, start: 0, bytes: Vec::new(), unreadable: 0 }
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// Looks further than before.
    pub fn extend(&mut self, end: u64) {
        self.end = end;
    }

    /// The bytes from `at` on, `len` of them; `None` when that is beyond the end.
    pub fn get(&mut self, disk: &mut impl Disk, at: u64, len: usize) -> Option<&[u8]> {
        if at + len as u64 > self.end {
            return None;
        }
        let held = self.start..self.start + self.bytes.len() as u64;
        if at < held.start || at + len as u64 > held.end {
            self.fill(disk, at, len as u64);
        }
        let from = (at - self.start) as usize;
        Some(&self.bytes[from..from + len])
    }

    fn fill(&mut self, disk: &mut impl Disk, at: u64, len: u64) {
        self.start = at;
        let want = len.max(READ_BYTES).min(self.end - at) as usize;
        self.bytes.clear();
        self.bytes.resize(want, 0);
        if disk.read_at(&self.name, at, &mut self.bytes).is_ok() {
            return;
        }
        self.bytes.fill(0);
        let mut from = 0;
        while from < want {
            let block_end = (at + from as u64) / BLOCK * BLOCK + BLOCK;
            let to = want.min((block_end - at) as usize);
            let piece = &mut self.bytes[from..to];
            if disk.read_at(&self.name, at + from as u64, piece).is_err() {
                piece.fill(0);
                self.unreadable += 1;
            }
            from = to;
        }
    }
}
