//! What a Rust handler is written against: an event comes in, host functions are called, and the
//! event's effects happen if the handler returns `Ok`. No allocator, no `std`, no JSON parser in
//! the guest: the author sizes every buffer, and the host reads JSON.
//!
//! ```
//! use tidegate_sdk::{Event, Result, json, publish, text};
//!
//! tidegate_sdk::handler!(on_event, inbox = 1024);
//!
//! fn on_event(event: &Event) -> Result {
//!     let temp = event.num("temp")?;
//!     let topic = text!(64; "devices/", event.level(1)?, "/echo")?;
//!     publish(&topic, &json!(64; "temp": tidegate_sdk::fixed(temp, 1))?)
//! }
//! ```
//!
//! Natively (not on wasm32) the same functions go to a [`testing::Harness`], so that `cargo test`
//! runs a handler without any wasm.
#![no_std]
#[cfg(not(target_arch = "wasm32"))]
extern crate std;

mod answer;
mod clock;
mod config;
mod decimal;
mod error;
mod event;
pub mod gpio;
mod handler;
mod json;
mod log;
mod publish;
mod random;
pub mod state;
mod text;

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
pub mod guest;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(target_arch = "wasm32")]
use guest as host;
#[cfg(not(target_arch = "wasm32"))]
use testing::host;

pub use answer::Answer;
pub use clock::{monotonic_us, now_us};
pub use config::{config, config_num};
pub use decimal::{Fixed, fixed};
pub use error::{Error, Result};
pub use event::Event;
#[doc(hidden)]
pub use json::is_plain;
pub use json::{Raw, Value};
#[doc(hidden)]
pub use log::LINE_BYTES;
pub use log::{Level, log};
pub use publish::{QoS, publish, publish_as, send};
pub use random::random;
pub use text::{Piece, Text};
pub use tidegate_abi::{Trigger, flags};
