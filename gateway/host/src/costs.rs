//! What host calls cost in fuel, and the sizes of modules that wasmi holds anyway.

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
