//! Time as data. Nothing here reads a clock: `now` is an argument everywhere.

use core::time::Duration;

/// Monotonic milliseconds since the daemon started: the only thing deadlines use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time `wait` later, saturating at the end of time.
    pub fn after(self, wait: Duration) -> Timestamp {
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(ms))
    }

    /// How long ago `earlier` was; zero when it is in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// How far wall time can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ClockQuality {
    /// When nothing is known: a Pi wakes up in 1970.
    #[default]
    None = 0,
    /// When it is not earlier than the last time the gateway wrote down.
    Floor = 1,
    /// When the system clock says it is synchronised.
    Ntp = 2,
}

/// Wall time: unix microseconds and how far to believe them. Data, never a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallTime {
    pub unix_us: i64,
    pub quality: ClockQuality,
}
