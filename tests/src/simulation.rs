//! The gateway in one thread with its own time: real core, real front door, real handlers in the real
//! interpreter; devices, chunks, slices and time come from a seed. Every step is checked, and a quiet
//! phase at the end checks that everything drains. A failing seed fails again.

mod books;
mod check;
mod device;
mod disks;
mod drive;
mod ending;
mod handlers;
mod house;
mod post;
mod pushes;
mod pushing;
mod random;
mod release_side;
mod releases;
mod script;
mod troubles;
mod upstream;
mod watch;
mod weather;
mod world;

pub use check::{Stats, Violation};
pub use handlers::Folders;
pub use random::Random;
pub use script::{Scripted, every_cut, short_lives};
pub use world::{run, run_pushing};
