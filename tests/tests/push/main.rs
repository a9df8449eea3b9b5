//! Handlers pushed over MQTT into the real daemon.

mod audit;
mod cuts;
mod house;
mod malicious;
mod refused;
mod taken_back;
mod tool;
mod way;
