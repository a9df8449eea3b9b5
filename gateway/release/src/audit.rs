//! The audit log: what was decided, in entries that each hold the digest of the one before.

use crate::cbor::Flaw;
use crate::hash::Digest;
use crate::keys::KeyId;
use crate::name::Name;
use crate::ratchet::Rank;

/// An entry, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without a gap.
    pub counter: u64,
    /// Wall time as far as it was known: data, not order.
    pub wall_ms: u64,
    pub what: What,
    /// The digest of the entry before; of the first one, zeros.
    pub prev: Digest,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// When a release was accepted, and the ratchet moved.
    Accepted {
        handler: Name,
        rank: Rank,
        digest: Digest,
        version: Option<String>,
        signers: Vec<KeyId>,
    },
    /// When a release was refused, and why.
    Refused { handler: Option<Name>, digest: Digest, code: String },
    /// When a release began to run.
    Activated { handler: Name, digest: Digest },
    /// When its probation was over.
    Passed { handler: Name, digest: Digest },
    /// When one was taken back; what runs instead, if anything does.
    RolledBack { handler: Name, digest: Digest, to: Option<Digest>, code: String },
    /// When a handler was removed.
    Removed { handler: Name, rank: Rank },
    /// When one event was run from afar.
    Invoked { handler: Name, rank: Rank, is_dry: bool },
    /// When a trust file began to hold.
    Trusted { version: u64, key_epoch: u32, digest: Digest },
    /// When the daemon started without handlers.
    SafeMode,
}

/// A log of at most so many entries; the oldest go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    entries: std::collections::VecDeque<Entry>,
    max: usize,
    counter: u64,
    head: Digest,
}

/// Where the chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("x")]
    Entry { index: usize },
}

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
    pub fn decode(bytes: &[u8]) -> Result<Entry, Flaw> {
        todo!()
    }
    pub fn digest(&self) -> Digest {
        todo!()
    }
}

impl Log {
    pub fn new(max: usize) -> Log {
        todo!()
    }
    /// From entries that were kept, the oldest first.
    pub fn restore(entries: Vec<Entry>, max: usize) -> Result<Log, Broken> {
        todo!()
    }
    /// Appends what was decided, and gives the entry to keep.
    pub fn append(&mut self, wall_ms: u64, what: What) -> &Entry {
        todo!()
    }
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }
    /// How many entries there ever were, and the digest of the last.
    pub fn head(&self) -> (u64, Digest) {
        (self.counter, self.head)
    }
}

/// Checks entries that follow one another; tells the first that does not fit.
pub fn verify(entries: &[Entry]) -> Result<(), Broken> {
    todo!()
}
