//! Runs a handler natively: `cargo test` with no wasm and no gateway.
//!
//! ```
//! use tidegate_sdk::{Event, Result, publish, testing::Harness};
//!
//! fn on_event(event: &Event) -> Result {
//!     publish("echo", event.payload())
//! }
//!
//! let mut gateway = Harness::new(on_event).grant("echo");
//! assert_eq!(gateway.send("in", "hello").published, [("echo", "hello")]);
//! ```
//!
//! As in the gateway, an event that fails leaves no trace but its log lines. What the gateway limits
//! and this does not: fuel, time, memory, and the sizes that `handler.toml` sets; `tidegate try` has those.

pub(crate) mod host;
mod json;
mod outcome;
mod record;
mod world;

use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

use crate::{Answer, Event};

pub use outcome::{Outcome, PinSet, Published, Sent};
pub use record::Message;
use world::World;

/// A gateway with one handler and nothing else.
pub struct Harness {
    handle: Box<dyn Fn(&Event<'_>) -> crate::Result>,
    world: World,
    inbox_bytes: usize,
}

impl Harness {
    /// A gateway with this handler, no state, no config, no grants, and a wall clock at 2026-01-01.
    pub fn new<A: Answer + 'static>(handle: fn(&Event<'_>) -> A) -> Harness {
        Harness {
            handle: Box::new(move |event| handle(event).into_result()),
            world: World::default(),
            inbox_bytes: usize::MAX,
        }
    }

    /// Adds a filter to `[grants] publish`.
    #[must_use]
    pub fn grant(mut self, filter: &str) -> Harness {
        self.world.grants.push(filter.into());
        self
    }

    /// Adds a stream to `[grants] send`, and to the gateway's streams.
    #[must_use]
    pub fn grant_send(mut self, stream: &str) -> Harness {
        self.world.streams.insert(stream.into());
        self
    }

    /// Adds an output of the board to `[grants] gpio`. It is off.
    #[must_use]
    pub fn grant_output(mut self, pin: &str) -> Harness {
        self.world.pins.insert(pin.into(), (true, Some(false)));
        self
    }

    /// Adds an input of the board to `[grants] gpio`. It is off until [`Harness::pin`] or [`Harness::set_pin`] says otherwise.
    #[must_use]
    pub fn grant_input(mut self, pin: &str) -> Harness {
        self.world.pins.insert(pin.into(), (false, Some(false)));
        self
    }

    /// Sets a key of `[config]`.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Harness {
        self.world.config.insert(key.into(), value.into());
        self
    }

    /// Sets `[limits] publishes`; without it there is no limit.
    #[must_use]
    pub fn publishes(mut self, max: usize) -> Harness {
        self.world.publishes_max = max;
        self
    }

    /// Sets the inbox's size, to see what the handler does with a payload that does not fit.
    #[must_use]
    pub fn inbox(mut self, bytes: usize) -> Harness {
        self.inbox_bytes = bytes;
        self
    }

    /// Lets time pass.
    pub fn advance_ms(&mut self, ms: u64) {
        self.world.advance_ms(ms);
    }

    /// Delivers a message to the handler.
    pub fn send(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Outcome {
        self.deliver(Message { topic, payload: payload.as_ref(), ..Message::default() })
    }

    /// A granted pin is at this level from now on; `None` is: it cannot be used.
    pub fn set_pin(&mut self, pin: &str, level: Option<bool>) {
        if let Some((_, is)) = self.world.pins.get_mut(pin) {
            *is = level;
        }
    }

    /// A pin changes: the event that `[[trigger]] gpio` asks for. A granted one reads so, too.
    pub fn pin(&mut self, pin: &str, on: bool) -> Outcome {
        self.set_pin(pin, Some(on));
        let topic = std::format!("$pin/{pin}");
        let payload: &[u8] = if on { b"1" } else { b"0" };
        self.deliver(Message { topic: &topic, payload, source: pin, ..Message::default() })
    }

    /// As [`Harness::send`], with everything a message can carry.
    pub fn deliver(&mut self, message: Message<'_>) -> Outcome {
        self.world.event_id += 1;
        let record = record::write(&message, &self.world, self.inbox_bytes);
        let event = Event::new(&record).expect("a record has a head");
        host::run(&mut self.world, message, || (self.handle)(&event))
    }

    /// The bytes under a key.
    pub fn state(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.world.get(key.as_ref()).map(|entry| &entry.value[..])
    }

    /// The float under a key.
    pub fn state_f64(&self, key: impl AsRef<[u8]>) -> Option<f64> {
        Some(f64::from_le_bytes(self.state(key)?.try_into().ok()?))
    }

    /// The whole number under a key.
    pub fn state_i64(&self, key: impl AsRef<[u8]>) -> Option<i64> {
        Some(i64::from_le_bytes(self.state(key)?.try_into().ok()?))
    }

    /// Puts something there before the handler runs.
    pub fn set_state(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.world.put(key.as_ref(), value.as_ref(), 0);
    }

    /// Every key, in order, as text.
    pub fn keys(&self) -> Vec<String> {
        self.world.keys(b"").map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }
}
