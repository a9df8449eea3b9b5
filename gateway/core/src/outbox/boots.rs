//! Times across starts: what the clock said when each boot began, as far as it became known.

use alloc::collections::BTreeMap;

use crate::commit::BootClock;
use crate::record::Stamp;
use crate::time::{ClockQuality, Timestamp, WallTime};

/// Boots whose clock is remembered.
const BOOTS_MAX: usize = 64;

/// The boots of this store that are known.
#[derive(Debug, Default)]
pub struct Boots {
    now: u32,
    /// Unix microseconds at monotonic zero.
    starts: BTreeMap<u32, i64>,
}

impl Boots {
    pub fn new(now: u32, clocks: &[BootClock]) -> Boots {
        let starts = clocks.iter().map(|clock| (clock.boot, clock.start_unix_us)).collect();
        Boots { now, starts }
    }

    /// The boot that runs.
    pub fn now(&self) -> u32 {
        self.now
    }

    /// The clock is right: what it said when this boot began. Returns what is to be remembered, if that is news.
    pub fn know(&mut self, start_unix_us: i64) -> Option<BootClock> {
        let boot = self.now;
        // A second more or less is the clock being steered, not news.
        let is_known =
            self.starts.get(&boot).is_some_and(|known| known.abs_diff(start_unix_us) < 1_000_000);
        if is_known {
            return None;
        }
        self.starts.insert(boot, start_unix_us);
        while self.starts.len() > BOOTS_MAX {
            self.starts.pop_first();
        }
        Some(BootClock { boot, start_unix_us })
    }

    /// What time it is, as far as the clock of this boot is known.
    pub fn wall_at(&self, now: Timestamp) -> WallTime {
        let stamp = Stamp { boot: self.now, mono_ms: now.0, wall: WallTime::default() };
        self.wall(stamp)
    }

    /// When it was, as well as is known now.
    pub fn wall(&self, stamp: Stamp) -> WallTime {
        match (stamp.wall.quality, self.unix_us(stamp)) {
            (ClockQuality::None | ClockQuality::Floor, Some(unix_us)) => {
                WallTime { unix_us, quality: ClockQuality::Ntp }
            }
            (ClockQuality::None | ClockQuality::Floor | ClockQuality::Ntp, _) => stamp.wall,
        }
    }

    fn unix_us(&self, stamp: Stamp) -> Option<i64> {
        let since_us = i64::try_from(stamp.mono_ms).ok()?.checked_mul(1000)?;
        self.starts.get(&stamp.boot)?.checked_add(since_us)
    }

    /// How long ago it was; none when two boots' clocks cannot be compared.
    pub fn age_ms(&self, now: Timestamp, stamp: Stamp) -> Option<u64> {
        if stamp.boot == self.now {
            return Some(now.0.saturating_sub(stamp.mono_ms));
        }
        let mono_ms = now.0;
        let now = self.unix_us(Stamp { boot: self.now, mono_ms, ..Stamp::default() })?;
        let then = match stamp.wall.quality {
            ClockQuality::Ntp => stamp.wall.unix_us,
            ClockQuality::None | ClockQuality::Floor => self.unix_us(stamp)?,
        };
        u64::try_from(now.saturating_sub(then) / 1000).ok()
    }
}
