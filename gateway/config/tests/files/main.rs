//! Reads real files, good and bad ones. One binary, because linking takes longer than running it.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

mod board_parts;
mod boards;
mod damaged;
mod explain;
mod folder;
mod gateway;
mod handler;
mod local;
mod pushes;
mod upstream;
