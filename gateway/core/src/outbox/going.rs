//! What goes next.

use alloc::sync::Arc;

use super::lane::Lane;
use super::suspect::Verdict;
use super::{Flight, Outbox};
use crate::commit::Lost;
use crate::record::{LossReason, Place, Record, Sending};
use crate::store::{Evict, Fetch};
use crate::time::Timestamp;

/// What the outbox asks for.
#[derive(Debug)]
pub enum Ask {
    Connect,
    Drop,
    Send(Sending),
    Fetch(Fetch),
    Evict(Evict),
    /// A record is given up: the next commit says so.
    Lose(Lost),
}

impl Outbox {
    /// The next thing to do.
    pub fn poll(&mut self, now: Timestamp) -> Option<Ask> {
        if core::mem::take(&mut self.wants_connect) {
            return Some(Ask::Connect);
        }
        if core::mem::take(&mut self.wants_drop) {
            return Some(Ask::Drop);
        }
        if self.wants_room && !self.is_evicting {
            self.wants_room = false;
            self.is_evicting = true;
            return Some(Ask::Evict(self.evict()));
        }
        if !self.is_up() || self.is_evicting {
            return None;
        }
        self.next_record(now).or_else(|| self.next_fetch())
    }

    fn next_record(&mut self, now: Timestamp) -> Option<Ask> {
        self.paced_until = None;
        if self.flights.len() >= self.limits.window {
            return None;
        }
        if self.flights.is_empty()
            && let Some((_, record)) = &self.aside
            && (self.suspect.judge(record.seq) != Verdict::After || self.has_nothing_else())
        {
            let (place, record) = self.aside.take()?;
            return Some(self.send(now, place, record));
        }
        let at = self.lanes.iter().position(|lane| lane.queued() > 0)?;
        let seq = self.lanes[at].peek()?.seq;
        // It was carried forward while it was under way: its first copy's answer decides.
        if self.flights.contains_key(&seq) {
            return None;
        }
        let verdict = self.suspect.judge(seq);
        if verdict == (Verdict::Send { alone: true }) && !self.flights.is_empty() {
            return None;
        }
        if !self.pace.take(now) {
            self.paced_until = Some(self.pace.next());
            return None;
        }
        let (place, record) = self.lanes[at].take()?;
        if self.settled_copies.remove(&seq) {
            self.lanes[at].settle(place);
            return self.next_record(now);
        }
        if verdict == Verdict::After && self.aside.is_none() {
            self.aside = Some((place, record));
            return self.next_record(now);
        }
        if let Some(reason) = self.useless(now, &record) {
            self.settle(now, place, &record);
            let (lost, _) = self.lose(&record, reason);
            return Some(Ask::Lose(lost));
        }
        Some(self.send(now, place, record))
    }

    /// Nothing is there that could go before a record that is set aside.
    fn has_nothing_else(&self) -> bool {
        self.lanes.iter().all(Lane::is_dry)
    }

    /// Why this record need not go.
    fn useless(&self, now: Timestamp, record: &Record) -> Option<LossReason> {
        if self.streams.get(record.stream).is_none() {
            return Some(LossReason::NoStream);
        }
        let age_ms = self.boots.age_ms(now, record.stamp)?;
        let is_over = record.ttl_s > 0 && age_ms > u64::from(record.ttl_s) * 1000;
        is_over.then_some(LossReason::Expired)
    }

    fn send(&mut self, now: Timestamp, place: Place, record: Arc<Record>) -> Ask {
        let is_older = |up: Timestamp| record.stamp.mono_ms < up.0;
        let historical =
            record.stamp.boot != self.boots.now() || self.up_since.is_some_and(is_older);
        let at = self.boots.wall(record.stamp);
        let flight = Flight { place, record: Arc::clone(&record), sent_at: now, is_carried: false };
        self.flights.insert(record.seq, flight);
        Ask::Send(Sending { record, at, historical })
    }

    /// Every lane may ask: what is rare and first is looked for while the others go on.
    fn next_fetch(&mut self) -> Option<Ask> {
        let (enough, bytes_max) = (self.limits.window * 4, self.limits.fetch_bytes);
        self.lanes.iter_mut().find_map(|lane| lane.poll_fetch(enough, bytes_max)).map(Ask::Fetch)
    }
}
