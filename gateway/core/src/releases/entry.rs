//! One handler in the machine: what runs, what its row says, and what is under way for it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::row::{Row, RowPhase};
use crate::job::HandlerId;
use crate::manifest::Manifest;
use crate::planted::{Bug, planted};
use crate::release::{Answer, CheckId, Digest, FailedEvent, Rank, Refusal, Release, Version};

/// What is under way for a handler.
#[derive(Debug)]
pub(super) enum Doing {
    Nothing,
    Loading {
        check: CheckId,
        version: Version,
        why: Why,
    },
    /// The line stands still meanwhile.
    Migrating {
        check: CheckId,
        version: Version,
    },
    /// The row of that number must be durable first.
    Recording {
        record: u64,
        then: Then,
    },
    Switching {
        version: Version,
        why: Why,
    },
}

/// Why a version is to run.
#[derive(Clone, Debug)]
pub(super) enum Why {
    Offered,
    /// When the daemon starts.
    Started {
        on_trial: bool,
    },
    /// When the one after it broke a bound.
    TakenBack {
        broken: Arc<Release>,
        refusal: Refusal,
        last: Option<FailedEvent>,
    },
}

/// What happens when a row is durable.
#[derive(Debug)]
pub(super) enum Then {
    Switch(Version),
    Load(Version),
    Reject(Rejected),
    Remove,
}

/// An order that is refused for good.
#[derive(Debug)]
pub(super) struct Rejected {
    pub release: (Rank, Digest),
    pub version: String,
    pub refusal: Refusal,
}

/// One handler that was ever pushed, or is configured.
#[derive(Debug)]
pub(super) struct Entry {
    pub id: HandlerId,
    pub row: Option<Row>,
    pub configured: Option<Arc<Manifest>>,
    pub running: Option<Version>,
    /// The tag of its state's table.
    pub table: u64,
    pub previous: Option<Arc<Release>>,
    pub doing: Doing,
    /// The newest order that came meanwhile.
    pub next: Option<Order>,
    /// What was said last.
    pub said: Option<Answer>,
    /// The number of its newest row.
    pub recorded: u64,
    /// A refusal that is told when the row of that number is durable: the one before was taken back meanwhile.
    pub untold: Option<(u64, Rejected)>,
    /// Which files may go is told when the newest row is durable: until then a start goes by the one before.
    pub is_unsettled: bool,
}

/// What is to be done for a handler.
#[derive(Debug)]
pub(super) enum Order {
    Install(Arc<Release>),
    Remove(Rank, Digest),
}

impl Entry {
    pub fn new(id: HandlerId) -> Entry {
        Entry {
            id,
            row: None,
            configured: None,
            running: None,
            table: 0,
            previous: None,
            doing: Doing::Nothing,
            next: None,
            said: None,
            recorded: 0,
            untold: None,
            is_unsettled: false,
        }
    }

    /// What runs when the newest release does not.
    pub fn fallback(&self) -> Option<Version> {
        let previous = self.previous.clone().map(Version::Pushed);
        previous.or_else(|| self.configured.clone().map(Version::Configured))
    }

    /// What runs is good. Where the row is a newer one's already, it is what that one comes back to.
    pub fn pass(&mut self) {
        let Some(row) = &mut self.row else {
            return;
        };
        let running = self.running.as_ref().and_then(Version::digest);
        if row.running == running || planted(Bug::PassesForNewer) {
            (row.phase, row.tries) = (RowPhase::Active, 0);
        } else if let Some(Version::Pushed(release)) = &self.running {
            row.previous = running;
            row.tables.1 = self.table;
            self.previous = Some(Arc::clone(release));
        }
    }

    /// The releases that may run again, or are to.
    pub fn keep(&self) -> Vec<Digest> {
        let row = self.row.iter().flat_map(|row| [row.running, row.previous]);
        let doing = match &self.doing {
            Doing::Loading { version, .. }
            | Doing::Migrating { version, .. }
            | Doing::Switching { version, .. } => version.digest(),
            // It stands in the row.
            Doing::Recording { .. } | Doing::Nothing => None,
        };
        let next = match &self.next {
            Some(Order::Install(release)) => Some(release.digest),
            Some(Order::Remove(..)) | None => None,
        };
        row.chain([doing, next]).flatten().collect()
    }

    /// Takes what may happen now that the row of that number is durable.
    pub fn take_recorded(&mut self, version: u64) -> Option<Then> {
        if let Some((_, rejected)) = self.untold.take_if(|(record, _)| *record <= version) {
            return Some(Then::Reject(rejected));
        }
        match core::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Recording { record, then } if record <= version => Some(then),
            doing => {
                self.doing = doing;
                None
            }
        }
    }
}
