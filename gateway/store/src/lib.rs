//! The store.
mod codec;
mod error;
mod settings;
mod shelf;

mod bytes;
mod facts;
mod memtable;
mod rows;
mod weights;

mod checkpoint;
mod damage;
mod downsample;
mod evict;
mod export;
mod fetch;
mod open;
mod peek;
mod store;

mod model;

pub mod planted;
#[cfg(test)]
mod properties;

pub use codec::{Damage, Entry, EntryView, LostRange, RecordView, RecordViews};
pub use error::{CodecError, Error};
pub use model::{ModelShelf, ShelfFaults};
pub use open::{Found, Opened};
pub use peek::{Frozen, NoShelf, peek};
pub use settings::Settings;
pub use shelf::{Rows, Shelf};
pub use store::{Counters, Store};
