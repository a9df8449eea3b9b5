//! How large things may become, and which streams there are.

use std::sync::Arc;

use tidegate_core::stream::Streams;

/// Limits of one store.
#[derive(Clone, Debug)]
pub struct Settings {
    pub journal: tidegate_journal::Settings,
    pub streams: Arc<Streams>,
    /// Messages that are remembered as seen; the oldest is forgotten.
    pub seen_max: usize,
    /// State waiting in memory for a checkpoint; beyond it one is due.
    pub memtable_bytes_max: usize,
    /// A checkpoint is due when the journal has grown by so much since the last: it bounds what a start replays.
    pub checkpoint_bytes: u64,
    /// An export is due when the journal has grown by so much since the last: the journal keeps about so much more.
    pub export_bytes: u64,
    /// Frames that one fetch looks at, bytes: it bounds how long the thread is away.
    pub fetch_scan_bytes_max: usize,
}

impl Default for Settings {
    /// 8 MiB are replayed in about 30 ms on a desktop. The rest is small beside a segment of 4 MiB.
    fn default() -> Settings {
        Settings {
            journal: tidegate_journal::Settings::default(),
            streams: Arc::default(),
            seen_max: 4096,
            memtable_bytes_max: 256 * 1024,
            checkpoint_bytes: 8 << 20,
            export_bytes: 16 << 20,
            fetch_scan_bytes_max: 1 << 20,
        }
    }
}
