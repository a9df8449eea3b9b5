//! What lasting costs, part by part: each figure beside its goal.

mod acked;
mod backlog;
mod beside;
mod bridge;
mod disk;
mod feed;
mod wear;

use std::net::SocketAddr;

use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::ports;
use tidegate_tests::programs::{self, Placement};

use crate::arguments::Arguments;
use crate::goals::{self, Goal};
use crate::place;
use crate::words::Problem;

/// Parts that compare rates do it in rounds of at most so long.
const ROUND_SECONDS_MAX: f64 = 5.0;

/// Measures the parts that were asked for.
pub fn run(arguments: &Arguments) -> Result<(), Problem> {
    // Built before anything is placed.
    handlers::overheat();
    programs::tidegated();
    let placement = place::settle(arguments)?;
    place::introduce(arguments);
    let seconds = arguments.seconds;
    let round_seconds = seconds.min(ROUND_SECONDS_MAX);
    let mut goals: Vec<Goal> = Vec::new();
    if arguments.wants("idle") {
        goals.extend(wear::idle(seconds, &placement)?);
    }
    if arguments.wants("lazy") {
        goals.extend(wear::lazy(seconds, &placement)?);
    }
    if arguments.wants("rss") {
        goals.extend(wear::rss(&placement)?);
    }
    if arguments.wants("acked") {
        goals.extend(acked::measure(arguments.rounds, round_seconds, &placement)?);
    }
    if arguments.wants("reaction") {
        goals.extend(beside::measure(arguments.rounds, round_seconds, &placement)?);
    }
    if arguments.wants("backlog") {
        goals.extend(backlog::measure(arguments.records, &placement)?);
    }
    if arguments.wants("bridge") {
        goals.extend(bridge::measure(&placement)?);
    }
    goals::report(&goals, place::words(arguments), arguments.markdown);
    Ok(())
}

/// A daemon with its own front door and `more` in its `gateway.toml`, all handlers loaded.
fn start(handlers: &[Handler], more: &str, placement: &Placement) -> Daemon {
    let daemon = Daemon::spawn_with(&Local::Listen(ports::free()), handlers, placement, more);
    daemon.wait_until_ready(handlers);
    daemon
}

/// The part of `gateway.toml` that sends everything under `bulk/` upstream without a handler.
fn forward(upstream: SocketAddr, quota_mb: u64) -> String {
    format!(
        "\n[store]\nquota_mb = {quota_mb}\n\n[uplink]\nbroker = \"mqtt://{upstream}\"\ninsecure = true\n\n\
         [[stream]]\nname = \"raw\"\ntopic = \"up/raw\"\n\n[[forward]]\nfrom = \"bulk/#\"\nstream = \"raw\"\n"
    )
}
