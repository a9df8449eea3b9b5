//! Reading records back, one priority at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_core::record::{Place, Record};
use tidegate_core::store::{Fetch, Fetched};
use tidegate_journal::{Cursor, Disk};

use crate::codec::EntryView;
use crate::error::CodecError;
use crate::planted::{Bug, planted};
use crate::shelf::Shelf;
use crate::store::{COMMIT, Store};

/// Where the last fetch of a priority ended, so that the next one does not begin at the start of a segment.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Where it goes on; another place needs another lane.
    next: Place,
    cursor: Cursor,
    /// What has been read and not been handed out.
    held: VecDeque<(Place, Arc<Record>)>,
}

/// Why a lane gives no more for now.
enum Pause {
    /// When it has to read on.
    Empty,
    /// When the answer is large enough.
    Full,
    /// When what comes next was not asked for.
    Beyond,
}

impl Lane {
    fn at(place: Place) -> Lane {
        Lane { next: place, cursor: Cursor::from(place.frame), held: VecDeque::new() }
    }

    /// Moves what is held to the answer.
    fn drain(&mut self, fetch: &Fetch, fetched: &mut Fetched) -> Pause {
        let is_beyond = |place: Place| fetch.until.is_some_and(|until| place >= until);
        let mut bytes: usize = fetched.records.iter().map(|(_, record)| record.bytes()).sum();
        while let Some((place, record)) = self.held.pop_front() {
            if is_beyond(place) {
                return Pause::Beyond;
            }
            bytes += record.bytes();
            if bytes > fetch.bytes_max && !fetched.records.is_empty() {
                self.next = place;
                self.held.push_front((place, record));
                return Pause::Full;
            }
            fetched.records.push((place, record));
        }
        self.next = self.next.max(Place::of(self.cursor.seq()));
        match () {
            () if is_beyond(self.next) => Pause::Beyond,
            () if bytes >= fetch.bytes_max && !fetched.records.is_empty() => Pause::Full,
            () => Pause::Empty,
        }
    }

    /// Takes a frame's records of a priority that stand where the lane goes on, or behind.
    fn hold(&mut self, frame: u64, payload: &[u8], priority: u8) -> Result<(), CodecError> {
        let records = EntryView::parse(payload)?.records()?;
        if !records.has(priority) {
            return Ok(());
        }
        let mut topic = None;
        for found in records {
            let (index, record) = found?;
            let place = Place { frame, index };
            if record.priority == priority && place >= self.next {
                self.held.push_back((place, Arc::new(record.to_record(&mut topic))));
            }
        }
        Ok(())
    }
}

impl<D: Disk, S: Shelf> Store<D, S> {
    /// Looks for records of one priority in what is durable. One call looks at a bounded part of the log: an answer
    /// without records that is not the end means that there may be some further on.
    pub fn fetch(&mut self, fetch: &Fetch) -> Fetched {
        let at = usize::from(fetch.priority & 7);
        let known = self.lanes[at].take().filter(|lane| lane.next == fetch.from);
        let mut lane = known.unwrap_or_else(|| Lane::at(fetch.from));
        let (priority, from) = (fetch.priority, fetch.from);
        let until = fetch.until;
        let mut fetched = Fetched { priority, from, until, ..Fetched::default() };
        let mut scan_left = self.settings.fetch_scan_bytes_max;
        loop {
            match lane.drain(fetch, &mut fetched) {
                Pause::Empty if fetched.is_end || scan_left == 0 => break,
                Pause::Empty => {}
                Pause::Full => break,
                Pause::Beyond => {
                    // The lane may have read further than it may go on.
                    fetched.is_end = true;
                    fetched.next = fetch.until.unwrap_or(lane.next).max(from);
                    self.look_through(fetched.next);
                    return fetched;
                }
            }
            match self.read_on(&mut lane, priority) {
                Some(bytes) => scan_left = scan_left.saturating_sub(bytes),
                None => fetched.is_end = true,
            }
        }
        if planted(Bug::FetchSkips) && !lane.held.is_empty() {
            lane.held.clear();
            lane.next = Place::of(lane.cursor.seq());
        }
        fetched.next = lane.next;
        self.lanes[at] = Some(lane);
        self.look_through(fetched.next);
        fetched
    }

    /// Damage that a fetch has passed over is counted before upstream's progress passes it, or nobody would ever miss
    /// what was there.
    fn look_through(&mut self, next: Place) {
        if self.journal.verify_through(next.frame) {
            self.note_damage();
        }
    }

    /// Reads the lane's next frame; returns its length.
    fn read_on(&mut self, lane: &mut Lane, priority: u8) -> Option<usize> {
        // Nothing in the journal makes reading fail: what cannot be read is damage, and passed over.
        let mut cursor = std::mem::replace(&mut lane.cursor, Cursor::from(0));
        let read = match cursor.next(&mut self.journal) {
            Ok(Some(frame)) => {
                let is_strange =
                    frame.kind != COMMIT || lane.hold(frame.seq, frame.payload, priority).is_err();
                self.counters.frames_strange += u64::from(is_strange);
                Some(frame.payload.len().max(1))
            }
            Ok(None) | Err(_) => None,
        };
        lane.cursor = cursor;
        read
    }
}
