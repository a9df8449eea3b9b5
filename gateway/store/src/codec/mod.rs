//! A commit as one frame of the journal. The layout is in the crate's documentation; a test holds it.

mod accounts;
mod entry;
mod progress;
mod records;
mod states;

#[cfg(test)]
mod tests;

pub(crate) use accounts::{put_clocks, read_clocks};
pub use entry::{Damage, Entry, EntryView, LostRange};
pub(crate) use entry::{Draft, strip};
pub(crate) use progress::{put_progress, read_progress};
pub(crate) use records::RecordWriter;
pub use records::{RecordView, RecordViews};
pub(crate) use states::{put_value, read_value};
