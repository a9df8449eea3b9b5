//! The board whose limits a handler is checked against.

use tidegate_config::{BUILT_IN, Board, read_board};

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

/// The boards that have a name.
pub fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}
