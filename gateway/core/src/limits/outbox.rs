//! Limits of what waits to become durable and of what waits to go upstream.

/// How commits are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitLimits {
    /// Longest wait of state that came from QoS 0 alone; `store.lazy_ms`.
    pub lazy_ms: u64,
    /// Bytes of such state. Beyond it, it is committed at once.
    pub lazy_bytes_max: usize,
    /// Bytes of one commit after which the next one begins. One event's effects may come on top.
    pub commit_bytes_max: usize,
    /// Bytes of commits that are not durable yet. Beyond it no job begins until the store has caught up.
    pub held_bytes_max: usize,
    /// Messages with a number of their own that are remembered. The oldest is forgotten: after so many others, a
    /// repetition counts as new.
    pub seen_max: usize,
}

impl CommitLimits {
    /// The defaults of the configuration.
    pub const DEV: CommitLimits = CommitLimits {
        lazy_ms: 2_000,
        lazy_bytes_max: 256 * 1024,
        commit_bytes_max: 128 * 1024,
        held_bytes_max: 4 * 1024 * 1024,
        seen_max: 4096,
    };
}

/// How records go upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Records under way at once; `uplink.window`.
    pub window: usize,
    /// Records a second; 0 is as fast as the window allows. `uplink.rate_per_s`.
    pub rate_per_s: u32,
    /// Bytes of records of one lane in memory. What is beyond is read back from the journal when its turn comes.
    pub lane_bytes_max: usize,
    /// Bytes that one fetch brings.
    pub fetch_bytes: usize,
    /// Oldest record without an answer; then the connection is given up as stalled.
    pub ack_timeout_ms: u64,
    /// First wait before the next try to reach upstream; doubles up to `backoff_max_ms`, with jitter.
    pub backoff_min_ms: u64,
    /// Short, so that a link that returns is used within a second.
    pub backoff_max_ms: u64,
    /// Longest time that delivered records are not known to be so after a power cut, while nothing else is
    /// committed: they would be sent twice.
    pub progress_ms: u64,
    /// Shortest time between two announcements of one stream's losses.
    pub announce_ms: u64,
    /// Connections that one record may end before another one is tried first.
    pub deaths_max: u8,
    /// Bytes of a refused payload that its dead letter keeps.
    pub dead_letter_bytes_max: usize,
    /// Dead letters a second; more are counted only.
    pub dead_letters_per_s: u32,
    /// Dead letters that may be written at once, after a time without any: what a broker refuses comes in heaps.
    pub dead_letters_burst: u32,
}

impl OutboxLimits {
    /// The defaults of the configuration.
    pub const DEV: OutboxLimits = OutboxLimits {
        window: 32,
        rate_per_s: 0,
        lane_bytes_max: 256 * 1024,
        fetch_bytes: 64 * 1024,
        ack_timeout_ms: 30_000,
        backoff_min_ms: 250,
        backoff_max_ms: 2_000,
        progress_ms: 5_000,
        announce_ms: 10_000,
        deaths_max: 3,
        dead_letter_bytes_max: 4096,
        dead_letters_per_s: 10,
        dead_letters_burst: 100,
    };
}
