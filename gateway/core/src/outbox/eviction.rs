//! Room in the journal: what must stay, and what has gone.

use alloc::vec::Vec;

use super::Outbox;
use super::lane::Lane;
use crate::store::{Evict, Evicted};
use crate::time::Timestamp;

impl Outbox {
    /// What may not be given up although its span is not settled: it is on its way, or acked out of order, or a copy
    /// of what is.
    pub(super) fn evict(&mut self) -> Evict {
        let flights = self.flights.iter().map(|(seq, flight)| (*seq, (flight.place, false)));
        self.keeping = flights.collect();
        let early = self.lanes.iter().flat_map(Lane::settled_early);
        self.keeping.extend(early.map(|(place, seq)| (seq, (place, true))));
        let aside = self.aside.as_ref().map(|(_, record)| record.seq);
        let mut under_way: Vec<u64> = self.keeping.keys().copied().collect();
        under_way.extend(self.settled_copies.iter().copied().chain(aside));
        under_way.sort_unstable();
        under_way.dedup();
        Evict { progress: self.progress(), under_way }
    }

    /// The journal is full.
    pub fn handle_full(&mut self) {
        self.is_full = true;
        self.wants_room = !self.is_evicting;
    }

    /// The journal has made room. Returns what that took, by stream and reason.
    pub fn handle_evicted(&mut self, now: Timestamp, evicted: &Evicted) {
        self.is_evicting = false;
        self.is_full = !evicted.has_room;
        self.losses.handle_evicted(&evicted.losses, &evicted.ledger);
        for loss in &evicted.losses {
            self.backlog.evict(loss);
        }
        if evicted.up_to == 0 {
            self.keeping.clear();
            return;
        }
        // What was carried stands before everything that comes now.
        self.last_frame = self.last_frame.max(evicted.last_frame);
        for lane in &mut self.lanes {
            lane.handle_evicted(evicted.up_to, evicted.carried_from);
        }
        for (seq, (place, is_settled)) in core::mem::take(&mut self.keeping) {
            if place.frame > evicted.up_to {
                continue;
            }
            if is_settled {
                self.settled_copies.insert(seq);
            } else if let Some(flight) = self.flights.get_mut(&seq) {
                flight.is_carried = true;
            }
        }
        self.sort_lanes();
        self.progress_due = Some(now);
    }
}
