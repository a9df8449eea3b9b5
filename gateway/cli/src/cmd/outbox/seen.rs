//! What is known of an outbox: the daemon's answer, or what its folder says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An outbox at one instant. `gateway/daemon/src/control/outbox.rs` says what the daemon answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Seen {
    /// `daemon` or `disk`.
    #[serde(default)]
    pub source: Source,
    /// None: the folder does not say.
    pub gateway: Option<String>,
    /// Hexadecimal.
    pub epoch: String,
    /// None: no daemon runs.
    pub uplink: Option<Uplink>,
    /// Sent and not acked.
    pub under_way: Option<u64>,
    pub journal: Option<Journal>,
    pub streams: Vec<Stream>,
    /// Where a number is not what it seems.
    #[serde(default)]
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// When a running daemon said so.
    #[default]
    Daemon,
    /// When it was read from its folder.
    Disk,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Uplink {
    pub state: State,
    pub since_s: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Up,
    Down,
    /// When nobody is configured to send to.
    None,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Journal {
    pub used_bytes: u64,
    /// None: the folder does not say.
    pub quota_bytes: Option<u64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Stream {
    /// None: it is not configured, or the folder does not say.
    pub name: Option<String>,
    /// Follows from the name.
    pub number: u16,
    pub waiting: u64,
    pub waiting_bytes: u64,
    /// Seconds; as `oldest` says.
    pub oldest_s: Option<u64>,
    pub oldest: Oldest,
    /// Acked by upstream, since the store's beginning.
    pub delivered: u64,
    pub delivered_lately: Option<u64>,
    pub lately_ms: Option<u64>,
    /// None: unknown.
    pub drain_s: Option<u64>,
    /// By reason, since the store's beginning.
    pub lost: BTreeMap<String, u64>,
}

/// What the oldest record's age is worth.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oldest {
    Exact,
    AtLeast,
    /// When the clock was not right when it was made: real time was later, if anything.
    AtMost,
    Unknown,
    /// When nothing waits.
    None,
}
