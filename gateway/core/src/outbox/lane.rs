//! A lane: the records of one priority between two places of the journal, on their way upstream in order.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use crate::commit::Span;
use crate::record::{Place, Record};
use crate::store::{Fetch, Fetched};

/// One that has been sent, in order of place.
#[derive(Debug)]
struct Sent {
    place: Place,
    seq: u64,
    is_settled: bool,
}

/// Where a priority stands.
#[derive(Debug)]
pub struct Lane {
    pub priority: u8,
    /// None: open-ended, new records join it.
    until: Option<Place>,
    /// Up to here records are in `queue`, sent or settled; from here on only the journal has them.
    next: Place,
    /// Something may lie behind `next`. An open lane that is not behind takes records as they are committed.
    is_behind: bool,
    /// The store has been asked, and has not answered.
    has_asked: bool,
    queue: VecDeque<(Place, Arc<Record>)>,
    queue_bytes: usize,
    sent: VecDeque<Sent>,
}

impl Lane {
    /// A lane of which only the journal knows what it holds, as far as `last_frame`.
    pub fn new(span: Span, last_frame: u64) -> Lane {
        Lane {
            priority: span.priority,
            until: span.until,
            next: span.from,
            is_behind: span.from.frame <= last_frame,
            has_asked: false,
            queue: VecDeque::new(),
            queue_bytes: 0,
            sent: VecDeque::new(),
        }
    }

    /// New records join it.
    pub fn is_open(&self) -> bool {
        self.until.is_none()
    }

    /// Everything in it is settled, and nothing will follow.
    pub fn is_over(&self) -> bool {
        !self.is_open() && self.is_idle()
    }

    /// Nothing of it waits, here or in the journal.
    pub fn is_idle(&self) -> bool {
        !self.is_behind && self.queue.is_empty() && self.sent.is_empty()
    }

    /// Something may lie behind what is in memory.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Records that wait here in memory, in order.
    pub fn in_memory(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.queue.iter().map(|(_, record)| record)
    }

    /// Nothing of it is left to send, here or in the journal.
    pub fn is_dry(&self) -> bool {
        !self.is_behind && self.queue.is_empty()
    }

    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What is not settled: everything from the first place that is not.
    pub fn span(&self) -> Span {
        let sent = self.sent.front().map(|sent| sent.place);
        let queued = self.queue.front().map(|(place, _)| *place);
        let from = sent.or(queued).unwrap_or(self.next);
        Span { priority: self.priority, from, until: self.until }
    }

    /// A record of this priority has become durable.
    pub fn join(&mut self, place: Place, record: &Arc<Record>, is_up: bool, bytes_max: usize) {
        if self.is_behind {
            return;
        }
        if !is_up || self.queue_bytes > bytes_max {
            self.next = place;
            self.is_behind = true;
            return;
        }
        self.push(place, Arc::clone(record));
    }

    /// What an earlier run left over has become durable, behind everything that this lane knows of.
    pub fn handle_left_over(&mut self) {
        self.is_behind |= self.is_open();
    }

    /// Everything up to `last_frame` has joined.
    pub fn catch_up(&mut self, last_frame: u64) {
        if self.is_open() && !self.is_behind {
            self.next = Place::of(last_frame + 1);
        }
    }

    fn push(&mut self, place: Place, record: Arc<Record>) {
        self.queue_bytes += record.bytes();
        self.queue.push_back((place, record));
    }

    pub fn peek(&self) -> Option<&Arc<Record>> {
        self.queue.front().map(|(_, record)| record)
    }

    /// Takes the next record; it counts as sent until it is settled.
    pub fn take(&mut self) -> Option<(Place, Arc<Record>)> {
        let (place, record) = self.queue.pop_front()?;
        self.queue_bytes -= record.bytes();
        self.sent.push_back(Sent { place, seq: record.seq, is_settled: false });
        Some((place, record))
    }

    /// The record at `place` is delivered or lost. False when this lane has not sent it.
    pub fn settle(&mut self, place: Place) -> bool {
        let Ok(at) = self.sent.binary_search_by(|sent| sent.place.cmp(&place)) else {
            return false;
        };
        self.sent[at].is_settled = true;
        while self.sent.front().is_some_and(|sent| sent.is_settled) {
            self.sent.pop_front();
        }
        true
    }

    /// Sent and settled, behind something that is not: a span says nothing of them.
    pub fn settled_early(&self) -> impl Iterator<Item = (Place, u64)> {
        self.sent.iter().filter(|sent| sent.is_settled).map(|sent| (sent.place, sent.seq))
    }

    /// What to ask the store for, if only it knows more and there is not enough here.
    pub fn poll_fetch(&mut self, enough: usize, bytes_max: usize) -> Option<Fetch> {
        let wants = self.is_behind && !self.has_asked && self.queue.len() < enough;
        self.has_asked |= wants;
        let (priority, from, until) = (self.priority, self.next, self.until);
        wants.then_some(Fetch { priority, from, until, bytes_max })
    }

    /// Takes what it has asked for, unless it has begun anew since then. False when another lane asked.
    pub fn handle_fetched(&mut self, fetched: &mut Fetched) -> bool {
        if !self.has_asked || fetched.priority != self.priority || fetched.until != self.until {
            return false;
        }
        self.has_asked = false;
        if self.is_behind && fetched.from == self.next {
            for (place, record) in core::mem::take(&mut fetched.records) {
                self.push(place, record);
            }
            self.next = fetched.next;
            self.is_behind = !fetched.is_end;
        }
        true
    }

    /// The link is gone: everything not settled will be read and sent again.
    pub fn begin_anew(&mut self) {
        self.next = self.span().from;
        self.is_behind |= !self.queue.is_empty() || !self.sent.is_empty();
        self.queue.clear();
        self.queue_bytes = 0;
        self.sent.clear();
    }

    /// The link is there and this lane is behind: what lies before `split` becomes a lane of its own, and this one
    /// is free for what comes now.
    pub fn split(&mut self, split: Place) -> Option<Lane> {
        if !self.is_open() || !self.is_behind || self.next >= split {
            return None;
        }
        let span = Span { until: Some(split), ..self.span() };
        self.next = split;
        self.is_behind = false;
        Some(Lane::new(span, split.frame))
    }

    /// Every frame up to `up_to` is gone. What counts of them is carried to `carried_from` and behind it.
    pub fn handle_evicted(&mut self, up_to: u64, carried_from: Option<u64>) {
        while let Some((place, record)) = self.queue.front()
            && place.frame <= up_to
        {
            self.queue_bytes -= record.bytes();
            self.queue.pop_front();
        }
        let first = Place::of(up_to + 1);
        self.next = self.next.max(first);
        if self.until.is_some_and(|until| until <= first) {
            self.is_behind = false;
        }
        self.is_behind |= self.is_open() && carried_from.is_some();
    }
}
