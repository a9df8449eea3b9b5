//! `tidegate receive` with a real broker. One binary, because linking takes longer than running it.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

mod bench;
mod kills;
mod records;
