//! What `open` found.

/// Gaps that are listed one by one; more are only counted.
pub(crate) const GAPS_LISTED_MAX: usize = 64;

/// Frames that are gone, though nobody gave them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub first_seq: u64,
    pub last_seq: u64,
    /// The segment and the region where they should be; without length when a whole segment is missing.
    pub generation: u32,
    pub at: u64,
    pub len: u64,
    /// The first start that sees it. A gap stays in the log as long as its segment.
    pub is_new: bool,
}

/// The report of a start. Nothing in it is an error: the journal is open and goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was no journal; this one has the caller's new epoch.
    pub is_created: bool,
    /// Segments in use, and those of them that were read. See [`crate::Journal::verify_next`].
    pub segments: u64,
    pub segments_read: u64,
    /// Good frames in what was read, the journal's own among them.
    pub frames: u64,
    /// The first seq that is not forgotten, and the last one.
    pub first_seq: u64,
    pub last_seq: u64,
    /// Damage: the first 64 gaps, how many there are, and the frames in them.
    pub gaps: Vec<Gap>,
    pub gaps_total: u64,
    pub frames_missing: u64,
    /// Bytes copied into quarantine files by this start.
    pub quarantined_bytes: u64,
    /// Good frames behind the first hole of the last write: a power cut tore it, nobody was told that they are
    /// durable, and they do not count. No damage.
    pub torn_frames: u64,
    /// Headers found only in their second copy, or only by the frames behind them.
    pub headers_restored: u64,
    /// Files in which nothing good was found. They are used again.
    pub files_lost: u64,
    /// Files shorter or longer than a new segment would be.
    pub files_resized: u64,
    /// Segment files of another version or another store, left as they are, and not counted in the quota.
    pub files_foreign: u64,
    /// Blocks of 4 KiB that the disk could not read.
    pub blocks_unreadable: u64,
    /// The disk did not take the last write again, which proves it durable: those frames are pending, and the
    /// next commit brings them into a fresh segment.
    pub is_tail_pending: bool,
}

impl Recovery {
    /// Whether anything is worse than a power cut makes it.
    pub fn is_damaged(&self) -> bool {
        self.gaps_total > 0
            || self.headers_restored > 0
            || self.files_lost > 0
            || self.blocks_unreadable > 0
    }

    pub(crate) fn add(&mut self, gap: Gap) {
        self.gaps_total += 1;
        self.frames_missing += gap.last_seq - gap.first_seq + 1;
        if self.gaps.len() < GAPS_LISTED_MAX {
            self.gaps.push(gap);
        }
    }
}
