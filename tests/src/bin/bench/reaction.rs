//! Reaction time and CPU of the ways, measured in turns so that a busy minute hits all alike.

use serde_json::json;
use tidegate_tests::load::{self, Load, Measured, median};
use tidegate_tests::procfs;
use tidegate_tests::programs::Placement;

use crate::arguments::Arguments;
use crate::goals::Goal;
use crate::systems::System;
use crate::table::{Table, digits, spread};
use crate::words::{Problem, round, say};

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub system: System,
    pub round: usize,
    pub measured: Measured,
    /// CPU of all processes of the system, milliseconds for each thousand messages.
    pub cpu_ms_per_1k: f64,
    pub rss_kb: u64,
}

/// Measures every system at every rate, round after round.
pub fn measure(arguments: &Arguments, placement: &Placement) -> Result<Vec<Sample>, Problem> {
    let mut samples = Vec::new();
    for round in 0..arguments.rounds {
        for system in System::ALL {
            if !arguments.systems.contains(&system) {
                continue;
            }
            let running = system.start(placement)?;
            for rate in &arguments.rates {
                let load = Load {
                    rate: *rate,
                    seconds: arguments.seconds,
                    warm_seconds: 1.0,
                    devices: arguments.devices,
                    connections: arguments.connections,
                };
                let mut marks = Vec::with_capacity(2);
                let measured = load::run(&running.target, &load, || marks.push(running.cpu_ns()))?;
                let cpu_ns = marks[1].saturating_sub(marks[0]) as f64;
                let sample = Sample {
                    system,
                    round,
                    measured,
                    cpu_ms_per_1k: cpu_ns / 1e3 / (rate * load.seconds),
                    rss_kb: running.handler_rss_kb().unwrap_or(0),
                };
                report(&sample);
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

fn report(sample: &Sample) {
    let Sample { measured, .. } = sample;
    say(&json!({
        "kind": "reaction",
        "system": sample.system.name(),
        "round": sample.round,
        "rate": measured.rate,
        "sent": measured.sent,
        "lost": measured.lost,
        "duplicates": measured.duplicates,
        "reordered": measured.reordered,
        "p50_us": round(measured.p50_us),
        "p90_us": round(measured.p90_us),
        "p99_us": round(measured.p99_us),
        "p999_us": round(measured.p999_us),
        "max_us": round(measured.max_us),
        "generator_late_p99_us": round(measured.late_p99_us),
        "cpu_ms_per_1k": round(sample.cpu_ms_per_1k),
        "rss_kb": sample.rss_kb,
        "load_1m": procfs::load_1m(),
    }));
}

/// Every system at every rate: medians over the rounds, and how far they lie apart.
pub fn tabulate(samples: &[Sample], arguments: &Arguments) {
    let head = [
        "msg/s",
        "way",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "lost",
        "sent late p99 us",
        "CPU ms/1000",
        "RSS MB",
    ];
    let mut table = Table::new(&head);
    for rate in &arguments.rates {
        for system in System::ALL {
            let of = |figure: fn(&Sample) -> f64| -> Vec<f64> {
                let ours = samples.iter();
                ours.filter(|sample| sample.system == system && sample.measured.rate == *rate)
                    .map(figure)
                    .collect()
            };
            let lost: f64 = of(|sample| sample.measured.lost as f64).iter().sum();
            if of(|_| 0.0).is_empty() {
                continue;
            }
            table.row(vec![
                digits(*rate),
                system.title().to_owned(),
                spread(&of(|sample| sample.measured.p50_us)),
                spread(&of(|sample| sample.measured.p99_us)),
                digits(median(&of(|sample| sample.measured.p999_us))),
                format!("{lost}"),
                digits(median(&of(|sample| sample.measured.late_p99_us))),
                spread(&of(|sample| sample.cpu_ms_per_1k)),
                digits(median(&of(|sample| sample.rss_kb as f64 / 1024.0))),
            ]);
        }
    }
    table.print("Reaction time", arguments.markdown);
}

/// The ratios of two systems in one figure at one rate, one a round: within a round the two were
/// measured in the same minute.
fn ratios(
    samples: &[Sample],
    rate: f64,
    (over, under): (System, System),
    figure: fn(&Sample) -> f64,
) -> Vec<f64> {
    let find = |system, round| {
        samples.iter().find(|sample| {
            sample.system == system && sample.round == round && sample.measured.rate == rate
        })
    };
    let rounds = samples.iter().map(|sample| sample.round + 1).max();
    (0..rounds.unwrap_or(0))
        .filter_map(|round| Some(figure(find(over, round)?) / figure(find(under, round)?)))
        .collect()
}

/// The goals that compare systems, and the comparisons that nobody set a goal for.
pub fn compare(samples: &[Sample]) -> Vec<Goal> {
    let p50 = |sample: &Sample| sample.measured.p50_us;
    let p99 = |sample: &Sample| sample.measured.p99_us;
    let cpu = |sample: &Sample| sample.cpu_ms_per_1k;
    let door = (System::Door, System::Hop);
    let door_native = (System::Door, System::Native);
    let behind = (System::Behind, System::Native);
    let most = |what, pair, figure, most| {
        Goal::at_most(what, "x", ratios(samples, 1000.0, pair, figure), most)
    };
    let mut goals = vec![
        most("p50 at 1000/s, front door / mosquitto one hop", door, p50, 1.1),
        most("p99 at 1000/s, front door / mosquitto one hop", door, p99, 1.5),
        most("p50 at 1000/s, behind mosquitto / native handler", behind, p50, 1.15),
        most("CPU at 1000/s, front door / mosquitto + native handler", door_native, cpu, 0.35),
    ];
    let mut open = |what: &str, rate, pair, figure| {
        let values = ratios(samples, rate, pair, figure);
        if !values.is_empty() {
            goals.push(Goal::open(what, "x", values));
        }
    };
    open("p99 at 1000/s, behind mosquitto / native handler", 1000.0, behind, p99);
    open("CPU at 1000/s, behind mosquitto / native handler", 1000.0, behind, cpu);
    open("CPU at 1000/s, front door / mosquitto one hop", 1000.0, door, cpu);
    for rate in [100.0, 5000.0] {
        let at = |what: &str| format!("{what} at {rate}/s, front door / mosquitto one hop");
        open(&at("p50"), rate, door, p50);
        open(&at("p99"), rate, door, p99);
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(system: System, round: usize, p50_us: f64) -> Sample {
        let measured = Measured { rate: 1000.0, p50_us, ..Measured::default() };
        Sample { system, round, measured, cpu_ms_per_1k: 0.0, rss_kb: 0 }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut samples = Vec::new();
        // The second round was measured in a busy minute, and the last was cut short.
        for (round, hop, door) in [(0, 100.0, 90.0), (1, 1000.0, 800.0), (2, 100.0, 120.0)] {
            samples.push(sample(System::Hop, round, hop));
            samples.push(sample(System::Door, round, door));
        }
        samples.push(sample(System::Door, 3, 1.0));
        let p50 = |sample: &Sample| sample.measured.p50_us;
        let pair = (System::Door, System::Hop);
        assert_eq!(ratios(&samples, 1000.0, pair, p50), [0.9, 0.8, 1.2]);
        assert!(ratios(&samples, 5000.0, pair, p50).is_empty());
        let goals = compare(&samples);
        assert!(goals[0].is_met() && !goals[2].is_met());
    }
}
