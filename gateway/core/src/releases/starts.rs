//! Counts quick restarts: a daemon that does not live long is better off without handlers.
//!
//! ```text
//! boot u64 | uptime_ms u64 | count u8      one row: which run of the kernel, when in it, the how-manieth quick start
//! ```

use alloc::vec::Vec;

/// A start so soon after the one before is a quick one.
const QUICK_MS: u64 = 60_000;

/// The row, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starts {
    boot: u64,
    uptime_ms: u64,
    /// Quick restarts in a row, this start included; 0 is a start after peace.
    pub count: u8,
}

impl Starts {
    /// This start, after the one that `row` tells of. A power cut is no restart: the kernel's run is another one.
    pub fn next(row: Option<&[u8]>, boot: u64, uptime_ms: u64) -> Starts {
        let before = row.and_then(Starts::decode).filter(|before| before.boot == boot);
        let quick = before.filter(|before| {
            before.uptime_ms <= uptime_ms && uptime_ms - before.uptime_ms < QUICK_MS
        });
        Starts { boot, uptime_ms, count: quick.map_or(0, |before| before.count.saturating_add(1)) }
    }

    /// After a clean stop the next start is not counted.
    pub fn stopped(self) -> Starts {
        Starts { boot: 0, uptime_ms: 0, count: 0 }
    }

    fn decode(row: &[u8]) -> Option<Starts> {
        let (boot, rest) = row.split_first_chunk::<8>()?;
        let (uptime, rest) = rest.split_first_chunk::<8>()?;
        let [count] = *rest else {
            return None;
        };
        let (boot, uptime_ms) = (u64::from_le_bytes(*boot), u64::from_le_bytes(*uptime));
        Some(Starts { boot, uptime_ms, count })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(17);
        row.extend(self.boot.to_le_bytes());
        row.extend(self.uptime_ms.to_le_bytes());
        row.push(self.count);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quick_starts_in_one_run_of_the_kernel_count() {
        let mut row = None::<Vec<u8>>;
        let mut start = |boot, uptime_ms| {
            let starts = Starts::next(row.as_deref(), boot, uptime_ms);
            row = Some(starts.encode());
            starts.count
        };
        assert_eq!([start(1, 1_000), start(1, 2_000), start(1, 61_999)], [0, 1, 2]);
        assert_eq!([start(1, 121_999), start(2, 122_000), start(2, 100)], [0, 0, 0]);
        let stopped = Starts::next(None, 2, 100).stopped().encode();
        assert_eq!(Starts::next(Some(&stopped), 2, 101).count, 0);
        assert_eq!(Starts::next(Some(b"short"), 2, 101).count, 0);
    }
}
