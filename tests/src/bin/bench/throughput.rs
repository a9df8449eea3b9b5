//! The highest rate held without loss, every message answered, one core for the program under test
//! and the other for the generator.

use serde_json::json;
use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::load::{self, Load, Measured, Target, median};
use tidegate_tests::process::Process;
use tidegate_tests::programs::Placement;
use tidegate_tests::{handlers, ports, procfs, programs};

use crate::arguments::Arguments;
use crate::goals::{self, Goal};
use crate::place;
use crate::words::{Problem, round, say};

/// Where the search begins, and by how much it steps up until a rate is not held.
const FIRST_RATE: f64 = 20_000.0;
const STEP: f64 = 1.5;
/// Halvings of the last step: the answer is exact to 3 %.
const HALVINGS: usize = 4;
/// A machine that does other work for a moment loses messages for the program under test: only a
/// rate that is never held is too high.
const TRIES: usize = 3;
/// After the last message, a door that held the rate has this much left to answer.
const DRAIN_MS_MAX: f64 = 100.0;
/// A generator later than this was not able to offer the rate.
const LATE_US_MAX: f64 = 20_000.0;

/// Measures both doors in turns and compares.
pub fn run(arguments: &Arguments) -> Result<(), Problem> {
    if arguments.realtime {
        // Linux takes real-time work off the core for 50 ms in each second (sched_rt_runtime_us).
        return Err("throughput cannot be measured with --realtime".into());
    }
    let overheat = handlers::overheat();
    programs::tidegated();
    let placement = place::settle(arguments)?;
    let (mut held, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let address = ports::free();
        let daemon = Daemon::spawn(
            &Local::Listen(address),
            std::slice::from_ref(&overheat),
            &placement,
        );
        daemon.wait_until_ready(std::slice::from_ref(&overheat));
        let ours = highest("door", &daemon.process, address, arguments)?;
        drop(daemon);
        let (echo, address) = start_echo(&placement)?;
        let bare = highest("echo", &echo, address, arguments)?;
        held.push(ours);
        ratios.push(ours / bare);
    }
    goals::report(&[
        Goal::at_least(
            "highest rate held through the front door",
            "/s",
            median(&held),
            60_000.0,
        ),
        Goal::at_least(
            "the same / a front door without a handler",
            "x",
            median(&ratios),
            0.5,
        ),
    ]);
    Ok(())
}

fn start_echo(placement: &Placement) -> Result<(Process, std::net::SocketAddr), Problem> {
    let address = ports::free();
    let mut command = placement.command(&std::env::current_exe()?);
    let process = Process::start(
        "echo-door",
        command.args(["echo-door", &address.to_string()]),
    );
    if !ports::wait_for_listener(address, std::time::Duration::from_secs(5)) {
        return Err(format!("the echo door does not listen: {}", process.text()).into());
    }
    Ok((process, address))
}

/// Steps up until a rate is not held, then halves the last step.
fn highest(
    name: &str,
    process: &Process,
    address: std::net::SocketAddr,
    arguments: &Arguments,
) -> Result<f64, Problem> {
    let target = Target {
        address,
        answers: "devices/+/cmd",
    };
    let offer = |rate: f64| -> Result<Measured, Problem> {
        let load = Load {
            rate,
            seconds: arguments.seconds.min(3.0),
            warm_seconds: 0.5,
            devices: arguments.devices,
            connections: arguments.connections,
        };
        let mut marks = Vec::with_capacity(2);
        let cpu = || procfs::cpu_ns(process.pid()).unwrap_or(0);
        let measured = load::run(&target, &load, || marks.push(cpu()))?;
        let cpu_ms_per_1k = marks[1].saturating_sub(marks[0]) as f64 / 1e3 / (rate * load.seconds);
        say(&json!({
            "kind": "throughput", "system": name, "rate": rate.round(), "held": is_held(&measured),
            "lost": measured.lost, "p50_us": round(measured.p50_us), "p99_us": round(measured.p99_us),
            "drain_ms": round(measured.drain_ms), "generator_late_p99_us": round(measured.late_p99_us),
            "cpu_ms_per_1k": round(cpu_ms_per_1k),
            "rss_kb": procfs::memory(process.pid()).map(|memory| memory.rss_kb),
        }));
        Ok(measured)
    };
    let holds = |rate: f64| -> Result<bool, Problem> {
        for _ in 0..TRIES {
            if is_held(&offer(rate)?) {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let (mut good, mut rate) = (0.0, FIRST_RATE);
    while holds(rate)? {
        good = rate;
        rate *= STEP;
    }
    let mut bad = rate;
    for _ in 0..HALVINGS {
        let middle = (good + bad) / 2.0;
        if holds(middle)? {
            good = middle
        } else {
            bad = middle
        }
    }
    Ok(good)
}

fn is_held(measured: &Measured) -> bool {
    measured.lost == 0 && measured.drain_ms < DRAIN_MS_MAX && measured.late_p99_us < LATE_US_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_or_a_late_message_is_not_held() {
        let good = Measured::default();
        assert!(is_held(&good));
        assert!(!is_held(&Measured { lost: 1, ..good }));
        assert!(!is_held(&Measured {
            drain_ms: 400.0,
            ..good
        }));
        assert!(!is_held(&Measured {
            late_p99_us: 90_000.0,
            ..good
        }));
    }
}
