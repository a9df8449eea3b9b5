//! How large things may become.

use crate::frame;
use crate::header::{DATA_START, TAIL_BYTES};

/// A segment is never smaller.
pub const SEGMENT_BYTES_MIN: u32 = 16 * 1024;
/// Segments that only an eviction or a move after a failed sync may use.
pub(crate) const SEGMENTS_RESERVED: usize = 2;
/// One to write, one to read or evict, and the reserved ones.
const SEGMENTS_MIN: usize = 2 + SEGMENTS_RESERVED;

/// Limits of one journal.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Length of a new segment. A multiple of 4 KiB, at least [`SEGMENT_BYTES_MIN`]; anything else is rounded.
    pub segment_bytes: u32,
    /// All segments together. At least four segments.
    pub quota_bytes: u64,
    /// Frames waiting for a commit; beyond it `append` refuses. This is memory.
    pub pending_bytes_max: usize,
    /// Copies of damaged regions, all together. Beyond it damage is counted, but not copied.
    pub quarantine_bytes_max: u64,
    /// Reads every segment in `open`, not only the newest. Without it a start costs the same however much
    /// waits, and [`crate::Journal::verify_next`] does the rest, one segment a call.
    pub verify_at_open: bool,
}

impl Default for Settings {
    /// 4 MiB segments as in the measurements that the design rests on; the quota is the configuration's default.
    fn default() -> Settings {
        Settings {
            segment_bytes: 4 << 20,
            quota_bytes: 256 << 20,
            pending_bytes_max: 1 << 20,
            quarantine_bytes_max: 1 << 20,
            verify_at_open: false,
        }
    }
}

impl Settings {
    /// The same, with every number where it must be.
    pub(crate) fn rounded(mut self) -> Settings {
        self.segment_bytes = self.segment_bytes.clamp(SEGMENT_BYTES_MIN, 1 << 30) & !4095;
        self
    }

    pub(crate) fn segments_max(&self) -> usize {
        let fit = self.quota_bytes / u64::from(self.segment_bytes);
        usize::try_from(fit).unwrap_or(usize::MAX).max(SEGMENTS_MIN)
    }

    /// Bytes of frames that one segment holds.
    pub(crate) fn segment_room(&self) -> u64 {
        u64::from(self.segment_bytes) - DATA_START - TAIL_BYTES
    }

    /// The longest payload: a quarter of a segment, so that moving on to the next wastes little.
    pub fn payload_bytes_max(&self) -> usize {
        self.segment_room() as usize / 4 - frame::HEAD_BYTES - frame::ORIGIN_BYTES
    }
}
