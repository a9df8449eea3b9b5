//! What the gateway says about handlers: to people, and signed to whoever pushes.

use alloc::string::String;
use alloc::sync::Arc;

use super::Gateway;
use crate::effect::{DropReason, Effect, Report};
use crate::job::HandlerId;
use crate::local::Sent;
use crate::message::{Message, QoS};
use crate::release::{Answer, Stage};
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
        let message = Arc::new(Message {
            topic,
            payload,
            qos: QoS::AtLeastOnce,
            retain,
            dup: false,
            source: Arc::from("tidegate"),
            at: self.outbox.boots().wall_at(self.now),
            hops: 0,
            mark: None,
        });
        match self.local.send(self.now, Arc::clone(&message), false) {
            Sent::Now(out) => self.effects.push_back(Effect::Publish(out)),
            Sent::Waits => {}
            Sent::Dropped => self.count_drop(DropReason::LocalDown),
        }
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
