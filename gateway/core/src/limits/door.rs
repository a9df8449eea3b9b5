//! Every limit of the front door, and what happens there.

/// What one board allows the front door; `[door]` of the board file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorLimits {
    /// Clients connected at once. One more is told "server busy" (3.1.1: "server unavailable") and
    /// closed, unless it takes over a client identifier that is connected. An eighth more transports,
    /// and eight, may wait for their CONNECT; beyond that a transport is refused.
    pub clients_max: usize,
    /// Longest packet, fixed header included. A longer one closes its connection as soon as its length
    /// is known, before any of it is kept. Told to v5 clients as Maximum Packet Size.
    pub packet_bytes_max: usize,
    /// Subscriptions of one client, and filters in one SUBSCRIBE. One more is refused in the SUBACK.
    pub subscriptions_max: usize,
    /// Subscriptions of all clients. One more is refused in the SUBACK.
    pub filters_max: usize,
    /// Bytes that wait to be written to one client, and as many again in messages of QoS 1 that wait
    /// for it. Beyond it QoS 0 is dropped and counted; QoS 1 waits in the queue. Answers to the client's own
    /// packets may take 16 KiB more; then its next packet closes its connection.
    pub outbound_bytes_max: usize,
    /// Bytes kept for all clients together: starts of packets, output, queued messages. Beyond it
    /// every client that has something waiting counts as full, and a packet of which more than 4 KiB
    /// has come without its end closes its connection; and so does one more packet from a client that
    /// leaves more than 16 KiB unread. So one client's burst may take it all, and
    /// those that keep up do not notice.
    pub buffered_bytes_max: usize,
    /// Messages that wait for room towards one client. One more is dropped and counted.
    pub queued_messages_max: usize,
    /// Our messages of QoS 1 that one client has not acked. More wait in the queue; a v5 client's
    /// Receive Maximum may lower it.
    pub inflight_max: u16,
    /// Messages of QoS 1 and 2 from one client that are not acked. Told to v5 clients as Receive
    /// Maximum, and one that sends more is closed; a 3.1.1 client, which cannot be told, is not read
    /// from until an ack makes room.
    pub receive_max: u16,
    /// Topic aliases that a v5 client may use. Told as Topic Alias Maximum; a higher one closes it.
    pub topic_aliases_max: u16,
    /// Retained messages. A message for one topic more is delivered, but not kept, and counted.
    pub retained_messages_max: usize,
    /// Bytes of retained messages: topics, payloads, properties. Beyond it a message is not kept, and
    /// what its topic kept before goes too: an old value must not pass for the newest.
    pub retained_bytes_max: usize,
    /// Topics whose subscribers are remembered between messages. One more replaces another; nothing
    /// but speed is lost.
    pub topics_cached_max: usize,
    /// Time from the transport to a whole CONNECT, and for the last bytes of a closing connection to
    /// be written. Then it is closed.
    pub connect_timeout_ms: u64,
    /// Longest keep-alive. A v5 client that asks for more is told this one; a 3.1.1 client cannot be
    /// told and keeps its own. 0 (off) stays off.
    pub keep_alive_max_s: u16,
}

impl DoorLimits {
    /// Connections at once, with those whose CONNECT has not come and those that are closing.
    pub const fn transports_max(&self) -> usize {
        self.clients_max + self.clients_max / 8 + 8
    }

    /// `[door]` of `boards/dev.toml`.
    pub const DEV: DoorLimits = DoorLimits {
        clients_max: 1024,
        packet_bytes_max: 256 * 1024,
        subscriptions_max: 128,
        filters_max: 16_384,
        outbound_bytes_max: 1024 * 1024,
        buffered_bytes_max: 64 * 1024 * 1024,
        queued_messages_max: 4096,
        inflight_max: 128,
        receive_max: 128,
        topic_aliases_max: 16,
        retained_messages_max: 4096,
        retained_bytes_max: 16 * 1024 * 1024,
        topics_cached_max: 1024,
        connect_timeout_ms: 5_000,
        keep_alive_max_s: 3600,
    };
}
