//! The outbox: records that are durable here and not yet upstream. It decides which goes next, how many are under
//! way, and what is given up; the journal keeps them, so that days without a link cost disk and not memory.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commit::{LedgerLine, Lost, Span, Waiting};
use crate::job::Send;
use crate::limits::OutboxLimits;
use crate::planted::{Bug, planted};
use crate::reconnect::Reconnect;
use crate::record::{LossReason, PRIORITY_MAX, Place, Record, Stamp, StreamId};
use crate::store::{Fetched, LossTotal, Restored};
use crate::stream::{Streams, WhenFull};
use crate::time::Timestamp;

mod backlog;
mod boots;
mod eviction;
mod going;
mod lane;
mod ledger;
pub mod pace;
mod progress;
mod recent;
mod suspect;
mod view;

use backlog::Backlog;
use boots::Boots;
pub use going::Ask;
use lane::Lane;
use ledger::Losses;
use pace::Pace;
use suspect::Suspect;
pub use view::{Age, Backlogged, UplinkState};

/// A record that has been sent and has no answer yet.
#[derive(Debug)]
struct Flight {
    place: Place,
    record: Arc<Record>,
    sent_at: Timestamp,
    /// An eviction has carried it forward since: a copy of it will turn up.
    is_carried: bool,
}

/// All that waits to go upstream.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    streams: Arc<Streams>,
    /// There is somebody to send to.
    has_uplink: bool,
    boots: Boots,
    next_seq: u64,
    /// Records that are made and not durable.
    making: u64,
    last_frame: u64,
    /// The next to send from is first: by priority, and what comes now before what waited.
    lanes: Vec<Lane>,
    flights: BTreeMap<u64, Flight>,
    /// Set aside while others are tried.
    aside: Option<(Place, Arc<Record>)>,
    /// Settled after an eviction had carried them: a copy of each will turn up that need not be sent.
    settled_copies: BTreeSet<u64>,
    backlog: Backlog,
    losses: Losses,
    reconnect: Reconnect,
    up_since: Option<Timestamp>,
    down_since: Timestamp,
    suspect: Suspect,
    pace: Pace,
    paced_until: Option<Timestamp>,
    is_evicting: bool,
    /// What the eviction that is going on was asked to keep: where it stood, and whether it is settled by now.
    keeping: BTreeMap<u64, (Place, bool)>,
    /// The journal has no room for more records.
    is_full: bool,
    wants_room: bool,
    wants_connect: bool,
    wants_drop: bool,
    /// Something was settled since the last progress, and when a commit must say so.
    progress_due: Option<Timestamp>,
    progress_at: Timestamp,
    progress_frame: u64,
    /// Records settled since.
    settled: u64,
}

impl Outbox {
    pub fn new(limits: OutboxLimits, streams: Arc<Streams>, has_uplink: bool, seed: u64) -> Outbox {
        let backoff = (limits.backoff_min_ms, limits.backoff_max_ms);
        let mut outbox = Outbox {
            limits,
            streams,
            has_uplink,
            boots: Boots::default(),
            next_seq: 1,
            making: 0,
            last_frame: 0,
            lanes: Vec::new(),
            flights: BTreeMap::new(),
            aside: None,
            settled_copies: BTreeSet::new(),
            backlog: Backlog::default(),
            losses: Losses::default(),
            reconnect: Reconnect::new(backoff, seed),
            up_since: None,
            down_since: Timestamp(0),
            suspect: Suspect::new(limits.deaths_max),
            pace: Pace::new(limits.rate_per_s),
            paced_until: None,
            is_evicting: false,
            keeping: BTreeMap::new(),
            is_full: false,
            wants_room: false,
            wants_connect: false,
            wants_drop: false,
            progress_due: None,
            progress_at: Timestamp(0),
            progress_frame: 0,
            settled: 0,
        };
        outbox.handle_restored(&Restored { boot: 1, next_seq: 1, ..Restored::default() });
        outbox
    }

    /// Begins where the store says that the last run ended.
    pub fn handle_restored(&mut self, restored: &Restored) {
        self.boots = Boots::new(restored.boot, &restored.clocks);
        self.next_seq = restored.next_seq;
        self.last_frame = restored.last_frame;
        self.losses.restore(&restored.ledger);
        let start = Stamp { boot: restored.boot, ..Stamp::default() };
        self.backlog.restore(&restored.progress.waiting, start);
        self.lanes.clear();
        for span in &restored.progress.spans {
            self.lanes.push(Lane::new(*span, restored.last_frame));
        }
        for priority in 0..=PRIORITY_MAX {
            if !self.lanes.iter().any(|lane| lane.priority == priority && lane.is_open()) {
                let from = Place::of(u64::from(restored.last_frame == 0));
                let span = Span { priority, from, until: None };
                self.lanes.push(Lane::new(span, restored.last_frame));
            }
        }
        self.sort_lanes();
    }

    fn sort_lanes(&mut self) {
        self.lanes.retain(|lane| !lane.is_over());
        self.lanes.sort_by_key(|lane| (PRIORITY_MAX - lane.priority, !lane.is_open()));
    }

    pub fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    pub fn limits(&self) -> &OutboxLimits {
        &self.limits
    }

    pub fn has_uplink(&self) -> bool {
        self.has_uplink
    }

    pub fn is_up(&self) -> bool {
        self.up_since.is_some()
    }

    /// How much waits, by stream.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.backlog.iter()
    }

    pub fn losses(&self) -> impl Iterator<Item = &LedgerLine> {
        self.losses.iter()
    }

    pub fn boots(&mut self) -> &mut Boots {
        &mut self.boots
    }

    /// Makes a record of what is to go upstream. It counts as waiting from now on, unless its stream takes no more.
    pub fn make(
        &mut self,
        stamp: Stamp,
        send: Send,
        topic: Option<Arc<str>>,
    ) -> Result<Arc<Record>, Lost> {
        let stream = self.streams.get(send.stream);
        let seq = self.next_seq;
        self.next_seq += 1;
        let record = Record {
            seq,
            stream: send.stream,
            priority: send
                .priority
                .unwrap_or(stream.map_or(0, |stream| stream.priority))
                .min(PRIORITY_MAX),
            ttl_s: if send.ttl_s > 0 {
                send.ttl_s
            } else {
                stream.map_or(0, |stream| stream.ttl_s)
            },
            stamp: Stamp { boot: self.boots.now(), ..stamp },
            topic,
            payload: send.payload,
        };
        let bytes = record.bytes() as u64;
        let takes_no_more = self.is_full
            && send.stream != StreamId::LOSSES
            && stream.is_some_and(|stream| stream.when_full == WhenFull::DropNewest);
        if takes_no_more {
            let lost = Lost { stream: send.stream, reason: LossReason::DroppedNewest, seq, bytes };
            self.losses.lose(&lost);
            return Err(lost);
        }
        self.backlog.join(&record);
        self.making += 1;
        Ok(Arc::new(record))
    }

    /// A commit with records has become durable in this frame.
    pub fn handle_durable(&mut self, frame: u64, records: &[Arc<Record>]) {
        let (is_up, bytes_max) = (self.is_up(), self.limits.lane_bytes_max);
        self.making = self.making.saturating_sub(records.len() as u64);
        for (index, record) in records.iter().enumerate() {
            let place = Place { frame, index: index as u16 };
            let lane = self
                .lanes
                .iter_mut()
                .find(|lane| lane.priority == record.priority && lane.is_open())
                .expect("every priority has an open lane");
            lane.join(place, record, is_up, bytes_max);
        }
    }

    /// Frames that an earlier run left over have become durable: their records are read from the journal.
    pub fn handle_left_over(&mut self) {
        for lane in &mut self.lanes {
            lane.handle_left_over();
        }
    }

    /// The store has found damage, and what it has cost is in the ledger.
    pub fn handle_damage(&mut self, damaged: &[LossTotal], ledger: &[LedgerLine]) {
        self.losses.handle_evicted(damaged, ledger);
    }

    /// Every commit up to this frame has been handled.
    pub fn catch_up(&mut self, last_frame: u64) {
        self.last_frame = self.last_frame.max(last_frame);
        for lane in &mut self.lanes {
            lane.catch_up(self.last_frame);
        }
        self.recount();
    }

    /// Upstream is there. Returns how many records wait.
    pub fn handle_up(&mut self, now: Timestamp) -> u64 {
        self.reconnect.handle_up(now);
        self.suspect.handle_up();
        self.up_since = Some(now);
        let split = Place::of(self.last_frame + 1);
        for priority in 0..=PRIORITY_MAX {
            let mut own = self.lanes.iter_mut().filter(|lane| lane.priority == priority);
            let (Some(open), None) = (own.next(), own.next()) else {
                continue;
            };
            let waited = open.split(split);
            self.lanes.extend(waited);
        }
        self.sort_lanes();
        self.backlog.records()
    }

    /// Upstream is gone. Returns the wait before the next try, and a record that is now known to end connections.
    pub fn handle_down(&mut self, now: Timestamp) -> (Duration, Option<u64>) {
        let first = self.flights.values().min_by_key(|flight| flight.sent_at);
        let guilty = match self.is_up() {
            true => self.suspect.handle_down(first.map(|flight| flight.record.seq)),
            false => None,
        };
        if self.up_since.take().is_some() {
            self.down_since = now;
        }
        self.wants_drop = false;
        if guilty.is_none() {
            self.begin_anew();
        }
        (self.reconnect.handle_down(now), guilty)
    }

    /// Forgets what is under way: it will be read and sent again.
    pub fn begin_anew(&mut self) {
        self.flights.clear();
        self.aside = None;
        self.keeping.retain(|_, (_, is_settled)| *is_settled);
        if planted(Bug::WindowForgotten) {
            return;
        }
        for lane in &mut self.lanes {
            lane.begin_anew();
        }
    }

    /// Upstream has a record. False when it was not under way.
    pub fn handle_delivered(&mut self, now: Timestamp, seq: u64) -> bool {
        let Some(flight) = self.flights.remove(&seq) else {
            return false;
        };
        self.suspect.handle_ack(seq);
        self.backlog.deliver(now, &flight.record);
        if flight.is_carried {
            self.settled_copies.insert(seq);
        }
        self.settle(now, flight.place, &flight.record);
        true
    }

    /// A record that was under way can never be delivered: gives it back.
    pub fn handle_refused(&mut self, now: Timestamp, seq: u64) -> Option<Arc<Record>> {
        let flight = self.flights.remove(&seq)?;
        self.suspect.handle_ack(seq);
        if flight.is_carried {
            self.settled_copies.insert(seq);
        }
        self.settle(now, flight.place, &flight.record);
        Some(flight.record)
    }

    /// Counts a record as given up.
    pub fn lose(&mut self, record: &Record, reason: LossReason) -> (Lost, u64) {
        let (stream, seq, bytes) = (record.stream, record.seq, record.bytes() as u64);
        let lost = Lost { stream, reason, seq, bytes };
        let total = self.losses.lose(&lost);
        (lost, total)
    }

    fn settle(&mut self, now: Timestamp, place: Place, record: &Record) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.priority == record.priority) {
            if lane.settle(place) {
                break;
            }
        }
        self.backlog.settle(record);
        self.lanes.retain(|lane| !lane.is_over());
        if let Some((_, is_settled)) = self.keeping.get_mut(&record.seq) {
            *is_settled = true;
        }
        self.recount();
        self.settled += 1;
        if self.progress_due.is_none() {
            let due = now.after(Duration::from_millis(self.limits.progress_ms));
            self.progress_due = Some(due);
        }
    }

    /// With every lane empty nothing waits, whatever was counted: after a power cut between an eviction and the
    /// commit that says what it took, more is counted than waits.
    fn recount(&mut self) {
        if self.making == 0 && self.flights.is_empty() && self.lanes.iter().all(Lane::is_idle) {
            self.backlog.clear();
        }
    }

    pub fn handle_fetched(&mut self, mut fetched: Fetched) {
        for lane in &mut self.lanes {
            if lane.handle_fetched(&mut fetched) {
                break;
            }
        }
        self.sort_lanes();
        self.recount();
    }
}
