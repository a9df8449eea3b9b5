//! The outbox: records that are durable here and not yet upstream. It decides which goes next, how many are under
//! way, and what is given up; the journal keeps them, so that days without a link cost disk and not memory.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commit::{LedgerLine, Lost, Progress, Span, Told, Waiting};
use crate::job::Send;
use crate::limits::OutboxLimits;
use crate::planted::{Bug, planted};
use crate::reconnect::Reconnect;
use crate::record::{LossReason, PRIORITY_MAX, Place, Record, Sending, Stamp, StreamId};
use crate::store::{Evict, Evicted, Fetch, Fetched, Restored};
use crate::stream::{Streams, WhenFull};
use crate::time::Timestamp;

mod boots;
mod lane;
mod ledger;
pub mod pace;
mod suspect;

use boots::Boots;
use lane::Lane;
use ledger::Losses;
use pace::Pace;
use suspect::{Suspect, Verdict};

/// Progress rides along with a commit that is made anyway, but not more often than this.
const PROGRESS_RIDES_MS: u64 = 1_000;
/// Nor more rarely than once in so many frames.
const PROGRESS_FRAMES: u64 = 1024;

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

/// A record that has been sent and has no answer yet.
#[derive(Debug)]
struct Flight {
    place: Place,
    record: Arc<Record>,
    sent_at: Timestamp,
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
    last_frame: u64,
    /// The next to send from is first: by priority, and what comes now before what waited.
    lanes: Vec<Lane>,
    flights: BTreeMap<u64, Flight>,
    /// Set aside while others are tried.
    aside: Option<(Place, Arc<Record>)>,
    /// Acked while an eviction carried them: a copy of each will turn up that need not be sent.
    settled_copies: BTreeSet<u64>,
    waiting: BTreeMap<StreamId, Waiting>,
    losses: Losses,
    reconnect: Reconnect,
    up_since: Option<Timestamp>,
    suspect: Suspect,
    pace: Pace,
    paced_until: Option<Timestamp>,
    is_evicting: bool,
    /// The journal has no room for more records.
    is_full: bool,
    wants_room: bool,
    wants_connect: bool,
    wants_drop: bool,
    /// Something was settled since the last progress, and when a commit must say so.
    progress_due: Option<Timestamp>,
    progress_at: Timestamp,
    progress_frame: u64,
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
            last_frame: 0,
            lanes: Vec::new(),
            flights: BTreeMap::new(),
            aside: None,
            settled_copies: BTreeSet::new(),
            waiting: BTreeMap::new(),
            losses: Losses::default(),
            reconnect: Reconnect::new(backoff, seed),
            up_since: None,
            suspect: Suspect::new(limits.deaths_max),
            pace: Pace::new(limits.rate_per_s),
            paced_until: None,
            is_evicting: false,
            is_full: false,
            wants_room: false,
            wants_connect: false,
            wants_drop: false,
            progress_due: None,
            progress_at: Timestamp(0),
            progress_frame: 0,
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
        self.waiting = restored.progress.waiting.iter().map(|line| (line.stream, *line)).collect();
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
        self.waiting.values()
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
        let none = Waiting { stream: send.stream, records: 0, bytes: 0, delivered: 0 };
        let line = self.waiting.entry(send.stream).or_insert(none);
        line.records += 1;
        line.bytes += bytes;
        Ok(Arc::new(record))
    }

    /// A commit with records has become durable in this frame.
    pub fn handle_durable(&mut self, frame: u64, records: &[Arc<Record>]) {
        let (is_up, bytes_max) = (self.is_up(), self.limits.lane_bytes_max);
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

    /// Every commit up to this frame has been handled.
    pub fn catch_up(&mut self, last_frame: u64) {
        self.last_frame = self.last_frame.max(last_frame);
        for lane in &mut self.lanes {
            lane.catch_up(self.last_frame);
        }
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
        self.waiting.values().map(|line| line.records).sum()
    }

    /// Upstream is gone. Returns the wait before the next try, and a record that is now known to end connections.
    pub fn handle_down(&mut self, now: Timestamp) -> (Duration, Option<u64>) {
        let first = self.flights.values().min_by_key(|flight| flight.sent_at);
        let guilty = match self.is_up() {
            true => self.suspect.handle_down(first.map(|flight| flight.record.seq)),
            false => None,
        };
        self.up_since = None;
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
        if let Some(line) = self.waiting.get_mut(&flight.record.stream) {
            line.delivered += 1;
        }
        self.settle(now, flight.place, &flight.record);
        true
    }

    /// A record that was under way can never be delivered: gives it back.
    pub fn handle_refused(&mut self, now: Timestamp, seq: u64) -> Option<Arc<Record>> {
        let flight = self.flights.remove(&seq)?;
        self.suspect.handle_ack(seq);
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
        if let Some(line) = self.waiting.get_mut(&record.stream) {
            line.records = line.records.saturating_sub(1);
            line.bytes = line.bytes.saturating_sub(record.bytes() as u64);
        }
        self.lanes.retain(|lane| !lane.is_over());
        if self.progress_due.is_none() {
            let due = now.after(Duration::from_millis(self.limits.progress_ms));
            self.progress_due = Some(due);
        }
    }

    pub fn handle_fetched(&mut self, mut fetched: Fetched) {
        for lane in &mut self.lanes {
            if lane.handle_fetched(&mut fetched) {
                break;
            }
        }
        self.sort_lanes();
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
            if let Some(line) = self.waiting.get_mut(&loss.stream) {
                line.records = line.records.saturating_sub(loss.records);
                line.bytes = line.bytes.saturating_sub(loss.bytes);
            }
        }
        if evicted.up_to == 0 {
            return;
        }
        for lane in &mut self.lanes {
            lane.handle_evicted(evicted.up_to, evicted.carried_from);
        }
        let carried = self.flights.iter().filter(|(_, flight)| flight.place.frame <= evicted.up_to);
        self.settled_copies.extend(carried.map(|(seq, _)| *seq));
        self.sort_lanes();
        self.progress_due = Some(now);
    }

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

    fn evict(&self) -> Evict {
        let mut under_way: Vec<u64> = self.flights.keys().copied().collect();
        under_way.extend(self.aside.as_ref().map(|(_, record)| record.seq));
        under_way.sort_unstable();
        Evict { progress: self.progress(), under_way }
    }

    fn next_record(&mut self, now: Timestamp) -> Option<Ask> {
        self.paced_until = None;
        if self.flights.len() >= self.limits.window {
            return None;
        }
        if self.flights.is_empty()
            && let Some((_, record)) = &self.aside
            && self.suspect.judge(record.seq) != Verdict::After
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
        let flight = Flight { place, record: Arc::clone(&record), sent_at: now };
        self.flights.insert(record.seq, flight);
        Ask::Send(Sending { record, at, historical })
    }

    /// Every lane may ask: what is rare and first is looked for while the others go on.
    fn next_fetch(&mut self) -> Option<Ask> {
        let (enough, bytes_max) = (self.limits.window * 4, self.limits.fetch_bytes);
        self.lanes.iter_mut().find_map(|lane| lane.poll_fetch(enough, bytes_max)).map(Ask::Fetch)
    }

    /// What upstream is to be told of losses: the line, and that it is told then.
    pub fn poll_untold(&mut self, now: Timestamp) -> Vec<(LedgerLine, Told)> {
        if !self.is_up() {
            return Vec::new();
        }
        self.losses.tell(now, now.after(Duration::from_millis(self.limits.announce_ms)))
    }

    fn progress(&self) -> Progress {
        Progress {
            spans: self.lanes.iter().map(Lane::span).collect(),
            waiting: self.waiting.values().copied().collect(),
        }
    }

    /// How far upstream is, if a commit that is made now should say so.
    pub fn take_progress(&mut self, now: Timestamp) -> Option<Progress> {
        let is_due = self.progress_due.is_some_and(|due| {
            due <= now || now.since(self.progress_at) >= Duration::from_millis(PROGRESS_RIDES_MS)
        });
        // What has no records is passed by, too: a start would search it for some.
        let is_old = self.last_frame >= self.progress_frame + PROGRESS_FRAMES;
        if !is_due && !is_old {
            return None;
        }
        self.progress_due = None;
        self.progress_at = now;
        self.progress_frame = self.last_frame;
        Some(self.progress())
    }

    /// Whether a commit should be made only to say how far upstream is.
    pub fn wants_progress(&self, now: Timestamp) -> bool {
        self.progress_due.is_some_and(|due| due <= now)
    }

    /// The gateway stops: the next commit says how far upstream is.
    pub fn handle_stop(&mut self) {
        if self.progress_due.is_some() {
            self.progress_due = Some(Timestamp(0));
        }
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let connect = self.reconnect.poll_timeout().filter(|_| self.has_uplink);
        let untold = (self.is_up() && self.losses.has_untold()).then(|| self.losses.due());
        [connect, self.stall(), self.paced_until, untold, self.progress_due]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the connection counts as stalled.
    fn stall(&self) -> Option<Timestamp> {
        let oldest = self.flights.values().map(|flight| flight.sent_at).min()?;
        Some(oldest.after(Duration::from_millis(self.limits.ack_timeout_ms)))
    }

    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.wants_connect |= self.has_uplink && self.reconnect.handle_timeout(now);
        if self.is_up() && self.stall().is_some_and(|at| at <= now) {
            self.wants_drop = true;
            // Once is enough: `UplinkDown` comes.
            for flight in self.flights.values_mut() {
                flight.sent_at = now;
            }
        }
    }
}
