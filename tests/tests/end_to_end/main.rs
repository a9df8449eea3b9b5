//! The real daemon between real clients and, on one of its two sides, a real mosquitto.

mod bad_input;
mod configuration;
mod counters;
mod demo;
mod front_door;
mod house;
mod lasting;
mod outage;
mod outbox;
mod pins;
mod stop;
mod traffic;
