//! `tidegate`: what people type. Makes, builds and tries handlers on the machine in front of them;
//! what runs there is the host that the gateway runs.

pub mod args;
pub mod board;
pub mod broker;
pub mod cmd;
mod columns;
mod demo;
mod duration;
pub mod failure;
mod key_files;
mod passphrase;
pub mod plain;
mod push;
mod shown;
mod sizes;
pub mod state;
pub mod toolchain;
