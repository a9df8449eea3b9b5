//! What a gateway answers: signed with its own key, and counted, so that no broker can forge, replay or mix answers.

use crate::cbor::Flaw;
use crate::golden::Expect;
use crate::hash::Digest;
use crate::keys::{PublicKey, SecretKey};
use crate::name::Name;
use crate::ratchet::Rank;

/// Longest answer.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest text of an answer; [`told`] cuts to it.
pub const TEXT_BYTES_MAX: usize = 512;
/// Longest code.
pub const CODE_BYTES_MAX: usize = 48;

/// What became of a handler on a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub gateway: Name,
    pub handler: Name,
    /// Rises with every answer and report of the gateway, over restarts too.
    pub counter: u64,
    pub stage: Stage,
    /// Which release this is about.
    pub release: Option<(Rank, Digest)>,
    /// Its version, once it is known.
    pub version: Option<String>,
    pub figures: Figures,
}

/// How far a release is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// When it has verified and its blobs are arriving: so many chunks of all.
    Checking { have: u32, of: u32 },
    /// When all is there and is being tried and written down.
    Installing,
    /// When it runs and is being watched.
    Probation { events: u64, events_of: u64, left_ms: u64 },
    /// When it runs.
    Active,
    /// When it was not taken: why.
    Rejected { code: String, text: String },
    /// When the one before runs again: why, and the last event that failed.
    RolledBack { code: String, text: String, event: Option<LastEvent> },
    /// When the handler runs no more.
    Removed,
    /// When one event was run.
    Invoked(Invoked),
}

/// The event that failed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEvent {
    pub topic: String,
    /// Its beginning: at most [`EVENT_BYTES_MAX`].
    pub payload: Vec<u8>,
}

/// Longest payload of a [`LastEvent`].
pub const EVENT_BYTES_MAX: usize = 4096;

/// What came of an invoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    /// The invoke's.
    pub nonce: [u8; 16],
    pub is_dry: bool,
    pub fuel: u64,
    pub us: u64,
    /// What the event did, as far as it fits.
    pub effects: Vec<Expect>,
    /// How many effects did not fit.
    pub left_off: u32,
    /// Why it failed.
    pub failed: Option<String>,
}

/// What the handler has done since this release runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub events: u64,
    pub failed: u64,
    pub deadline_misses: u64,
    pub fuel: u64,
    pub p99_us: u64,
    pub memory_kib: u64,
}

/// What a gateway says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub gateway: Name,
    /// The same counter as the answers'.
    pub counter: u64,
    /// The daemon's version.
    pub version: String,
    pub uptime_ms: u64,
    /// Of the trust file that holds.
    pub trust_version: u64,
    pub key_epoch: u32,
    /// When no handler runs, because the daemon restarted too often.
    pub is_safe_mode: bool,
    /// When nothing fresh came from upstream for longer than was set.
    pub is_stale: bool,
    pub handlers: u32,
    /// The audit log's head: how many entries there ever were, and the digest of the last.
    pub audit: (u64, Digest),
}

/// What an answer or report that was received is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// When it is the gateway's, and newer than any before.
    New(T),
    /// When it is the gateway's, and was heard, or something newer was.
    Old,
    /// When it is not the gateway's.
    Forged,
}

/// Why an answer cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("x")]
    Form(Flaw),
}

impl Answer {
    pub fn sign(&self, key: &SecretKey) -> Result<Vec<u8>, Wrong> {
        todo!()
    }
}

impl Report {
    pub fn sign(&self, key: &SecretKey) -> Result<Vec<u8>, Wrong> {
        todo!()
    }
}

/// Verifies an answer. `last_counter` is 0 when none was heard.
pub fn verify(bytes: &[u8], key: &PublicKey, last_counter: u64) -> Heard<Answer> {
    todo!()
}

/// Verifies a report.
pub fn verify_report(bytes: &[u8], key: &PublicKey, last_counter: u64) -> Heard<Report> {
    todo!()
}

/// A text as an answer may hold it: without control characters, cut to [`TEXT_BYTES_MAX`].
pub fn told(text: &str) -> String {
    todo!()
}
