//! Effects that leave the handler. They happen when the handler has returned `Ok`.

use tidegate_abi::publish_flags;

use crate::error::done;
use crate::{Result, host};

/// MQTT's quality of service of a reaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QoS {
    #[default]
    AtMostOnce = 0,
    AtLeastOnce = 1,
}

/// Publishes on the local side, QoS 0, not retained.
///
/// # Errors
/// [`Error::NotPermitted`](crate::Error::NotPermitted) when `[grants] publish` has no filter for the
/// topic, [`Error::Quota`](crate::Error::Quota) beyond `[limits] publishes`,
/// [`Error::Argument`](crate::Error::Argument) when the topic is none.
#[inline]
pub fn publish(topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Result {
    publish_as(topic, payload, QoS::AtMostOnce, false)
}

/// Publishes on the local side with a QoS, and `retain` for later subscribers.
///
/// # Errors
/// As [`publish`].
#[inline]
pub fn publish_as(
    topic: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
    qos: QoS,
    retain: bool,
) -> Result {
    let flags = qos as i32 | if retain { publish_flags::RETAIN } else { 0 };
    done(host::publish(topic.as_ref(), payload.as_ref(), flags))
}

/// Sends a record upstream on a stream. `ttl_s` 0 keeps it for as long as the stream's rule says.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) on a host without an uplink.
#[inline]
pub fn send(
    stream: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
    priority: u8,
    ttl_s: u32,
) -> Result {
    done(host::send(stream.as_ref(), payload.as_ref(), i32::from(priority), ttl_s as i32))
}
