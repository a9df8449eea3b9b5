//! Events that a person sends to a handler, and what came of them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use super::Gateway;
use crate::job::{Event, EventOutcome, Failure, HandlerId, Invoke, Verdict};
use crate::message::Message;
use crate::release::{Invoked, Stage};
use crate::releases::told;
use crate::schedule::Phase;

impl Gateway {
    /// An event that a person sends, at the end of the line like any other.
    pub(super) fn invoke(&mut self, handler: HandlerId, message: Message, invoke: Invoke) {
        if matches!(self.schedule.phase(handler), Some(Phase::Quarantined(_))) {
            return self.tell_skipped(handler, invoke);
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
        let verdict = Verdict::Failed(Failure::Quarantined);
        self.tell_invoked(handler, invoke, &EventOutcome { verdict, ..EventOutcome::default() });
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
            Verdict::Retry => Some(String::from("it asked for a retry")),
            Verdict::Failed(failure) => Some(told(failure)),
        };
        let sends = result.sends.iter();
        let invoked = Invoked {
            invoke,
            fuel: result.fuel_used,
            publishes: result.publishes.clone(),
            sends: sends.map(|s| (self.stream_name(s.stream), Arc::clone(&s.payload))).collect(),
            pins: self.pin_names(&result.pins),
            writes: u32::try_from(result.writes.len()).unwrap_or(u32::MAX),
            failed,
        };
        self.releases.answer(name, None, Stage::Invoked(Box::new(invoked)));
    }
}
