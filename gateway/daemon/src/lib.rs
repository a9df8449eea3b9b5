//! The daemon: drivers around the core, on one thread. Read in this order: the hub feeds the core and
//! does what it says; the shell gives it turns; each driver owns one resource.

pub mod hub;
pub mod release_desk;
pub mod runner;
mod shell;
pub mod store_desk;
mod store_driver;
mod store_opening;

mod shelf_ladder;
mod shelf_mark;
mod shelf_process;
mod shelf_program;
mod state_shelf;

mod shelf_server;
mod shelf_wire;
mod sled_shelf;

mod turns;
pub mod uplink;

mod alarm;
pub mod clock;
mod control;
mod counters;
mod front_door;
mod golden;
mod local_client;
mod pins;
pub mod provision;
mod release_driver;
pub mod release_opening;
mod report;
mod service;
mod threads;
mod tls;

mod daemon;

pub mod args;
pub mod logging;
pub use daemon::run;
pub use shelf_ladder::Rung;
pub use shelf_program::{ShelfLimits, ShelfProgram};
pub use shelf_server::serve_shelf;
pub use state_shelf::StateShelf;
