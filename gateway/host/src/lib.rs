//! Runs one handler's jobs in wasmi. Synchronous and deterministic: no clock, no IO, no threads;
//! time and randomness are arguments. A trap, the end of fuel, a deadline is a value, not an error.
//!
//! [`load`] checks a module and makes an [`Instance`]; [`Instance::start`] and [`Instance::resume`]
//! run a [`Job`](tidegate_core::job::Job) in slices of fuel until it is [`Step::Finished`].
//!
//! The same on every processor (`tests/corpus`), but for one known gap: the bits of a not-a-number that an operator of
//! the guest makes are the processor's. A guest that keeps or sends them as bits is not the same on x86 and ARM.

mod calibrate;
mod costs;
mod error;
mod golden;
mod guest;
mod image;
mod imports;
mod inbox;
mod instance;
mod json;
mod live;
mod load;
mod meter;
mod migrate;
mod rewrite;
mod run;
mod scan;
mod state;

pub use calibrate::calibrate;
pub use error::LoadError;
pub use golden::{GoldenCase, GoldenExpect, check_golden};
pub use guest::Now;
pub use instance::{Instance, ModuleFacts, Reset};
pub use load::load;
pub use migrate::migrate;
pub use run::Step;
pub use state::Table;
pub use tidegate_core::limits::Caps;
