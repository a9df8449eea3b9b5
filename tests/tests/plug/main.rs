//! What may happen to a daemon with a store and an uplink, short of a power cut (those are in `power_cut`): it is
//! killed or stopped under load, its disk is full or read-only, its folder was damaged, its upstream misbehaves.

mod damage;
mod disk;
mod failing;
mod house;
mod inputs;

mod kills;
mod upstreams;

/// How many of something: an environment variable, or so many.
fn wanted(variable: &str, default: usize) -> usize {
    let text = std::env::var(variable).unwrap_or_else(|_| default.to_string());
    text.parse().unwrap_or_else(|_| panic!("{variable} is a number"))
}
