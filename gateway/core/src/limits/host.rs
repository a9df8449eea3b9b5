//! What a board allows a handler to be and to use, and what happens there.

/// What one board allows each handler; `[handler]` of the board file. A manifest may ask for less.
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
    /// One payload of `send`. A longer one is answered with `TooLarge`. Large cloud brokers take 100 KiB a
    /// message, envelope included.
    pub record_bytes_max: usize,
    /// Records of one event. One more is answered with `Quota`.
    pub sends_max: u32,
    /// All publishes, records and writes of one event. Beyond it they are answered with `Quota`.
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
    /// `[handler]` of `boards/dev.toml`.
    pub const DEV: Caps = Caps {
        module_bytes_max: 1024 * 1024,
        memory_kib_max: 1024,
        table_elements_max: 4096,
        fuel_max: 10_000_000,
        init_fuel_max: 10_000_000,
        deadline_ms_max: 100,
        stack_bytes_max: 128 * 1024,
        calls_max: 512,
        state_bytes_max: 1024 * 1024,
        state_keys_max: 4096,
        publish_bytes_max: 64 * 1024,
        record_bytes_max: 64 * 1024,
        sends_max: 64,
        effects_bytes_max: 256 * 1024,
        log_lines_max: 16,
        json_bytes_max: 256 * 1024,
        json_tokens_max: 16_384,
        json_depth_max: 64,
    };
}
