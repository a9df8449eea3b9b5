//! Counts what is inside and remembers who waits for an ack.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::job::{HandlerId, Ticket};
use crate::message::{AckTo, Message, SourceId};
use crate::planted::{Bug, planted};

/// What a paused source waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// When the gateway as a whole was full.
    Gateway,
    /// When one handler's line was full.
    Line(HandlerId),
}

#[derive(Debug)]
struct Waiting {
    ack: AckTo,
    /// Handlers that have not finished with it.
    left: usize,
}

/// Credits, tickets and paused sources.
#[derive(Debug)]
pub struct Intake {
    messages_max: usize,
    bytes_max: usize,
    used: usize,
    bytes: usize,
    tickets: BTreeMap<Ticket, Waiting>,
    next_ticket: u64,
    paused: Vec<(SourceId, Cause)>,
}

impl Intake {
    pub fn new(messages_max: usize, bytes_max: usize) -> Intake {
        Intake {
            messages_max,
            bytes_max,
            used: 0,
            bytes: 0,
            tickets: BTreeMap::new(),
            next_ticket: 1,
            paused: Vec::new(),
        }
    }

    /// Credits left: messages, none when the bytes are used up. QoS 1 may overdraw them by what its source
    /// had sent before it was paused.
    pub fn free(&self) -> usize {
        if self.bytes >= self.bytes_max { 0 } else { self.messages_max.saturating_sub(self.used) }
    }

    pub fn used(&self) -> usize {
        self.used
    }

    /// Takes a credit for one message in one line.
    pub fn take(&mut self, message: &Message) {
        self.used += 1;
        self.bytes += message.bytes();
    }

    /// Gives a credit back.
    pub fn give(&mut self, message: &Message) {
        debug_assert!(self.used > 0, "more credits given than taken");
        self.used = self.used.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(message.bytes());
    }

    /// A ticket for a message that `handlers` handlers will finish; none when nobody waits for an ack.
    pub fn open(&mut self, ack: Option<AckTo>, handlers: usize) -> Option<Ticket> {
        let ack = ack?;
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tickets.insert(ticket, Waiting { ack, left: handlers });
        Some(ticket)
    }

    /// One handler has finished with `ticket`. The last one gets the ack to send.
    pub fn finish(&mut self, ticket: Ticket) -> Option<AckTo> {
        let waiting = self.tickets.get_mut(&ticket)?;
        waiting.left -= 1;
        if waiting.left > 0 && !planted(Bug::AckByFirstHandler) {
            return None;
        }
        self.tickets.remove(&ticket).map(|waiting| waiting.ack)
    }

    /// Nobody waits for the acks of `source` any more. Its messages still run.
    pub fn forget(&mut self, source: SourceId) {
        self.tickets.retain(|_, waiting| waiting.ack.source != source);
        self.paused.retain(|(paused, _)| *paused != source);
    }

    /// Marks `source` as paused. False when it already was.
    pub fn pause(&mut self, source: SourceId, cause: Cause) -> bool {
        let new = self.paused.iter().all(|(paused, _)| *paused != source);
        if new {
            self.paused.push((source, cause));
        }
        new
    }

    pub fn any_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// A source that may go on: its cause is over by half, so that it is not paused again at once.
    pub fn poll_resume(&mut self, line_is_short: impl Fn(HandlerId) -> bool) -> Option<SourceId> {
        let roomy = self.used <= self.messages_max / 2 && self.bytes <= self.bytes_max / 2;
        let at = self.paused.iter().position(|(_, cause)| match cause {
            Cause::Gateway => roomy,
            Cause::Line(handler) => line_is_short(*handler),
        })?;
        Some(self.paused.remove(at).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::QoS;
    use crate::time::WallTime;
    use crate::topic::Topic;
    use alloc::vec;

    const ACK: AckTo = AckTo { source: SourceId(7), packet_id: 3 };

    fn message(bytes: usize) -> Message {
        Message {
            topic: Topic::new("a").expect("a topic"),
            payload: vec![0; bytes - 1].into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            dup: false,
            source: "s".into(),
            at: WallTime::default(),
            hops: 0,
            mark: None,
        }
    }

    #[test]
    fn bytes_run_out_before_messages_do() {
        let mut intake = Intake::new(4, 1000);
        intake.take(&message(999));
        assert_eq!(intake.free(), 3);
        intake.take(&message(10));
        assert_eq!(intake.free(), 0);
        intake.pause(SourceId(1), Cause::Gateway);
        intake.give(&message(10));
        assert_eq!(intake.poll_resume(|_| true), None, "bytes must be half gone too");
        intake.give(&message(999));
        assert_eq!(intake.poll_resume(|_| true), Some(SourceId(1)));
    }

    #[test]
    fn the_last_handler_acks() {
        let mut intake = Intake::new(4, 1000);
        assert_eq!(intake.open(None, 2), None, "QoS 0 needs no ticket");
        let ticket = intake.open(Some(ACK), 2).expect("a ticket");
        assert_eq!(intake.finish(ticket), None);
        assert_eq!(intake.finish(ticket), Some(ACK));
        assert_eq!(intake.finish(ticket), None, "never twice");
    }

    #[test]
    fn a_source_that_is_gone_gets_no_ack() {
        let mut intake = Intake::new(4, 1000);
        let ticket = intake.open(Some(ACK), 1).expect("a ticket");
        intake.pause(ACK.source, Cause::Gateway);
        intake.forget(ACK.source);
        assert_eq!(intake.finish(ticket), None);
        assert_eq!(intake.poll_resume(|_| true), None);
    }

    #[test]
    fn a_paused_source_goes_on_when_half_is_free() {
        let mut intake = Intake::new(4, 1000);
        let message = message(10);
        (0..4).for_each(|_| intake.take(&message));
        assert!(intake.pause(SourceId(1), Cause::Gateway));
        assert!(!intake.pause(SourceId(1), Cause::Gateway), "paused once");
        intake.give(&message);
        assert_eq!(intake.poll_resume(|_| true), None);
        intake.give(&message);
        assert_eq!(intake.poll_resume(|_| true), Some(SourceId(1)));
        assert!(!intake.any_paused());
        intake.pause(SourceId(2), Cause::Line(HandlerId(5)));
        assert_eq!(intake.poll_resume(|handler| handler != HandlerId(5)), None);
        assert_eq!(intake.poll_resume(|handler| handler == HandlerId(5)), Some(SourceId(2)));
    }
}
