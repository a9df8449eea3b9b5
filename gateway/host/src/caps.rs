//! What a board allows a handler to be and to use, and what host calls cost in fuel.

/// What the board allows; the numbers come from the board file. A manifest may ask for less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Longest module. A longer one is refused before it is read.
    pub module_bytes_max: usize,
    /// Most memory a manifest may ask for.
    pub memory_kib_max: u32,
    /// Elements of a module's table. `table.grow` beyond it answers -1.
    pub table_elements_max: u32,
    /// Most fuel for one event that a manifest may ask for.
    pub fuel_max: u64,
    /// Fuel of `tidegate_init` and `tidegate_inbox` together. A module that needs more is refused.
    pub init_fuel_max: u64,
    /// Longest deadline that a manifest may ask for.
    pub deadline_ms_max: u32,
    /// Height of the guest's value stack. Deeper recursion traps.
    pub stack_bytes_max: usize,
    /// Guest calls inside one another. Deeper recursion traps.
    pub calls_max: usize,
    /// Keys and values of one handler's state. A write beyond it is answered with `Quota`.
    pub state_bytes_max: usize,
    /// Keys of one handler's state. One more is answered with `Quota`.
    pub state_keys_max: usize,
    /// One payload of `publish`. A longer one is answered with `TooLarge`.
    pub publish_bytes_max: usize,
    /// All publishes and writes of one event. Beyond it they are answered with `Quota`.
    pub effects_bytes_max: usize,
    /// Log lines of one event. More are dropped and counted.
    pub log_lines_max: u32,
    /// Longest payload that `ev_num` and `ev_str` read. Longer ones are answered with `TooLarge`.
    pub json_bytes_max: usize,
    /// Values and keys in a payload that they read. More are answered with `TooLarge`.
    pub json_tokens_max: usize,
    /// Objects and arrays inside one another, at most 64. Deeper ones count as "not JSON".
    pub json_depth_max: u16,
}

impl Caps {
    /// A laptop or CI machine; the same numbers as `boards/dev.toml`.
    pub const DEV: Caps = Caps {
        module_bytes_max: 1024 * 1024,
        memory_kib_max: 4096,
        table_elements_max: 4096,
        fuel_max: 1_000_000_000,
        init_fuel_max: 50_000_000,
        deadline_ms_max: 10_000,
        stack_bytes_max: 128 * 1024,
        calls_max: 512,
        state_bytes_max: 4 * 1024 * 1024,
        state_keys_max: 16_384,
        publish_bytes_max: 64 * 1024,
        effects_bytes_max: 256 * 1024,
        log_lines_max: 16,
        json_bytes_max: 256 * 1024,
        json_tokens_max: 16_384,
        json_depth_max: 64,
    };
}

/// Functions of a module, wasmi's strict limit.
pub(crate) const FUNCTIONS_MAX: u32 = 10_000;
/// Globals of a module, wasmi's strict limit.
pub(crate) const GLOBALS_MAX: u32 = 1_000;
/// Data segments, and element segments, of a module: wasmi's strict limit.
pub(crate) const SEGMENTS_MAX: u32 = 1_000;
/// Tables of a module: compilers emit one, and the limit on elements holds for each.
pub(crate) const TABLES_MAX: u32 = 1;

// Fuel of host calls follows their time, as `examples/cycle.rs` measures it, so that a handler that
// does nothing but the dearest call holds its thread no longer than one that only computes.

/// What each host call costs: about what the way out of the interpreter and back takes, in guest instructions.
pub(crate) const CALL_FUEL: u64 = 80;
/// Bytes copied for one fuel, as wasmi counts its own bulk instructions.
pub(crate) const COPY_BYTES_PER_FUEL: u64 = 64;
/// What looking at a byte one by one costs: parsing JSON, unescaping, checking a topic.
pub(crate) const BYTE_FUEL: u64 = 1;
/// What walking past a JSON value, a key or a waiting write costs.
pub(crate) const ITEM_FUEL: u64 = 2;
/// What walking past a key of the state costs.
pub(crate) const KEY_FUEL: u64 = 16;
/// What a state call costs beyond its copies: a walk down a tree.
pub(crate) const STATE_FUEL: u64 = 64;
/// What an effect weighs beyond its bytes in `effects_bytes_max`, so that empty ones have an end too.
pub(crate) const EFFECT_OVERHEAD_BYTES: usize = 64;

/// What starting and ending an event takes from a slice, in fuel. It is no part of the event's own fuel.
pub(crate) const EVENT_SLICE_FUEL: u64 = 256;
/// What making a fresh instance takes from a slice.
pub(crate) const FRESH_SLICE_FUEL: u64 = 2_048;
