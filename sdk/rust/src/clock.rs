//! Time, as the host records it for replay.

use tidegate_abi::clock;

use crate::host;

/// Wall time, unix microseconds. A gateway without a clock starts in 1970: see
/// [`Event::clock_quality`](crate::Event::clock_quality).
#[inline]
pub fn now_us() -> i64 {
    host::now_us(clock::WALL)
}

/// Microseconds since the daemon started. Never goes back, means nothing across a restart.
#[inline]
pub fn monotonic_us() -> i64 {
    host::now_us(clock::MONOTONIC)
}
