//! Segment files: beginning, recycling, naming.

use crate::disk::Disk;
use crate::error::Error;
use crate::frame::HEAD_BYTES;
use crate::header::{BLOCK, DATA_START, Header, Look, TAIL_BYTES};
use crate::journal::Journal;
use crate::mark::Mark;

/// A file's name while it is being filled with zeros. One that is found at the start is removed.
pub(crate) const UNFINISHED: &str = ".new";

/// One segment of the log.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub slot: u32,
    pub file_len: u64,
    pub first_seq: u64,
    /// One beyond the last seq.
    pub end_seq: u64,
    /// Where the first frame stands, and where none can stand any more.
    pub start_at: u64,
    pub end_at: u64,
    /// Every frame was read since the start, or written.
    pub is_verified: bool,
}

impl Segment {
    pub fn name(&self) -> String {
        name(self.slot)
    }
}

/// The file of a slot.
pub(crate) fn name(slot: u32) -> String {
    format!("{slot:08}.seg")
}

/// The slot of a file; `None` when it is no segment's name.
pub(crate) fn slot(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg")?;
    let is_ours = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_ours { digits.parse().ok() } else { None }
}

impl<D: Disk> Journal<D> {
    /// Makes a file ready for the next segment, so that no commit has to wait for zeros to be written. For idle
    /// moments; does nothing when one is ready or the quota does not allow one.
    ///
    /// # Errors
    /// When the disk refuses; a later commit will try for itself.
    pub fn prepare(&mut self) -> Result<(), Error> {
        let has_room = self.segments.len() < self.settings.segments_max();
        if self.free.is_empty() && has_room {
            let slot = self.create()?;
            let len = u64::from(self.settings.segment_bytes);
            self.free.push_back((slot, len));
        }
        Ok(())
    }

    /// A file of zeros, durable under its name.
    fn create(&mut self) -> Result<u32, Error> {
        let slot = self.next_slot;
        self.next_slot += 1;
        self.zero(slot)?;
        Ok(slot)
    }

    fn zero(&mut self, slot: u32) -> Result<(), Error> {
        let len = u64::from(self.settings.segment_bytes);
        let name = name(slot);
        let unfinished = format!("{name}{UNFINISHED}");
        let made = self.disk.preallocate(&unfinished, len);
        if let Err(source) = made {
            // It may have filled the disk; what is left of it would be removed at the next start, too.
            self.disk.remove(&unfinished).ok();
            return Err(Error::io("preallocate", &unfinished)(source));
        }
        self.counters.bytes_written += len;
        self.sync(&unfinished)?;
        let io = Error::io("rename", &unfinished);
        self.disk.rename(&unfinished, &name).map_err(io)?;
        self.counters.syncs += 1;
        self.disk.sync_dir().map_err(Error::io("sync", "the folder"))
    }

    /// Begins a segment: its header is durable before anything is written behind it, so what the file held is
    /// refused from here on.
    pub(crate) fn start_segment(&mut self, first_seq: u64) -> Result<(), Error> {
        // The end of an eviction must always find room: it is what makes room.
        let more = usize::from(self.attempt != 0);
        if self.segments.len() >= self.settings.segments_max() + more {
            let quota_bytes = self.settings.quota_bytes;
            return Err(Error::Full { quota_bytes });
        }
        let file_len = u64::from(self.settings.segment_bytes);
        let slot = match self.free.pop_front() {
            Some((slot, len)) if len == file_len => slot,
            Some((slot, len)) => {
                let made = self.zero(slot);
                made.inspect_err(|_| self.free.push_back((slot, len)))?;
                slot
            }
            None => self.create()?,
        };
        self.active = None;
        self.last_generation += 1;
        let generation = self.last_generation;
        if let Err(error) = self.write_header(slot, generation, first_seq) {
            self.free.push_back((slot, file_len));
            return Err(error);
        }
        let segment = Segment {
            slot,
            file_len,
            first_seq,
            end_seq: first_seq,
            start_at: DATA_START,
            end_at: DATA_START,
            is_verified: true,
        };
        self.segments.insert(generation, segment);
        self.active = Some(generation);
        self.write_at = DATA_START;
        self.counters.segments_started += 1;
        Ok(())
    }

    /// Both copies, each durable before the next is begun, in an order that lets a start tell a segment that was begun
    /// in vain from one that is damaged. A file without frames gets its first copy first, so that a second one alone is
    /// damage; in one that has them, and so has a durable header, the first copy is the last to change: while it is torn,
    /// the second one says why. If it is torn already, that one stays as it is until the first is whole.
    fn write_header(&mut self, slot: u32, generation: u32, first_seq: u64) -> Result<(), Error> {
        let mark = Mark { attempt: self.attempt, ..self.mark.clone() };
        let header = Header { generation, epoch: self.epoch, first_seq, mark };
        let bytes = header.encode();
        let name = name(slot);
        let tail_at = u64::from(self.settings.segment_bytes) - TAIL_BYTES;
        let (mut head, mut frame) = (vec![0; BLOCK as usize], [0; HEAD_BYTES]);
        // What cannot be read is no reason not to write it.
        self.disk.read_at(&name, 0, &mut head).ok();
        self.disk.read_at(&name, DATA_START, &mut frame).ok();
        let is_whole = matches!(Header::look(&head), Look::Header(_));
        let is_used = is_whole && frame != [0; HEAD_BYTES] && !self.torn_slots.contains(&slot);
        let places = if is_used { [tail_at, 0] } else { [0, tail_at] };
        for at in places {
            let io = Error::io("write", &name);
            self.disk.write_at(&name, at, &bytes).map_err(io)?;
            self.counters.bytes_written += bytes.len() as u64;
            // After a sync that failed, what can be read may not be what is there.
            if at == 0 {
                self.torn_slots.insert(slot);
            }
            self.sync(&name)?;
            if at == 0 {
                self.torn_slots.remove(&slot);
            }
        }
        Ok(())
    }

    /// Frees segments that nobody needs.
    pub(crate) fn release(&mut self) {
        let forgotten = self.mark.forgotten;
        let in_use = [self.active, self.kept];
        // A segment in the middle that is done waits for those before it: the log stays in one piece.
        while let Some((generation, segment)) = self.segments.first_key_value()
            && !in_use.contains(&Some(*generation))
            && segment.end_seq <= forgotten + 1
        {
            self.free.push_back((segment.slot, segment.file_len));
            self.segments.pop_first();
        }
    }
}
