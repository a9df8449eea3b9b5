//! Looks at the house from outside. This library holds what the tests in `tests/` and the
//! benchmark in `src/bin/bench` share; nothing in the house sees it.
//!
//! In reading order: folders and ports for one test, processes, the programs under test, an MQTT
//! client, handlers made from text, the hostile ones among them, the load generator, the
//! simulation, power cuts; an upstream and a fleet of devices that know what must have arrived.

pub mod daemon;
pub mod fleet;
pub mod handlers;
pub mod hostile;
pub mod load;
pub mod malicious;
pub mod many;
pub mod mosquitto;
pub mod mqtt;
pub mod ports;
pub mod power_cut;
pub mod process;
pub mod procfs;
pub mod programs;
pub mod pusher;
pub mod scratch;
pub mod simulation;
pub mod upstream;
