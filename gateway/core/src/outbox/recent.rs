//! How many in the last minute.

use crate::time::Timestamp;

const SLOTS: usize = 6;
const SLOT_MS: u64 = 10_000;

/// Counts in slots of ten seconds, and forgets what is older than six of them.
#[derive(Debug, Default)]
pub struct Recent {
    counts: [u32; SLOTS],
    /// The number of the newest slot, from the start of time.
    newest: u64,
    /// Since when there was no minute without one.
    since: Timestamp,
}

impl Recent {
    pub fn count(&mut self, now: Timestamp) {
        let slot = now.0 / SLOT_MS;
        if slot != self.newest || self.since == Timestamp(0) {
            self.begin(now, slot);
        }
        let at = (slot % SLOTS as u64) as usize;
        self.counts[at] = self.counts[at].saturating_add(1);
    }

    fn begin(&mut self, now: Timestamp, slot: u64) {
        if slot >= self.newest + SLOTS as u64 || self.since == Timestamp(0) {
            self.counts = [0; SLOTS];
            self.since = now;
        } else {
            for passed in self.newest + 1..=slot {
                self.counts[(passed % SLOTS as u64) as usize] = 0;
            }
        }
        self.newest = slot;
    }

    /// How many there were lately, and in how many milliseconds: the last minute at most.
    pub fn rate(&self, now: Timestamp) -> (u64, u64) {
        let slot = now.0 / SLOT_MS;
        let first = (slot + 1).saturating_sub(SLOTS as u64);
        let counted = first.max((self.newest + 1).saturating_sub(SLOTS as u64))..=self.newest;
        let count = |slot: u64| u64::from(self.counts[(slot % SLOTS as u64) as usize]);
        let since = self.since.max(Timestamp(first * SLOT_MS));
        (counted.map(count).sum(), now.0.saturating_sub(since.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts at these times; then asks.
    #[track_caller]
    fn check(times: impl IntoIterator<Item = u64>, now: u64, expect: (u64, u64)) {
        let mut recent = Recent::default();
        times.into_iter().for_each(|ms| recent.count(Timestamp(ms)));
        assert_eq!(recent.rate(Timestamp(now)), expect);
    }

    #[test]
    fn what_is_older_than_a_minute_does_not_count() {
        check([], 500_000, (0, 50_000));
        check([1000, 2000], 4000, (2, 3000));
        check([1000, 2000], 59_999, (2, 58_999));
        check([1000, 2000], 60_000, (0, 50_000));
        check([1000, 200_000], 200_500, (1, 500));
        check([9_999, 10_000, 59_999], 60_000, (2, 50_000));
        check([9_999, 70_001], 70_001, (1, 0));
    }

    #[test]
    fn a_steady_rate_comes_out() {
        for end in [1_000, 65_000, 1_000_000, 1_000_009] {
            let mut recent = Recent::default();
            (1..=end / 100).for_each(|n| recent.count(Timestamp(n * 100)));
            let (count, ms) = recent.rate(Timestamp(end));
            let per_s = count * 1000 / ms;
            assert!((10..=11).contains(&per_s), "{count} in {ms} ms");
        }
    }
}
