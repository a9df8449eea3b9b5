//! Power cuts on a real program: what it writes below a folder is recorded, and the disk rebuilt as it may be
//! after a cut at any point of the recording.
//!
//! [`Recorder`] preloads `tests/recorder` into a program; [`Log`] is what was recorded; a [`Replay`] follows it and
//! knows what is durable ([`Disk`]); [`cuts`] chooses points, and [`Replay::image`] gives the disk there.
//!
//! What a cut may leave: of each file what was there at its last completed sync, and of every write since then
//! anything: each sector of 512 bytes as it was at some time since, each length that the file had, in no order.
//! A name is durable when its folder was synced, whether or not its file was. A sync that failed made nothing
//! durable, and what was written before it is gone, whatever a later sync says.

mod cuts;
mod disk;
mod image;
mod log;
mod names;
mod recorder;
mod replay;
pub mod subject;
#[cfg(test)]
mod tests;

pub use cuts::{Cut, cuts, every_cut, header_cuts};
pub use disk::Disk;
pub use image::{Image, Mood};
pub use log::{Content, Log, Op, Record};
pub use recorder::Recorder;
pub use replay::Replay;
