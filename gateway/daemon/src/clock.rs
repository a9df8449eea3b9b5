//! The only place of the daemon that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_core::Timestamp;
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_host::Now;

/// 2024-01-01: a clock that says less has never been set. Older than the first release of this software.
const PLAUSIBLE_UNIX_US: i64 = 1_704_067_200_000_000;

/// Monotonic time since the start, and wall time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// What the core reckons with.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The tokio instant of a core timestamp.
    pub fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + Duration::from_millis(at.0))
    }

    /// Wall time. Whether the system clock is synchronised is not asked yet: a plausible time counts as a floor.
    pub fn wall(&self) -> WallTime {
        let unix_us = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        let plausible = unix_us >= PLAUSIBLE_UNIX_US;
        let quality = if plausible { ClockQuality::Floor } else { ClockQuality::None };
        WallTime { unix_us, quality }
    }

    /// What a handler's run reckons with.
    pub fn now(&self) -> Now {
        let mono_us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { mono_us, wall: self.wall() }
    }
}
