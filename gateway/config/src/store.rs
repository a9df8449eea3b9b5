//! From `[store]` to [`StoreSettings`].

use std::ops::RangeInclusive;

use crate::reader::Table;
use crate::settings::StoreSettings;

/// Above a second every device that waits for its ack would wait that long.
const COMMIT_MS: RangeInclusive<u64> = 0..=1000;
/// Above an hour "the state of a moment ago" is not what comes back after a power cut.
const LAZY_MS: RangeInclusive<u64> = 0..=3_600_000;
/// The journal needs four segments of 4 MiB at least; a terabyte is more than any board has.
const QUOTA_MB: RangeInclusive<u64> = 32..=1_000_000;

const COMMIT_MS_DEFAULT: u64 = 5;
const LAZY_MS_DEFAULT: u64 = 2000;
const QUOTA_MB_DEFAULT: u64 = 256;

/// What `[store]` means; every key has a default.
pub(crate) fn store(table: &Table<'_>) -> StoreSettings {
    let number = |key, range, default| table.number(key, range, "").map_or(default, |at| at.value);
    let narrow = |ms| u32::try_from(ms).expect("the ranges lie within a u32");
    StoreSettings {
        commit_ms: narrow(number("commit_ms", &COMMIT_MS, COMMIT_MS_DEFAULT)),
        lazy_ms: narrow(number("lazy_ms", &LAZY_MS, LAZY_MS_DEFAULT)),
        quota_mb: narrow(number("quota_mb", &QUOTA_MB, QUOTA_MB_DEFAULT)),
    }
}
