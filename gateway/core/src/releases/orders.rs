//! Orders that were found good: install this, remove that.

use alloc::sync::Arc;

use super::{Ask, Doing, Entry, Order, Rejected, Releases, Then, Why};
use crate::planted::{Bug, planted};
use crate::release::{Digest, Rank, Refusal, Release, Stage, Version};
use crate::releases::migration::NextTable;
use crate::releases::row::{Row, RowPhase};

impl Releases {
    /// A release is here in full, signed, for us, and newer than all before.
    pub fn handle_install(&mut self, release: Arc<Release>) {
        let name: Arc<str> = Arc::from(release.manifest.name.as_str());
        self.id_of(&name);
        self.queue(&name, Order::Install(release));
    }

    /// A handler is to go.
    pub fn handle_remove(&mut self, name: Arc<str>, rank: Rank, digest: Digest) {
        self.id_of(&name);
        self.queue(&name, Order::Remove(rank, digest));
    }

    /// Follows an order now, or when what is under way is done: then only the newest one counts.
    fn queue(&mut self, name: &Arc<str>, order: Order) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        match entry.doing {
            Doing::Nothing => self.follow(name, order),
            Doing::Loading { .. }
            | Doing::Migrating { .. }
            | Doing::Recording { .. }
            | Doing::Switching { .. } => {
                entry.next = Some(order);
            }
        }
    }

    pub(super) fn follow(&mut self, name: &Arc<str>, order: Order) {
        match order {
            Order::Install(release) => {
                let version = Version::Pushed(release);
                self.say_of(name, &version, Stage::Installing);
                self.load(name, version, Why::Offered);
            }
            Order::Remove(rank, digest) => {
                let Some(entry) = self.names.get_mut(name) else {
                    return;
                };
                let row = row_of(entry, rank, digest);
                (row.phase, row.tries) = (RowPhase::Removed, 0);
                (row.running, row.previous) = (None, None);
                entry.previous = None;
                let handler = entry.id;
                self.trials.remove(&handler);
                // It is judged no more, so it runs no more.
                self.asks.push_back(Ask::Hold { handler });
                let record = self.record(name);
                self.wait(name, record, Then::Remove);
            }
        }
    }

    fn wait(&mut self, name: &Arc<str>, record: u64, then: Then) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.doing = Doing::Recording { record, then };
        }
    }

    /// It loads, does what its golden events expect, and has its state: its row, and then it runs.
    pub(super) fn record_offered(&mut self, name: &Arc<str>, version: Version, table: NextTable) {
        let (Some(entry), Version::Pushed(release)) = (self.names.get_mut(name), &version) else {
            return;
        };
        // What has not passed its own probation is nothing to come back to.
        let has_passed = !self.trials.contains_key(&entry.id);
        if has_passed {
            entry.previous = match &entry.running {
                Some(Version::Pushed(running)) => Some(Arc::clone(running)),
                Some(Version::Configured(_)) | None => None,
            };
        }
        let previous = entry.previous.as_ref().map(|previous| previous.digest);
        let row = row_of(entry, release.rank, release.digest);
        row.tables = table.of(row.tables, release.digest, has_passed);
        (row.phase, row.tries) = (RowPhase::Probation, 1);
        (row.running, row.previous) = (Some(release.digest), previous);
        let record = self.record(name);
        if planted(Bug::SwitchBeforeRatchet) {
            return self.switch(name, version, Why::Offered);
        }
        self.wait(name, record, Then::Switch(version));
    }

    /// It will not run. What runs goes on, and the row says not to try again.
    pub(super) fn reject(&mut self, name: &Arc<str>, version: &Version, refusal: Refusal) {
        let (Some(entry), Version::Pushed(release)) = (self.names.get_mut(name), version) else {
            return;
        };
        let row = row_of(entry, release.rank, release.digest);
        row.refuse(release.digest);
        if row.running.is_none() && row.phase != RowPhase::Removed {
            row.phase = RowPhase::Rejected;
        }
        let record = self.record(name);
        let (rank, digest) = (release.rank, release.digest);
        let version = release.manifest.version.clone();
        let rejected = Rejected { release: (rank, digest), version, refusal };
        self.wait(name, record, Then::Reject(rejected));
    }
}

/// The entry's row, with a new highest order in it.
fn row_of(entry: &mut Entry, rank: Rank, digest: Digest) -> &mut Row {
    let row = entry.row.get_or_insert_with(|| Row::first((rank, digest)));
    row.highest = (rank, digest);
    row
}
