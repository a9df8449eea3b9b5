//! Handlers pushed over MQTT into the real daemon.

mod audit;
mod cuts;
mod desk;
mod house;
mod invoke;
mod logs;
mod malicious;
mod many;
mod refused;
mod stale;
mod taken_back;
mod tool;
mod way;
