//! What the broker counts: what passed, and by reason what did not.

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// When the client sent DISCONNECT: its will is not published.
    Disconnected,
    /// When the client sent DISCONNECT "with will message" (v5 0x04).
    DisconnectedWithWill,
    /// When the transport ended without a DISCONNECT.
    TransportGone,
    /// When the same client identifier connected again.
    TakenOver,
    /// When nothing came for one and a half times the keep-alive.
    KeepAlive,
    /// When no whole CONNECT came in time.
    ConnectTimeout,
    /// When bytes were not MQTT.
    Malformed,
    /// When a packet was well-formed but not allowed there.
    Protocol,
    /// When a packet was longer than `packet_bytes_max`.
    PacketTooLarge,
    /// When a client had more unacked messages than `receive_max`.
    ReceiveMaximum,
    /// When a topic alias was unknown, zero or too high.
    TopicAlias,
    /// When a topic to publish to was not one.
    TopicName,
    /// When CONNECT asked for another version of MQTT.
    Version,
    /// When CONNECT had no client identifier where one is needed, or one that is not allowed.
    Identifier,
    /// When CONNECT asked for extended authentication.
    Authentication,
    /// When `clients_max` were connected, and by [`crate::Broker::hang_up`].
    Busy,
    /// When it left a packet half sent while `buffered_bytes_max` were kept.
    Buffered,
    /// When it went on asking and did not read the answers, see `buffered_bytes_max`.
    Unread,
    /// When the daemon ended it.
    Stopped,
}

impl CloseReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [CloseReason; 19] = [
        CloseReason::Disconnected,
        CloseReason::DisconnectedWithWill,
        CloseReason::TransportGone,
        CloseReason::TakenOver,
        CloseReason::KeepAlive,
        CloseReason::ConnectTimeout,
        CloseReason::Malformed,
        CloseReason::Protocol,
        CloseReason::PacketTooLarge,
        CloseReason::ReceiveMaximum,
        CloseReason::TopicAlias,
        CloseReason::TopicName,
        CloseReason::Version,
        CloseReason::Identifier,
        CloseReason::Authentication,
        CloseReason::Busy,
        CloseReason::Buffered,
        CloseReason::Unread,
        CloseReason::Stopped,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            CloseReason::Disconnected => "disconnected",
            CloseReason::DisconnectedWithWill => "disconnected-with-will",
            CloseReason::TransportGone => "transport-gone",
            CloseReason::TakenOver => "taken-over",
            CloseReason::KeepAlive => "keep-alive",
            CloseReason::ConnectTimeout => "connect-timeout",
            CloseReason::Malformed => "malformed",
            CloseReason::Protocol => "protocol",
            CloseReason::PacketTooLarge => "packet-too-large",
            CloseReason::ReceiveMaximum => "receive-maximum",
            CloseReason::TopicAlias => "topic-alias",
            CloseReason::TopicName => "topic-name",
            CloseReason::Version => "version",
            CloseReason::Identifier => "identifier",
            CloseReason::Authentication => "authentication",
            CloseReason::Busy => "busy",
            CloseReason::Buffered => "buffered",
            CloseReason::Unread => "unread",
            CloseReason::Stopped => "stopped",
        }
    }

    /// The reason code of a v5 CONNACK or DISCONNECT (MQTT 5, 2.4); none where the client knows.
    pub(crate) const fn code(self) -> Option<u8> {
        match self {
            CloseReason::Disconnected
            | CloseReason::DisconnectedWithWill
            | CloseReason::TransportGone
            | CloseReason::ConnectTimeout => None,
            CloseReason::TakenOver => Some(0x8E),
            CloseReason::KeepAlive => Some(0x8D),
            CloseReason::Malformed => Some(0x81),
            CloseReason::Protocol => Some(0x82),
            CloseReason::PacketTooLarge => Some(0x95),
            CloseReason::ReceiveMaximum => Some(0x93),
            CloseReason::TopicAlias => Some(0x94),
            CloseReason::TopicName => Some(0x90),
            CloseReason::Version => Some(0x84),
            CloseReason::Identifier => Some(0x85),
            CloseReason::Authentication => Some(0x8C),
            CloseReason::Busy => Some(0x89),
            CloseReason::Buffered | CloseReason::Unread => Some(0x97),
            CloseReason::Stopped => Some(0x8B),
        }
    }

    /// Whether the client's will is published (MQTT 3.1.2.5): not when it said goodbye, nor when it is we
    /// who go.
    pub(crate) const fn publishes_will(self) -> bool {
        !matches!(self, CloseReason::Disconnected | CloseReason::Stopped)
    }
}

/// Why a message did not reach a client, or was not kept. One message may count for several clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// When QoS 0 found `outbound_bytes_max` waiting to be written.
    OutboundFull,
    /// When QoS 1 found the client's queue full.
    QueueFull,
    /// When it was longer than the client's Maximum Packet Size.
    TooLargeForClient,
    /// When its Message Expiry Interval passed before it could be sent.
    Expired,
    /// When a client was gone before it had what waited for it, or had not acked what it got.
    ClientGone,
    /// When a device published to a topic that belongs to the broker (`$...`).
    NotPermitted,
    /// When a retained message was delivered, but not kept.
    RetainedFull,
}

impl DropReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [DropReason; 7] = [
        DropReason::OutboundFull,
        DropReason::QueueFull,
        DropReason::TooLargeForClient,
        DropReason::Expired,
        DropReason::ClientGone,
        DropReason::NotPermitted,
        DropReason::RetainedFull,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            DropReason::OutboundFull => "outbound-full",
            DropReason::QueueFull => "queue-full",
            DropReason::TooLargeForClient => "too-large-for-client",
            DropReason::Expired => "expired",
            DropReason::ClientGone => "client-gone",
            DropReason::NotPermitted => "not-permitted",
            DropReason::RetainedFull => "retained-full",
        }
    }
}

/// Totals since the start; `clients` and `subscriptions` are what there is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub clients: u64,
    pub subscriptions: u64,
    /// CONNECTs accepted.
    pub connects: u64,
    /// Transports turned away before their CONNECT, see `clients_max`.
    pub transports_refused: u64,
    /// Messages from devices, wills included, duplicates of QoS 2 not.
    pub messages_in: u64,
    /// Messages put in an output buffer: one per subscriber.
    pub messages_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// PUBACKs for messages that we were not waiting for.
    pub unknown_acks: u64,
    /// Filters refused in a SUBACK.
    pub subscriptions_refused: u64,
    dropped: [u64; DropReason::ALL.len()],
    closed: [u64; CloseReason::ALL.len()],
}

impl Counters {
    /// Messages dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Connections closed for this reason.
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }

    pub(crate) fn drop_many(&mut self, reason: DropReason, count: usize) {
        self.dropped[reason as usize] += count as u64;
    }

    pub(crate) fn close(&mut self, reason: CloseReason) {
        self.closed[reason as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_all() {
        assert!(CloseReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
        assert!(DropReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
    }
}
