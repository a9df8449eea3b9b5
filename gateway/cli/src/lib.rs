//! `tidegate`: what people type. Makes, builds and tries handlers on the machine in front of them;
//! what runs there is the host that the gateway runs.

pub mod args;
pub mod board;
pub mod cmd;
mod demo;
mod duration;
pub mod failure;
mod shown;
mod sizes;
pub mod toolchain;
