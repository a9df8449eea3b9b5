//! One segment read from start to end: what is in it, where it ends, what is missing.

use crate::disk::Disk;
use crate::frame::{BATCH, CARRIED, KIND_MARK, KIND_MASK};
use crate::header::SECTOR;
use crate::mark::Mark;
use crate::planted::{Bug, planted};
use crate::scan::{Found, Hole, Scanner};

/// What recovery learns about marks and evictions on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub mark: Mark,
    /// Carried frames whose eviction has not ended yet, and whether a hole follows: then its end may be in it.
    open: Vec<(u64, u64, bool)>,
}

impl Tally {
    /// Starts at a header.
    pub fn new(mut mark: Mark, first_seq: u64) -> Tally {
        let mut open = Vec::new();
        if mark.attempt != 0 {
            open.push((mark.attempt, first_seq.saturating_sub(1), false));
        }
        mark.attempt = 0;
        Tally { mark, open }
    }

    fn gap(&mut self) {
        for run in &mut self.open {
            run.2 = true;
        }
    }

    fn carried(&mut self, seq: u64) {
        match self.open.last_mut() {
            Some((_, last, false)) => *last = seq,
            Some(_) | None => self.open.push((seq, seq, false)),
        }
    }

    fn marked(&mut self, mark: Mark) {
        if mark.attempt != 0 {
            self.open.retain(|(first, ..)| *first < mark.attempt);
            // An attempt that failed may stand right before the one that did not.
            for (_, last, _) in &mut self.open {
                *last = (*last).min(mark.attempt - 1);
            }
        }
        self.close();
        let mut abandoned = std::mem::take(&mut self.mark.abandoned);
        abandoned.retain(|range| !mark.abandoned.contains(range));
        // It may be older than what a header knew before it was written.
        let forgotten = self.mark.forgotten.max(mark.forgotten);
        self.mark = Mark { forgotten, attempt: 0, ..mark };
        self.mark.abandoned.splice(..0, abandoned);
    }

    /// An eviction's frames stand together: anything else after them means that it did not end. If its end
    /// may be lost to damage, its frames count where what they replace is forgotten.
    pub fn close(&mut self) {
        for (first, last, has_hole) in std::mem::take(&mut self.open) {
            if !has_hole {
                self.mark.abandon(first, last);
            }
        }
    }
}

/// What one segment holds.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub frames: u64,
    /// Where the last good frame ends.
    pub end_at: u64,
    pub next_seq: u64,
    pub holes: Vec<Hole>,
    /// Where the last write starts that is known.
    pub last_batch_at: Option<u64>,
    /// Good frames of a torn write, behind its first hole: they were never durable.
    pub torn_frames: u64,
    /// Where they end.
    pub torn_end_at: u64,
    pub tally: Tally,
    pub unreadable: u64,
    /// The search for frames was given up before the end.
    pub is_exhausted: bool,
}

/// Reads on until the segment ends. In the newest segment the end may be a torn write.
pub(crate) fn survey(
    disk: &mut impl Disk,
    scanner: &mut Scanner,
    tally: Tally,
    is_newest: bool,
) -> Survey {
    let mut now = Survey {
        frames: 0,
        end_at: scanner.at,
        next_seq: scanner.expect,
        holes: Vec::new(),
        last_batch_at: None,
        torn_frames: 0,
        torn_end_at: 0,
        tally,
        unreadable: 0,
        is_exhausted: false,
    };
    let mut before_hole: Option<Survey> = None;
    while let Some(found) = scanner.next(disk) {
        let starts_write = found.head.kind & BATCH != 0;
        if let Some(hole) = found.hole {
            let is_doubtful = is_newest && !starts_write && before_hole.is_none();
            if is_doubtful && !is_rot(&hole) {
                before_hole = Some(now.clone());
            }
            now.holes.push(hole);
            now.tally.gap();
        }
        if starts_write {
            // What stands before was durable when this was written, so the hole is damage.
            before_hole = None;
            now.last_batch_at = Some(found.at);
        }
        count(&mut now.tally, disk, scanner, &found);
        now.frames += 1;
        now.end_at = found.end();
        now.next_seq = found.head.seq + 1;
    }
    if let Some(before) = before_hole
        && !planted(Bug::KeepTornTail)
    {
        now = Survey { torn_frames: now.frames - before.frames, torn_end_at: now.end_at, ..before };
    }
    now.unreadable = scanner.window.unreadable;
    now.is_exhausted = scanner.is_exhausted();
    now
}

fn count(tally: &mut Tally, disk: &mut impl Disk, scanner: &mut Scanner, found: &Found) {
    let kind = found.head.kind;
    if kind & CARRIED != 0 {
        tally.carried(found.head.seq);
    } else if kind & KIND_MASK == KIND_MARK
        && let Some(mark) = Mark::decode(scanner.payload(disk, found))
    {
        tally.marked(mark);
    } else {
        tally.close();
    }
}

/// Whether a hole in the last write is proven to be damage and no torn write. A sector is written whole or not
/// at all: where the good frame behind the hole starts in the hole's only sector, all of that sector was written.
/// Heads in the hole prove nothing, they may be left over from a write that was torn at the same place before.
fn is_rot(hole: &Hole) -> bool {
    !hole.end.is_multiple_of(SECTOR) && hole.at / SECTOR == hole.end / SECTOR
}
