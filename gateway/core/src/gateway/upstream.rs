//! Upstream: the link, what it refuses, what was given up, and what the outbox asks for.

use alloc::string::String;
use alloc::vec::Vec;

use super::Gateway;
use crate::commit::LedgerLine;
use crate::effect::{Effect, Report};
use crate::job::{Failure, Send};
use crate::message::Message;
use crate::notice;
use crate::outbox::Ask;
use crate::record::{LossReason, Record, Refusal, StreamId};
use crate::store::Evicted;

impl Gateway {
    /// Does what the outbox asks for.
    pub(super) fn pump(&mut self) {
        while let Some(ask) = self.outbox.poll(self.now) {
            match ask {
                Ask::Connect => self.effects.push_back(Effect::ConnectUplink),
                Ask::Drop => self.effects.push_back(Effect::DropUplink),
                Ask::Send(sending) => self.effects.push_back(Effect::Send(sending)),
                Ask::Fetch(fetch) => self.effects.push_back(Effect::Fetch(fetch)),
                Ask::Evict(evict) => self.effects.push_back(Effect::Evict(evict)),
                Ask::Lose(lost) => self.commits.lose(lost),
            }
        }
        self.tell_losses();
    }

    pub(super) fn handle_uplink_up(&mut self) {
        let waiting = self.outbox.handle_up(self.now);
        self.report(Report::UplinkBack { waiting });
        self.tell_upstream();
    }

    pub(super) fn handle_uplink_down(&mut self, reason: String) {
        let (wait, guilty) = self.outbox.handle_down(self.now);
        if let Some(seq) = guilty {
            self.handle_refused(seq, Refusal::HangsUp);
            self.outbox.begin_anew();
        }
        let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.report(Report::UplinkLost { reason, retry_ms });
    }

    /// Upstream will never take this record: it is given up, and a dead letter says why.
    pub(super) fn handle_refused(&mut self, seq: u64, refusal: Refusal) {
        let Some(record) = self.outbox.handle_refused(self.now, seq) else {
            return;
        };
        let reason = match refusal {
            Refusal::TooLarge { .. } => LossReason::TooLarge,
            Refusal::NoTopic => LossReason::NoStream,
            Refusal::Code(_) | Refusal::HangsUp => LossReason::Refused,
        };
        let (lost, _) = self.outbox.lose(&record, reason);
        self.commits.lose(lost);
        let is_kept = self.bury_record(&record, &refusal);
        let stream = self.stream_name(record.stream);
        self.report(Report::RecordRefused { stream, seq, refusal, is_kept });
    }

    pub(super) fn handle_evicted(&mut self, evicted: &Evicted) {
        self.outbox.handle_evicted(self.now, evicted);
        for loss in &evicted.losses {
            let stream = self.stream_name(loss.stream);
            let (id, reason) = (loss.stream, loss.reason);
            let is_it = |line: &&LedgerLine| (line.stream, line.reason) == (id, reason);
            let total = self.outbox.losses().find(is_it).map_or(loss.records, |line| line.count);
            self.report(Report::RecordsLost { stream, reason, total });
        }
    }

    /// Tells upstream what it will never see. The telling is a record like any other.
    fn tell_losses(&mut self) {
        for (line, told) in self.outbox.poll_untold(self.now) {
            let payload = notice::loss(&self.stream_name(line.stream), &line);
            self.commits.tell(told);
            self.note(StreamId::LOSSES, payload);
        }
    }

    /// A message's event failed for good: a dead letter keeps it, if somebody is there to read it and there are not
    /// too many. True when it does.
    pub(super) fn bury_event(
        &mut self,
        handler: &str,
        failure: &Failure,
        message: &Message,
    ) -> bool {
        let may = self.outbox.has_uplink() && self.letters.take(self.now);
        if may {
            let bytes_max = self.outbox.limits().dead_letter_bytes_max;
            let payload = notice::failed_event(handler, failure, message, bytes_max);
            self.note(StreamId::DEAD_LETTERS, payload);
        }
        may
    }

    /// Upstream does not take a record: a dead letter keeps it, unless there are too many. Dead letters themselves and
    /// announcements end here. True when one does.
    fn bury_record(&mut self, record: &Record, refusal: &Refusal) -> bool {
        let is_own = [StreamId::LOSSES, StreamId::DEAD_LETTERS].contains(&record.stream);
        let may = !is_own && self.letters.take(self.now);
        if may {
            let bytes_max = self.outbox.limits().dead_letter_bytes_max;
            let stream = self.stream_name(record.stream);
            let payload = notice::dead_letter(&stream, record, refusal, bytes_max);
            self.note(StreamId::DEAD_LETTERS, payload);
        }
        may
    }

    /// A record of the gateway's own.
    fn note(&mut self, stream: StreamId, payload: Vec<u8>) {
        let wall = self.outbox.boots().wall_at(self.now);
        let send = Send { stream, payload: payload.into(), priority: None, ttl_s: 0 };
        self.record(wall, send, None);
    }

    pub(super) fn stream_name(&self, id: StreamId) -> String {
        self.outbox.streams().get(id).map(|stream| stream.name.clone()).unwrap_or_default()
    }
}
