//! The signed release: what a push is made of, and what a gateway believes. Data in, data out: no IO, no clock.

pub mod answer;
pub mod audit;
pub mod chunks;
pub mod envelope;
pub mod golden;
pub mod hash;
pub mod keys;
pub mod manifest;
pub mod name;
pub mod open;
pub mod ratchet;
pub mod topics;
pub mod trust;

mod cbor;

pub use cbor::Flaw;
pub use hash::Digest;
pub use keys::{KeyId, PublicKey, SecretKey};
pub use manifest::{Order, What};
pub use name::Name;
pub use ratchet::Rank;
pub use trust::Trust;
