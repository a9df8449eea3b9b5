//! What the gateway says: of its handlers, of itself, signed, to whoever pushed.

use alloc::string::String;
use alloc::sync::Arc;

use super::Gateway;
use crate::effect::{Effect, Report};
use crate::job::HandlerId;
use crate::message::{Message, QoS};
use crate::release::{Answer, GatewayReport, Stage};
use crate::time::Timestamp;
use crate::topic::Topic;

impl Gateway {
    /// Says what there is to say: to people, and signed to whoever pushed.
    pub(super) fn answer(&mut self, handler: Option<HandlerId>, mut answer: Answer, is_news: bool) {
        if let Some(handler) = handler {
            answer.figures = self.deployments.figures(handler, self.fuel_per_ms);
        }
        match (&answer.release, &answer.stage, handler) {
            (None, Stage::Rejected(refusal), Some(handler)) if !answer.version.is_empty() => {
                let (name, reason) = (String::from(&*answer.handler), refusal.text.clone());
                self.report(Report::HandlerRejected { handler, name, reason });
            }
            (None, Stage::Active | Stage::SafeMode, _) => {}
            _ if is_news => self.report(Report::Release(answer.clone())),
            _ => {}
        }
        if self.control.is_known() {
            self.control.forget_unsigned(&answer.handler);
            self.effects.push_back(Effect::Sign { answer, tries: 0 });
        }
    }

    pub(super) fn tell_stale(&mut self, is_stale: bool) {
        self.report(Report::Stale { is_stale });
        self.report_due = true;
    }

    /// What the gateway says of itself, behind what it says of its handlers.
    pub(super) fn say_report(&mut self) {
        if core::mem::take(&mut self.report_due) && self.control.is_known() {
            self.effects.push_back(Effect::SignReport(GatewayReport {
                uptime_ms: self.now.0,
                is_safe_mode: self.releases.is_safe_mode(),
                is_stale: self.fresh.is_stale(),
                handlers: u32::try_from(self.schedule.len()).unwrap_or(u32::MAX),
            }));
        }
    }

    pub(super) fn handle_unsigned(
        &mut self,
        now: Timestamp,
        answer: Answer,
        tries: u8,
        reason: String,
    ) {
        let handler = Arc::clone(&answer.handler);
        if !self.control.handle_unsigned(now, answer, tries) {
            self.report(Report::Unsigned { handler, reason });
        }
    }

    /// Answers that could not be signed before.
    pub(super) fn sign_again(&mut self, now: Timestamp) {
        while let Some((answer, tries)) = self.control.poll_unsigned(now) {
            self.effects.push_back(Effect::Sign { answer, tries });
        }
    }

    /// An answer is signed: it stays with the brokers for whoever asks.
    pub(super) fn handle_signed(&mut self, topic: Topic, payload: Arc<[u8]>, retain: bool) {
        let at = self.outbox.boots().wall_at(self.now);
        let message = Message::own(topic, payload, Arc::from("tidegate"), at);
        let message = Arc::new(Message { qos: QoS::AtLeastOnce, retain, ..message });
        self.publish(&message, false);
        if self.outbox.has_uplink() {
            self.control.tell(Arc::clone(&message));
            if self.outbox.is_up() {
                self.effects.push_back(Effect::TellUpstream(message));
            }
        }
    }

    /// Upstream is there: it hears all that it does not know, and what is for us is asked for.
    pub(super) fn tell_upstream(&mut self) {
        for filter in self.control.filters() {
            self.effects.push_back(Effect::ListenUpstream(filter));
        }
        for message in self.control.tellings() {
            self.effects.push_back(Effect::TellUpstream(Arc::clone(message)));
        }
    }
}
