//! Reading back, from a seq on.

use crate::disk::Disk;
use crate::error::Error;
use crate::frame::{CARRIED, Frame, KIND_MARK, KIND_MASK, split_carried};
use crate::journal::Journal;
use crate::scan::{Found, Scanner};
use crate::window::Window;

/// A place in the log. It borrows nothing, so the journal can be written to between two reads, and holds one
/// read buffer of 64 KiB (or the longest frame). It costs least when kept: a new one reads its segment from
/// the start.
#[derive(Debug)]
pub struct Cursor {
    seq: u64,
    /// Forgotten frames are shown, too.
    shows_forgotten: bool,
    /// The segment's generation and a walk through it.
    place: Option<(u32, Scanner)>,
}

impl Cursor {
    /// A cursor before the first frame that has this seq or a later one.
    pub fn from(seq: u64) -> Cursor {
        Cursor { seq, shows_forgotten: false, place: None }
    }

    /// The same, which also shows forgotten frames whose segment is still there, but for carried ones.
    pub fn over(seq: u64) -> Cursor {
        Cursor { shows_forgotten: true, ..Cursor::from(seq) }
    }

    /// The seq that it is waiting for; what comes next is this one or later.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The next frame that is durable and not forgotten, unless those are shown, in the order of the log. `None` at the end; it goes on
    /// when there is more. Damaged frames are passed over.
    ///
    /// # Errors
    /// None at present: what cannot be read is damage.
    pub fn next<'a, D: Disk>(
        &'a mut self,
        journal: &mut Journal<D>,
    ) -> Result<Option<Frame<'a>>, Error> {
        let Some((found, origin, skip)) = self.find(journal) else {
            return Ok(None);
        };
        let (_, scanner) = self.place.as_mut().expect("the frame was found there");
        let payload = &scanner.payload(&mut journal.disk, &found)[skip..];
        Ok(Some(Frame { seq: found.head.seq, origin, kind: found.head.kind & KIND_MASK, payload }))
    }

    /// The next frame to show, its origin, and where its payload starts.
    fn find<D: Disk>(&mut self, journal: &mut Journal<D>) -> Option<(Found, u64, usize)> {
        if !self.shows_forgotten {
            self.seq = self.seq.max(journal.mark.forgotten + 1);
        }
        loop {
            if !self.is_placed(journal) {
                self.place = self.locate(journal);
            }
            let (_, scanner) = self.place.as_mut()?;
            let Some(found) = scanner.next(&mut journal.disk) else {
                // Nothing more here. The rest of a segment that ends early is damage that was told of.
                self.seq = self.seq.max(scanner.seq_end);
                if self.seq > journal.durable_seq {
                    return None;
                }
                self.place = None;
                continue;
            };
            let (seq, kind) = (found.head.seq, found.head.kind);
            if seq < self.seq {
                continue;
            }
            self.seq = seq + 1;
            if kind & KIND_MASK == KIND_MARK {
                continue;
            }
            if kind & CARRIED == 0 {
                let is_shown = self.shows_forgotten || journal.mark.is_live(seq, None);
                if is_shown {
                    return Some((found, seq, 0));
                }
                continue;
            }
            let payload = scanner.payload(&mut journal.disk, &found);
            if let Some((replaces, origin, rest)) = split_carried(payload)
                && journal.mark.is_live(seq, Some(replaces))
            {
                let skip = payload.len() - rest.len();
                return Some((found, origin, skip));
            }
        }
    }

    /// Whether the place is still good, with what was written since in its view.
    fn is_placed<D: Disk>(&mut self, journal: &Journal<D>) -> bool {
        let Some((generation, scanner)) = &mut self.place else {
            return false;
        };
        let Some(segment) = journal.segments.get(generation) else {
            return false;
        };
        scanner.window.extend(segment.end_at);
        scanner.seq_end = segment.end_seq;
        true
    }

    fn locate<D: Disk>(&self, journal: &Journal<D>) -> Option<(u32, Scanner)> {
        let (generation, segment) =
            journal.segments.iter().find(|(_, segment)| segment.end_seq > self.seq)?;
        Some((*generation, segment.scanner(*generation)))
    }
}

impl crate::segments::Segment {
    /// A walk from its first frame on.
    pub(crate) fn scanner(&self, generation: u32) -> Scanner {
        let window = Window::new(self.name(), self.end_at);
        Scanner::new(window, generation, self.start_at, self.first_seq, self.end_seq)
    }
}
