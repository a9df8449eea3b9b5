//! Reaction time and CPU of the four ways, measured in turns so that a busy minute hits all alike.

use serde_json::json;
use tidegate_tests::load::{self, Load, Measured};
use tidegate_tests::procfs;
use tidegate_tests::programs::Placement;

use crate::arguments::Arguments;
use crate::systems::System;
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
            if !arguments.systems.iter().any(|name| name == system.name()) {
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
