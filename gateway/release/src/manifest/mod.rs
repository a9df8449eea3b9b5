//! The order: what a signed release says. One handler of some gateways is installed, removed or run once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::hash::Digest;
use crate::name::{Name, NoName};
use crate::ratchet::Rank;

mod check;
mod codec;
mod install;

pub use check::Wrong;
pub(crate) use check::topic;

/// The format that this crate reads and writes. A higher one is refused as made for a newer gateway.
pub const FORMAT: u32 = 1;

/// Most targets of one order.
pub const TARGETS_MAX: usize = 32;
/// Longest version.
pub const VERSION_BYTES_MAX: usize = 64;
/// Most triggers, and most publish filters.
pub const FILTERS_MAX: usize = 64;
/// Longest filter or topic.
pub const TOPIC_BYTES_MAX: usize = 256;
/// Most streams, and most pins.
pub const GRANTS_MAX: usize = 32;
/// Most settings.
pub const SETTINGS_MAX: usize = 128;
/// Longest key of a setting.
pub const SETTING_KEY_BYTES_MAX: usize = 64;
/// Longest value of a setting.
pub const SETTING_BYTES_MAX: usize = 4096;
/// Longest text of a provenance.
pub const PROVENANCE_BYTES_MAX: usize = 128;
/// Least memory of a handler: a page of WebAssembly.
pub const MEMORY_KIB_MIN: u32 = 64;
/// Longest payload of an invoke.
pub const INVOKE_BYTES_MAX: usize = 8 * 1024;

/// What is signed. Its format on the wire is [`FORMAT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The fleet that it is for: its trust file has the same.
    pub fleet: Name,
    /// The handler; its state belongs to this name.
    pub handler: Name,
    pub rank: Rank,
    /// 1 to [`TARGETS_MAX`], sorted, none twice.
    pub targets: Vec<Target>,
    pub what: What,
    pub provenance: Provenance,
}

/// Who an order is for. Sorted: gateways before groups, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// When it is for the gateway of that id.
    Gateway(Name),
    /// When it is for every gateway that is in the group.
    Group(Name),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Gateway(name) => write!(f, "{name}"),
            Target::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Target, NoName> {
        match text.strip_prefix("group:") {
            Some(name) => Name::new(name).map(Target::Group),
            None => Name::new(text).map(Target::Gateway),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and most are installs")]
pub enum What {
    /// When the handler is to run with this module from now on.
    Install(Install),
    /// When the handler is to run no more.
    Remove,
    /// When the handler is to get one event, from here.
    Invoke(Invoke),
}

/// Bytes that travel in chunks: their digest and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    /// At least 1.
    pub bytes: u64,
}

/// A handler as it is to run: `handler.toml` and the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    pub module: Blob,
    /// 1 to [`VERSION_BYTES_MAX`] of letters, digits, `.`, `-` and `+`.
    pub version: String,
    /// Topic filters that wake it: 1 to [`FILTERS_MAX`], none twice.
    pub events: Vec<String>,
    pub grants: Grants,
    pub limits: Limits,
    /// What `config_get` answers. At most [`SETTINGS_MAX`], keys of 1 to [`SETTING_KEY_BYTES_MAX`] bytes, values of at
    /// most [`SETTING_BYTES_MAX`].
    pub settings: BTreeMap<String, String>,
    pub isolation: Isolation,
    pub react: React,
    /// Events with what must come of them, tried before it runs: [`crate::golden`].
    pub golden: Option<Blob>,
    /// The version whose state it can take over with `migrate`.
    pub migrate_from: Option<String>,
    pub probation: Probation,
}

/// What a handler may touch. Empty means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Topic filters that it may publish to; never a control topic.
    pub publish: Vec<String>,
    /// Streams that it may send to.
    pub streams: Vec<Name>,
    /// Pins of the board that it may use.
    pub pins: Vec<Name>,
}

/// What one event may use: `[limits]` of `handler.toml`. The board's caps hold beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At least 1.
    pub fuel: u64,
    /// At least [`MEMORY_KIB_MIN`].
    pub memory_kib: u32,
    /// At least 1.
    pub deadline_ms: u32,
    pub publishes: u32,
}

/// What an event finds in the guest's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// When every event starts from the post-init image.
    #[default]
    Event,
    /// When memory lives on from event to event.
    Instance,
}

/// When reactions leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum React {
    /// When the handler returns.
    #[default]
    Now,
    /// When the event's commit is durable.
    Durable,
}

/// How a new release has to behave before it stays. It has passed after `events` events or `uptime_ms`, whichever is
/// first, when no bound was broken; it is rolled back as soon as one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probation {
    /// At least 1.
    pub events: u64,
    /// At least 1. Milliseconds of the daemon's uptime with this release.
    pub uptime_ms: u64,
    /// Failed events in a thousand; at most 1000, which is no bound.
    pub failed_per_mille_max: u32,
    /// Events that were stopped at their deadline. `u32::MAX` is no bound.
    pub deadline_misses_max: u32,
    /// The 99th percentile of an event's duration. `u32::MAX` is no bound.
    pub p99_us_max: u32,
    /// Memory of the guest. `u32::MAX` is no bound.
    pub memory_kib_max: u32,
}

/// One event, from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoke {
    /// Random; the answer bears it.
    pub nonce: [u8; 16],
    /// The topic that the handler sees.
    pub topic: String,
    /// At most [`INVOKE_BYTES_MAX`].
    pub payload: Vec<u8>,
    /// When nothing of it is to be committed or let out.
    pub is_dry: bool,
}

/// Where a release comes from, as its author says: shown, never decided by. Each text has at most
/// [`PROVENANCE_BYTES_MAX`] bytes and no control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    pub author: String,
    pub built_with: String,
    pub source: String,
}

#[cfg(test)]
mod tests;
