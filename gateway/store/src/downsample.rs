//! Which records of a stream stand for their neighbours.

use std::collections::BTreeMap;

use tidegate_core::record::{Stamp, StreamId};
use tidegate_core::time::ClockQuality;

use crate::codec::RecordView;

/// When something was, as far as it can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Unix microseconds.
    Wall(i64),
    /// Of a boot whose clock is not known, its microseconds.
    Boot(u32, i64),
}

impl When {
    fn of(stamp: &Stamp, clocks: &BTreeMap<u32, i64>) -> When {
        let mono_us = i64::try_from(stamp.mono_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        if let Some(start_us) = clocks.get(&stamp.boot) {
            return When::Wall(start_us.saturating_add(mono_us));
        }
        match stamp.wall.quality {
            ClockQuality::Floor | ClockQuality::Ntp => When::Wall(stamp.wall.unix_us),
            ClockQuality::None => When::Boot(stamp.boot, mono_us),
        }
    }

    /// Whether it is more than `keep_us` before `newest`. What cannot be compared is of another boot: it is.
    fn is_older(self, newest: When, keep_us: i64) -> bool {
        match (self, newest) {
            (When::Wall(this), When::Wall(newest)) => newest.saturating_sub(this) > keep_us,
            (When::Boot(boot, this), When::Boot(other, newest)) if boot == other => {
                newest.saturating_sub(this) > keep_us
            }
            (When::Wall(_), When::Boot(..)) | (When::Boot(..), When::Wall(_) | When::Boot(..)) => {
                true
            }
        }
    }

    /// Which stretch of so many microseconds it falls into.
    fn stretch(self, every_us: i64) -> (u32, i64) {
        match self {
            When::Wall(us) => (0, us.div_euclid(every_us)),
            When::Boot(boot, us) => (boot, us.div_euclid(every_us)),
        }
    }
}

/// Remembers of each stream which record was kept last, and for which stretch of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Downsampled {
    kept: BTreeMap<StreamId, ((u32, i64), u64)>,
}

impl Downsampled {
    /// Whether a record can go because an earlier one stands for it. Records come in order of place, some of them
    /// more than once.
    pub fn is_spare(
        &mut self,
        record: &RecordView<'_>,
        (keep_raw_s, then_every_s): (u32, u32),
        newest: &Stamp,
        clocks: &BTreeMap<u32, i64>,
    ) -> bool {
        let when = When::of(&record.stamp, clocks);
        if !when.is_older(When::of(newest, clocks), i64::from(keep_raw_s) * 1_000_000) {
            return false;
        }
        let stretch = when.stretch(i64::from(then_every_s.max(1)) * 1_000_000);
        match self.kept.get(&record.stream) {
            Some((known, seq)) if *known == stretch => *seq != record.seq,
            Some(_) | None => {
                self.kept.insert(record.stream, (stretch, record.seq));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::time::WallTime;

    use super::*;

    fn stamp(boot: u32, s: u64, quality: ClockQuality) -> Stamp {
        let wall = WallTime { unix_us: s as i64 * 1_000_000, quality };
        Stamp { boot, mono_ms: s * 1000, wall }
    }

    /// Boots and seconds of records, and which of them are spare with ten seconds raw, then one in five.
    #[track_caller]
    fn check(quality: ClockQuality, records: &[(u32, u64)], newest: (u32, u64), expect: &[bool]) {
        let mut downsampled = Downsampled::default();
        let newest = stamp(newest.0, newest.1, quality);
        let spare = |(seq, (boot, s)): (u64, &(u32, u64))| {
            let record = RecordView {
                seq,
                stream: StreamId(7),
                priority: 0,
                ttl_s: 0,
                stamp: stamp(*boot, *s, quality),
                topic: None,
                payload: b"",
            };
            downsampled.is_spare(&record, (10, 5), &newest, &BTreeMap::new())
        };
        let spare: Vec<bool> = (1..).zip(records).map(spare).collect();
        assert_eq!(spare, expect);
    }

    #[test]
    fn one_in_every_stretch_is_kept_and_what_is_young() {
        let records = [(1, 0), (1, 3), (1, 5), (1, 6), (1, 9), (1, 10), (1, 20), (1, 21)];
        let expect = [false, true, false, true, true, false, false, false];
        check(ClockQuality::Ntp, &records, (1, 30), &expect);
        check(ClockQuality::None, &records, (1, 30), &expect);
    }

    #[test]
    fn boots_without_a_clock_do_not_mix() {
        let records = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)];
        let expect = [false, true, false, true, false, false];
        check(ClockQuality::None, &records, (3, 2), &expect);
    }

    #[test]
    fn a_clock_that_became_known_counts() {
        let clocks = BTreeMap::from([(1, 100_000_000)]);
        let stamp = stamp(1, 5, ClockQuality::None);
        assert_eq!(When::of(&stamp, &clocks), When::Wall(105_000_000));
    }
}
