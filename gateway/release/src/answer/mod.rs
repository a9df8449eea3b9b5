//! What a gateway answers: signed with its own key, and counted, so that no broker can forge, replay or mix answers.
//!
//! An answer is an envelope with one signature, under the domain of answers; a report the same under its own. The
//! counter rises with every one of both, over restarts too, so a receiver that keeps the highest it has heard of a
//! gateway and topic knows what is old.

use crate::cbor::Flaw;
use crate::envelope::{Envelope, Known, Unsealed, seal};
use crate::golden::Expect;
use crate::hash::Digest;
use crate::keys::{Domain, PublicKey, SecretKey};
use crate::name::Name;
use crate::ratchet::Rank;

mod check;
mod codec;
mod stage;

/// Longest answer or report.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest text of an answer; [`told`] cuts to it.
pub const TEXT_BYTES_MAX: usize = 512;
/// Longest code: `[a-z0-9-]`.
pub const CODE_BYTES_MAX: usize = 48;
/// Longest payload of a [`LastEvent`].
pub const EVENT_BYTES_MAX: usize = 4096;
/// Most writes of an [`Invoked`], and longest key of one.
pub const WRITES_MAX: usize = 64;
pub const WRITE_KEY_BYTES_MAX: usize = 256;
/// Most log lines of an [`Invoked`].
pub const LINES_MAX: usize = 64;

/// What became of a handler on a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub gateway: Name,
    pub handler: Name,
    /// At least 1. Rises with every answer and report of the gateway, over restarts too.
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
    /// When it runs and is being watched: so many events of the probation's, and the uptime that is left.
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

impl Stage {
    /// The stage's name, as people and documents say it.
    pub const fn name(&self) -> &'static str {
        match self {
            Stage::Checking { .. } => "checking",
            Stage::Installing => "installing",
            Stage::Probation { .. } => "probation",
            Stage::Active => "active",
            Stage::Rejected { .. } => "rejected",
            Stage::RolledBack { .. } => "rolled-back",
            Stage::Removed => "removed",
            Stage::Invoked(_) => "invoked",
        }
    }
}

/// The event that failed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEvent {
    /// [`LastEvent::of`] cuts it to fit.
    pub topic: String,
    /// Its beginning: at most [`EVENT_BYTES_MAX`].
    pub payload: Vec<u8>,
}

/// What came of an invoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    /// The invoke's.
    pub nonce: [u8; 16],
    pub is_dry: bool,
    pub fuel: u64,
    /// From the fuel, by the gateway's measured pace; 0 while it is not measured.
    pub us: u64,
    /// What the event did, as far as it fits: [`Invoked::with_effects`].
    pub effects: Vec<Expect>,
    /// How many effects, writes and lines did not fit.
    pub left_off: u32,
    /// Why it failed.
    pub failed: Option<String>,
    /// How it changed the handler's state: [`Invoked::with_writes`].
    pub writes: Vec<Wrote>,
    /// What it logged: [`Invoked::with_lines`].
    pub lines: Vec<Line>,
}

/// One change of a handler's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrote {
    pub key: Vec<u8>,
    /// None: it was deleted.
    pub value: Option<Vec<u8>>,
}

/// One line that a handler logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// 1 error to 5 trace.
    pub level: u8,
    pub text: String,
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
    /// When it is not the gateway's, or not in its form.
    Forged,
}

/// Why an answer or report cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// When its counter is 0.
    #[error("the answer's counter is 0; counters begin at 1")]
    CounterZero,
    /// When a text or payload is too long.
    #[error("the answer's {field} has {is} bytes, at most {max} may be; cut it")]
    Long { field: &'static str, is: usize, max: usize },
    /// When a text holds what it may not.
    #[error("the answer's {field} is {text:?}; clean it")]
    Text { field: &'static str, text: String },
    /// When there are too many effects.
    #[error("the answer has {is} effects, at most {max} may be; leave some off")]
    Many { is: usize, max: usize },
    /// When it cannot be signed.
    #[error("the answer cannot be signed: {0}")]
    Unsealed(Unsealed),
}

impl Answer {
    /// The signed answer.
    ///
    /// # Errors
    /// When a text is too long or unclean, or all of it together.
    pub fn sign(&self, key: &SecretKey) -> Result<Vec<u8>, Wrong> {
        self.check()?;
        let payload = self.encode();
        seal(Domain::Answer, &payload, &[key], ANSWER_BYTES_MAX).map_err(Wrong::Unsealed)
    }
}

impl Report {
    /// The signed report.
    ///
    /// # Errors
    /// When its version is too long or unclean, or the counter 0.
    pub fn sign(&self, key: &SecretKey) -> Result<Vec<u8>, Wrong> {
        self.check()?;
        let payload = self.encode();
        seal(Domain::Report, &payload, &[key], ANSWER_BYTES_MAX).map_err(Wrong::Unsealed)
    }
}

/// Verifies an answer with the key of the gateway that it must be of. `last_counter` is the highest that was heard of
/// it, 0 when none was. Whether the answer is on the topic of its gateway and handler, is the caller's to compare.
pub fn verify(bytes: &[u8], key: &PublicKey, last_counter: u64) -> Heard<Answer> {
    match opened(bytes, key, Domain::Answer).map(Answer::decode) {
        Some(Ok(answer)) if answer.counter > last_counter => Heard::New(answer),
        Some(Ok(_)) => Heard::Old,
        Some(Err(_)) | None => Heard::Forged,
    }
}

/// The same for a report.
pub fn verify_report(bytes: &[u8], key: &PublicKey, last_counter: u64) -> Heard<Report> {
    match opened(bytes, key, Domain::Report).map(Report::decode) {
        Some(Ok(report)) if report.counter > last_counter => Heard::New(report),
        Some(Ok(_)) => Heard::Old,
        Some(Err(_)) | None => Heard::Forged,
    }
}

/// The payload, when the one signature is this key's.
fn opened<'a>(bytes: &'a [u8], key: &PublicKey, domain: Domain) -> Option<&'a [u8]> {
    let envelope = Envelope::decode(bytes, ANSWER_BYTES_MAX).ok()?;
    let known = |id| if id == key.id() { Known::Key(key) } else { Known::Unknown };
    envelope.verify(domain, known).ok()?;
    Some(envelope.payload)
}

/// Why an answer's payload is none: its form, or what it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("{0}")]
    Form(#[from] Flaw),
    #[error("{0}")]
    Wrong(#[from] Wrong),
}

/// A text as an answer may hold it: control characters become spaces, and it is cut to [`TEXT_BYTES_MAX`].
pub fn told(text: &str) -> String {
    cut(text, TEXT_BYTES_MAX)
}

fn cut(text: &str, max: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut end = plain.len().min(max);
    while !plain.is_char_boundary(end) {
        end -= 1;
    }
    plain[..end].to_owned()
}

impl LastEvent {
    /// An event, cut to what an answer may hold.
    pub fn of(topic: &str, payload: &[u8]) -> LastEvent {
        let payload = payload[..payload.len().min(EVENT_BYTES_MAX)].to_vec();
        LastEvent { topic: cut(topic, crate::manifest::TOPIC_BYTES_MAX), payload }
    }
}

#[cfg(test)]
mod tests;
