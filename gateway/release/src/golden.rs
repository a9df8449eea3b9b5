//! Golden events: what a release's author says must come of given events, tried before it runs.

use crate::cbor::Flaw;
use crate::name::Name;

/// Longest file.
pub const GOLDEN_BYTES_MAX: usize = 256 * 1024;
/// Most cases.
pub const CASES_MAX: usize = 64;
/// Most effects of one event.
pub const EFFECTS_MAX: usize = 64;
/// Longest payload.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// Events and what must come of them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Golden {
    pub cases: Vec<Case>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub topic: String,
    pub payload: Vec<u8>,
    /// Exactly this, in this order.
    pub expect: Vec<Expect>,
}

/// What must come of an event, or has come of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// When the handler publishes.
    Publish { topic: String, payload: Vec<u8> },
    /// When it sends a record.
    Send { stream: Name, payload: Vec<u8> },
    /// When it does neither; alone.
    Nothing,
    /// When it fails; alone.
    Fails,
}

/// Why golden events cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("x")]
    Form(Flaw),
}

/// Reads golden events.
pub fn decode(bytes: &[u8]) -> Result<Golden, Wrong> {
    todo!()
}

impl Golden {
    /// The bytes.
    pub fn encode(&self) -> Result<Vec<u8>, Wrong> {
        todo!()
    }
}
