//! Releases: control messages in, answers out, and what a line goes through when it changes hands.

use alloc::string::String;
use alloc::sync::Arc;

use super::Gateway;
use crate::commit::{Change, Value};
use crate::control::{Control, UnderWay, Wanted};
use crate::effect::{DropReason, Effect, Report};
use crate::follow::Side;
use crate::job::{Failure, HandlerId, Outcome, Verdict};
use crate::manifest::Manifest;
use crate::message::{AckTo, Message};
use crate::planted::{Bug, planted};
use crate::release::{
    Decision, ExamineId, Examined, Migration, Refusal, Registered, Stage, Version,
};
use crate::releases::{Ask, Configured, Judged, REGISTRY};
use crate::time::Timestamp;
use crate::topic::Topic;

/// What a line goes through as soon as no job of it runs.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    Migrate(Migration),
    Switch { version: Version, table: Arc<str>, on_trial: bool },
    Undeploy,
}

impl Gateway {
    /// A control message: never a handler's.
    pub(super) fn handle_control(&mut self, side: Side, message: Message, ack: Option<AckTo>) {
        if let Some(handler) = self.control.follows(message.topic.as_str()) {
            // A name that nothing here bears takes no place from one that is followed.
            if self.deployments.has_name(handler) {
                self.follow(&Arc::from(handler), side);
            }
            return self.effects.extend(ack.map(Effect::Ack));
        }
        let refused = match self.control.wants(message.topic.as_str(), message.bytes()) {
            Wanted::Yes => None,
            Wanted::No => {
                self.keep(self.kept(message));
                return self.effects.extend(ack.map(Effect::Ack));
            }
            Wanted::Full => Some(DropReason::Unexamined),
            Wanted::TooLarge => Some(DropReason::TooLarge),
        };
        if let Some(reason) = refused {
            self.count_drop(reason);
            return self.effects.extend(ack.map(Effect::Ack));
        }
        let ticket = self.intake.open(ack, 1, message.mark);
        let (topic, payload) = (message.topic.clone(), Arc::clone(&message.payload));
        let id = self.control.begin(UnderWay { ticket, keep: self.kept(message) });
        self.effects.push_back(Effect::Examine { id, topic, payload });
    }

    /// What the front door is to keep of a control message: it waits for our word.
    fn kept(&self, message: Message) -> Option<Arc<Message>> {
        let is_ours = self.local.routes_inside() && message.retain;
        (is_ours && Control::waits_for_word(message.topic.as_str())).then(|| Arc::new(message))
    }

    fn keep(&mut self, message: Option<Arc<Message>>) {
        self.effects.extend(message.map(Effect::Keep));
    }

    pub(super) fn handle_from_upstream(&mut self, topic: Topic, payload: Arc<[u8]>) {
        let at = self.outbox.boots().wall_at(self.now);
        let message = Message::own(topic, payload, Arc::from("upstream"), at);
        if Control::is_control(message.topic.as_str()) {
            self.handle_control(Side::Upstream, message, None);
        }
    }

    pub(super) fn handle_examined(&mut self, id: ExamineId, examined: Examined) {
        let UnderWay { ticket, keep } = self.control.end(id);
        if !matches!(examined, Examined::Refused { .. }) {
            self.keep(keep);
        }
        if is_word(&examined) && self.fresh.handle_word(self.now) {
            self.tell_stale(false);
        }
        match examined {
            Examined::Nothing | Examined::Trusted => {}
            Examined::Refused { handler, refusal } => {
                if let Some(handler) = handler
                    && self.refusals.take(self.now)
                {
                    self.releases.answer(Arc::clone(&handler), None, Stage::Rejected(refusal));
                    // What stays with the broker is how the handler does, not that somebody was refused.
                    self.releases.handle_again(self.now, &handler);
                }
            }
            Examined::Checking { handler, release, have, of, blobs } => {
                self.releases.answer(handler, Some(release), Stage::Checking { have, of });
                for filter in blobs {
                    if self.outbox.is_up() {
                        self.effects.push_back(Effect::ListenUpstream(filter.clone()));
                    }
                    self.effects.push_back(Effect::Subscribe { handler: None, filter });
                }
            }
            Examined::Install { release } => match self.why_full(&release.manifest) {
                None => self.releases.handle_install(release),
                Some(reason) => {
                    let handler = Arc::from(release.manifest.name.as_str());
                    let order = Some((release.rank, release.digest));
                    let refusal = Refusal::new("over-budget", reason);
                    let (named, code) = (Arc::clone(&handler), refusal.code.clone());
                    let digest = release.digest;
                    self.releases.note(Decision::Refused { handler: named, digest, code });
                    self.releases.answer(handler, order, Stage::Rejected(refusal));
                }
            },
            Examined::Remove { handler, rank, digest } => {
                self.releases.handle_remove(handler, rank, digest);
            }
            Examined::Invoke { handler, rank, digest, mut message, invoke } => {
                message.at = self.outbox.boots().wall_at(self.now);
                let name = Arc::clone(&handler);
                if !self.releases.handle_invoke(handler, rank, digest, message, invoke) {
                    self.releases.handle_again(self.now, &name);
                }
            }
            Examined::Again { handler } => self.releases.handle_again(self.now, &handler),
            Examined::Asked => self.report_due |= self.releases.handle_asked(self.now),
        }
        self.end(ticket, false);
    }

    /// Why a handler finds no room on this board.
    fn why_full(&self, manifest: &Manifest) -> Option<&'static str> {
        let is_new = !self.deployments.has_name(&manifest.name);
        if is_new && self.schedule.len() >= self.limits.handlers_max {
            Some("the board allows no more handlers (limits.handlers_max)")
        } else if !self.routes.has_room(manifest.triggers.len()) {
            Some("the board allows no more triggers (limits.filters_max)")
        } else {
            None
        }
    }

    pub(super) fn handle_registered(&mut self, registered: Registered) {
        if let Some(gateway) = &registered.gateway {
            self.control.know(gateway, &registered.groups);
            self.fresh.know(self.now, registered.stale_after_ms);
            self.report_due = true;
        }
        self.releases.handle_registered(registered);
        if self.releases.is_safe_mode() {
            self.report(Report::SafeMode);
        }
        if self.local.is_up() {
            self.subscribe_control();
        }
    }

    /// A handler of the configuration.
    pub(super) fn handle_deploy(&mut self, handler: HandlerId, manifest: Arc<Manifest>) {
        if let Some(reason) = self.why_full(&manifest) {
            let (name, reason) = (manifest.name.clone(), String::from(reason));
            return self.report(Report::HandlerRejected { handler, name, reason });
        }
        let (handler, configured) = self.releases.handle_configured(handler, &manifest);
        match configured {
            Configured::Runs => self.place(handler, &manifest),
            Configured::Waits => {}
        }
    }

    /// A line in which messages wait until its handler is there.
    fn place(&mut self, handler: HandlerId, manifest: &Arc<Manifest>) {
        self.routes.insert(handler, &manifest.triggers);
        self.schedule.insert(handler);
        self.deployments.insert(handler, Arc::clone(manifest));
    }

    /// Does what the releases ask for.
    pub(super) fn pump_releases(&mut self) {
        while let Some(ask) = self.releases.poll() {
            match ask {
                Ask::Place { handler, version } => self.place(handler, version.manifest()),
                Ask::Load { handler, check, version } => {
                    self.effects.push_back(Effect::Check { handler, check, version });
                }
                Ask::Record { key, row, version } => self.record_row(&key, row, version),
                Ask::Hold { handler } => self.schedule.hold(handler),
                Ask::GoOn { handler } => self.schedule.let_go(handler),
                Ask::Migrate { handler, migration } => {
                    self.when_idle(handler, Pending::Migrate(migration));
                }
                Ask::Switch { handler, version, table, on_trial } => {
                    self.when_idle(handler, Pending::Switch { version, table, on_trial });
                }
                Ask::Passed { handler } => self.schedule.pass(handler),
                Ask::Undeploy { handler } => self.when_idle(handler, Pending::Undeploy),
                Ask::Invoke { handler, message, invoke } => self.invoke(handler, message, invoke),
                Ask::Answer { handler, answer, is_news } => self.answer(handler, answer, is_news),
                Ask::Note(decision) => {
                    if self.control.is_known() {
                        self.effects.push_back(Effect::Note(decision));
                    }
                }
                Ask::Settle(settled) => self.effects.push_back(Effect::Settle(settled)),
            }
        }
    }

    fn record_row(&mut self, key: &str, row: alloc::vec::Vec<u8>, version: u64) {
        let value = Value { bytes: row.into(), version, expires_us: None };
        let change = Change { key: key.as_bytes().into(), value: Some(value) };
        let table = Arc::from(REGISTRY);
        self.commits.register(self.now, &table, version, change);
    }

    fn when_idle(&mut self, handler: HandlerId, pending: Pending) {
        if self.schedule.is_running(handler) {
            self.schedule.hold(handler);
            self.pending.insert(handler, pending);
        } else {
            self.change_hands(handler, pending);
        }
    }

    /// No job of the line runs any more: what waited for that happens.
    pub(super) fn handle_idle(&mut self, handler: HandlerId) {
        if let Some(pending) = self.pending.remove(&handler) {
            self.change_hands(handler, pending);
        }
    }

    fn change_hands(&mut self, handler: HandlerId, pending: Pending) {
        match pending {
            // What has waited for the job that broke its version's word is over with it.
            Pending::Migrate(migration) if self.releases.is_migrating(handler) => {
                self.effects.push_back(Effect::Migrate { handler, migration });
            }
            Pending::Migrate(_) => {}
            Pending::Switch { version, table, on_trial } => {
                self.switch(handler, &version, table, on_trial);
            }
            Pending::Undeploy => self.undeploy(handler),
        }
    }

    fn switch(&mut self, handler: HandlerId, version: &Version, table: Arc<str>, on_trial: bool) {
        let manifest = version.manifest();
        self.routes.remove(handler);
        self.routes.insert(handler, &manifest.triggers);
        self.deployments.insert(handler, Arc::clone(manifest));
        self.deployments.check(handler, Arc::clone(&table));
        if self.schedule.phase(handler).is_none() {
            self.schedule.insert(handler);
        }
        self.effects.push_back(Effect::Switch { handler, table });
        self.schedule.start(handler, on_trial);
        let name = manifest.name.clone();
        self.report(Report::HandlerActive { handler, name });
        if self.local.is_up() {
            self.subscribe();
        }
        self.releases.handle_switched(self.now, handler);
    }

    fn undeploy(&mut self, handler: HandlerId) {
        self.routes.remove(handler);
        for event in self.schedule.remove(handler) {
            self.intake.give(&event.message);
            self.end(event.ticket, false);
            if let Some(invoke) = event.invoke {
                self.tell_unrun(handler, invoke, "the handler was removed before its turn");
            }
        }
        self.deployments.remove(handler);
        self.effects.push_back(Effect::Undeploy { handler });
    }

    pub(super) fn subscribe_control(&mut self) {
        for filter in self.control.filters() {
            self.effects.push_back(Effect::Subscribe { handler: None, filter });
        }
    }

    /// A job of a line on probation has ended. When its event breaks a bound by failing, it counts as not run: the
    /// release before takes it. None: then there is nothing more to do.
    pub(super) fn judge_failed(&mut self, mut outcome: Outcome) -> Option<(Outcome, Judged)> {
        let handler = outcome.job.handler;
        let ([event], [result]) = (&outcome.job.events[..], &mut outcome.events[..]) else {
            return Some((outcome, Judged::GoesOn));
        };
        if result.verdict == Verdict::Retry && event.attempt >= self.limits.retries_max {
            result.verdict = Verdict::Failed(Failure::RetriesUsedUp);
        }
        let Verdict::Failed(failure) = &result.verdict else {
            return Some((outcome, Judged::GoesOn));
        };
        let figures = self.deployments.figures(handler, self.fuel_per_ms);
        let judged = self.releases.judge(handler, Some((event, failure)), &figures);
        if !matches!(judged, Judged::Broken { .. }) {
            return Some((outcome, judged));
        }
        self.deployments.count_event(handler, event, result);
        let (event_id, failure) = (event.id, failure.clone());
        for line in core::mem::take(&mut result.logs) {
            self.log(handler, line);
        }
        self.report(Report::EventFailed { handler, event_id, failure });
        if !planted(Bug::BrokenEventLost) {
            self.schedule.put_back(outcome.job);
        }
        self.releases.handle_judged(handler, judged);
        None
    }

    /// An event of a line on probation has ended well.
    pub(super) fn judge_done(&mut self, handler: HandlerId) {
        let figures = self.deployments.figures(handler, self.fuel_per_ms);
        let judged = self.releases.judge(handler, None, &figures);
        self.releases.handle_judged(handler, judged);
    }

    /// Probations whose time is over.
    pub(super) fn end_probations(&mut self, now: Timestamp) {
        while let Some(handler) = self.releases.poll_due(now) {
            let figures = self.deployments.figures(handler, self.fuel_per_ms);
            self.releases.handle_due(handler, &figures);
        }
    }
}

/// Whether somebody whom we trust has said something that was not said before.
fn is_word(examined: &Examined) -> bool {
    match examined {
        Examined::Install { .. }
        | Examined::Remove { .. }
        | Examined::Invoke { .. }
        | Examined::Trusted => true,
        Examined::Nothing
        | Examined::Refused { .. }
        | Examined::Checking { .. }
        | Examined::Again { .. }
        | Examined::Asked => false,
    }
}
