//! What a piece of hardware is and what it allows: the meaning of `boards/*.toml`.
//! `boards/README.md` explains each key.

use std::path::PathBuf;

use tidegate_core::limits::{Caps, DoorLimits, Limits};

/// What a module takes in memory, as a multiple of its file: its bytes, and up to 3.6 times as much for
/// wasmi's translation. Measured, see "Memory" in `boards/README.md`.
const MODULE_COPIES: u64 = 5;

/// What a door's buffer takes in memory, as a multiple of the bytes that wait in it: it grows by
/// doubling, and what was written is cut off when it is the larger half.
const BUFFER_BYTES: u64 = 4;
/// What a connection may hold that is not counted by its bytes: a spare buffer of 64 KiB for its output
/// and one for the start of a packet, and one read of 32 KiB while it is paused.
const CONNECTION_BYTES: u64 = 160 * 1024;

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

/// Limits of each handler, and what a manifest that says nothing gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    pub caps: Caps,
    pub memory_kib_default: u32,
    pub fuel_default: u64,
    pub deadline_ms_default: u32,
    /// Most publishes of one event that a manifest may ask for.
    pub publishes_max: u32,
    pub publishes_default: u32,
    /// Keys and strings of a manifest's `[config]`. More are refused.
    pub config_bytes_max: usize,
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
    /// What waits for clients is bounded for all of them together, but for one packet on its way out
    /// and one in the queue of each. A handler has its memory twice (the guest's, and the image it is
    /// reset to), its module `MODULE_COPIES` times, its state, its stack and one event's effects.
    pub fn worst_case(&self) -> WorstCase {
        let door = &self.door;
        let caps = &self.host.caps;
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let connection = 2 * door.packet_bytes_max as u64 + CONNECTION_BYTES;
        let handler = caps.module_bytes_max as u64 * MODULE_COPIES
            + u64::from(caps.memory_kib_max) * 1024 * 2
            + caps.state_bytes_max as u64
            + caps.stack_bytes_max as u64
            + caps.effects_bytes_max as u64
            + self.host.config_bytes_max as u64;
        WorstCase {
            base_kib: self.memory.base_kib,
            door_kib: kib(BUFFER_BYTES * door.buffered_bytes_max as u64
                + door.transports_max() as u64 * connection
                + door.retained_bytes_max as u64),
            messages_kib: kib(self.core_limits.messages_bytes_max as u64),
            handlers_kib: kib(self.core_limits.handlers_max as u64 * handler),
        }
    }
}

impl HostLimits {
    /// Allows everything: for looking at a manifest's shape while the board is not known.
    pub(crate) const ANY: HostLimits = HostLimits {
        caps: Caps {
            module_bytes_max: usize::MAX,
            memory_kib_max: u32::MAX,
            fuel_max: u64::MAX,
            deadline_ms_max: u32::MAX,
            ..Caps::DEV
        },
        memory_kib_default: u32::MAX,
        fuel_default: u64::MAX,
        deadline_ms_default: u32::MAX,
        publishes_max: u32::MAX,
        publishes_default: u32::MAX,
        config_bytes_max: usize::MAX,
    };
}
