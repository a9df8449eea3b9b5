//! The outbox for somebody who asks how it is.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Outbox;
use super::lane::Lane;
use crate::commit::Waiting;
use crate::record::{Record, Stamp, StreamId};
use crate::time::Timestamp;

/// How upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UplinkState {
    /// When nobody is configured to send to.
    None,
    /// When it is there.
    Up { since: Timestamp },
    /// When it is not. Since the start, if it never was.
    Down { since: Timestamp },
}

/// How long something has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// When only the journal knows, or two clocks cannot be compared.
    Unknown,
    /// When there is or may be something older that is not in memory. Milliseconds.
    AtLeast(u64),
    /// When it is known, milliseconds.
    Exactly(u64),
}

/// One stream's part of what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlogged {
    pub waiting: Waiting,
    /// Of the oldest record; None when nothing waits.
    pub oldest: Option<Age>,
    /// Delivered in the last minute, and in how many milliseconds of it.
    pub delivered_lately: u64,
    pub lately_ms: u64,
}

impl Outbox {
    pub fn uplink(&self) -> UplinkState {
        match (self.has_uplink, self.up_since) {
            (false, _) => UplinkState::None,
            (true, Some(since)) => UplinkState::Up { since },
            (true, None) => UplinkState::Down { since: self.down_since },
        }
    }

    pub fn under_way(&self) -> usize {
        self.flights.len()
    }

    pub fn view(&self, now: Timestamp) -> Vec<Backlogged> {
        let in_memory = self.first_in_memory();
        let is_all = !self.lanes.iter().any(Lane::is_behind);
        let line = |waiting: &Waiting| {
            let found = in_memory.get(&waiting.stream).map(|(_, stamp)| *stamp);
            let oldest = (waiting.records > 0).then(|| {
                let (stamp, is_exact) = match (self.backlog.first(waiting.stream), found) {
                    (Some(first), _) if first.is_exact => (first.stamp, true),
                    (_, Some(stamp)) => (stamp, is_all),
                    (Some(first), None) => (first.stamp, false),
                    (None, None) => return Age::Unknown,
                };
                match self.boots.age_ms(now, stamp) {
                    Some(ms) if is_exact => Age::Exactly(ms),
                    Some(ms) => Age::AtLeast(ms),
                    None => Age::Unknown,
                }
            });
            let (delivered_lately, lately_ms) = self.backlog.recent(now, waiting.stream);
            Backlogged { waiting: *waiting, oldest, delivered_lately, lately_ms }
        };
        self.backlog.iter().map(line).collect()
    }

    /// The lowest seq of each stream among the records that are in memory; seqs and times rise together.
    fn first_in_memory(&self) -> BTreeMap<StreamId, (u64, Stamp)> {
        let mut first: BTreeMap<StreamId, (u64, Stamp)> = BTreeMap::new();
        let mut take = |record: &Record| {
            let new = (record.seq, record.stamp);
            let known = first.entry(record.stream).or_insert(new);
            if new.0 < known.0 {
                *known = new;
            }
        };
        self.flights.values().for_each(|flight| take(&flight.record));
        self.aside.iter().for_each(|(_, record)| take(record));
        self.lanes.iter().flat_map(Lane::in_memory).for_each(|record| take(record));
        first
    }
}
