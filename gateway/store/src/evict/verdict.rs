//! What becomes of each record of an old segment.

use tidegate_core::record::{LossReason, Place, StreamId};
use tidegate_core::store::Evict;
use tidegate_core::stream::{Streams, WhenFull};

use crate::codec::RecordView;
use crate::downsample::Downsampled;
use crate::facts::Facts;
use crate::planted::{Bug, planted};

/// How hard the times are. A record that may be given up goes at the level of its priority; the highest is for
/// what a downsampled stream has kept.
pub(crate) const LEVEL_MAX: u8 = 8;

/// What becomes of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// When nobody needs it.
    Settled,
    /// When it goes, whatever the level.
    Lost(LossReason),
    /// When it goes at this level and above.
    LostAt(u8),
    /// When it stays.
    Kept,
}

/// Who decides.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub evict: &'a Evict,
    pub streams: &'a Streams,
    pub facts: &'a Facts,
    /// Frames behind it hold state that is nowhere else.
    pub exported_seq: u64,
    /// The level at which it begins.
    pub base: u8,
}

impl Rules<'_> {
    pub fn judge(
        &self,
        place: Place,
        record: &RecordView<'_>,
        downsampled: &mut Downsampled,
    ) -> Verdict {
        if self.evict.progress.is_settled(record.priority, place) {
            return Verdict::Settled;
        }
        let is_under_way = self.evict.under_way.binary_search(&record.seq).is_ok();
        if is_under_way && !planted(Bug::EvictsUnderWay) {
            return Verdict::Kept;
        }
        let when_full = match self.streams.get(record.stream) {
            Some(stream) => stream.when_full,
            // The gateway's own need no configuration.
            None if [StreamId::LOSSES, StreamId::DEAD_LETTERS].contains(&record.stream) => {
                WhenFull::DropOldest
            }
            None => return Verdict::Lost(LossReason::NoStream),
        };
        match when_full {
            WhenFull::DropNewest => Verdict::Kept,
            WhenFull::DropOldest => Verdict::LostAt(record.priority),
            WhenFull::Downsample { keep_raw_s, then_every_s } => {
                let (newest, clocks) = (&self.facts.newest, &self.facts.clocks);
                let steps = (keep_raw_s, then_every_s);
                if downsampled.is_spare(record, steps, newest, clocks) {
                    Verdict::Lost(LossReason::Downsampled)
                } else {
                    Verdict::LostAt(record.priority.max(self.base + 1))
                }
            }
        }
    }
}

/// The lowest priority so that what waits up to it weighs at least so many bytes: were less important records at the
/// log's far end alone to go, everything before them would have to be copied.
pub(crate) fn base_level(waiting: [u64; 8], bytes: u64) -> u8 {
    let mut sum = 0;
    for (priority, waiting) in (0u8..).zip(waiting) {
        sum += waiting;
        if sum >= bytes {
            return priority;
        }
    }
    LEVEL_MAX - 1
}
