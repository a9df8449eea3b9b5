//! What a piece of hardware is and what it allows: the meaning of `boards/*.toml`.
//! `boards/README.md` explains each key.

mod built_in;
mod check;
mod file;
mod limits;
mod parts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_core::limits::{Caps, DoorLimits, Limits};
use tidegate_core::pins::Pins;

pub use built_in::BUILT_IN;
pub(crate) use built_in::{is_built_in, unknown};
pub(crate) use file::is_path;
pub use file::read_board;

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
    /// Rust's name for the target, such as `armv7-unknown-linux-gnueabihf`.
    pub triple: String,
    pub cores: u16,
    /// Whether wall time survives a power cut.
    pub has_rtc: bool,
    /// Device of the hardware watchdog, where there is one.
    pub watchdog: Option<PathBuf>,
    /// The one that shows how the gateway is: its name in the kernel's `leds` class.
    pub led: Option<String>,
    pub memory: Memory,
    pub flash: Flash,
    pub core_limits: Limits,
    pub door: DoorLimits,
    pub host: HostLimits,
    pub runner: RunnerLimits,
    /// GPIO lines under the names that handlers use.
    pub pins: BTreeMap<String, Pin>,
    /// Devices of the buses that are on the board's connectors.
    pub buses: BTreeMap<String, String>,
    /// Where an image can be built: what of.
    pub image: Option<Image>,
}

/// One GPIO line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its chip: `gpiochipN`, or the label that the kernel's driver gives it, which is the same in every start.
    pub chip: String,
    pub line: u32,
    pub direction: Direction,
    /// Whether the line is low when the pin is on.
    pub is_active_low: bool,
    /// Whether an output is on from the daemon's start.
    pub starts_on: bool,
    /// None: as the kernel left it.
    pub bias: Option<Bias>,
    /// How long an input must be the same before it counts as changed.
    pub debounce_ms: u64,
}

/// Which way a pin is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

/// What holds an input while nothing drives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    None,
    PullUp,
    PullDown,
}

/// What an image of a board is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Debian's name for it, such as `arm64`.
    pub architecture: String,
    /// The kernel's Debian package.
    pub kernel: String,
    /// Debian packages beside the kernel: firmware, boot loader.
    pub packages: Vec<String>,
    /// What starts the kernel: `raspi-firmware`, `u-boot`, `qemu`.
    pub boot: String,
    /// Device tree, in the kernel package's folder of them. None: what starts the kernel brings it.
    pub dtb: Option<String>,
    /// U-Boot's folder in `/usr/lib/u-boot`. None: it is not what starts the kernel.
    pub loader: Option<String>,
    /// The kernel's `console=`.
    pub console: String,
    /// More of the kernel's command line.
    pub kernel_options: Vec<String>,
    /// The partition that firmware reads; 0 is none.
    pub boot_mib: u64,
    /// Each of the slots A and B.
    pub root_mib: u64,
    /// The data partition at least; it takes what the card has left.
    pub data_mib_min: u64,
}

impl Image {
    /// All partitions, the data partition as small as it may be.
    pub const fn parts_mib(&self) -> u64 {
        self.boot_mib + 2 * self.root_mib + self.data_mib_min
    }
}

/// What the daemon may take of the board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total_mib: u64,
    /// What the kernel, the system's services and a graphics processor take.
    pub system_mib: u64,
    /// What the daemon may take when every limit is reached at once.
    pub budget_mib: u64,
    /// What it takes before the first client and handler: code, stacks, runtime.
    pub base_kib: u64,
}

/// What the daemon may take of the flash's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flash {
    /// What the smallest disk or card holds that the board is used with.
    pub total_mib: u64,
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
    /// The pins as handlers know them: names, and which way they go.
    pub fn pin_names(&self) -> Arc<Pins> {
        let pins = self.pins.iter().map(|(name, pin)| tidegate_core::pins::Pin {
            name: name.clone(),
            is_output: pin.direction == Direction::Out,
        });
        let pins = Pins::new(pins.collect());
        Arc::new(pins.expect("a board file names no more pins than there may be, each once"))
    }

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
