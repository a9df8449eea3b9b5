//! The only place of the daemon that reads a clock.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_core::Timestamp;
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_host::Now;
use tokio::time::sleep;

mod authority;

pub use authority::Authority;

/// 2024-01-01: a clock that says less has never been set. Older than the first release of this software.
const PLAUSIBLE_UNIX_US: i64 = 1_704_067_200_000_000;
/// Between two looks at whether the system clock is synchronised, until it is.
const LOOK: Duration = Duration::from_secs(10);
/// The same afterwards.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How far the start may move, by a step of the clock, before it is told again.
const MOVED_US: u64 = 1_000_000;
/// Nobody has been told when the daemon started.
const UNTOLD: i64 = i64::MIN;

/// Monotonic time since the start, and wall time. One for the whole process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    shared: &'static Shared,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// Wall time was at least this when the daemon started, unix microseconds; 0 is unknown.
    floor_us: AtomicI64,
    synchronised: AtomicBool,
    /// The wall time of the start, as it was told.
    told_us: AtomicI64,
}

/// What the clocks say at one instant, and what is known about them.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Unix microseconds, whatever they are worth.
    system_us: i64,
    /// Monotonic microseconds since the start.
    mono_us: i64,
    /// 0 is unknown.
    floor_us: i64,
    synchronised: bool,
}

impl Reading {
    /// The earliest that wall time can be now.
    fn earliest_us(&self) -> Option<i64> {
        (self.floor_us > 0).then(|| self.floor_us.saturating_add(self.mono_us))
    }

    /// What it is worth. Never before the floor, wherever the system clock jumps.
    fn wall(&self) -> WallTime {
        let (unix_us, quality) = match self.earliest_us() {
            Some(earliest_us) if self.system_us < earliest_us => (earliest_us, ClockQuality::Floor),
            _ if self.synchronised => (self.system_us, ClockQuality::Ntp),
            Some(_) => (self.system_us, ClockQuality::Floor),
            // Without a store to ask, the age of this software is a floor.
            None if self.system_us >= PLAUSIBLE_UNIX_US => (self.system_us, ClockQuality::Floor),
            None => (self.system_us, ClockQuality::None),
        };
        WallTime { unix_us, quality }
    }

    /// The wall time of the daemon's start, if it is known.
    fn start_us(&self) -> Option<i64> {
        let wall = self.wall();
        (wall.quality == ClockQuality::Ntp).then(|| wall.unix_us.saturating_sub(self.mono_us))
    }

    /// What a store may take as the next start's floor: a clock that was set into the future by mistake and has
    /// not been synchronised is believed once, when there is no floor at all.
    fn next_floor_us(&self) -> Option<i64> {
        let wall = self.wall();
        match (wall.quality, self.earliest_us()) {
            (ClockQuality::Ntp, _) => Some(wall.unix_us),
            (ClockQuality::Floor | ClockQuality::None, Some(earliest_us)) => Some(earliest_us),
            (ClockQuality::Floor, None) => Some(wall.unix_us),
            (ClockQuality::None, None) => None,
        }
    }
}

impl Clock {
    /// Starts it. Once in a process: what it needs is never given back.
    pub fn start() -> Clock {
        let shared = Shared {
            start: Instant::now(),
            floor_us: AtomicI64::new(0),
            synchronised: AtomicBool::new(false),
            told_us: AtomicI64::new(UNTOLD),
        };
        Clock { shared: Box::leak(Box::new(shared)) }
    }

    /// What the store knows: wall time was at least this when the daemon started, unix microseconds; 0 is unknown.
    pub fn set_floor(&self, unix_us: i64) {
        self.shared.floor_us.store(unix_us, Ordering::Relaxed);
    }

    /// What the store may write down as the floor of the next start; none while nothing is known.
    pub fn next_floor(&self) -> Option<i64> {
        self.read().next_floor_us()
    }

    /// Takes note of whether the system clock is synchronised. Gives the wall time of the daemon's start (unix
    /// microseconds) when it has just become known, or has moved by more than a second.
    pub fn look(&self, synchronised: bool) -> Option<i64> {
        self.shared.synchronised.store(synchronised, Ordering::Relaxed);
        let start_us = self.read().start_us()?;
        let told_us = self.shared.told_us.load(Ordering::Relaxed);
        if told_us != UNTOLD && start_us.abs_diff(told_us) <= MOVED_US {
            return None;
        }
        self.shared.told_us.store(start_us, Ordering::Relaxed);
        Some(start_us)
    }

    /// Looks at the authority for as long as the daemon runs, and hands what [`Clock::look`] gives to `tell`.
    pub async fn watch(self, authority: Authority, mut tell: impl FnMut(i64)) {
        loop {
            let synchronised = authority.says_synchronised().await;
            if let Some(start_us) = self.look(synchronised) {
                tell(start_us);
            }
            sleep(if synchronised { LOOK_AGAIN } else { LOOK }).await;
        }
    }

    /// What the core reckons with.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp(u64::try_from(self.shared.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The tokio instant of a core timestamp.
    pub fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.shared.start + Duration::from_millis(at.0))
    }

    /// Wall time.
    pub fn wall(&self) -> WallTime {
        self.read().wall()
    }

    /// What a handler's run reckons with.
    pub fn now(&self) -> Now {
        let reading = self.read();
        Now { mono_us: reading.mono_us.unsigned_abs(), wall: reading.wall() }
    }

    fn read(&self) -> Reading {
        let system_us = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Reading {
            system_us,
            mono_us: i64::try_from(self.shared.start.elapsed().as_micros()).unwrap_or(i64::MAX),
            floor_us: self.shared.floor_us.load(Ordering::Relaxed),
            synchronised: self.shared.synchronised.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_US: i64 = 365 * 86_400 * 1_000_000;
    const FLOOR_US: i64 = PLAUSIBLE_UNIX_US + YEAR_US;
    use ClockQuality::{Floor, None as Unknown, Ntp};

    /// A daemon that has run for a second.
    fn reading(system_us: i64, floor_us: i64, synchronised: bool) -> Reading {
        Reading { system_us, mono_us: 1_000_000, floor_us, synchronised }
    }

    #[track_caller]
    fn check(reading: Reading, unix_us: i64, quality: ClockQuality) {
        assert_eq!(reading.wall(), WallTime { unix_us, quality });
    }

    #[test]
    fn a_clock_that_was_never_set_is_worth_nothing() {
        check(reading(7, 0, false), 7, Unknown);
        check(reading(-7, 0, false), -7, Unknown);
        check(reading(PLAUSIBLE_UNIX_US - 1, 0, false), PLAUSIBLE_UNIX_US - 1, Unknown);
        check(reading(PLAUSIBLE_UNIX_US, 0, false), PLAUSIBLE_UNIX_US, Floor);
    }

    #[test]
    fn wall_time_never_goes_below_the_floor() {
        let earliest = FLOOR_US + 1_000_000;
        for synchronised in [false, true] {
            for system_us in [i64::MIN, -1, 0, PLAUSIBLE_UNIX_US, FLOOR_US, earliest - 1] {
                check(reading(system_us, FLOOR_US, synchronised), earliest, Floor);
                assert_eq!(reading(system_us, FLOOR_US, synchronised).start_us(), None);
            }
        }
        check(reading(earliest, FLOOR_US, false), earliest, Floor);
        check(reading(earliest + 5, FLOOR_US, false), earliest + 5, Floor);
        check(reading(earliest + 5, FLOOR_US, true), earliest + 5, Ntp);
        check(reading(i64::MAX, i64::MAX, true), i64::MAX, Ntp);
    }

    #[test]
    fn the_start_is_known_when_the_clock_is() {
        assert_eq!(reading(FLOOR_US, 0, false).start_us(), None);
        assert_eq!(reading(FLOOR_US, 0, true).start_us(), Some(FLOOR_US - 1_000_000));
    }

    #[test]
    fn a_clock_that_jumped_ahead_does_not_raise_the_floor() {
        let earliest = FLOOR_US + 1_000_000;
        let far = FLOOR_US + 50 * YEAR_US;
        assert_eq!(reading(far, FLOOR_US, false).next_floor_us(), Some(earliest));
        assert_eq!(reading(far, FLOOR_US, true).next_floor_us(), Some(far));
        assert_eq!(reading(0, FLOOR_US, false).next_floor_us(), Some(earliest));
        assert_eq!(reading(FLOOR_US, 0, false).next_floor_us(), Some(FLOOR_US));
        assert_eq!(reading(7, 0, false).next_floor_us(), None);
    }

    #[test]
    fn the_start_is_told_once_and_again_when_it_has_moved() {
        let clock = Clock::start();
        assert_eq!(clock.look(false), None);
        assert_eq!(clock.wall().quality, Floor);
        let start_us = clock.look(true).expect("known now");
        assert_eq!(clock.wall().quality, Ntp);
        assert_eq!(clock.look(true), None);
        assert_eq!((clock.look(false), clock.look(true)), (None, None));
        clock.shared.told_us.store(start_us - 2_000_000, Ordering::Relaxed);
        assert!(clock.look(true).is_some(), "the clock was set in between");
        clock.set_floor(i64::MAX);
        assert_eq!((clock.wall().quality, clock.look(true)), (Floor, None));
    }
}
