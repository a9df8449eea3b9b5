//! The board whose limits a handler is checked against.

use tidegate_config::{Board, read_board};
use tidegate_host::Caps;

use crate::failure::Failure;

/// The board that is meant when none is named.
pub const DEFAULT: &str = "dev";

/// Reads a board by name or path.
///
/// # Errors
/// What is wrong with it.
pub fn read(name_or_path: Option<&str>) -> Result<Board, Failure> {
    Ok(read_board(name_or_path.unwrap_or(DEFAULT))?)
}

/// The board's limits as the host takes them.
pub fn caps(board: &Board) -> Caps {
    let limits = &board.host;
    Caps {
        module_bytes_max: limits.module_bytes_max,
        memory_kib_max: limits.memory_kib_max,
        table_elements_max: limits.table_elements_max,
        fuel_max: limits.fuel_max,
        init_fuel_max: limits.init_fuel_max,
        deadline_ms_max: limits.deadline_ms_max,
        stack_bytes_max: limits.stack_bytes_max,
        calls_max: limits.calls_max,
        state_bytes_max: limits.state_bytes_max,
        state_keys_max: limits.state_keys_max,
        publish_bytes_max: limits.publish_bytes_max,
        effects_bytes_max: limits.effects_bytes_max,
        log_lines_max: limits.log_lines_max,
        json_bytes_max: limits.json_bytes_max,
        json_tokens_max: limits.json_tokens_max,
        json_depth_max: limits.json_depth_max,
    }
}
