//! The inbox record: the event as the host writes it into the guest's buffer, in one copy.
//!
//! ```text
//!  0 u32 total_len   4 u8 trigger   5 u8 flags   6 u16 attempt
//!  8 i64 ts_us      16 u64 event_id             24 u32 clock_quality   28 u32 fuel_k
//! 32 {u32 off, u32 len} topic   40 source   48 content_type   56 attrs   64 payload
//! 72 bytes follow; every `off` counts from the start of the record
//! ```

/// Length of the fixed head; the bytes of the fields follow.
pub const HEAD_LEN: usize = 72;

pub const TOTAL_LEN: usize = 0;
pub const TRIGGER: usize = 4;
pub const FLAGS: usize = 5;
pub const ATTEMPT: usize = 6;
pub const TS_US: usize = 8;
pub const EVENT_ID: usize = 16;
pub const CLOCK_QUALITY: usize = 24;
pub const FUEL_K: usize = 28;
pub const TOPIC: usize = 32;
pub const SOURCE: usize = 40;
pub const CONTENT_TYPE: usize = 48;
pub const ATTRS: usize = 56;
pub const PAYLOAD: usize = 64;

/// Splits what `tidegate_inbox` returned into `(ptr, cap)`.
pub const fn unpack(value: i64) -> (u32, u32) {
    (value as u32, (value as u64 >> 32) as u32)
}

/// What `tidegate_inbox` returns.
pub const fn pack(ptr: u32, cap: u32) -> i64 {
    (((cap as u64) << 32) | ptr as u64) as i64
}
