//! The highest rate held without loss, every message answered. The program under test has one core,
//! whatever else is said; the generator has the rest, or with `--pin` the other one.

use serde_json::json;
use tidegate_tests::load::{self, Load, Measured};
use tidegate_tests::procfs::load_1m;
use tidegate_tests::programs::Placement;
use tidegate_tests::{handlers, programs};

use crate::arguments::Arguments;
use crate::goals::{self, Goal};
use crate::place;
use crate::systems::{Running, System};
use crate::table::{Table, digits, spread};
use crate::words::{Problem, round, say};

/// Where the search begins, and by how much it steps up until a rate is not held.
const FIRST_RATE: f64 = 20_000.0;
const STEP: f64 = 2.0;
/// Halvings of the last step: the answer is exact to 3 %.
const HALVINGS: usize = 5;
/// A rate counts when it holds in this many tries of [`TRIES`]: one lucky try is no rate that can be
/// relied on, and one busy moment of the machine is not the program's fault.
const HOLDS_NEEDED: usize = 2;
const TRIES: usize = 3;
/// The length of one try, at most.
const SECONDS_MAX: f64 = 2.0;
/// After the last message, a door that held the rate has this much left to answer.
const DRAIN_MS_MAX: f64 = 100.0;
/// A generator later than this was not able to offer the rate.
const LATE_US_MAX: f64 = 20_000.0;

/// What the search found for one system in one round.
#[derive(Clone, Copy, Debug)]
struct Highest {
    system: System,
    round: usize,
    rate: f64,
    cpu_ms_per_1k: f64,
}

/// Measures the systems in turns and compares.
pub fn run(arguments: &Arguments) -> Result<(), Problem> {
    if arguments.realtime {
        // Linux takes real-time work off the core for 50 ms in each second (sched_rt_runtime_us).
        return Err("throughput cannot be measured with --realtime".into());
    }
    // Built before anything is placed.
    handlers::overheat();
    programs::tidegated();
    place::settle(arguments)?;
    let placement = place::one_core()?;
    place::introduce(arguments);
    let mut found = Vec::new();
    for round in 0..arguments.rounds {
        for system in &arguments.systems {
            found.push(highest(*system, round, &placement, arguments)?);
        }
    }
    tabulate(&found, arguments);
    goals::report(&compare(&found), &placed(arguments), arguments.markdown);
    Ok(())
}

fn placed(arguments: &Arguments) -> String {
    format!("one core for what is measured; {}", place::words(arguments))
}

/// Steps up until a rate is not held, then halves the last step.
fn highest(
    system: System,
    round: usize,
    placement: &Placement,
    arguments: &Arguments,
) -> Result<Highest, Problem> {
    let running = system.start(placement)?;
    let mut cpu_ms_per_1k = f64::NAN;
    let mut holds = |rate: f64| -> Result<bool, Problem> {
        let mut cpu = f64::NAN;
        let holds = is_reliable(|| {
            let (measured, used) = offer(system, &running, rate, arguments)?;
            cpu = used;
            Ok(is_held(&measured))
        })?;
        if holds {
            cpu_ms_per_1k = cpu;
        }
        Ok(holds)
    };
    let (mut good, mut bad) = (0.0, FIRST_RATE);
    while holds(bad)? {
        good = bad;
        bad *= STEP;
    }
    for _ in 0..HALVINGS {
        let middle = (good + bad) / 2.0;
        if holds(middle)? { good = middle } else { bad = middle }
    }
    Ok(Highest { system, round, rate: good, cpu_ms_per_1k })
}

/// Whether enough of the tries succeed; stops trying when that is decided.
fn is_reliable(mut attempt: impl FnMut() -> Result<bool, Problem>) -> Result<bool, Problem> {
    let (mut held, mut failed) = (0, 0);
    loop {
        if attempt()? {
            held += 1;
        } else {
            failed += 1;
        }
        if held >= HOLDS_NEEDED || failed > TRIES - HOLDS_NEEDED {
            return Ok(held >= HOLDS_NEEDED);
        }
    }
}

/// One try: what was measured, and the CPU for a thousand messages.
fn offer(
    system: System,
    running: &Running,
    rate: f64,
    arguments: &Arguments,
) -> Result<(Measured, f64), Problem> {
    let load = Load {
        rate,
        seconds: arguments.seconds.min(SECONDS_MAX),
        warm_seconds: 0.5,
        devices: arguments.devices,
        connections: arguments.connections,
    };
    let mut marks = Vec::with_capacity(2);
    let measured = load::run(&running.target, &load, || marks.push(running.cpu_ns()))?;
    let cpu_ms_per_1k = marks[1].saturating_sub(marks[0]) as f64 / 1e3 / (rate * load.seconds);
    say(&json!({
        "kind": "throughput", "system": system.name(), "rate": rate.round(), "held": is_held(&measured),
        "lost": measured.lost, "p50_us": round(measured.p50_us), "p99_us": round(measured.p99_us),
        "drain_ms": round(measured.drain_ms), "generator_late_p99_us": round(measured.late_p99_us),
        "cpu_ms_per_1k": round(cpu_ms_per_1k), "rss_kb": running.handler_rss_kb(), "load_1m": load_1m(),
    }));
    Ok((measured, cpu_ms_per_1k))
}

fn is_held(measured: &Measured) -> bool {
    measured.lost == 0 && measured.drain_ms < DRAIN_MS_MAX && measured.late_p99_us < LATE_US_MAX
}

fn tabulate(found: &[Highest], arguments: &Arguments) {
    let mut table = Table::new(&["way", "highest rate held, msg/s", "CPU ms/1000"]);
    for system in &arguments.systems {
        let of = |figure: fn(&Highest) -> f64| -> Vec<f64> {
            let ours = found.iter().filter(|one| one.system == *system);
            ours.map(figure).collect()
        };
        let cpu = tidegate_tests::load::median(&of(|one| one.cpu_ms_per_1k));
        table.row(vec![system.title().to_owned(), spread(&of(|one| one.rate)), digits(cpu)]);
    }
    table.print(&format!("Throughput, {}", placed(arguments)), arguments.markdown);
}

fn compare(found: &[Highest]) -> Vec<Goal> {
    let rates = |system| -> Vec<f64> {
        let ours = found.iter().filter(|one| one.system == system);
        ours.map(|one| one.rate).collect()
    };
    let ratios = |over, under| -> Vec<f64> {
        let rounds = found.iter().map(|one| one.round + 1).max().unwrap_or(0);
        let find = |system, round| {
            let mut ours = found.iter();
            ours.find(|one| one.system == system && one.round == round).map(|one| one.rate)
        };
        (0..rounds).filter_map(|round| Some(find(over, round)? / find(under, round)?)).collect()
    };
    let (door, echo) = (System::Door, System::Echo);
    let (forward, hop) = (System::Forward, System::Hop);
    vec![
        Goal::at_least(
            "highest rate held through the front door, each answered",
            "/s",
            rates(door),
            60_000.0,
        ),
        Goal::at_least(
            "the same / a bare front door that answers itself",
            "x",
            ratios(door, echo),
            0.5,
        ),
        Goal::open("the same / our front door as a plain broker", "x", ratios(door, forward)),
        Goal::open("the same / mosquitto one hop, no handler", "x", ratios(door, hop)),
        Goal::open("plain brokers: our front door / mosquitto", "x", ratios(forward, hop)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_or_a_late_message_is_not_held() {
        let good = Measured::default();
        assert!(is_held(&good));
        assert!(!is_held(&Measured { lost: 1, ..good }));
        assert!(!is_held(&Measured { drain_ms: 400.0, ..good }));
        assert!(!is_held(&Measured { late_p99_us: 90_000.0, ..good }));
    }

    #[track_caller]
    fn check(tries: &[bool], expect: bool) {
        let mut tries = tries.iter();
        let got = is_reliable(|| Ok(*tries.next().expect("no try more than needed")));
        assert_eq!(got.expect("no try fails to run"), expect);
        assert!(tries.next().is_none(), "every try was needed");
    }

    #[test]
    fn a_rate_counts_when_two_of_three_tries_hold() {
        check(&[false, false], false);
        check(&[true, false, false], false);
        check(&[false, true, false], false);
        check(&[true, true], true);
        check(&[true, false, true], true);
        check(&[false, true, true], true);
    }
}
