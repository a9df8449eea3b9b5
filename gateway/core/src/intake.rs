//! Counts what is inside and remembers who waits for an ack.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::commit::Seen;
use crate::job::{HandlerId, Ticket};
use crate::message::{AckTo, Message, SourceId};
use crate::planted::{Bug, planted};

/// So many times its limits the intake holds at most. A source is paused as soon as it finds no credit, and what it had
/// sent until then is taken; but it may come again and again with as much, on one connection after the other.
const OVERDRAW: usize = 4;

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
    /// The sender, and whoever has sent the same message again meanwhile.
    acks: Vec<AckTo>,
    /// Handlers whose event has not ended.
    running: usize,
    /// Handlers that have not finished with it: what they changed is not durable.
    left: usize,
    mark: Option<Seen>,
}

/// A message that every handler has finished with.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closed {
    pub acks: Vec<AckTo>,
    /// It is not to be taken again.
    pub mark: Option<Seen>,
}

/// Credits, tickets and paused sources.
#[derive(Debug)]
pub struct Intake {
    messages_max: usize,
    bytes_max: usize,
    used: usize,
    bytes: usize,
    tickets: BTreeMap<Ticket, Waiting>,
    /// Messages inside that have a mark.
    pending: BTreeMap<Seen, Ticket>,
    next_ticket: u64,
    paused: Vec<(SourceId, Cause)>,
    /// Sources that nothing more is taken from.
    refused: Vec<SourceId>,
}

impl Intake {
    pub fn new(messages_max: usize, bytes_max: usize) -> Intake {
        Intake {
            messages_max,
            bytes_max,
            used: 0,
            bytes: 0,
            tickets: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_ticket: 1,
            paused: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Credits left: messages, none when the bytes are used up. QoS 1 may overdraw them by what its source
    /// had sent before it was paused, up to [`Intake::is_refused`].
    pub fn free(&self) -> usize {
        if self.bytes >= self.bytes_max { 0 } else { self.messages_max.saturating_sub(self.used) }
    }

    pub fn used(&self) -> usize {
        self.used
    }

    /// Whether nothing is taken from this source any more, since so much is overdrawn: it will send again what it gets no
    /// ack for.
    pub fn is_refused(&mut self, source: SourceId) -> bool {
        let is_refused = self.refused.contains(&source);
        let most = |max: usize| max.saturating_mul(OVERDRAW);
        if !is_refused
            && (self.used >= most(self.messages_max) || self.bytes >= most(self.bytes_max))
        {
            self.refused.push(source);
            return true;
        }
        is_refused
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
    pub fn open(
        &mut self,
        ack: Option<AckTo>,
        handlers: usize,
        mark: Option<Seen>,
    ) -> Option<Ticket> {
        let ack = ack?;
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let waiting = Waiting { acks: [ack].into(), running: handlers, left: handlers, mark };
        self.tickets.insert(ticket, waiting);
        if let Some(mark) = mark {
            self.pending.insert(mark, ticket);
        }
        Some(ticket)
    }

    /// The same message again, while the first is still inside: it gets its ack together with that one.
    /// False when there is none like it.
    pub fn join(&mut self, mark: Seen, ack: Option<AckTo>) -> bool {
        let ticket = self.pending.get(&mark);
        let Some(waiting) = ticket.and_then(|ticket| self.tickets.get_mut(ticket)) else {
            return false;
        };
        waiting.acks.extend(ack);
        true
    }

    /// The event of one handler has ended. When it was the last, the message's mark goes with that one's commit.
    pub fn end(&mut self, ticket: Ticket) -> Option<Seen> {
        let waiting = self.tickets.get_mut(&ticket)?;
        waiting.running -= 1;
        if waiting.running == 0 { waiting.mark } else { None }
    }

    /// One handler has finished with `ticket`. The last one closes it.
    pub fn finish(&mut self, ticket: Ticket) -> Option<Closed> {
        let waiting = self.tickets.get_mut(&ticket)?;
        waiting.left -= 1;
        if waiting.left > 0 && !planted(Bug::AckByFirstHandler) {
            return None;
        }
        let Waiting { acks, mark, .. } = self.tickets.remove(&ticket)?;
        if let Some(mark) = &mark {
            self.pending.remove(mark);
        }
        Some(Closed { acks, mark })
    }

    /// Nobody waits for the acks of `source` any more. Its messages still run.
    pub fn forget(&mut self, source: SourceId) {
        self.tickets.retain(|_, waiting| {
            waiting.acks.retain(|ack| ack.source != source);
            !waiting.acks.is_empty() || waiting.mark.is_some()
        });
        self.paused.retain(|(paused, _)| *paused != source);
        self.refused.retain(|refused| *refused != source);
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
        assert_eq!(intake.open(None, 2, None), None, "QoS 0 needs no ticket");
        let ticket = intake.open(Some(ACK), 2, None).expect("a ticket");
        assert_eq!(intake.finish(ticket), None);
        assert_eq!(intake.finish(ticket), Some(Closed { acks: [ACK].into(), mark: None }));
        assert_eq!(intake.finish(ticket), None, "never twice");
    }

    #[test]
    fn a_source_that_is_gone_gets_no_ack() {
        let mut intake = Intake::new(4, 1000);
        let ticket = intake.open(Some(ACK), 1, None).expect("a ticket");
        intake.pause(ACK.source, Cause::Gateway);
        intake.forget(ACK.source);
        assert_eq!(intake.finish(ticket), None);
        assert_eq!(intake.poll_resume(|_| true), None);
    }

    #[test]
    fn a_message_that_comes_again_meanwhile_is_acked_with_the_first() {
        let mut intake = Intake::new(4, 1000);
        let mark = Some(Seen(9));
        let ticket = intake.open(Some(ACK), 2, mark).expect("a ticket");
        intake.forget(ACK.source);
        let again = AckTo { source: SourceId(8), packet_id: 1 };
        assert!(intake.join(Seen(9), Some(again)), "its first sender is gone, it is not");
        assert!(!intake.join(Seen(10), Some(again)));
        assert_eq!((intake.end(ticket), intake.finish(ticket)), (None, None));
        assert_eq!(intake.end(ticket), mark, "the last handler's commit has it");
        assert_eq!(intake.finish(ticket), Some(Closed { acks: [again].into(), mark }));
        assert!(!intake.join(Seen(9), Some(again)), "from now on the window knows");
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
