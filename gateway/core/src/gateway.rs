//! The hub's logic: hands inputs to the machines and their answers on. The only file that knows two
//! machines at once.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::deploy::{Deployments, HandlerCounters};
use crate::drops::Drops;
use crate::effect::{DropReason, Effect, Report};
use crate::input::Input;
use crate::intake::{Cause, Intake};
use crate::job::{Event, EventOutcome, Failure, HandlerId, Outcome, Publish, Ticket, Verdict};
use crate::limits::Limits;
use crate::local::{Local, LocalSide, Sent};
use crate::manifest::Manifest;
use crate::message::{AckTo, Message};
use crate::planted::{Bug, planted};
use crate::routes::Routes;
use crate::schedule::{Phase, Schedule};
use crate::time::Timestamp;

/// The gateway: everything that decides. Feed it with [`Gateway::handle_input`] and
/// [`Gateway::handle_timeout`]; then take effects until there are none.
#[derive(Debug)]
pub struct Gateway {
    limits: Limits,
    local: Local,
    intake: Intake,
    routes: Routes,
    schedule: Schedule,
    deployments: Deployments,
    drops: Drops,
    effects: VecDeque<Effect>,
    /// Handlers of the message at hand; kept for its memory.
    found: Vec<HandlerId>,
}

impl Gateway {
    /// `seed` varies the waits between attempts to reach a foreign broker, and nothing else.
    pub fn new(limits: Limits, side: LocalSide, seed: u64) -> Gateway {
        Gateway {
            limits,
            local: Local::new(side, &limits, seed),
            intake: Intake::new(limits.messages_max, limits.messages_bytes_max),
            routes: Routes::new(limits.filters_max),
            schedule: Schedule::new(limits),
            deployments: Deployments::default(),
            drops: Drops::default(),
            effects: VecDeque::new(),
            found: Vec::new(),
        }
    }

    /// Takes one input. Effects wait in [`Gateway::poll_effect`].
    pub fn handle_input(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Message { message, ack } => self.handle_message(message, ack),
            Input::Retained { handler, message } => {
                let message = Arc::new(Message { retain: true, ..message });
                self.admit(handler, &message, None);
            }
            Input::SourceGone { source } => self.intake.forget(source),
            Input::Deploy { handler, manifest } => self.handle_deploy(handler, manifest),
            Input::Checked { handler, result } => self.handle_checked(handler, result),
            Input::Outcome(outcome) => self.handle_outcome(now, outcome),
            Input::LocalUp { session_present } => self.handle_local_up(now, session_present),
            Input::LocalDown { reason } => {
                let wait = self.local.handle_down(now);
                let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                self.report(Report::LocalLost { reason, retry_ms });
            }
            Input::Restored(_)
            | Input::Committed(_)
            | Input::StoreFailing { .. }
            | Input::StoreFull
            | Input::Evicted(_)
            | Input::Fetched(_)
            | Input::UplinkUp
            | Input::UplinkDown { .. }
            | Input::Delivered { .. }
            | Input::Refused { .. }
            | Input::ClockKnown { .. } => {}
        }
        self.resume_sources();
    }

    /// Lets due timers fire. May be called late, or twice.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.schedule.handle_timeout(now);
        if self.local.handle_timeout(now) {
            self.effects.push_back(Effect::ConnectLocal);
        }
    }

    /// When [`Gateway::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        [self.schedule.poll_timeout(), self.local.poll_timeout()].into_iter().flatten().min()
    }

    /// The next thing to do. Jobs come last, so that a batch is as large as what has arrived.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.poll_urgent().or_else(|| {
            let job = self.schedule.poll_job()?;
            self.resume_sources();
            Some(Effect::Run(job))
        })
    }

    /// The next thing to do that is no job.
    pub fn poll_urgent(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether a job waits in [`Gateway::poll_effect`].
    pub fn has_job(&self) -> bool {
        self.schedule.has_job()
    }

    /// Messages waiting or running.
    pub fn messages(&self) -> usize {
        self.intake.used()
    }

    /// How many messages were dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.total(reason)
    }

    /// Every handler with its name, phase and counters.
    pub fn handlers(&self) -> impl Iterator<Item = (HandlerId, &str, Phase, HandlerCounters)> {
        self.deployments.iter().filter_map(|(id, name, counters)| {
            let phase = self.schedule.phase(id)?;
            Some((id, name, phase, counters))
        })
    }

    fn handle_message(&mut self, mut message: Message, ack: Option<AckTo>) {
        if message.bytes() > self.limits.message_bytes_max {
            self.count_drop(DropReason::TooLarge);
            self.effects.extend(ack.map(Effect::Ack));
            return;
        }
        message.hops = self.local.hops(&message);
        self.route(&Arc::new(message), ack);
    }

    /// Brings a message to every handler that its topic wakes.
    fn route(&mut self, message: &Arc<Message>, ack: Option<AckTo>) {
        let mut found = core::mem::take(&mut self.found);
        self.routes.find(message.topic.as_str(), &mut found);
        if !found.is_empty() && message.hops >= self.limits.hops_max {
            self.count_drop(DropReason::Loop);
            found.clear();
        }
        if found.is_empty() {
            self.effects.extend(ack.map(Effect::Ack));
        } else {
            if planted(Bug::AckAtOnce) {
                self.effects.extend(ack.map(Effect::Ack));
            }
            let ticket = self.intake.open(ack, found.len());
            for handler in &found {
                self.admit(*handler, message, ticket);
            }
            if let Some(ack) = ack {
                self.hold_if_full(ack, &found);
            }
        }
        self.found = found;
    }

    /// Puts a message into one line, or drops it when the line is full and nobody waits for an ack.
    fn admit(&mut self, handler: HandlerId, message: &Arc<Message>, ticket: Option<Ticket>) {
        let Some(phase) = self.schedule.phase(handler) else {
            return;
        };
        if matches!(phase, Phase::Quarantined(_)) {
            self.skip(handler, ticket);
            return;
        }
        if ticket.is_none() && !planted(Bug::UnboundedLine) {
            // A line may grow as long as as much again is free: whatever one handler leaves
            // undone, there is always room for the next.
            let free = self.intake.free();
            if free == 0 {
                return self.count_drop(DropReason::GatewayFull);
            }
            let most = (self.limits.line_messages_max / 4 * 3).min(free);
            if self.schedule.waiting(handler) >= most {
                return self.count_drop(DropReason::LineFull);
            }
        }
        self.intake.take(message);
        let id = self.schedule.next_event_id();
        let message = Arc::clone(message);
        self.schedule.push(handler, Event { id, message, ticket, attempt: 0, first: false });
    }

    /// Stops reading from a source whose message found a full line or a full gateway.
    fn hold_if_full(&mut self, ack: AckTo, handlers: &[HandlerId]) {
        let full = self.limits.line_messages_max;
        let line = handlers.iter().find(|handler| self.schedule.waiting(**handler) >= full);
        let cause = match line {
            Some(handler) => Cause::Line(*handler),
            None if self.intake.free() == 0 => Cause::Gateway,
            None => return,
        };
        if self.intake.pause(ack.source, cause) {
            self.effects.push_back(Effect::Pause(ack.source));
        }
    }

    fn resume_sources(&mut self) {
        if !self.intake.any_paused() || planted(Bug::NeverResume) {
            return;
        }
        let short = self.limits.line_messages_max / 2;
        let schedule = &self.schedule;
        while let Some(source) =
            self.intake.poll_resume(|handler| schedule.waiting(handler) <= short)
        {
            self.effects.push_back(Effect::Resume(source));
        }
    }

    /// An event fails without a run.
    fn skip(&mut self, handler: HandlerId, ticket: Option<Ticket>) {
        self.deployments.count_skipped(handler);
        if !planted(Bug::QuarantineForgetsAck) {
            self.close(ticket);
        }
    }

    /// One handler has finished with a message.
    fn close(&mut self, ticket: Option<Ticket>) {
        let ack = ticket.and_then(|ticket| self.intake.finish(ticket));
        self.effects.extend(ack.map(Effect::Ack));
    }

    fn handle_deploy(&mut self, handler: HandlerId, manifest: Arc<Manifest>) {
        let full = if self.schedule.len() >= self.limits.handlers_max {
            Some("the board allows no more handlers (limits.handlers_max)")
        } else if !self.routes.has_room(manifest.triggers.len()) {
            Some("the board allows no more triggers (limits.filters_max)")
        } else {
            None
        };
        if let Some(reason) = full {
            let (name, reason) = (manifest.name.clone(), String::from(reason));
            return self.report(Report::HandlerRejected { handler, name, reason });
        }
        self.routes.insert(handler, &manifest.triggers);
        self.schedule.insert(handler);
        self.deployments.insert(handler, manifest);
        self.effects.push_back(Effect::Check { handler });
    }

    fn handle_checked(&mut self, handler: HandlerId, result: Result<(), String>) {
        let name = self.deployments.told_name(handler);
        match result {
            Ok(()) => {
                self.deployments.check(handler);
                self.schedule.start(handler);
                self.report(Report::HandlerActive { handler, name });
                if self.local.is_up() {
                    self.subscribe();
                }
            }
            Err(reason) => {
                self.routes.remove(handler);
                self.deployments.remove(handler);
                for event in self.schedule.remove(handler) {
                    self.intake.give(&event.message);
                    self.close(event.ticket);
                }
                self.report(Report::HandlerRejected { handler, name, reason });
            }
        }
    }

    /// Tells the local side of the triggers that it does not know.
    fn subscribe(&mut self) {
        for (handler, filter) in self.deployments.take_unsubscribed() {
            self.effects.push_back(Effect::Subscribe { handler, filter });
        }
    }

    fn handle_local_up(&mut self, now: Timestamp, session_present: bool) {
        self.local.handle_up(now);
        if !session_present {
            self.deployments.forget_subscriptions();
        }
        self.subscribe();
        while let Some(message) = self.local.poll_waiting() {
            self.effects.push_back(Effect::Publish(message));
        }
    }

    fn handle_outcome(&mut self, now: Timestamp, mut outcome: Outcome) {
        let id = outcome.job.handler;
        let finished = self.schedule.finish(now, &mut outcome);
        let mut events = core::mem::take(&mut outcome.job.events);
        let mut last_failure = None;
        for (event, result) in events.drain(..).zip(outcome.events) {
            let failed = self.handle_event(id, &event, result);
            if !(planted(Bug::CreditLeak) && failed.is_some()) {
                self.intake.give(&event.message);
            }
            last_failure = failed.or(last_failure);
            self.close(event.ticket);
        }
        self.schedule.recycle(events);
        if finished.released {
            self.report(Report::HandlerReleased { handler: id });
        }
        if let (Some(wait), Some(last)) = (finished.quarantined, last_failure) {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.report(Report::HandlerQuarantined { handler: id, wait_ms, last });
            for event in self.schedule.drain(id) {
                self.intake.give(&event.message);
                self.skip(id, event.ticket);
            }
        }
    }

    /// What one event did: counts it, lets its reactions out, tells of its failure and gives it back.
    fn handle_event(
        &mut self,
        id: HandlerId,
        event: &Event,
        result: EventOutcome,
    ) -> Option<Failure> {
        self.deployments.count_event(id, event, &result);
        let name = Arc::clone(self.deployments.name(id)?);
        for line in result.logs {
            self.report(Report::HandlerLog { handler: id, line });
        }
        for publish in result.publishes {
            self.react(&name, &event.message, publish);
        }
        let Verdict::Failed(failure) = result.verdict else {
            return None;
        };
        let (event_id, told) = (event.id, failure.clone());
        self.report(Report::EventFailed { handler: id, event_id, failure: told });
        Some(failure)
    }

    /// A handler's publish goes out on the local side, and to the handlers that it wakes.
    fn react(&mut self, name: &Arc<str>, cause: &Message, publish: Publish) {
        let Publish { topic, payload, qos, retain } = publish;
        let message = Arc::new(Message {
            topic,
            payload,
            qos,
            retain,
            dup: false,
            source: Arc::clone(name),
            at: cause.at,
            hops: cause.hops.saturating_add(1),
            mark: None,
        });
        let inside = self.local.routes_inside();
        let comes_back = !inside && self.routes.wakes_any(message.topic.as_str());
        match self.local.send(Arc::clone(&message), comes_back) {
            Sent::Now(out) => self.effects.push_back(Effect::Publish(out)),
            Sent::Waits => {}
            Sent::Dropped => self.count_drop(DropReason::LocalDown),
        }
        if inside {
            self.route(&message, None);
        }
    }

    fn count_drop(&mut self, reason: DropReason) {
        let report = self.drops.count(reason);
        self.effects.extend(report.map(Effect::Report));
    }

    fn report(&mut self, report: Report) {
        self.effects.push_back(Effect::Report(report));
    }
}

#[cfg(test)]
mod tests;
