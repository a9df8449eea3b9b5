//! What must last: commits, and what may happen once they are durable.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Gateway;
use crate::commit::Change;
use crate::commits::{Held, HeldPublish};
use crate::effect::{Effect, Report};
use crate::job::{Event, Publish, Send, Ticket, Write};
use crate::manifest::React;
use crate::message::Message;
use crate::pins::PinWrite;
use crate::planted::{Bug, planted};
use crate::record::{Stamp, StreamId};
use crate::store::{Committed, Restored};
use crate::time::WallTime;

/// What one event did that must last.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    pub writes: Vec<Write>,
    pub version: u64,
    pub sends: Vec<Send>,
}

impl Gateway {
    /// The open commit, if anything in it cannot wait.
    pub(super) fn poll_commit(&mut self) -> Option<Effect> {
        if self.outbox.wants_progress(self.now) {
            self.commits.demand();
        }
        if !self.commits.has_commit() {
            return None;
        }
        let progress = self.outbox.take_progress(self.now);
        self.commits.poll_commit(progress).map(Effect::Commit)
    }

    /// Ends the open commit when it is long enough.
    pub(super) fn end_if_large(&mut self) {
        if self.commits.is_large() {
            let commit = self.poll_commit();
            self.effects.extend(commit);
        }
    }

    /// Puts what one event did into the open commit. State that nobody relies on yet may wait.
    pub(super) fn commit_event(
        &mut self,
        table: &Arc<str>,
        event: &Event,
        lasting: Lasting,
    ) -> bool {
        let Lasting { writes, version, sends } = lasting;
        let lasts = !writes.is_empty() || !sends.is_empty();
        let relied_on = event.ticket.is_some() || !sends.is_empty();
        if !writes.is_empty() {
            let at_us = event.message.at.unix_us;
            let changes = writes.iter().map(|write| Change::of(write, version, at_us)).collect();
            self.commits.write(self.now, table, version, changes);
        }
        if lasts && relied_on && !planted(Bug::LazyLeftBehind) {
            self.commits.take_state(table);
        }
        for send in sends {
            self.record(event.message.at, send, None);
        }
        lasts
    }

    /// Reactions leave now, or once everything so far is durable.
    pub(super) fn react_when(
        &mut self,
        react: React,
        (name, table): (&Arc<str>, &Arc<str>),
        event: &Event,
        (publishes, pins): (Vec<Publish>, Vec<PinWrite>),
        lasts: bool,
    ) {
        if react == React::Durable && lasts && !(publishes.is_empty() && pins.is_empty()) {
            self.commits.take_state(table);
        }
        for publish in publishes {
            let cause = Arc::clone(&event.message);
            let held = HeldPublish { handler: Arc::clone(name), cause, publish };
            let now = match react {
                React::Now => Some(held),
                React::Durable => self.commits.hold_publish(held),
            };
            if let Some(HeldPublish { handler, cause, publish }) = now {
                self.react(&handler, &cause, publish);
            }
        }
        for write in pins {
            // Jobs that begin from now on read what is to be, also while it waits for the commit.
            self.pin_book.write(write);
            let now = match react {
                React::Now => Some(write),
                React::Durable => self.commits.hold_pin(write),
            };
            now.into_iter().for_each(|write| self.set_pin(write));
        }
    }

    /// Something is to go upstream: into the open commit with it.
    pub(super) fn record(&mut self, wall: WallTime, send: Send, topic: Option<Arc<str>>) {
        let stamp = Stamp { boot: 0, mono_ms: self.now.0, wall };
        match self.outbox.make(stamp, send, topic) {
            Ok(record) => {
                if planted(Bug::SendBeforeCommit) {
                    self.outbox.handle_durable(u64::MAX, core::slice::from_ref(&record));
                }
                self.commits.record(record);
            }
            Err(lost) => self.commits.lose(lost),
        }
    }

    /// The stream that a message goes to as it is.
    pub(super) fn forward_of(&self, message: &Message) -> Option<StreamId> {
        let forwards = &self.outbox.streams().forwards;
        forwards
            .iter()
            .find(|forward| forward.from.matches(message.topic.as_str()))
            .map(|f| f.stream)
    }

    /// A message becomes a record as it is.
    pub(super) fn forward(
        &mut self,
        stream: StreamId,
        message: &Arc<Message>,
        ticket: Option<Ticket>,
    ) {
        if ticket.is_none() && (self.intake.free() == 0 || self.commits.is_full()) {
            return self.count_drop(crate::DropReason::GatewayFull);
        }
        self.intake.take(message);
        let payload = Arc::clone(&message.payload);
        let send = Send { stream, payload, priority: None, ttl_s: 0 };
        self.record(message.at, send, Some(Arc::from(message.topic.as_str())));
        self.commits.forwarded(Arc::clone(message));
        self.end(ticket, true);
        self.end_if_large();
    }

    pub(super) fn handle_restored(&mut self, restored: &Restored) {
        self.outbox.handle_restored(restored);
        restored.seen.iter().for_each(|mark| self.seen.insert(*mark));
    }

    pub(super) fn handle_committed(&mut self, committed: &Committed) {
        if core::mem::take(&mut self.store_failing) {
            self.report(Report::StoreWell);
        }
        if committed.has_left_over {
            self.outbox.handle_left_over();
        }
        self.outbox.handle_damage(&committed.damaged, &committed.ledger);
        let mut frames = committed.frames.iter().peekable();
        while let Some(held) = self.commits.poll_durable(committed.up_to) {
            while frames.next_if(|(id, _)| *id < held.id).is_some() {}
            let frame = frames.next_if(|(id, _)| *id == held.id).map(|(_, frame)| *frame);
            self.release(held, frame);
        }
        self.outbox.catch_up(committed.last_frame);
    }

    /// A commit is durable: now others may see it.
    fn release(&mut self, held: Held, frame: Option<u64>) {
        if let Some(frame) = frame
            && !planted(Bug::SendBeforeCommit)
        {
            self.outbox.handle_durable(frame, &held.records);
        }
        if let Some(version) = held.registry {
            self.releases.handle_recorded(version);
        }
        for held in held.publishes {
            self.react(&held.handler, &held.cause, held.publish);
        }
        for write in held.pins {
            self.set_pin(write);
        }
        for message in held.forwarded {
            self.intake.give(&message);
        }
        for ticket in held.tickets {
            self.close(ticket);
        }
    }

    pub(super) fn handle_store_failing(&mut self, reason: String) {
        if !core::mem::replace(&mut self.store_failing, true) {
            self.report(Report::StoreFailing { reason });
        }
    }
}
