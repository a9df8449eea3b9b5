//! From one good frame to the next, over whatever lies between.

use crate::disk::Disk;
use crate::frame::{self, HEAD_BYTES, Head};
use crate::header::BLOCK;
use crate::planted::{Bug, planted};
use crate::window::Window;

/// Bytes hashed in search of a frame, in lengths of a segment. A payload can be made of bytes that look like
/// heads; without an end to it, such a one could hold up the boot for hours.
const HASHED_SEGMENTS_MAX: u64 = 4;

/// A place where frames should be and are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub at: u64,
    pub end: u64,
    pub first_seq: u64,
    pub last_seq: u64,
}

/// A good frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub at: u64,
    pub head: Head,
    /// What was stepped over to come here.
    pub hole: Option<Hole>,
}

impl Found {
    pub fn end(&self) -> u64 {
        self.at + self.head.total() as u64
    }
}

/// A walk over the frames of one segment.
#[derive(Debug)]
pub(crate) struct Scanner {
    pub window: Window,
    generation: u32,
    /// Where to go on.
    pub at: u64,
    /// The seq that should stand there.
    pub expect: u64,
    /// Seqs from here on stand in a later segment.
    pub seq_end: u64,
    hash_left: u64,
}

impl Scanner {
    pub fn new(window: Window, generation: u32, at: u64, expect: u64, seq_end: u64) -> Scanner {
        let hash_left = (window.end() * HASHED_SEGMENTS_MAX).max(1 << 20);
        Scanner { window, generation, at, expect, seq_end, hash_left }
    }

    /// The search was ended before the segment was.
    pub fn is_exhausted(&self) -> bool {
        self.hash_left == 0
    }

    /// The next good frame.
    pub fn next(&mut self, disk: &mut impl Disk) -> Option<Found> {
        if self.expect >= self.seq_end {
            return None;
        }
        let (from, expect) = (self.at, self.expect);
        let (at, head) = self.find(disk)?;
        self.at = at + head.total() as u64;
        self.expect = head.seq + 1;
        let hole = (head.seq > expect).then_some(Hole {
            at: from,
            end: at,
            first_seq: expect,
            last_seq: head.seq - 1,
        });
        Some(Found { at, head, hole })
    }

    /// The payload of a frame that was just found.
    pub fn payload(&mut self, disk: &mut impl Disk, found: &Found) -> &[u8] {
        let at = found.at + HEAD_BYTES as u64;
        self.window.get(disk, at, found.head.len).expect("the frame was there a moment ago")
    }

    fn find(&mut self, disk: &mut impl Disk) -> Option<(u64, Head)> {
        if let Some(head) = self.frame_at(disk, self.at, true) {
            return Some((self.at, head));
        }
        // A write may start at a block of its own; see `Journal::commit`.
        let block = self.at.next_multiple_of(BLOCK);
        if let Some(head) = self.frame_at(disk, block, true) {
            return Some((block, head));
        }
        if planted(Bug::CutValidTail) {
            return None;
        }
        let mut at = self.at + 1;
        loop {
            // Zeros are the commonest thing to find, and a head is never all zeros.
            match self.window.get(disk, at, HEAD_BYTES) {
                None => return None,
                Some(bytes) if bytes.iter().all(|byte| *byte == 0) => {
                    at += HEAD_BYTES as u64 - 8;
                    continue;
                }
                Some(_) => {}
            }
            if let Some(head) = self.frame_at(disk, at, false) {
                return Some((at, head));
            }
            at += 1;
        }
    }

    /// The frame at a place, if one is there that may be: seqs are dense, so between here and there lie no more
    /// than have room.
    fn frame_at(&mut self, disk: &mut impl Disk, at: u64, exact: bool) -> Option<Head> {
        let bytes = self.window.get(disk, at, HEAD_BYTES)?;
        let head = Head::parse(bytes)?;
        if at + head.total() as u64 > self.window.end() {
            return None;
        }
        let skipped_max = if exact { 0 } else { (at - self.at) / HEAD_BYTES as u64 };
        let may_be = self.expect..self.seq_end.min(self.expect + skipped_max + 1);
        if !may_be.contains(&head.seq) {
            return None;
        }
        if !exact {
            let hashed = head.total() as u64;
            if hashed > self.hash_left {
                self.hash_left = 0;
                return None;
            }
            self.hash_left -= hashed;
        }
        let frame = self.window.get(disk, at, head.total())?;
        (frame::checksum(frame, self.generation) == head.crc).then_some(head)
    }
}
