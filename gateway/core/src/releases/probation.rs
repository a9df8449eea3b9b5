//! Probation: judged event by event, and by time; and the way back when a bound is broken.

use alloc::sync::Arc;

use super::trial::{Judged, Trial};
use super::{Ask, Doing, Order, Releases, Then, Why};
use crate::job::{Event, Failure, HandlerId};
use crate::release::{Decision, FailedEvent, Figures, Refusal, Release, RowPhase, Stage, Version};
use crate::time::Timestamp;

impl Releases {
    /// Whether the line's events are judged one by one.
    pub fn is_on_trial(&self, handler: HandlerId) -> bool {
        self.trials.contains_key(&handler)
    }

    /// What an event of a line on probation means for it.
    pub fn judge(
        &mut self,
        handler: HandlerId,
        failed: Option<(&Event, &Failure)>,
        figures: &Figures,
    ) -> Judged {
        let failures_max = self.failures_max;
        let trial = self.trials.get_mut(&handler);
        trial.map_or(Judged::GoesOn, |trial| trial.judge(failed, failures_max, figures))
    }

    /// Acts on a judgement.
    pub fn handle_judged(&mut self, handler: HandlerId, judged: Judged) {
        let Some((name, entry)) = self.entry_mut(handler) else {
            return;
        };
        match judged {
            Judged::GoesOn => {}
            Judged::Passed => {
                let version = entry.running.clone();
                entry.pass();
                self.trials.remove(&handler);
                self.asks.push_back(Ask::Passed { handler });
                self.record(&name);
                if let Some(digest) = version.as_ref().and_then(Version::digest) {
                    self.note(Decision::Passed { handler: Arc::clone(&name), digest });
                }
                if let Some(version) = version {
                    self.say_of(&name, &version, Stage::Active);
                }
            }
            Judged::Broken { refusal, last } => {
                let version = entry.running.clone();
                self.take_back(&name, version, refusal, last);
            }
        }
    }

    /// A release has broken its word: what ran before runs again.
    pub(super) fn take_back(
        &mut self,
        name: &Arc<str>,
        version: Option<Version>,
        refusal: Refusal,
        last: Option<FailedEvent>,
    ) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        let handler = entry.id;
        self.trials.remove(&handler);
        if let Some(Version::Pushed(broken)) = &version
            && self.is_overtaken(name)
        {
            return self.pass_over(name, broken, refusal, last);
        }
        self.asks.push_back(Ask::Hold { handler });
        let Some(Version::Pushed(broken)) = version else {
            // What is configured has nothing behind it.
            let version = version.map(|version| version.manifest().version.clone());
            self.asks.push_back(Ask::Undeploy { handler });
            let version = version.unwrap_or_default();
            return self.say(name, None, version, Stage::Rejected(refusal));
        };
        self.keep_newer(name);
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        if let Some(row) = &mut entry.row {
            row.refuse(broken.digest);
            row.running = row.previous.take();
            row.tables.0 = row.tables.1;
            row.tries = 0;
            row.phase = match row.running {
                Some(_) => RowPhase::Active,
                None => RowPhase::None,
            };
        }
        let fallback = entry.fallback();
        entry.previous = None;
        self.record(name);
        let why = Why::TakenBack { broken, refusal, last };
        match fallback {
            Some(version) => self.load(name, version, why),
            None => self.give_up(name, why),
        }
    }

    /// Whether a newer release, durable already, takes the line over as soon as its job ends.
    fn is_overtaken(&self, name: &Arc<str>) -> bool {
        let doing = self.names.get(name).map(|entry| &entry.doing);
        matches!(doing, Some(Doing::Switching { why: Why::Offered, .. }))
    }

    /// What has broken its word is replaced by a newer one anyway: it is refused from now on, and that is all.
    fn pass_over(
        &mut self,
        name: &Arc<str>,
        broken: &Arc<Release>,
        refusal: Refusal,
        last: Option<FailedEvent>,
    ) {
        if let Some(row) = self.names.get_mut(name).and_then(|entry| entry.row.as_mut()) {
            row.refuse(broken.digest);
        }
        self.record(name);
        self.note_taken_back(name, broken, None, &refusal);
        let (release, version) = ((broken.rank, broken.digest), broken.manifest.version.clone());
        self.say(name, Some(release), version, Stage::RolledBack { refusal, last });
    }

    /// A newer release that was under way begins again when the one before has its line back; one that was being
    /// refused is told so as soon as that is durable.
    fn keep_newer(&mut self, name: &Arc<str>) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        match core::mem::replace(&mut entry.doing, Doing::Nothing) {
            Doing::Loading { version: Version::Pushed(release), why: Why::Offered, .. }
            | Doing::Migrating { version: Version::Pushed(release), .. }
            | Doing::Recording { then: Then::Switch(Version::Pushed(release)), .. } => {
                entry.next.get_or_insert(Order::Install(release));
            }
            Doing::Recording { record, then: Then::Reject(rejected) } => {
                entry.untold = Some((record, rejected));
            }
            // What is removed is not on probation any more, and nothing else has a newer release.
            Doing::Nothing
            | Doing::Loading { .. }
            | Doing::Migrating { .. }
            | Doing::Recording { then: Then::Switch(_) | Then::Load(_) | Then::Remove, .. }
            | Doing::Switching { .. } => {}
        }
    }

    /// What should run instead does not load either.
    pub(super) fn next_fallback(&mut self, name: &Arc<str>, failed: &Version, why: Why) {
        let configured = self
            .names
            .get(name)
            .and_then(|entry| entry.configured.clone())
            .map(Version::Configured);
        match configured {
            Some(version) if version != *failed => self.load(name, version, why),
            Some(_) | None => self.give_up(name, why),
        }
    }

    /// Nothing is left to run.
    fn give_up(&mut self, name: &Arc<str>, why: Why) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        entry.running = None;
        self.asks.push_back(Ask::Undeploy { handler: entry.id });
        if let Why::TakenBack { broken, refusal, last } = why {
            self.note_taken_back(name, &broken, None, &refusal);
            let (release, version) =
                ((broken.rank, broken.digest), broken.manifest.version.clone());
            self.say(name, Some(release), version, Stage::RolledBack { refusal, last });
        }
        self.settle(name);
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.trials.values().map(Trial::due).min()
    }

    /// Probations whose time is over.
    pub fn poll_due(&self, now: Timestamp) -> Option<HandlerId> {
        self.trials.iter().find(|(_, trial)| trial.due() <= now).map(|(handler, _)| *handler)
    }

    /// The time of a probation is over.
    pub fn handle_due(&mut self, handler: HandlerId, figures: &Figures) {
        let failures_max = self.failures_max;
        let trial = self.trials.get(&handler);
        if let Some(judged) = trial.map(|trial| trial.judge_end(failures_max, figures)) {
            self.handle_judged(handler, judged);
        }
    }
}
