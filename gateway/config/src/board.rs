//! What a piece of hardware is and what it allows: the meaning of `boards/*.toml`.
//! `boards/README.md` explains each key.

use std::path::PathBuf;

use tidegate_core::Limits;

/// What a module takes in memory, as a multiple of its file: its bytes, and up to 3.6 times as much for
/// wasmi's translation. Measured, see "Memory" in `boards/README.md`.
const MODULE_COPIES: u64 = 5;

/// One board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    pub name: String,
    pub description: String,
    /// Rust's name for the target, such as `armv7-unknown-linux-musleabihf`.
    pub triple: String,
    pub cores: u16,
    /// Whether wall time survives a power cut.
    pub has_rtc: bool,
    /// Device of the hardware watchdog, where there is one.
    pub watchdog: Option<PathBuf>,
    pub memory: Memory,
    pub flash: Flash,
    pub core_limits: Limits,
    pub door: DoorLimits,
    pub host: HostLimits,
    pub runner: RunnerLimits,
}

/// What the daemon may take of the board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total_mib: u64,
    /// What the daemon may take when every limit is reached at once.
    pub budget_mib: u64,
    /// What it takes before the first client and handler: code, stacks, runtime.
    pub base_kib: u64,
}

/// What the daemon may take of the flash's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flash {
    pub write_mib_per_day_max: u64,
}

/// Limits of the embedded front door: what `tidegate_broker::Limits` holds, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorLimits {
    pub clients_max: usize,
    pub packet_bytes_max: usize,
    /// Per client.
    pub subscriptions_max: usize,
    /// Over all clients.
    pub filters_max: usize,
    /// Per client: waiting to be written, and as many again waiting for room to be.
    pub outbound_bytes_max: usize,
    /// Per client.
    pub queued_messages_max: usize,
    /// Per client: sent with QoS 1 and not acknowledged yet.
    pub inflight_max: u16,
    /// Per client: received with QoS 1 and not acknowledged yet.
    pub receive_max: u16,
    /// Per client of MQTT 5.
    pub topic_aliases_max: u16,
    pub retained_messages_max: usize,
    pub retained_bytes_max: usize,
    pub topics_cached_max: usize,
    pub connect_timeout_ms: u64,
    pub keep_alive_max_s: u16,
}

/// Limits of one handler: what `tidegate_host::Caps` holds, field by field, and what a manifest
/// that says nothing gets. It may ask for anything up to the `_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    pub module_bytes_max: usize,
    pub memory_kib_max: u32,
    pub memory_kib_default: u32,
    pub table_elements_max: u32,
    pub stack_bytes_max: usize,
    pub calls_max: usize,
    pub fuel_max: u64,
    pub fuel_default: u64,
    pub init_fuel_max: u64,
    pub deadline_ms_max: u32,
    pub deadline_ms_default: u32,
    pub publishes_max: u32,
    pub publishes_default: u32,
    pub publish_bytes_max: usize,
    pub effects_bytes_max: usize,
    pub state_bytes_max: usize,
    pub state_keys_max: usize,
    pub config_bytes_max: usize,
    pub log_lines_max: u32,
    pub json_bytes_max: usize,
    pub json_tokens_max: usize,
    pub json_depth_max: u16,
}

/// How jobs are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunnerLimits {
    /// Threads for jobs that outlive their first slice.
    pub threads: u16,
    /// Longest time a job may hold the door's thread.
    pub slice_us: u32,
}

/// Memory the daemon would hold if every limit of a board were reached at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstCase {
    pub base_kib: u64,
    pub door_kib: u64,
    pub messages_kib: u64,
    pub handlers_kib: u64,
}

impl WorstCase {
    pub const fn total_kib(&self) -> u64 {
        self.base_kib + self.door_kib + self.messages_kib + self.handlers_kib
    }
}

impl Board {
    /// Adds the limits up.
    ///
    /// A client may fill what waits to be written and what waits for room, while most of a packet
    /// lies in its read buffer. A handler has its memory
    /// twice (the guest's, and the image it is reset to), its module [`MODULE_COPIES`] times, its
    /// state, its stack and one event's effects.
    pub fn worst_case(&self) -> WorstCase {
        let door = &self.door;
        let host = &self.host;
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let client = 2 * door.outbound_bytes_max as u64 + door.packet_bytes_max as u64;
        let handler = host.module_bytes_max as u64 * MODULE_COPIES
            + u64::from(host.memory_kib_max) * 1024 * 2
            + host.state_bytes_max as u64
            + host.stack_bytes_max as u64
            + host.effects_bytes_max as u64
            + host.config_bytes_max as u64;
        WorstCase {
            base_kib: self.memory.base_kib,
            door_kib: kib(door.clients_max as u64 * client + door.retained_bytes_max as u64),
            messages_kib: kib(self.core_limits.messages_bytes_max as u64),
            handlers_kib: kib(self.core_limits.handlers_max as u64 * handler),
        }
    }
}

impl HostLimits {
    /// Allows everything: for looking at a manifest's shape while the board is not known.
    pub(crate) const ANY: HostLimits = HostLimits {
        module_bytes_max: usize::MAX,
        memory_kib_max: u32::MAX,
        memory_kib_default: u32::MAX,
        table_elements_max: u32::MAX,
        stack_bytes_max: usize::MAX,
        calls_max: usize::MAX,
        fuel_max: u64::MAX,
        fuel_default: u64::MAX,
        init_fuel_max: u64::MAX,
        deadline_ms_max: u32::MAX,
        deadline_ms_default: u32::MAX,
        publishes_max: u32::MAX,
        publishes_default: u32::MAX,
        publish_bytes_max: usize::MAX,
        effects_bytes_max: usize::MAX,
        state_bytes_max: usize::MAX,
        state_keys_max: usize::MAX,
        config_bytes_max: usize::MAX,
        log_lines_max: u32::MAX,
        json_bytes_max: usize::MAX,
        json_tokens_max: usize::MAX,
        json_depth_max: u16::MAX,
    };
}
