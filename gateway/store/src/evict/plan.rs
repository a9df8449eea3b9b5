//! How far to go: read first, so that nothing is written in vain.

use tidegate_core::record::Place;
use tidegate_journal::{Cursor, Disk, Journal};

use super::verdict::{LEVEL_MAX, Rules, Verdict};
use crate::codec::EntryView;
use crate::downsample::Downsampled;

/// Segments looked at, at most: what may be copied to reach something that can go.
const SEGMENTS_MAX: usize = 8;
/// One segment's worth is freed for at most so many copied.
const COPIED_MAX: u64 = 8;
/// What the journal adds to a carried frame.
const CARRIED_BYTES: u64 = 33;
const LEVELS: usize = LEVEL_MAX as usize + 1;

/// What one segment would give at each level.
#[derive(Clone, Copy, Debug, Default)]
struct Yield {
    bytes: u64,
    freed: [u64; LEVELS],
}

/// The gentlest level at which the oldest segments free an eighth of a segment for each that is copied; at the last
/// level, for all of them together.
pub(crate) fn plan<D: Disk>(
    journal: &mut Journal<D>,
    rules: &Rules<'_>,
    downsampled: &Downsampled,
) -> Option<u8> {
    let ends: Vec<u64> = journal.evictable_ends().take(SEGMENTS_MAX).collect();
    let (need, room) = (journal.segment_bytes() / COPIED_MAX, journal.carry_room_bytes());
    let mut downsampled = downsampled.clone();
    let mut cursor = Cursor::from(0);
    let mut yields: Vec<Yield> = Vec::new();
    for level in rules.base..=LEVEL_MAX {
        let mut freed = 0;
        for (at, end) in ends.iter().enumerate() {
            if at == yields.len() {
                yields.push(survey(journal, rules, &mut downsampled, &mut cursor, *end));
            }
            let segment = yields[at];
            freed += segment.freed[usize::from(level)];
            let fits = segment.bytes - segment.freed[usize::from(level)] <= room;
            if !fits {
                // What had to be carried from here would find no room.
                break;
            }
            let copied = if level == LEVEL_MAX { 1 } else { at as u64 + 1 };
            if freed >= need * copied {
                return Some(level);
            }
        }
    }
    None
}

/// Reads the frames up to `end`.
fn survey<D: Disk>(
    journal: &mut Journal<D>,
    rules: &Rules<'_>,
    downsampled: &mut Downsampled,
    cursor: &mut Cursor,
    end: u64,
) -> Yield {
    let mut sum = Yield::default();
    while cursor.seq() <= end
        && let Ok(Some(frame)) = cursor.next(journal)
    {
        let len = frame.payload.len() as u64 + CARRIED_BYTES;
        sum.bytes += len;
        let records = EntryView::parse(frame.payload).and_then(|view| view.records());
        let Ok(records) = records else {
            sum.add(0, len);
            continue;
        };
        let (count, mut gone) = (records.len(), [0usize; LEVELS]);
        let mut freed = Yield::default();
        for (index, record) in records.flatten() {
            let place = Place { frame: frame.seq, index };
            let from = match rules.judge(place, &record, downsampled) {
                Verdict::Settled | Verdict::Lost(_) => 0,
                Verdict::LostAt(level) => level,
                Verdict::Kept => continue,
            };
            freed.add(from, record.bytes());
            gone[usize::from(from)..].iter_mut().for_each(|gone| *gone += 1);
        }
        let keeps_rest = frame.origin > rules.exported_seq;
        for ((sum, freed), gone) in sum.freed.iter_mut().zip(freed.freed).zip(gone) {
            // A frame without records goes as a whole if its state is in the export.
            let is_gone = gone == count && !keeps_rest;
            *sum += if is_gone { len } else { freed };
        }
    }
    sum
}

impl Yield {
    fn add(&mut self, from: u8, bytes: u64) {
        self.freed[usize::from(from)..].iter_mut().for_each(|freed| *freed += bytes);
    }
}
