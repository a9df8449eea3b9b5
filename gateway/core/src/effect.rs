//! Everything the core can ask of the outside.

use alloc::string::String;
use alloc::sync::Arc;

use crate::commit::Commit;
use crate::job::{Failure, HandlerId, Job, LogLine};
use crate::message::{AckTo, Message, SourceId};
use crate::pins::PinWrite;
use crate::record::{LossReason, Refusal, Sending};
use crate::release::{
    Answer, CheckId, Decision, ExamineId, GatewayReport, Migration, Settled, Version,
};
use crate::store::{Evict, Fetch};
use crate::topic::{Filter, Topic};

/// One thing to do. A driver does it; it does not choose.
#[derive(Debug)]
pub enum Effect {
    /// Load and check a handler's module. Answered by [`crate::Input::Checked`]. What was loaded for an earlier check of
    /// this handler and not switched to is not wanted any more.
    Check {
        handler: HandlerId,
        check: CheckId,
        version: Version,
    },
    /// Let what the last check of this handler has loaded migrate a copy of its state. Answered by
    /// [`crate::Input::Migrated`].
    Migrate {
        handler: HandlerId,
        migration: Migration,
    },
    /// From the next job on, run what the last check of this handler has loaded, with the state in `table`.
    Switch {
        handler: HandlerId,
        table: Arc<str>,
    },
    /// Let a handler's instance go. Its state stays with its name.
    Undeploy {
        handler: HandlerId,
    },
    /// Verify a control message, whoever sent it. Answered by [`crate::Input::Examined`].
    Examine {
        id: ExamineId,
        topic: Topic,
        payload: Arc<[u8]>,
    },
    /// Sign what the gateway says about a handler, after it failed so often. Answered by [`crate::Input::Signed`] or
    /// `Unsigned`.
    Sign {
        answer: Answer,
        tries: u8,
    },
    /// Sign what the gateway says of itself. Answered by [`crate::Input::Signed`].
    SignReport(GatewayReport),
    /// Write a decision down in the audit log.
    Note(Decision),
    /// An order has been followed: files that nothing refers to any more may go.
    Settle(Settled),
    /// Keep this control message for whoever asks later, if the front door is ours: nothing is wrong with it.
    Keep(Arc<Message>),
    /// The foreign broker takes no retained messages: nothing is to be one, nor what still waits for it.
    Unretain,
    /// Ask upstream for control messages, on this connection.
    ListenUpstream(Filter),
    /// Tell upstream, retained, what the gateway says.
    TellUpstream(Arc<Message>),
    /// Run a job. Answered by [`crate::Input::Outcome`].
    Run(Job),
    /// Publish on the local side.
    Publish(Arc<Message>),
    /// Set an output pin of the board. One that cannot be used is answered by [`crate::Input::Pin`].
    SetPin(PinWrite),
    /// Acknowledge a device's message.
    Ack(AckTo),
    /// Make sure that messages for this filter reach us, and hand over to the handler, if it is for one, what is
    /// retained under it.
    Subscribe {
        handler: Option<HandlerId>,
        filter: Filter,
    },
    /// Read nothing more from this source until [`Effect::Resume`].
    Pause(SourceId),
    Resume(SourceId),
    /// End this source's connection: far more is inside than may be, and nothing of it is taken any more.
    HangUp(SourceId),
    /// Try to reach the foreign broker. Answered by `LocalUp` or `LocalDown`.
    ConnectLocal,
    /// Make this durable, after every commit before it. Answered by [`crate::Input::Committed`].
    Commit(Commit),
    /// Read records back from the journal. Answered by [`crate::Input::Fetched`].
    Fetch(Fetch),
    /// Make room in the journal. Answered by [`crate::Input::Evicted`].
    Evict(Evict),
    /// Try to reach upstream. Answered by `UplinkUp` or `UplinkDown`.
    ConnectUplink,
    /// Give the connection up: it does not answer. Answered by `UplinkDown`.
    DropUplink,
    /// Send a record upstream. Answered by `Delivered`, `Refused`, or `UplinkDown` for all that are under way.
    Send(Sending),
    /// Tell a person.
    Report(Report),
}

/// What a person may want to know. Drivers turn it into log lines; they may drop repetitions. A handler's name
/// comes once, when it is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// When a handler has been loaded and takes messages.
    HandlerActive { handler: HandlerId, name: String },
    /// When a handler cannot run here, and why.
    HandlerRejected { handler: HandlerId, name: String, reason: String },
    /// When a pushed release, or an order about one, has come a step further.
    Release(Answer),
    /// When an answer cannot be signed, and will not be tried again.
    Unsigned { handler: Arc<str>, reason: String },
    /// When nothing new that is signed has come for longer than was set, and when something has again.
    Stale { is_stale: bool },
    /// When no handler is started, because the daemon restarted so often in so short a time.
    SafeMode,
    /// When one event of a handler failed.
    EventFailed { handler: HandlerId, event_id: u64, failure: Failure },
    /// When a handler failed so often in a row that it is stopped for a while.
    HandlerQuarantined { handler: HandlerId, wait_ms: u64, last: Failure },
    /// When a quarantined handler has taken a message again.
    HandlerReleased { handler: HandlerId },
    /// When a handler logged something.
    HandlerLog { handler: HandlerId, line: LogLine },
    /// When messages were dropped, and how many so far for this reason.
    Dropped { reason: DropReason, total: u64 },
    /// When the foreign broker is lost, and when it will be tried again.
    LocalLost { reason: String, retry_ms: u64 },
    /// When the foreign broker hangs up at retained messages: from now on it gets none.
    RetainedRefused,
    /// When upstream is lost, and when it will be tried again.
    UplinkLost { reason: String, retry_ms: u64 },
    /// When upstream is there again, and how many records wait.
    UplinkBack { waiting: u64 },
    /// When the store cannot make anything durable: nothing is acked until it can.
    StoreFailing { reason: String },
    /// When it can again.
    StoreWell,
    /// When records were given up, and how many of this stream for this reason so far.
    RecordsLost { stream: String, reason: LossReason, total: u64 },
    /// When upstream does not take a record of a stream, and never will. A dead letter keeps it, or there are too many.
    RecordRefused { stream: String, seq: u64, refusal: Refusal, is_kept: bool },
}

/// Why a message was dropped. Each has a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// When QoS 0 found the whole gateway full.
    GatewayFull,
    /// When QoS 0 found a handler's line full.
    LineFull,
    /// When it had passed through too many handlers.
    Loop,
    /// When a reaction found the foreign broker away.
    LocalDown,
    /// When it was longer than `message_bytes_max`.
    TooLarge,
    /// When it had come before, under the same id of its sender's.
    Repeated,
    /// When QoS 1 found far more inside than may be: its source is hung up on, and sends it again.
    Overdrawn,
    /// When it was a control message, and too many were being examined.
    Unexamined,
}

impl DropReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [DropReason; 8] = [
        DropReason::GatewayFull,
        DropReason::LineFull,
        DropReason::Loop,
        DropReason::LocalDown,
        DropReason::TooLarge,
        DropReason::Repeated,
        DropReason::Overdrawn,
        DropReason::Unexamined,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            DropReason::GatewayFull => "gateway-full",
            DropReason::LineFull => "line-full",
            DropReason::Loop => "loop",
            DropReason::LocalDown => "local-down",
            DropReason::TooLarge => "too-large",
            DropReason::Repeated => "repeated",
            DropReason::Overdrawn => "overdrawn",
            DropReason::Unexamined => "unexamined",
        }
    }
}
