//! The audit log: what was decided, in entries that each hold the digest of the one before. Who knows the head (it is
//! in every [`crate::answer::Report`]) knows whether an entry was changed, left out or cut off.
//!
//! ```text
//! { 1: counter, 2: wall ms, 3: what, 4: digest of the entry before (32 bytes) }
//!
//! what = [1, handler, key epoch, seq, digest, version (text; empty when none), [key id, ...]]   accepted
//!      | [2, handler (text; empty when unknown), digest, code (text)]                           refused
//!      | [3, handler, digest]                                                                   activated
//!      | [4, handler, digest]                                                                   passed
//!      | [5, handler, digest, digest (empty when none), code]                                   rolled back
//!      | [6, handler, key epoch, seq]                                                           removed
//!      | [7, handler, key epoch, seq, is dry (bool)]                                            invoked
//!      | [8, version, key epoch, digest]                                                        trusted
//!      | [9]                                                                                    safe mode
//!      | [10, entries, bytes]                                                                   gap
//!      | [11, count, code of the last]                                                          more refused
//! ```
//! The digest of an entry is the SHA-256 of these bytes. A gateway keeps them in two files of its data folder, the
//! newer one [`FILE`], each entry behind its length: [`frames`].

use std::collections::VecDeque;

use crate::hash::{Digest, digest_of};
use crate::keys::KeyId;
use crate::name::Name;
use crate::ratchet::Rank;

mod codec;
pub mod frames;

/// The entries since the last time that there were too many.
pub const FILE: &str = "audit.log";
/// Those before; what is older is gone.
pub const FILE_BEFORE: &str = "audit.log.old";
/// Longest of either file: some thousand decisions in both, and months with a busy fleet.
pub const FILE_BYTES_MAX: u64 = 128 * 1024;

/// Longest entry.
pub const ENTRY_BYTES_MAX: usize = 1024;

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
    /// When a release was refused, and why. The digest is that of its bytes, or of its content when it verified.
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
    /// When entries could not be written, or what stood here could not be read again: a power cut tore it.
    Gap { entries: u64, bytes: u64 },
    /// When so many refusals were only counted, because there were too many to write each down; why the last one was.
    MoreRefused { count: u64, code: String },
}

/// A log of at most so many entries; the oldest go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    entries: VecDeque<Entry>,
    max: usize,
    counter: u64,
    head: Digest,
}

/// Where a log breaks first. Indices are from 0, among the entries that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// When the first entry of all, or one with counter 0, does not begin a log.
    #[error(
        "audit entry {index} cannot be the first: the log does not begin there; restore it from a copy, and look at who can write to the data folder"
    )]
    Begin { index: usize },
    /// When an entry is missing, or one too many.
    #[error(
        "audit entry {index} has counter {is}, not {must}: entries were left out or put in; restore the log from a copy, and look at who can write to the data folder"
    )]
    Gap { index: usize, is: u64, must: u64 },
    /// When an entry is not the one that its successor, or the head, was made behind.
    #[error(
        "audit entry {index} is not what came after it was made behind: it was changed; restore the log from a copy, and look at who can write to the data folder"
    )]
    Changed { index: usize },
    /// When the log does not reach the head: entries at its end are missing.
    #[error(
        "the audit log ends at entry {is}, not {must}: its end was cut off; restore it from a copy, and look at who can write to the data folder"
    )]
    Cut { is: u64, must: u64 },
}

impl Entry {
    /// The digest, which the next entry holds.
    pub fn digest(&self) -> Digest {
        digest_of(&self.encode())
    }
}

impl Log {
    /// An empty log of at most `max` entries, one at least.
    pub fn new(max: usize) -> Log {
        Log { entries: VecDeque::new(), max: max.max(1), counter: 0, head: Digest([0; 32]) }
    }

    /// A log that goes on behind this entry, whatever was before it.
    pub fn behind(last: Entry, max: usize) -> Log {
        let (counter, head) = (last.counter, last.digest());
        Log { entries: VecDeque::from([last]), max: max.max(1), counter, head }
    }

    /// A log from entries that were kept, the oldest first.
    ///
    /// # Errors
    /// The first entry that does not fit the one before.
    pub fn restore(entries: Vec<Entry>, max: usize) -> Result<Log, Broken> {
        verify(&entries)?;
        let mut log = Log::new(max);
        if let Some(last) = entries.last() {
            (log.counter, log.head) = (last.counter, last.digest());
        }
        log.entries = entries.into();
        log.trim();
        Ok(log)
    }

    /// Appends what was decided, and gives the entry to keep.
    pub fn append(&mut self, wall_ms: u64, what: What) -> &Entry {
        self.counter += 1;
        let what = what.trimmed();
        let entry = Entry { counter: self.counter, wall_ms, what, prev: self.head };
        self.head = entry.digest();
        self.entries.push_back(entry);
        self.trim();
        self.entries.back().expect("it was pushed, and at least one is kept")
    }

    fn trim(&mut self) {
        while self.entries.len() > self.max {
            self.entries.pop_front();
        }
    }

    /// The oldest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many entries there ever were, and the digest of the last; zeros when there is none.
    pub fn head(&self) -> (u64, Digest) {
        (self.counter, self.head)
    }
}

/// Checks entries that follow one another. The last one is only held by the head: see [`verify_to`].
///
/// # Errors
/// The first one that does not fit.
pub fn verify(entries: &[Entry]) -> Result<(), Broken> {
    if let Some(first) = entries.first()
        && (first.counter == 0 || (first.counter == 1 && first.prev != Digest([0; 32])))
    {
        return Err(Broken::Begin { index: 0 });
    }
    for (index, pair) in entries.windows(2).enumerate() {
        let (is, must) = (pair[1].counter, pair[0].counter.wrapping_add(1));
        if is != must {
            return Err(Broken::Gap { index: index + 1, is, must });
        }
        if pair[1].prev != pair[0].digest() {
            return Err(Broken::Changed { index });
        }
    }
    Ok(())
}

/// Checks entries that follow one another up to a head that is known.
///
/// # Errors
/// The first one that does not fit.
pub fn verify_to(entries: &[Entry], head: (u64, Digest)) -> Result<(), Broken> {
    verify(entries)?;
    let (must, digest) = head;
    let (is, last) =
        entries.last().map_or((0, Digest([0; 32])), |last| (last.counter, last.digest()));
    if is != must {
        return Err(Broken::Cut { is, must });
    }
    if last != digest {
        return Err(Broken::Changed { index: entries.len().saturating_sub(1) });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
