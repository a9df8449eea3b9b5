//! Effects that leave the handler. They happen when the handler has returned `Ok`.

use tidegate_abi::{publish_flags, send_priority};

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

/// Sends a record upstream on a stream of the gateway's: at once when there is a link, and when there is none it
/// waits on the disk, through power cuts too. It leaves with the event's state, or not at all.
///
/// `priority` is 0 to 7, higher goes first and is given up last; `None` is the stream's own. After `ttl_s` seconds
/// it may be given up; 0 is the stream's own.
///
/// ```
/// # use tidegate_sdk::{Event, Result, send, testing::Harness};
/// fn on_event(event: &Event) -> Result {
///     send("raw", event.payload(), None, 0)?;
///     send("alerts", "smoke", 7, 3600)
/// }
/// # let mut gateway = Harness::new(on_event).grant_send("raw").grant_send("alerts");
/// # assert_eq!(gateway.send("in", "x").sent, [("raw", "x"), ("alerts", "smoke")]);
/// ```
///
/// # Errors
/// [`Error::NotPermitted`](crate::Error::NotPermitted) when `[grants] send` does not name the stream,
/// [`Error::NotFound`](crate::Error::NotFound) when this gateway has no such stream,
/// [`Error::Argument`](crate::Error::Argument) for a priority above 7 or a `ttl_s` beyond 68 years,
/// [`Error::TooLarge`](crate::Error::TooLarge) for a payload longer than the board allows,
/// [`Error::Quota`](crate::Error::Quota) when the event has sent enough.
#[inline]
pub fn send(
    stream: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
    priority: impl Into<Option<u8>>,
    ttl_s: u32,
) -> Result {
    let priority = priority.into().map_or(send_priority::OWN, i32::from);
    // What is beyond an i32 becomes negative, and the host refuses it.
    done(host::send(stream.as_ref(), payload.as_ref(), priority, ttl_s as i32))
}
