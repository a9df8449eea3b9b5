//! The core decides. It has no IO, no clock, no randomness: [`Input`] and time go in, [`Effect`]
//! comes out, and drivers do what it says. Read those two enums and you know the system.
#![no_std]
extern crate alloc;

mod effect;
mod input;

mod fresh;
mod gateway;

mod commits;
mod control;
mod deploy;
mod drops;
mod follow;
mod intake;
mod local;
mod outbox;
mod reconnect;
mod releases;
mod routes;
mod schedule;
mod seen;

pub mod commit;
pub mod job;
pub mod limits;
pub mod manifest;
pub mod message;
pub mod notice;
pub mod pins;
pub mod planted;
pub mod record;
pub mod release;
pub mod store;
pub mod stream;
pub mod time;
pub mod topic;
pub mod trie;

pub use deploy::HandlerCounters;
pub use effect::{DropReason, Effect, Report};
pub use gateway::{Durability, Gateway};
pub use input::Input;
pub use limits::Limits;
pub use local::LocalSide;
pub use manifest::Manifest;
pub use message::Message;
pub use outbox::{Age, Backlogged, UplinkState};
pub use releases::{INVOKES, REGISTRY, STARTS};
pub use schedule::Phase;
pub use time::Timestamp;
