//! What the store knows beside state: everything that a start needs and that is not read from the whole journal.

use std::collections::{BTreeMap, VecDeque};

use tidegate_core::commit::{BootClock, Commit, Progress, Seen, Span, Waiting};
use tidegate_core::record::{PRIORITY_MAX, Place, Stamp, StreamId};
use tidegate_core::time::ClockQuality;

use crate::bytes::{Reader, put_signed, put_varint};
use crate::codec::{
    Damage, Entry, RecordView, put_clocks, put_progress, read_clocks, read_progress,
};
use crate::error::CodecError;
use crate::planted::{Bug, planted};
use crate::store::InFlight;
use crate::weights::Weights;

/// 1 had no [`Facts::starts`].
const VERSION: u8 = 2;
/// Segments whose beginning is kept; of more, the oldest ones and the newest.
const STARTS_MAX: usize = 256;
/// Boots whose clocks are kept: what waits longer than so many power cuts keeps the clock it was stamped with.
const CLOCKS_MAX: usize = 512;

/// Where a frame stands, and what it is to someone who knows all frames up to some seq.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub seq: u64,
    pub origin: u64,
    /// It was not known before in another place.
    pub is_fresh: bool,
}

impl At {
    /// A frame where it was written first.
    pub fn first(seq: u64) -> At {
        At { seq, origin: seq, is_fresh: true }
    }
}

/// As of some frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub boot: u32,
    pub next_seq: u64,
    pub floor_unix_us: i64,
    pub progress: Progress,
    /// The frame that said so.
    pub progress_origin: u64,
    /// The stamp of the record with the highest seq.
    pub newest: Stamp,
    pub weights: Weights,
    pub clocks: BTreeMap<u32, i64>,
    /// With the frames that had them first.
    pub seen: VecDeque<(u64, Seen)>,
    pub damage: Damage,
    /// For the first known frame of a segment, the seq that its first record would have: so much was given before it,
    /// should that be gone.
    pub starts: VecDeque<(u64, u64)>,
}

impl Facts {
    pub fn new() -> Facts {
        Facts { next_seq: 1, ..Facts::default() }
    }

    /// Takes note of what was given before a frame, if it is the first one known of its segment. To be called before
    /// the frame is taken, with everything before it taken.
    pub fn begin(&mut self, frame: u64, segment_start: u64) {
        if self.starts.back().is_some_and(|(known, _)| *known >= segment_start) {
            return;
        }
        if self.starts.len() >= STARTS_MAX {
            self.starts.pop_back();
        }
        self.starts.push_back((frame, self.next_seq));
    }

    /// The last seq that was given in the segments before the one with this frame, or a lower one; None when nobody
    /// knows.
    pub fn given_before(&self, frame: u64) -> Option<u64> {
        let start = self.starts.iter().rev().find(|(first, _)| *first <= frame);
        start.map(|(_, seq)| seq - 1)
    }

    /// Counts a record.
    pub fn take_record(&mut self, at: At, record: &RecordView<'_>) {
        self.weights.add(at.seq, record.priority, record.bytes());
        if record.seq >= self.next_seq {
            self.next_seq = record.seq.saturating_add(1);
            self.newest = record.stamp;
        }
        match record.stamp.wall.quality {
            ClockQuality::None => {}
            ClockQuality::Floor | ClockQuality::Ntp => {
                self.floor_unix_us = self.floor_unix_us.max(record.stamp.wall.unix_us);
            }
        }
        if at.is_fresh && at.origin > self.progress_origin {
            let waiting = self.waiting(record.stream);
            waiting.records += 1;
            waiting.bytes += record.bytes();
        }
    }

    /// The line of a stream.
    fn waiting(&mut self, stream: StreamId) -> &mut Waiting {
        let lines = &mut self.progress.waiting;
        let at = match lines.iter().position(|waiting| waiting.stream == stream) {
            Some(at) => at,
            None => {
                lines.push(Waiting { stream, records: 0, bytes: 0, delivered: 0 });
                lines.len() - 1
            }
        };
        &mut lines[at]
    }

    /// Takes note that records of a stream do not wait any more, without having been delivered.
    pub fn lose(&mut self, stream: StreamId, records: u64, bytes: u64) {
        let waiting = self.waiting(stream);
        waiting.records = waiting.records.saturating_sub(records);
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }

    /// Takes a frame's content but for its records, which were taken before, and its state.
    pub fn take_rest(
        &mut self,
        at: At,
        boot: u32,
        commit: &Commit,
        floor_unix_us: Option<i64>,
        damage: Option<&Damage>,
        seen_max: usize,
    ) {
        self.boot = self.boot.max(boot);
        self.floor_unix_us = self.floor_unix_us.max(floor_unix_us.unwrap_or(0));
        for lost in &commit.losses {
            self.next_seq = self.next_seq.max(lost.seq.saturating_add(1));
        }
        if !at.is_fresh {
            return;
        }
        if let Some(progress) = &commit.progress
            && at.origin >= self.progress_origin
        {
            self.progress = progress.clone();
            self.progress_origin = at.origin;
            if planted(Bug::TrustsProgress) {
                self.progress.known = at.origin;
            }
        }
        for seen in &commit.seen {
            self.see(at.origin, *seen, seen_max);
        }
        for clock in &commit.clocks {
            self.clocks.insert(clock.boot, clock.start_unix_us);
            if self.clocks.len() > CLOCKS_MAX {
                self.clocks.pop_first();
            }
        }
        if let Some(damage) = damage {
            self.damage.take(damage);
            self.next_seq = self.next_seq.max(damage.next_seq);
        }
    }

    /// Takes a whole commit.
    pub fn take_flight(&mut self, flight: &InFlight, seen_max: usize) {
        let at = At::first(flight.seq);
        for record in &flight.commit.records {
            self.take_record(at, &RecordView::of(record));
        }
        let (floor, damage) = (flight.floor_unix_us, flight.damage.as_ref());
        self.take_rest(at, flight.boot, &flight.commit, floor, damage, seen_max);
    }

    pub fn take_entry(&mut self, at: At, entry: &Entry, seen_max: usize) {
        let damage = entry.damage.as_ref();
        self.take_rest(at, entry.boot, &entry.commit, entry.floor_unix_us, damage, seen_max);
    }

    /// Keeps the latest, in order of the frames that had them first.
    fn see(&mut self, origin: u64, seen: Seen, seen_max: usize) {
        let at = self.seen.partition_point(|(known, _)| *known <= origin);
        self.seen.insert(at, (origin, seen));
        while self.seen.len() > seen_max {
            self.seen.pop_front();
        }
    }

    /// Nothing in a frame up to here counts any more.
    pub fn forget(&mut self, up_to: u64) {
        self.weights.forget(up_to);
        self.damage.gaps.retain(|(_, last)| *last > up_to);
        while self.starts.get(1).is_some_and(|(first, _)| *first <= up_to + 1) {
            self.starts.pop_front();
        }
    }

    /// The progress with everything in its spans that is not settled up to `last_frame`.
    pub fn progress_up_to(&self, last_frame: u64) -> Progress {
        let mut progress = self.progress.clone();
        let from = Place::of(progress.known.saturating_add(1));
        // What was not known of is not settled, whatever a span says about it.
        progress.spans.retain(|span| span.from < from);
        for span in &mut progress.spans {
            span.until = span.until.map(|until| until.min(from));
        }
        for priority in 0..=PRIORITY_MAX {
            let is_open = |span: &Span| span.priority == priority && span.until.is_none();
            if self.weights.has_behind(progress.known, priority)
                && !progress.spans.iter().any(is_open)
            {
                progress.spans.push(Span { priority, from, until: None });
            }
        }
        progress.known = progress.known.max(last_frame);
        progress
    }

    /// The clocks, as a commit has them.
    pub fn clock_list(&self) -> Vec<BootClock> {
        let clock = |(boot, start): (&u32, &i64)| BootClock { boot: *boot, start_unix_us: *start };
        self.clocks.iter().map(clock).collect()
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_varint(out, u64::from(self.boot));
        put_varint(out, self.next_seq);
        put_signed(out, self.floor_unix_us);
        put_varint(out, self.progress_origin);
        put_progress(out, &self.progress);
        put_varint(out, u64::from(self.newest.boot));
        put_varint(out, self.newest.mono_ms);
        put_signed(out, self.newest.wall.unix_us);
        self.weights.put(out);
        self.damage.put(out);
        put_varint(out, self.starts.len() as u64);
        for (frame, seq) in &self.starts {
            put_varint(out, *frame);
            put_varint(out, *seq);
        }
        put_varint(out, self.seen.len() as u64);
        out.extend(self.seen.iter().flat_map(|(_, seen)| seen.0.to_le_bytes()));
        put_clocks(out, &self.clock_list());
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Facts, CodecError> {
        let version = reader.byte()?;
        if !(1..=VERSION).contains(&version) {
            return Err(CodecError::Version { version });
        }
        let mut facts = Facts {
            boot: reader.small()?,
            next_seq: reader.varint()?,
            floor_unix_us: reader.signed()?,
            progress_origin: reader.varint()?,
            progress: read_progress(reader)?,
            ..Facts::new()
        };
        facts.newest.boot = reader.small()?;
        facts.newest.mono_ms = reader.varint()?;
        facts.newest.wall.unix_us = reader.signed()?;
        facts.weights = Weights::read(reader)?;
        facts.damage = Damage::read(reader)?;
        if version > 1 {
            for _ in 0..reader.varint()?.min(STARTS_MAX as u64) {
                let (frame, seq) = (reader.varint()?, reader.varint()?.max(1));
                facts.starts.push_back((frame, seq));
            }
        }
        for _ in 0..reader.varint()? {
            facts.seen.push_back((0, Seen(reader.long()?)));
        }
        facts.clocks = read_clocks(reader)?
            .into_iter()
            .map(|clock| (clock.boot, clock.start_unix_us))
            .collect();
        Ok(facts)
    }
}

/// Facts with the place in a journal up to which they, and the state beside them, have everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub epoch: u64,
    pub applied_seq: u64,
    /// The sum of [`crate::rows::share`] over the rows beside it.
    pub sum: u32,
    pub facts: Facts,
}

impl Base {
    /// Knows nothing yet.
    pub fn empty(epoch: u64) -> Base {
        Base { epoch, applied_seq: 0, sum: 0, facts: Facts::new() }
    }

    pub fn encode(epoch: u64, applied_seq: u64, sum: u32, facts: &Facts) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&epoch.to_le_bytes());
        put_varint(&mut out, applied_seq);
        put_varint(&mut out, u64::from(sum));
        facts.put(&mut out);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Base, CodecError> {
        let mut reader = Reader::new(bytes);
        Ok(Base {
            epoch: reader.long()?,
            applied_seq: reader.varint()?,
            sum: reader.small()?,
            facts: Facts::read(&mut reader)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_and_damage_does_not_panic() {
        let mut facts = Facts { boot: 3, next_seq: 1 << 40, ..Facts::new() };
        facts.newest = Stamp { boot: 3, mono_ms: 9, ..Stamp::default() };
        facts.progress.known = 7;
        facts.progress.waiting.push(Waiting {
            stream: StreamId(5),
            records: 1,
            bytes: 2,
            delivered: 3,
        });
        for frame in 1..200 {
            facts.weights.add(frame, 2, 10_000);
            facts.see(0, Seen(frame * 77), 100);
        }
        facts.clocks.insert(3, -5);
        facts.begin(80, 77);
        let bytes = Base::encode(9, 100, 7, &facts);
        let base = Base { epoch: 9, applied_seq: 100, sum: 7, facts };
        assert_eq!(Base::decode(&bytes), Ok(base));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0xff;
            Base::decode(&bad).ok();
            Base::decode(&bytes[..at]).ok();
        }
    }

    #[test]
    fn facts_without_starts_are_read() {
        let facts = Facts { next_seq: 9, ..Facts::new() };
        let (mut bytes, mut clocks) = (Vec::new(), Vec::new());
        facts.put(&mut bytes);
        put_clocks(&mut clocks, &[]);
        // Behind the count of starts: the count of what was seen, and the clocks.
        bytes.remove(bytes.len() - clocks.len() - 2);
        bytes[0] = 1;
        assert_eq!(Facts::read(&mut Reader::new(&bytes)), Ok(facts));
    }

    #[test]
    fn what_a_progress_did_not_know_of_waits() {
        let mut facts = Facts::new();
        facts.weights.add(5, 1, 10);
        facts.weights.add(30, 2, 10);
        let bounded = Span { priority: 1, from: Place::of(4), until: Some(Place::of(40)) };
        let early = Span { priority: 2, from: Place::of(30), until: None };
        facts.progress = Progress { known: 20, spans: vec![bounded, early], waiting: Vec::new() };
        let progress = facts.progress_up_to(30);
        for (priority, frame, is_settled) in [
            (1, 3, true),
            (1, 4, false),
            (1, 20, false),
            (2, 20, true),
            (2, 21, false),
            (2, 30, false),
        ] {
            let place = Place::of(frame);
            assert_eq!(progress.is_settled(priority, place), is_settled, "{priority} {frame}");
            assert_eq!(
                facts.progress.is_settled(priority, place),
                is_settled,
                "{priority} {frame}"
            );
        }
        assert_eq!(progress.known, 30);
        assert!(!progress.spans.iter().any(|span| span.priority == 3));
    }
}
