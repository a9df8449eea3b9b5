//! Every limit of the house, and what happens there: the core's here, the front door's and the host's
//! beside it, so that a board is read into the very types that the machines take. The numbers come from
//! the board file (`boards/*.toml`); the `DEV` constants are `boards/dev.toml` for tests.

mod door;
mod host;
mod outbox;

pub use door::DoorLimits;
pub use host::Caps;
pub use outbox::{CommitLimits, OutboxLimits};

/// What one board allows the core; `[limits]` of the board file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages waiting or running over all handlers. Beyond it QoS 0 is dropped and counted, and
    /// sources of QoS 1 are paused until there is room.
    pub messages_max: usize,
    /// Bytes of topics and payloads of these messages, counted once for each handler. Then: the same.
    pub messages_bytes_max: usize,
    /// Topic and payload of one message. A longer one is acked, dropped and counted: a foreign broker would
    /// otherwise bring it again for ever. Our own front door refuses it earlier, by `packet_bytes_max`.
    pub message_bytes_max: usize,
    /// Messages waiting in one handler's line. QoS 0 is dropped and counted at three quarters of it;
    /// a source whose QoS 1 message reaches it is paused until the line is half empty.
    pub line_messages_max: usize,
    /// Messages in one job. Longer batches save dispatches, shorter ones let reactions out sooner.
    pub batch_messages_max: usize,
    /// Handlers deployed at once. One more is refused.
    pub handlers_max: usize,
    /// Topic filters over all handlers. A handler that brings one more is refused.
    pub filters_max: usize,
    /// Handlers a message may pass through. One more and it is dropped and counted as a loop.
    pub hops_max: u8,
    /// Times an event may ask for a retry; then it fails.
    pub retries_max: u16,
    /// First wait before a retry; doubles each time up to `backoff_max_ms`.
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
    /// Failures in a row after which a handler is quarantined.
    pub failures_max: u16,
    /// First quarantine; doubles each time up to `quarantine_max_ms`. Then one message is tried.
    pub quarantine_min_ms: u64,
    pub quarantine_max_ms: u64,
    /// Our own publishes to a foreign broker that may still come back to us as messages. The oldest is forgotten.
    pub echoes_max: usize,
    /// Reactions with QoS 1 that wait for a lost local broker. One more drops the oldest, counted.
    pub local_waiting_max: usize,
}

impl Limits {
    /// `[limits]` of `boards/dev.toml`.
    pub const DEV: Limits = Limits {
        messages_max: 8192,
        messages_bytes_max: 64 * 1024 * 1024,
        message_bytes_max: 256 * 1024,
        line_messages_max: 4096,
        batch_messages_max: 32,
        handlers_max: 256,
        filters_max: 1024,
        hops_max: 8,
        retries_max: 5,
        backoff_min_ms: 100,
        backoff_max_ms: 10_000,
        failures_max: 5,
        quarantine_min_ms: 1_000,
        quarantine_max_ms: 300_000,
        echoes_max: 1024,
        local_waiting_max: 1024,
    };
}
