//! A job is one run of one handler over the messages that waited for it; an outcome is what it produced.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::message::{Message, QoS};
use crate::pins::{Levels, PinWrite};
use crate::record::StreamId;
use crate::topic::Topic;

/// A deployed handler, numbered in the order of deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandlerId(pub u16);

/// One job, numbered in the order of dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// A received message until it is acked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One message in one handler's line.
#[derive(Clone, Debug)]
pub struct Event {
    /// Increasing over the life of the gateway: the handler's idempotency key.
    pub id: u64,
    pub message: Arc<Message>,
    /// Present when somebody waits for an ack.
    pub ticket: Option<Ticket>,
    /// 0 at the first try.
    pub attempt: u16,
    /// The first event this version of the handler sees.
    pub first: bool,
    /// Present when a person sent it to this handler alone, and wants to know what came of it.
    pub invoke: Option<Invoke>,
}

/// What a person asks for beside the event itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invoke {
    /// Names it in the answer.
    pub nonce: [u8; 16],
    /// Nothing that the event does is to be visible.
    pub is_dry: bool,
}

/// What a runner is asked to do. The events run in order; the run ends early at a retry.
#[derive(Debug)]
pub struct Job {
    pub id: JobId,
    pub handler: HandlerId,
    pub events: Vec<Event>,
    /// How the pins were when the job was made: what its events read.
    pub pins: Levels,
}

/// What a job produced. Carries the job's events back, so that nothing about them is kept twice.
#[derive(Debug)]
pub struct Outcome {
    pub job: Job,
    /// One for each event that ran, in order; shorter than the events only after a retry.
    pub events: Vec<EventOutcome>,
}

/// What one event produced. Effects are empty unless it succeeded.
#[derive(Debug, Default)]
pub struct EventOutcome {
    pub verdict: Verdict,
    pub publishes: Vec<Publish>,
    pub sends: Vec<Send>,
    /// At most one for each pin.
    pub pins: Vec<PinWrite>,
    pub writes: Vec<Write>,
    /// The handler's state version after these writes: its commits so far. Of no meaning without writes.
    pub version: u64,
    /// What the handler logged, whatever became of the event.
    pub logs: Vec<LogLine>,
    /// Log lines beyond the limit.
    pub logs_dropped: u32,
    pub fuel_used: u64,
    /// The guest's memory when it ended.
    pub memory_kib: u32,
}

/// How one event ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// When the handler returned `>= 0`.
    #[default]
    Done,
    /// When it returned "retry": nothing it did is visible, and it runs again later.
    Retry,
    /// When it did not end well: nothing it did is visible, and it does not run again.
    Failed(Failure),
}

/// Why an event failed. A value, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// When the module trapped, with the trap's name.
    Trap(&'static str),
    /// When it used more fuel than its manifest allows.
    OutOfFuel,
    /// When it ran longer than its manifest allows.
    Deadline,
    /// When it wrote more than its share: the name of the limit.
    Quota(&'static str),
    /// When it returned a negative number other than "retry".
    Returned(i32),
    /// When it asked for a retry more often than `retries_max`.
    RetriesUsedUp,
    /// When the handler is in quarantine: it did not run at all.
    Quarantined,
}

impl Failure {
    pub const fn name(&self) -> &'static str {
        match self {
            Failure::Trap(_) => "trap",
            Failure::OutOfFuel => "out-of-fuel",
            Failure::Deadline => "deadline",
            Failure::Quota(_) => "quota",
            Failure::Returned(_) => "returned",
            Failure::RetriesUsedUp => "retries-used-up",
            Failure::Quarantined => "quarantined",
        }
    }
}

/// A reaction: a local publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub topic: Topic,
    pub payload: Arc<[u8]>,
    pub qos: QoS,
    pub retain: bool,
}

/// What goes upstream through the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    pub stream: StreamId,
    pub payload: Arc<[u8]>,
    /// 0 to 7; none is the stream's own.
    pub priority: Option<u8>,
    /// Seconds; 0 is the stream's own.
    pub ttl_s: u32,
}

/// One change of a handler's state. `value: None` deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub key: Arc<[u8]>,
    pub value: Option<Arc<[u8]>>,
    pub ttl_s: u32,
}

/// One line that a handler logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The ABI's level: 1 error to 5 trace.
    pub level: u8,
    pub text: String,
}
