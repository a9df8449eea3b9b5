//! Orders that were found good: install this, remove that.

use alloc::string::String;
use alloc::sync::Arc;

use super::{ASKED_MS, Ask, Doing, Entry, Order, Releases, Then, Why};
use crate::release::{Answer, Digest, Figures, Rank, Refusal, Release, Stage, Version};
use crate::releases::row::{Row, RowPhase};
use crate::time::Timestamp;

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
            Doing::Loading { .. } | Doing::Recording { .. } | Doing::Switching { .. } => {
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
                (entry.previous, entry.trial) = (None, None);
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

    /// It loads and does what its golden events expect: its row, and then it runs.
    pub(super) fn record_offered(&mut self, name: &Arc<str>, version: Version) {
        let (Some(entry), Version::Pushed(release)) = (self.names.get_mut(name), &version) else {
            return;
        };
        // What has not passed its own probation is nothing to come back to.
        if entry.trial.is_none() {
            entry.previous = match &entry.running {
                Some(Version::Pushed(running)) => Some(Arc::clone(running)),
                Some(Version::Configured(_)) | None => None,
            };
        }
        let previous = entry.previous.as_ref().map(|previous| previous.digest);
        let row = row_of(entry, release.rank, release.digest);
        (row.phase, row.tries) = (RowPhase::Probation, 1);
        (row.running, row.previous) = (Some(release.digest), previous);
        let record = self.record(name);
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
        self.wait(name, record, Then::Reject { release: (rank, digest), version, refusal });
    }

    /// Says something about a handler whose release did not come as far as an order.
    pub fn answer(&mut self, name: Arc<str>, release: Option<(Rank, Digest)>, stage: Stage) {
        let handler = self.names.get(&name).map(|entry| entry.id);
        let (version, figures) = (String::new(), Figures::default());
        let answer = Answer { handler: name, release, version, stage, figures };
        self.asks.push_back(Ask::Answer { handler, answer });
    }

    /// Says again what was said last.
    pub fn handle_again(&mut self, now: Timestamp, name: &Arc<str>) {
        let Some(entry) = self.names.get(name) else {
            return;
        };
        if let Some(answer) = current(entry, now) {
            self.asks.push_back(Ask::Answer { handler: Some(entry.id), answer });
        }
    }

    /// Somebody wants to know how all handlers do.
    pub fn handle_asked(&mut self, now: Timestamp) {
        let wait = core::time::Duration::from_millis(ASKED_MS);
        if self.asked_at.is_some_and(|at| now < at.after(wait)) {
            return;
        }
        self.asked_at = Some(now);
        let answers: alloc::vec::Vec<_> = self
            .names
            .values()
            .filter_map(|entry| Some((entry.id, current(entry, now)?)))
            .collect();
        for (handler, answer) in answers {
            self.asks.push_back(Ask::Answer { handler: Some(handler), answer });
        }
    }
}

/// The entry's row, with a new highest order in it.
fn row_of(entry: &mut Entry, rank: Rank, digest: Digest) -> &mut Row {
    let row = entry.row.get_or_insert_with(|| Row::first((rank, digest)));
    row.highest = (rank, digest);
    row
}

/// What was said last, with what is left of a probation now.
fn current(entry: &Entry, now: Timestamp) -> Option<Answer> {
    let mut answer = entry.said.clone()?;
    if let (Some(trial), Stage::Probation { events_left, left_ms, .. }) =
        (&entry.trial, &mut answer.stage)
    {
        (*events_left, *left_ms) = (trial.events_left(), trial.left_ms(now));
    }
    Some(answer)
}
