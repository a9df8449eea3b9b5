//! Handlers: deployed, run, and what their events bring about.

use alloc::sync::Arc;

use super::Gateway;
use super::durable::Lasting;
use crate::effect::{DropReason, Effect, Report};
use crate::job::{Event, EventOutcome, Failure, HandlerId, Outcome, Publish, Verdict};
use crate::local::Sent;
use crate::message::Message;
use crate::planted::{Bug, planted};
use crate::time::Timestamp;

impl Gateway {
    /// Tells the local side of the triggers that it does not know.
    pub(super) fn subscribe(&mut self) {
        for (handler, filter) in self.deployments.take_unsubscribed() {
            self.effects.push_back(Effect::Subscribe { handler: Some(handler), filter });
        }
    }

    pub(super) fn handle_local_up(&mut self, now: Timestamp, session_present: bool) {
        self.local.handle_up(now);
        if !session_present {
            self.deployments.forget_subscriptions();
            self.subscribe_control();
            for forward in &self.outbox.streams().forwards {
                let filter = forward.from.clone();
                self.effects.push_back(Effect::Subscribe { handler: None, filter });
            }
        }
        self.subscribe();
        while let Some(message) = self.local.poll_waiting(now) {
            self.effects.push_back(Effect::Publish(message));
        }
    }

    pub(super) fn handle_outcome(&mut self, now: Timestamp, outcome: Outcome) {
        let id = outcome.job.handler;
        // What a person tries out says nothing about a release.
        let is_invoked = outcome.job.events.iter().any(|event| event.invoke.is_some());
        if !self.releases.is_on_trial(id) || is_invoked {
            self.finish(now, outcome);
        } else if let Some((outcome, judged)) = self.judge_failed(outcome) {
            let is_done = outcome.events.iter().any(|event| matches!(event.verdict, Verdict::Done));
            self.finish(now, outcome);
            self.releases.handle_judged(id, judged);
            if is_done {
                self.judge_done(id);
            }
        }
        // What the one that ran has come to is done with before a newer one takes the line.
        self.pump_releases();
        self.handle_idle(id);
    }

    /// A job has ended.
    fn finish(&mut self, now: Timestamp, mut outcome: Outcome) {
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
                if let Some(invoke) = event.invoke {
                    self.tell_skipped(id, invoke);
                    continue;
                }
                self.skip(id, &event.message, event.ticket);
                self.end_if_large();
            }
        }
    }

    /// What one event did: counts it, lets its reactions out, tells of its failure and gives it back.
    pub(super) fn handle_event(
        &mut self,
        id: HandlerId,
        event: &Event,
        result: EventOutcome,
    ) -> Option<Failure> {
        if let Some(invoke) = event.invoke {
            self.tell_invoked(id, invoke, &result);
            if invoke.is_dry {
                return None;
            }
        }
        if event.invoke.is_none() {
            self.deployments.count_event(id, event, &result);
        }
        let Some(name) = self.deployments.name(id).cloned() else {
            self.end(event.ticket, false);
            return None;
        };
        for line in result.logs {
            self.log(id, line);
        }
        let lasting =
            Lasting { writes: result.writes, version: result.version, sends: result.sends };
        let table = self.deployments.table(id).map_or_else(|| Arc::clone(&name), Arc::clone);
        let lasts = self.commit_event(&table, event, lasting);
        let react = self.deployments.react(id);
        let leaves = (result.publishes, result.pins);
        self.react_when(react, (&name, &table), event, leaves, lasts);
        let failure = match result.verdict {
            Verdict::Failed(failure) => Some(failure),
            Verdict::Done | Verdict::Retry => None,
        };
        if let Some(failure) = &failure {
            let (event_id, failure) = (event.id, failure.clone());
            self.report(Report::EventFailed { handler: id, event_id, failure });
        }
        let mut lasts = lasts;
        if let (Some(failure), Some(_)) = (&failure, event.ticket) {
            lasts = self.bury_event(&name, failure, &event.message);
        }
        self.end(event.ticket, lasts);
        self.end_if_large();
        failure
    }

    /// A handler's publish goes out on the local side, and to the handlers that it wakes.
    pub(super) fn react(&mut self, name: &Arc<str>, cause: &Message, publish: Publish) {
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
        self.publish(&message, comes_back);
        if inside {
            self.route(&message, None);
        }
    }

    /// Out on the local side, now or when it is there again.
    pub(super) fn publish(&mut self, message: &Arc<Message>, comes_back: bool) {
        match self.local.send(self.now, Arc::clone(message), comes_back) {
            Sent::Now(out) => self.effects.push_back(Effect::Publish(out)),
            Sent::Waits => {}
            Sent::Dropped => self.count_drop(DropReason::LocalDown),
        }
    }
}
