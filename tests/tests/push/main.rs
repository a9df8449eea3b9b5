//! Handlers pushed over MQTT into the real daemon.

mod audit;
mod cuts;
mod desk;
mod house;
mod malicious;
mod many;
mod refused;
mod taken_back;
mod tool;
mod way;
