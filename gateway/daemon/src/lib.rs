//! The daemon: drivers around the core, on one thread. Read in this order: the hub feeds the core and
//! does what it says; the shell gives it turns; each driver owns one resource.

pub mod hub;
pub mod runner;
mod shell;
pub mod store_desk;
mod store_driver;
mod store_opening;
mod turns;
pub mod uplink;

mod alarm;
pub mod clock;
mod control;
mod counters;
mod front_door;
mod local_client;
mod report;
mod threads;
mod tls;

mod daemon;

pub mod args;
pub mod logging;
pub use daemon::run;
