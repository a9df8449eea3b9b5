//! Events that persons send: into the line like any other, and what came of them told.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Gateway;
use crate::deploy::us;
use crate::job::{Event, EventOutcome, Failure, HandlerId, Invoke, Verdict};
use crate::message::Message;
use crate::release::{Invoked, Stage};
use crate::releases::told;
use crate::schedule::Phase;

/// Why nothing can be tried on some handlers.
const LIVES_ON: &str = "its memory lives on from event to event (isolation = \"instance\"), so nothing can be tried on it without a trace; \
     leave --dry off";

impl Gateway {
    /// An event that a person sends, at the end of the line like any other.
    pub(super) fn invoke(&mut self, handler: HandlerId, message: Message, invoke: Invoke) {
        if matches!(self.schedule.phase(handler), Some(Phase::Quarantined(_))) {
            return self.tell_skipped(handler, invoke);
        }
        if invoke.is_dry && self.deployments.lives_on(handler) {
            return self.tell_unrun(handler, invoke, LIVES_ON);
        }
        if self.intake.free() == 0
            || self.schedule.waiting(handler) >= self.limits.line_messages_max / 4 * 3
        {
            return self.tell_unrun(handler, invoke, "too many messages wait; send it again later");
        }
        let message = Arc::new(message);
        self.intake.take(&message);
        let id = self.schedule.next_event_id();
        let (ticket, invoke) = (None, Some(invoke));
        let event = Event { id, message, ticket, attempt: 0, first: false, invoke };
        self.schedule.push(handler, event);
    }

    /// A person's event found its handler in quarantine.
    pub(super) fn tell_skipped(&mut self, handler: HandlerId, invoke: Invoke) {
        self.tell_unrun(handler, invoke, &told(&Failure::Quarantined));
    }

    /// A person's event that did not run.
    pub(super) fn tell_unrun(&mut self, handler: HandlerId, invoke: Invoke, why: &str) {
        let Some(name) = self.deployments.name(handler).cloned() else {
            return;
        };
        let invoked = Invoked {
            invoke,
            fuel: 0,
            us: 0,
            publishes: Vec::new(),
            sends: Vec::new(),
            pins: Vec::new(),
            writes: Vec::new(),
            lines: Vec::new(),
            lines_dropped: 0,
            failed: Some(String::from(why)),
        };
        self.releases.answer(name, None, Stage::Invoked(Box::new(invoked)));
    }

    /// Tells what came of an event that a person sent. A dry one leaves nothing else behind.
    pub(super) fn tell_invoked(
        &mut self,
        handler: HandlerId,
        invoke: Invoke,
        result: &EventOutcome,
    ) {
        let Some(name) = self.deployments.name(handler).cloned() else {
            return;
        };
        let failed = match &result.verdict {
            Verdict::Done => None,
            Verdict::Retry => {
                Some(String::from("it asked for a retry, which a person's event does not get"))
            }
            Verdict::Failed(failure) => Some(told(failure)),
        };
        let sends = result.sends.iter();
        let invoked = Invoked {
            invoke,
            fuel: result.fuel_used,
            publishes: result.publishes.clone(),
            sends: sends.map(|s| (self.stream_name(s.stream), Arc::clone(&s.payload))).collect(),
            pins: self.pin_names(&result.pins),
            us: us(result.fuel_used, self.fuel_per_ms),
            writes: result.writes.clone(),
            lines: result.logs.clone(),
            lines_dropped: result.logs_dropped,
            failed,
        };
        self.releases.answer(name, None, Stage::Invoked(Box::new(invoked)));
    }
}
