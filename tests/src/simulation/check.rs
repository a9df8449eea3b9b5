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
    pub power_cuts: u64,
    /// Times that the store could not write.
    pub disk_faults: u64,
    /// Records at the receiver, those that came twice, and those that were announced as lost.
    pub received: u64,
    pub duplicates: u64,
    pub lost: u64,
    pub connects: u64,
    /// Lives on a disk that lies about syncs, and seqs that were given again after them.
    pub lying: u64,
    pub reused: u64,
    /// Records that a lying disk has lost and nobody could tell of.
    pub untold: u64,
    /// Lives on a disk that takes nothing.
    pub read_only: u64,
    /// Bits that flipped while the gateway was off.
    pub rotten: u64,
    /// Seeds in which a sound disk was taken for a damaged one: seqs are skipped and announced.
    pub false_alarms: u64,
    /// Acked messages whose effects were looked for.
    pub verified: u64,
    /// Orders that were signed for the gateway, those that a stranger signed, and old ones that came again.
    pub orders: u64,
    pub forged: u64,
    pub replayed: u64,
    /// Releases that passed, were refused before they ran, and were taken back; and reactions of pushed ones.
    pub activated: u64,
    pub refused: u64,
    pub taken_back: u64,
    pub pushed: u64,
    pub virtual_ms: u64,
}

impl Stats {
    /// Every count with its name.
    pub fn named(&self) -> [(&'static str, u64); 30] {
        [
            ("steps", self.steps),
            ("messages", self.messages),
            ("reactions", self.reactions),
            ("acks", self.acks),
            ("failed", self.failed),
            ("retried", self.retried),
            ("skipped", self.skipped),
            ("dropped", self.dropped),
            ("parked", self.parked),
            ("pauses", self.pauses),
            ("power cuts", self.power_cuts),
            ("disk faults", self.disk_faults),
            ("received", self.received),
            ("duplicates", self.duplicates),
            ("lost", self.lost),
            ("connects", self.connects),
            ("verified", self.verified),
            ("lying lives", self.lying),
            ("reused seqs", self.reused),
            ("untold after lies", self.untold),
            ("read-only lives", self.read_only),
            ("rotten bits", self.rotten),
            ("false alarms", self.false_alarms),
            ("orders", self.orders),
            ("forged orders", self.forged),
            ("old orders", self.replayed),
            ("passed", self.activated),
            ("refused", self.refused),
            ("taken back", self.taken_back),
            ("by pushed ones", self.pushed),
        ]
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Stats) {
        let Stats { virtual_ms, .. } = other;
        self.virtual_ms += virtual_ms;
        self.steps += other.steps;
        self.messages += other.messages;
        self.reactions += other.reactions;
        self.acks += other.acks;
        self.failed += other.failed;
        self.retried += other.retried;
        self.skipped += other.skipped;
        self.dropped += other.dropped;
        self.parked += other.parked;
        self.pauses += other.pauses;
        self.power_cuts += other.power_cuts;
        self.disk_faults += other.disk_faults;
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.lost += other.lost;
        self.connects += other.connects;
        self.verified += other.verified;
        self.lying += other.lying;
        self.reused += other.reused;
        self.untold += other.untold;
        self.read_only += other.read_only;
        self.rotten += other.rotten;
        self.false_alarms += other.false_alarms;
        self.orders += other.orders;
        self.forged += other.forged;
        self.replayed += other.replayed;
        self.activated += other.activated;
        self.refused += other.refused;
        self.taken_back += other.taken_back;
        self.pushed += other.pushed;
    }
}

/// Everything the devices have seen.
#[derive(Debug, Default)]
pub struct Checker {
    /// When the gateway had each message whole: every time that it was sent.
    arrived: BTreeMap<Id, Vec<u64>>,
    arrivals: u64,
    acked: BTreeSet<Id>,
    /// The last arrival that each handler has reacted to.
    last: [u64; NAMES.len()],
    pub reactions: [u64; NAMES.len()],
}

impl Checker {
    pub fn arrived(&mut self, id: Id) {
        self.arrivals += 1;
        self.arrived.entry(id).or_default().push(self.arrivals);
    }

    /// When a message arrived, every time.
    pub fn times(&self, id: Id) -> &[u64] {
        self.arrived.get(&id).map_or(&[], Vec::as_slice)
    }

    pub fn is_acked(&self, id: Id) -> bool {
        self.acked.contains(&id)
    }

    pub fn messages(&self) -> u64 {
        self.arrivals
    }

    /// Acked messages.
    pub fn acked_ids(&self) -> impl Iterator<Item = Id> {
        self.acked.iter().copied()
    }

    /// When a message arrived the first time and the last, counted over all messages.
    pub fn arrival(&self, id: Id) -> Option<(u64, u64)> {
        let times = self.arrived.get(&id)?;
        Some((*times.first()?, *times.last()?))
    }

    /// A reaction of the handler that publishes on `topic`.
    pub fn reacted(&mut self, topic: &str, payload: &[u8]) -> Result<(), String> {
        let handler = NAMES.iter().position(|name| handlers::topic(name) == topic);
        let handler =
            handler.ok_or_else(|| format!("a reaction on {topic:?}, where nobody reacts"))?;
        let id = Id::parse(payload).ok_or_else(|| {
            format!("{topic}: an effect of an event that did not succeed: {payload:?}")
        })?;
        if !handlers::reacts(id.kind) {
            return Err(format!("{topic}: {id:?} failed and yet its reaction came out"));
        }
        let times = self
            .arrived
            .get(&id)
            .ok_or_else(|| format!("{topic}: a reaction to {id:?} before it was sent"))?;
        let last = self.last[handler];
        let number = times.iter().find(|number| **number > last).copied().ok_or_else(|| {
            format!("{topic}: {id:?} came out of order or twice: {times:?} after {last}")
        })?;
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
