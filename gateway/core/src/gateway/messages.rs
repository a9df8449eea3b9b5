//! Messages: in, to the handlers that they wake, and out again as acks.

use alloc::sync::Arc;

use super::Gateway;
use crate::commit::Seen;
use crate::control::Control;
use crate::effect::{DropReason, Effect};
use crate::follow::Side;
use crate::intake::Cause;
use crate::job::{Event, Failure, HandlerId, Ticket};
use crate::message::{AckTo, Message};
use crate::pins::PIN_TOPICS;
use crate::planted::{Bug, planted};
use crate::schedule::Phase;

impl Gateway {
    pub(super) fn handle_message(&mut self, mut message: Message, ack: Option<AckTo>) {
        if message.bytes() > self.limits.message_bytes_max {
            self.count_drop(DropReason::TooLarge);
            self.effects.extend(ack.map(Effect::Ack));
            return;
        }
        if Control::is_control(message.topic.as_str()) {
            return self.handle_control(Side::Local, message, ack);
        }
        // Only our own pins speak there.
        if message.topic.as_str().starts_with(PIN_TOPICS) {
            self.effects.extend(ack.map(Effect::Ack));
            return;
        }
        // A foreign broker bounds by its window what we have not acked.
        if let Some(ack) = ack
            && self.local.routes_inside()
            && self.intake.is_refused(ack.source)
        {
            self.effects.push_back(Effect::HangUp(ack.source));
            return self.count_drop(DropReason::Overdrawn);
        }
        if let Some(mark) = message.mark
            && self.is_repeated(mark, ack)
        {
            return self.count_drop(DropReason::Repeated);
        }
        message.hops = self.local.hops(&message);
        self.route(&Arc::new(message), ack);
    }

    /// Brings a message to every handler that its topic wakes.
    pub(super) fn route(&mut self, message: &Arc<Message>, ack: Option<AckTo>) {
        let mut found = core::mem::take(&mut self.found);
        self.routes.find(message.topic.as_str(), &mut found);
        if !found.is_empty() && message.hops >= self.limits.hops_max {
            self.count_drop(DropReason::Loop);
            found.clear();
        }
        let forward = self.forward_of(message);
        if found.is_empty() && forward.is_none() {
            self.effects.extend(ack.map(Effect::Ack));
        } else {
            if planted(Bug::AckAtOnce) {
                self.effects.extend(ack.map(Effect::Ack));
            }
            let handlers = found.len() + usize::from(forward.is_some());
            let ticket = self.intake.open(ack, handlers, message.mark);
            if let Some(stream) = forward {
                self.forward(stream, message, ticket);
            }
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
    pub(super) fn admit(
        &mut self,
        handler: HandlerId,
        message: &Arc<Message>,
        ticket: Option<Ticket>,
    ) {
        let Some(phase) = self.schedule.phase(handler) else {
            return;
        };
        if matches!(phase, Phase::Quarantined(_)) {
            self.skip(handler, message, ticket);
            self.end_if_large();
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
        self.schedule
            .push(handler, Event { id, message, ticket, attempt: 0, first: false, invoke: None });
    }

    /// Stops reading from a source whose message found a full line or a full gateway.
    pub(super) fn hold_if_full(&mut self, ack: AckTo, handlers: &[HandlerId]) {
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

    pub(super) fn resume_sources(&mut self) {
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

    /// Whether a message has come before. It gets its ack, when the first has had its effect for good.
    fn is_repeated(&mut self, mark: Seen, ack: Option<AckTo>) -> bool {
        if self.seen.contains(mark) {
            self.effects.extend(ack.map(Effect::Ack));
            return true;
        }
        self.intake.join(mark, ack)
    }

    /// An event fails without a run.
    pub(super) fn skip(&mut self, handler: HandlerId, message: &Message, ticket: Option<Ticket>) {
        self.deployments.count_skipped(handler);
        let name = self.deployments.told_name(handler);
        let is_buried = ticket.is_some() && self.bury_event(&name, &Failure::Quarantined, message);
        if !planted(Bug::QuarantineForgetsAck) {
            self.end(ticket, is_buried);
        }
    }

    /// The event of one handler has ended. If it `lasts`, the ack waits until that is durable.
    pub(super) fn end(&mut self, ticket: Option<Ticket>, lasts: bool) {
        let Some(ticket) = ticket else {
            return;
        };
        let mark = self.intake.end(ticket);
        if let Some(mark) = mark {
            self.commits.see(mark);
        }
        if (lasts || mark.is_some()) && !planted(Bug::AckBeforeCommit) {
            self.commits.hold_ticket(ticket);
        } else {
            self.close(ticket);
        }
    }

    /// One handler has finished with a message.
    pub(super) fn close(&mut self, ticket: Ticket) {
        let Some(closed) = self.intake.finish(ticket) else {
            return;
        };
        self.effects.extend(closed.acks.into_iter().map(Effect::Ack));
        if let Some(mark) = closed.mark {
            self.seen.insert(mark);
        }
    }
}
