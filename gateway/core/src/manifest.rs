//! What a handler is, may do, and wakes up for: the meaning of `handler.toml`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::topic::Filter;

/// One handler's declaration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `[a-z0-9-]{1,32}`; its state belongs to this name.
    pub name: String,
    pub version: String,
    /// Topic filters that wake it; at least one.
    pub triggers: Vec<Filter>,
    pub limits: HandlerLimits,
    pub grants: Grants,
    pub isolation: Isolation,
    pub react: React,
    /// What `config_get` answers.
    pub config: BTreeMap<String, String>,
}

/// What one event of a handler may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerLimits {
    /// Fuel for one event.
    pub fuel: u64,
    /// Cap on the guest's memory.
    pub memory_kib: u32,
    /// Longest time from an event's start to its end.
    pub deadline_ms: u32,
    /// Most local publishes one event may make.
    pub publishes: u32,
}

/// What a handler may touch. Empty means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Topics that it may publish to.
    pub publish: Vec<Filter>,
    /// Streams that it may send to.
    pub send: Vec<String>,
    /// Pins of the board that it may read and, if they are outputs, set.
    pub gpio: Vec<String>,
}

impl Grants {
    /// Whether the handler may publish to `topic`. Control topics (`$...`, `tidegate/...`) are never granted.
    pub fn may_publish(&self, topic: &str) -> bool {
        !is_control(topic) && self.publish.iter().any(|filter| filter.matches(topic))
    }

    /// Whether the handler may send to the stream of that name.
    pub fn may_send(&self, stream: &str) -> bool {
        self.send.iter().any(|granted| granted == stream)
    }

    /// Whether the handler may use the pin of that name.
    pub fn may_use(&self, pin: &str) -> bool {
        self.gpio.iter().any(|granted| granted == pin)
    }
}

/// Where the event comes from that lets a release migrate state; `tidegate_abi::MIGRATE_TOPIC` says more. No device can
/// publish there.
pub const MIGRATE_TOPIC: &str = "$migrate";

/// Whether a topic or filter belongs to the broker (`$...`) or to Tidegate itself (`tidegate/...`).
pub fn is_control(topic: &str) -> bool {
    topic.starts_with('$') || topic == "tidegate" || topic.starts_with("tidegate/")
}

/// What an event finds in the guest's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// When every event starts from the post-init image.
    #[default]
    Event,
    /// When memory lives on from event to event, until a failure.
    Instance,
}

/// When reactions leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum React {
    /// When the handler returns.
    #[default]
    Now,
    /// When the event's commit is durable.
    Durable,
}

/// Whether `name` may name a handler or a gateway: `[a-z0-9-]{1,32}`.
pub fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
