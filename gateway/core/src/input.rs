//! Everything that can happen to the gateway.

use alloc::string::String;
use alloc::sync::Arc;

use crate::job::{HandlerId, Outcome};
use crate::manifest::Manifest;
use crate::message::{AckTo, Message, SourceId};
use crate::pins::PinId;
use crate::record::Refusal;
use crate::release::{Answer, CheckId, ExamineId, Examined, Migrated, Registered};
use crate::store::{Committed, Evicted, Fetched, Restored};
use crate::time::WallTime;
use crate::topic::Topic;

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
    /// When a runner has loaded and checked a handler's module, or refused it with a reason. `check` is the effect's.
    Checked { handler: HandlerId, check: CheckId, result: Result<(), String> },
    /// When a runner has let what that check has loaded migrate a copy of the handler's state, or it failed with a reason.
    Migrated { handler: HandlerId, check: CheckId, result: Result<Migrated, String> },
    /// When a job has ended.
    Outcome(Outcome),
    /// When the local side is ready: the front door listens, or the foreign broker has taken our session.
    LocalUp { session_present: bool },
    /// When the foreign broker cannot be reached or is gone, and why.
    LocalDown { reason: String },
    /// When the store has been opened, once, before any job runs.
    Restored(Restored),
    /// When the pushed handlers have been found in the store, once, before any handler is deployed.
    Registered(Registered),
    /// When upstream has delivered a control message.
    FromUpstream { topic: Topic, payload: Arc<[u8]> },
    /// When a control message has been examined.
    Examined { id: ExamineId, examined: Examined },
    /// When an answer has been signed: what goes out, and whether brokers keep it.
    Signed { topic: Topic, payload: Arc<[u8]>, retain: bool },
    /// When an answer could not be signed, and why; `tries` is the effect's.
    Unsigned { answer: Answer, tries: u8, reason: String },
    /// When upstream has taken what the gateway says.
    Told(Arc<Message>),
    /// When the machine's pace has been measured: fuel that it uses in a millisecond.
    Pace { fuel_per_ms: u64 },
    /// When a pin of the board has been seen at a level, or (`None`) cannot be used at the moment.
    Pin { pin: PinId, level: Option<bool>, at: WallTime },
    /// When commits have become durable.
    Committed(Committed),
    /// When the store cannot make commits durable at the moment, and why. It goes on trying.
    StoreFailing { reason: String },
    /// When the journal has no room for more records. Answered by [`crate::Effect::Evict`].
    StoreFull,
    /// When the store has made room, or has found none to make.
    Evicted(Evicted),
    /// When the store has read the records that a fetch asked for.
    Fetched(Fetched),
    /// When upstream has taken our connection.
    UplinkUp,
    /// When upstream cannot be reached or is gone, and why.
    UplinkDown { reason: String },
    /// When upstream has acked a record.
    Delivered { seq: u64 },
    /// When a record can never be delivered as it is: upstream refused it, or would.
    Refused { seq: u64, refusal: Refusal },
    /// When the wall clock turned out to be right: what it said when monotonic time began.
    ClockKnown { start_unix_us: i64 },
    /// When the daemon is about to stop: whatever waits for company must not wait any more.
    Stopping,
}
