//! A message, and who sent it.

use alloc::sync::Arc;

use crate::commit::Seen;
use crate::time::WallTime;
use crate::topic::Topic;

/// MQTT's quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum QoS {
    #[default]
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS behind its number.
    pub const fn from_bits(bits: u8) -> Option<QoS> {
        match bits {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

/// One application message on its way. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: Topic,
    pub payload: Arc<[u8]>,
    pub qos: QoS,
    /// From a device: it asks for the message to be kept. To a handler: it is a kept one.
    pub retain: bool,
    /// The sender marked it as sent before.
    pub dup: bool,
    /// Client identifier of the sender, or the handler's name.
    pub source: Arc<str>,
    /// When the gateway received or made it.
    pub at: WallTime,
    /// How many handlers it has passed through: 0 from a device. Ends loops, see `limits.hops_max`.
    pub hops: u8,
    /// Present when the sender gave it an id of its own, and QoS 1 or more: it is to be taken once.
    pub mark: Option<Seen>,
}

impl Message {
    /// One that begins here: QoS 0, not retained, through no handler yet.
    pub fn own(topic: Topic, payload: Arc<[u8]>, source: Arc<str>, at: WallTime) -> Message {
        let qos = QoS::AtMostOnce;
        Message { topic, payload, qos, retain: false, dup: false, source, at, hops: 0, mark: None }
    }
}

impl Message {
    /// Bytes of topic and payload: what a waiting message costs.
    pub fn bytes(&self) -> usize {
        self.topic.as_str().len() + self.payload.len()
    }
}

/// One connection of the local side, as its driver numbers it. Never reused while anything refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub u64);

/// What a driver needs to acknowledge a message: the connection and its packet identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AckTo {
    pub source: SourceId,
    pub packet_id: u16,
}
