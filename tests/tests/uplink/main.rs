//! The uplink's driver by itself, against real and false brokers. One binary, because linking takes longer than
//! running it.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

mod bench;
mod certificates;
mod fake;
mod false_brokers;
mod real_broker;
mod tls;
