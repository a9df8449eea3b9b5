//! Everything that can happen to the gateway.

use alloc::string::String;
use alloc::sync::Arc;

use crate::job::{HandlerId, Outcome};
use crate::manifest::Manifest;
use crate::message::{AckTo, Message, SourceId};

/// One thing that happened. Together with time, this is all the core ever learns.
#[derive(Debug)]
pub enum Input {
    /// When a device, or a broker that we subscribe to, delivered a message.
    Message {
        message: Message,
        /// Present when the sender waits for an ack (QoS 1).
        ack: Option<AckTo>,
    },
    /// When a message that the broker had kept is due to a handler that has just started.
    Retained { handler: HandlerId, message: Message },
    /// When a source is gone: nobody waits for its acks any more.
    SourceGone { source: SourceId },
    /// When a handler is to run here from now on. Answered by [`crate::Effect::Check`].
    Deploy { handler: HandlerId, manifest: Arc<Manifest> },
    /// When a runner has loaded and checked a handler's module, or refused it with a reason.
    Checked { handler: HandlerId, result: Result<(), String> },
    /// When a job has ended.
    Outcome(Outcome),
    /// When the local side is ready: the front door listens, or the foreign broker has taken our session.
    LocalUp { session_present: bool },
    /// When the foreign broker cannot be reached or is gone, and why.
    LocalDown { reason: String },
}
