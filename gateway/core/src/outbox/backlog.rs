//! What waits, by stream: how much, since when as far as is known, and how fast it went lately.

use alloc::collections::BTreeMap;

use super::recent::Recent;
use crate::commit::Waiting;
use crate::record::{Record, Stamp, StreamId};
use crate::store::LossTotal;
use crate::time::Timestamp;

/// The record that has waited longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    pub seq: u64,
    pub stamp: Stamp,
    /// Not: there is an older one, and nobody has seen when it was made.
    pub is_exact: bool,
}

#[derive(Debug)]
struct Line {
    waiting: Waiting,
    /// None while records wait: those that were first have gone, and what is next is not in memory.
    first: Option<First>,
    recent: Recent,
}

/// Every stream that ever had a record.
#[derive(Debug, Default)]
pub struct Backlog {
    lines: BTreeMap<StreamId, Line>,
}

impl Backlog {
    /// Takes over what waited at the start. `start` is when that was: what waits is older.
    pub fn restore(&mut self, waiting: &[Waiting], start: Stamp) {
        let first = First { seq: 0, stamp: start, is_exact: false };
        let line = |waiting: &Waiting| Line {
            waiting: *waiting,
            first: (waiting.records > 0).then_some(first),
            recent: Recent::default(),
        };
        self.lines = waiting.iter().map(|waiting| (waiting.stream, line(waiting))).collect();
    }

    /// A record waits from now on.
    pub fn join(&mut self, record: &Record) {
        let stream = record.stream;
        let line = self.lines.entry(stream).or_insert_with(|| Line {
            waiting: Waiting { stream, records: 0, bytes: 0, delivered: 0 },
            first: None,
            recent: Recent::default(),
        });
        if line.waiting.records == 0 {
            line.first = Some(First { seq: record.seq, stamp: record.stamp, is_exact: true });
        }
        line.waiting.records += 1;
        line.waiting.bytes += record.bytes() as u64;
    }

    /// Upstream has a record; [`Backlog::settle`] follows.
    pub fn deliver(&mut self, now: Timestamp, record: &Record) {
        if let Some(line) = self.lines.get_mut(&record.stream) {
            line.waiting.delivered += 1;
            line.recent.count(now);
        }
    }

    /// A record does not wait any more.
    pub fn settle(&mut self, record: &Record) {
        if let Some(line) = self.lines.get_mut(&record.stream) {
            line.leave(1, record.bytes() as u64);
            line.first = line.first.filter(|first| match first.is_exact {
                true => first.seq != record.seq,
                // Of those from before the start this may have been the last.
                false => record.stamp.boot == first.stamp.boot,
            });
        }
    }

    /// An eviction took these.
    pub fn evict(&mut self, loss: &LossTotal) {
        if let Some(line) = self.lines.get_mut(&loss.stream) {
            line.leave(loss.records, loss.bytes);
            // The oldest go first, and who is next nobody has seen.
            line.first = None;
        }
    }

    /// Nothing waits, whatever was counted.
    pub fn clear(&mut self) {
        for line in self.lines.values_mut() {
            (line.waiting.records, line.waiting.bytes, line.first) = (0, 0, None);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.lines.values().map(|line| &line.waiting)
    }

    /// Records of all streams.
    pub fn records(&self) -> u64 {
        self.iter().map(|waiting| waiting.records).sum()
    }

    /// The first of a stream that waits, as far as is known here.
    pub fn first(&self, stream: StreamId) -> Option<First> {
        self.lines.get(&stream).filter(|line| line.waiting.records > 0)?.first
    }

    /// How many of a stream were delivered lately, and in how many milliseconds.
    pub fn recent(&self, now: Timestamp, stream: StreamId) -> (u64, u64) {
        self.lines.get(&stream).map_or((0, 0), |line| line.recent.rate(now))
    }
}

impl Line {
    fn leave(&mut self, records: u64, bytes: u64) {
        self.waiting.records = self.waiting.records.saturating_sub(records);
        self.waiting.bytes = self.waiting.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LossReason;

    const STREAM: StreamId = StreamId(7);

    fn record(seq: u64) -> Record {
        Record {
            seq,
            stream: STREAM,
            priority: 0,
            ttl_s: 0,
            stamp: Stamp { boot: if seq < 5 { 1 } else { 2 }, mono_ms: 10, ..Stamp::default() },
            topic: None,
            payload: (*b"xyz").into(),
        }
    }

    /// `jN` record N joins, `sN` it is settled, `e` an eviction takes one, `r` two are restored. Expects the first:
    /// `N` a seq, `<` older than the start, `?` unknown, `-` nothing waits.
    #[track_caller]
    fn check(script: &str, expect: &str) {
        let mut backlog = Backlog::default();
        let mut seen = alloc::string::String::new();
        for word in script.split_whitespace() {
            let number = word[1..].parse::<u64>();
            match (&word[..1], number) {
                ("j", Ok(seq)) => backlog.join(&record(seq)),
                ("s", Ok(seq)) => backlog.settle(&record(seq)),
                ("e", _) => backlog.evict(&LossTotal {
                    stream: STREAM,
                    reason: LossReason::DroppedOldest,
                    records: 1,
                    bytes: 3,
                }),
                _ => {
                    let two = Waiting { stream: STREAM, records: 2, bytes: 6, delivered: 0 };
                    backlog.restore(&[two], Stamp { boot: 2, ..Stamp::default() });
                }
            }
            let first = backlog.first(STREAM);
            seen.push_str(&match first {
                Some(first) if first.is_exact => alloc::format!("{} ", first.seq),
                Some(_) => "< ".into(),
                None if backlog.records() > 0 => "? ".into(),
                None => "- ".into(),
            });
            let bytes: u64 = backlog.iter().map(|waiting| waiting.bytes).sum();
            assert_eq!(bytes, backlog.records() * 3, "{script}");
        }
        assert_eq!(seen.trim_end(), expect, "{script}");
    }

    #[test]
    fn the_first_is_known_until_it_goes() {
        check("j1 j2 s2 s1", "1 1 1 -");
        check("j1 j2 s1 j3 s2 s3 j4", "1 1 ? ? ? - 4");
        check("j1 j2 e j3", "1 1 ? ?");
        check("r j9 s9 s3 s4 j10", "< < < ? - 10");
    }

    #[test]
    fn what_was_delivered_lately_is_counted() {
        let mut backlog = Backlog::default();
        backlog.join(&record(1));
        backlog.deliver(Timestamp(5000), &record(1));
        assert_eq!(backlog.recent(Timestamp(7000), STREAM).0, 1);
        assert_eq!(backlog.recent(Timestamp(7000), StreamId(8)), (0, 0));
        assert_eq!(backlog.iter().next().map(|waiting| waiting.delivered), Some(1));
    }
}
