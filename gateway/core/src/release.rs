//! A release: a pushed version of a handler, as far as the core knows it. Who signed it and whether it is for this
//! gateway was decided before it came here.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::commit::{Change, StateChange};
use crate::job::{Invoke, LogLine, Publish, Write};
use crate::manifest::Manifest;
use crate::message::Message;
pub use crate::releases::row::{Row, RowPhase};
use crate::topic::Filter;

/// SHA-256 of what was signed: names a release.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where a release stands among those of its handler: the later key epoch first, then the higher seq.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    pub key_epoch: u32,
    pub seq: u64,
}

/// One release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub digest: Digest,
    pub rank: Rank,
    pub manifest: Arc<Manifest>,
    /// SHA-256 of the module.
    pub module: Digest,
    /// SHA-256 of the golden events, when it brings some.
    pub golden: Option<Digest>,
    /// The version whose state it takes over by migrating a copy of it.
    pub migrate_from: Option<String>,
    pub probation: Probation,
}

/// What a handler's line can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// When it comes from the gateway's configuration.
    Configured(Arc<Manifest>),
    /// When it was pushed.
    Pushed(Arc<Release>),
}

impl Version {
    pub fn manifest(&self) -> &Arc<Manifest> {
        match self {
            Version::Configured(manifest) => manifest,
            Version::Pushed(release) => &release.manifest,
        }
    }

    /// None: it is configured.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Version::Configured(_) => None,
            Version::Pushed(release) => Some(release.digest),
        }
    }
}

/// What a release must show before it stays. It passes after so many events, or after so long, whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probation {
    /// 0: time alone decides.
    pub events: u32,
    pub uptime_ms: u64,
    /// Events in a thousand that may fail, reckoned on `events` while there are fewer.
    pub failed_per_mille_max: u16,
    /// Events that may outlive the deadline.
    pub deadline_misses_max: u32,
    /// Bound on the 99th percentile of an event's time, by its fuel and the machine's measured pace. 0: none.
    pub p99_us_max: u32,
    /// Bound on the guest's memory after an event. 0: none beside the manifest's limit.
    pub memory_kib_max: u32,
}

impl Probation {
    /// When a manifest says nothing: a minute, or a thousand events, without a failure.
    pub const DEFAULT: Probation = Probation {
        events: 1_000,
        uptime_ms: 60_000,
        failed_per_mille_max: 0,
        deadline_misses_max: 0,
        p99_us_max: 0,
        memory_kib_max: 0,
    };
}

/// A control message that is being examined, numbered in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExamineId(pub u64);

/// A module that is to be loaded and tried, numbered in the order of asking. An answer may come when another version is
/// wanted already, or the same once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckId(pub u64);

/// What is durable about pushed handlers, as it was found at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// Who we are, in control topics. None: this gateway trusts nobody, and says and hears nothing there.
    pub gateway: Option<String>,
    pub groups: Vec<String>,
    /// Of the registry's table, so that its next commit follows.
    pub version: u64,
    pub handlers: Vec<RegisteredHandler>,
    /// The row of starts, if there is one.
    pub starts: Option<Vec<u8>>,
    /// Names one run of the kernel.
    pub boot: u64,
    /// How long that has run.
    pub uptime_ms: u64,
    /// Quick restarts after which no handler is started; 0: always started.
    pub restarts_max: u8,
    /// Without a new signed word for so long, the gateway says that it is stale; 0: never.
    pub stale_after_ms: u64,
}

/// A copy of a handler's state that another version is to take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// What has loaded the version that takes it over.
    pub check: CheckId,
    /// The version that has left it.
    pub from: String,
    pub table: Arc<str>,
    /// The table that the copy gets.
    pub to: Arc<str>,
    /// The table to come back to. Of all other tables of the handler nothing is needed any more.
    pub keep: Arc<str>,
}

/// What a version has made of a copy of another one's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Number of the table's latest commit.
    pub version: u64,
    /// The whole table, in order of key, and what is to go of an attempt that a power cut has ended.
    pub rows: Vec<Change>,
    /// Tables of this handler that nobody comes back to any more: what deletes them.
    pub stale: Vec<StateChange>,
}

/// One handler's row, and the releases it names as far as their files are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredHandler {
    pub name: Arc<str>,
    pub row: Row,
    pub running: Option<Arc<Release>>,
    pub previous: Option<Arc<Release>>,
}

/// What the files of a handler's releases may come down to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub handler: Arc<str>,
    /// The order that is done with: it need not be kept any more.
    pub order: Digest,
    /// The releases that may run again.
    pub keep: Vec<Digest>,
}

/// What the examination of a control message came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Examined {
    /// When nothing follows from it: it was taken in, known, or not for us.
    Nothing,
    /// When it was refused, and why. Told to the sender when it named a handler that could be ours.
    Refused { handler: Option<Arc<str>>, refusal: Refusal },
    /// When a release is good, but not all of its bytes are here.
    Checking {
        handler: Arc<str>,
        release: (Rank, Digest),
        have: u32,
        of: u32,
        /// Where the chunks are, to ask a broker for.
        blobs: Vec<Filter>,
    },
    /// When a release is good, newer than all before, and here in full and durable.
    Install { release: Arc<Release> },
    /// When a handler is to go.
    Remove { handler: Arc<str>, rank: Rank, digest: Digest },
    /// When a person sends an event to one handler.
    Invoke { handler: Arc<str>, rank: Rank, digest: Digest, message: Message, invoke: Invoke },
    /// When it is the very order that was followed last: the sender wants to know how it went.
    Again { handler: Arc<str> },
    /// When a trust file is good, newer, and holds from now on.
    Trusted,
    /// When somebody wants to know how all handlers do.
    Asked,
}

/// Why something is refused: a name that stays the same, and a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub text: String,
}

impl Refusal {
    pub fn new(code: &str, text: impl Into<String>) -> Refusal {
        Refusal { code: code.into(), text: text.into() }
    }
}

/// What the gateway says about a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub handler: Arc<str>,
    pub release: Option<(Rank, Digest)>,
    pub version: String,
    pub stage: Stage,
    pub figures: Figures,
}

/// How far a handler or a release has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// When chunks are missing.
    Checking { have: u32, of: u32 },
    /// When the module is being loaded and tried.
    Installing,
    /// When it runs and has to show what it is worth.
    Probation { events_left: u32, events_of: u32, left_ms: u64 },
    /// When it runs.
    Active,
    /// When it will not run, and why. What ran before runs on.
    Rejected(Refusal),
    /// When it ran, broke a bound, and the one before runs again.
    RolledBack { refusal: Refusal, last: Option<FailedEvent> },
    /// When the handler is gone.
    Removed,
    /// When an event that a person sent has ended.
    Invoked(Box<Invoked>),
    /// When the daemon restarted too often and runs no handlers.
    SafeMode,
}

impl Stage {
    /// The stage's name in answers and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Stage::Checking { .. } => "checking",
            Stage::Installing => "installing",
            Stage::Probation { .. } => "probation",
            Stage::Active => "active",
            Stage::Rejected(_) => "rejected",
            Stage::RolledBack { .. } => "rolled-back",
            Stage::Removed => "removed",
            Stage::Invoked(_) => "invoked",
            Stage::SafeMode => "safe-mode",
        }
    }
}

/// What the gateway says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayReport {
    pub uptime_ms: u64,
    pub is_safe_mode: bool,
    /// When nothing new that is signed has come for longer than was set.
    pub is_stale: bool,
    /// Handlers that have a line.
    pub handlers: u32,
}

/// What was decided, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// When a release begins to run, for the first time.
    Activated {
        handler: Arc<str>,
        digest: Digest,
    },
    /// When its probation is over, and it stays.
    Passed {
        handler: Arc<str>,
        digest: Digest,
    },
    /// When it was taken back; none: what runs instead is configured, or nothing does.
    RolledBack {
        handler: Arc<str>,
        digest: Digest,
        to: Option<Digest>,
        code: String,
    },
    /// When an order that was signed for us is not followed all the same.
    Refused {
        handler: Arc<str>,
        digest: Digest,
        code: String,
    },
    Removed {
        handler: Arc<str>,
        rank: Rank,
    },
    /// When an event that a person sent is run.
    Invoked {
        handler: Arc<str>,
        rank: Rank,
        is_dry: bool,
    },
    /// When no handler is started.
    SafeMode,
}

/// What came of an event that a person sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    pub invoke: Invoke,
    pub fuel: u64,
    /// From the fuel; 0 while the pace is not measured.
    pub us: u64,
    pub publishes: Vec<Publish>,
    /// Stream and payload.
    pub sends: Vec<(String, Arc<[u8]>)>,
    /// Pin, and whether it was set on.
    pub pins: Vec<(String, bool)>,
    pub writes: Vec<Write>,
    pub lines: Vec<LogLine>,
    /// Lines that the handler logged beyond its limit.
    pub lines_dropped: u32,
    pub failed: Option<String>,
}

/// The event that a release failed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedEvent {
    pub topic: String,
    /// The beginning of it.
    pub payload: Arc<[u8]>,
    pub failure: String,
}

/// What a handler has done since it was switched to, or since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub events: u64,
    /// Without those that missed their deadline.
    pub failed: u64,
    pub deadline_misses: u64,
    pub fuel: u64,
    /// 99th percentile of an event's time; 0 while the pace is not measured.
    pub p99_us: u64,
    pub memory_kib: u32,
}
