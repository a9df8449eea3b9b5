//! What must hold after every step and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::device::Id;
use super::handlers::{self, NAMES};

/// A promise that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub seed: u64,
    pub step: u64,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} step {}: {}", self.seed, self.step, self.what)
    }
}

/// What a run has seen; shows that a clean run was not an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub steps: u64,
    pub messages: u64,
    pub reactions: u64,
    pub acks: u64,
    pub failed: u64,
    pub retried: u64,
    pub skipped: u64,
    pub dropped: u64,
    pub parked: u64,
    pub pauses: u64,
    pub virtual_ms: u64,
}

/// Everything the outside has seen.
#[derive(Debug, Default)]
pub struct Checker {
    /// Messages in the order in which the gateway had them whole.
    arrived: BTreeMap<Id, u64>,
    acked: BTreeSet<Id>,
    /// The last arrival that each handler has reacted to.
    last: [u64; NAMES.len()],
    pub reactions: [u64; NAMES.len()],
}

impl Checker {
    pub fn arrived(&mut self, id: Id) {
        let number = self.arrived.len() as u64 + 1;
        self.arrived.insert(id, number);
    }

    pub fn messages(&self) -> u64 {
        self.arrived.len() as u64
    }

    pub fn acks(&self) -> u64 {
        self.acked.len() as u64
    }

    /// A reaction of the handler that publishes on `topic`.
    pub fn reacted(&mut self, topic: &str, payload: &[u8]) -> Result<(), String> {
        let handler = NAMES.iter().position(|name| handlers::topic(name) == topic);
        let handler =
            handler.ok_or_else(|| format!("a reaction on {topic:?}, where nobody reacts"))?;
        let (kind, id) = Id::parse(payload).ok_or_else(|| {
            format!("{topic}: an effect of an event that did not succeed: {payload:?}")
        })?;
        if !handlers::reacts(kind) {
            return Err(format!("{topic}: {id:?} failed and yet its reaction came out"));
        }
        let number = *self
            .arrived
            .get(&id)
            .ok_or_else(|| format!("{topic}: a reaction to {id:?} before it was sent"))?;
        if number <= self.last[handler] {
            return Err(format!(
                "{topic}: {id:?} came out of order or twice: {number} after {}",
                self.last[handler]
            ));
        }
        if self.acked.contains(&id) {
            return Err(format!(
                "{topic}: {id:?} was acked before this handler had finished with it"
            ));
        }
        self.last[handler] = number;
        self.reactions[handler] += 1;
        Ok(())
    }

    pub fn acked(&mut self, id: Id) -> Result<(), String> {
        if !self.arrived.contains_key(&id) {
            return Err(format!("{id:?} was acked before it arrived"));
        }
        if !self.acked.insert(id) {
            return Err(format!("{id:?} was acked twice"));
        }
        Ok(())
    }
}
