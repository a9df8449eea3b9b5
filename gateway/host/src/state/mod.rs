//! A handler's state: the table that lives on from event to event, and what the current event changed.

mod overlay;
mod table;

pub(crate) use overlay::{Overlay, StateLimits};
pub use table::Table;
