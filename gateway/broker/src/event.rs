//! What the broker tells the core.

use std::sync::Arc;

use tidegate_core::Message;
use tidegate_core::message::{AckTo, SourceId};

use crate::counters::CloseReason;

/// One connection. Never reused.
pub type ConnId = SourceId;

/// One thing that happened at the front door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// When a client's CONNECT was accepted.
    Connected { conn: ConnId, client: Arc<str> },
    /// When a device published, or its will was published for it.
    Message {
        message: Message,
        /// Present when the device waits for [`crate::Broker::ack`] (QoS 1 and 2).
        ack: Option<AckTo>,
    },
    /// When a connected client is no longer: nobody waits for its acks. Comes after its will, once.
    Gone { conn: ConnId, client: Arc<str>, reason: CloseReason },
}
