//! The goals, and whether this run reached them.

use serde_json::json;
use tidegate_tests::load::median;

use crate::reaction::Sample;
use crate::systems::System;
use crate::words::{round, say};

/// A figure of this run beside what it must be.
#[derive(Clone, Debug)]
pub struct Goal {
    pub what: String,
    pub unit: &'static str,
    pub measured: f64,
    pub bound: Bound,
}

/// Which side of the number is good.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub fn at_most(what: &str, unit: &'static str, measured: f64, most: f64) -> Goal {
        Goal {
            what: what.to_owned(),
            unit,
            measured,
            bound: Bound::AtMost(most),
        }
    }

    pub fn at_least(what: &str, unit: &'static str, measured: f64, least: f64) -> Goal {
        Goal {
            what: what.to_owned(),
            unit,
            measured,
            bound: Bound::AtLeast(least),
        }
    }

    /// A figure that was not measured does not meet its goal.
    pub fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.measured <= most,
            Bound::AtLeast(least) => self.measured >= least,
        }
    }
}

/// The ratio of two systems in one figure at one rate: the median over rounds of the ratio within
/// each round, because the two were measured within the same minute.
pub fn ratio(
    samples: &[Sample],
    rate: f64,
    (over, under): (System, System),
    figure: impl Fn(&Sample) -> f64,
) -> f64 {
    let find = |system, round| {
        samples.iter().find(|sample| {
            sample.system == system && sample.round == round && sample.measured.rate == rate
        })
    };
    let rounds = samples
        .iter()
        .map(|sample| sample.round + 1)
        .max()
        .unwrap_or(0);
    let ratios: Vec<f64> = (0..rounds)
        .filter_map(|round| Some(figure(find(over, round)?) / figure(find(under, round)?)))
        .collect();
    median(&ratios)
}

/// The goals that compare systems.
pub fn compare(samples: &[Sample]) -> Vec<Goal> {
    let at = |pair, figure: fn(&Sample) -> f64| ratio(samples, 1000.0, pair, figure);
    let p50 = |sample: &Sample| sample.measured.p50_us;
    let p99 = |sample: &Sample| sample.measured.p99_us;
    let cpu = |sample: &Sample| sample.cpu_ms_per_1k;
    let door = (System::Door, System::Hop);
    vec![
        Goal::at_most(
            "front door / mosquitto one hop, p50 at 1000/s",
            "x",
            at(door, p50),
            1.1,
        ),
        Goal::at_most(
            "front door / mosquitto one hop, p99 at 1000/s",
            "x",
            at(door, p99),
            1.5,
        ),
        Goal::at_most(
            "behind mosquitto / native handler, p50 at 1000/s",
            "x",
            at((System::Behind, System::Native), p50),
            1.15,
        ),
        Goal::at_most(
            "CPU, front door / mosquitto + native handler, at 1000/s",
            "x",
            at((System::Door, System::Native), cpu),
            0.35,
        ),
    ]
}

/// Prints each goal as JSON and all of them as a table.
pub fn report(goals: &[Goal]) {
    eprintln!("\n{:<62} {:>12} {:>14}", "goal", "measured", "must be");
    for goal in goals {
        let (sign, bound) = match goal.bound {
            Bound::AtMost(most) => ("<=", most),
            Bound::AtLeast(least) => (">=", least),
        };
        let verdict = match (goal.measured.is_finite(), goal.is_met()) {
            (false, _) => "not measured",
            (true, true) => "met",
            (true, false) => "NOT MET",
        };
        eprintln!(
            "{:<62} {:>9.2} {:<2} {sign} {:>8} {:<2} {verdict}",
            goal.what, goal.measured, goal.unit, bound, goal.unit
        );
        say(&json!({
            "kind": "goal", "what": goal.what, "unit": goal.unit, "measured": round(goal.measured),
            "bound": format!("{sign} {bound}"), "met": goal.is_met(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_tests::load::Measured;

    fn sample(system: System, round: usize, p50_us: f64) -> Sample {
        let measured = Measured {
            rate: 1000.0,
            p50_us,
            ..Measured::default()
        };
        Sample {
            system,
            round,
            measured,
            cpu_ms_per_1k: 0.0,
            rss_kb: 0,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut samples = Vec::new();
        // The second round was measured in a busy minute.
        for (round, hop, door) in [(0, 100.0, 90.0), (1, 1000.0, 800.0), (2, 100.0, 120.0)] {
            samples.push(sample(System::Hop, round, hop));
            samples.push(sample(System::Door, round, door));
        }
        let p50 = |sample: &Sample| sample.measured.p50_us;
        let got = ratio(&samples, 1000.0, (System::Door, System::Hop), p50);
        assert!((got - 0.9).abs() < 1e-9, "{got}");
        assert!(ratio(&samples, 5000.0, (System::Door, System::Hop), p50).is_nan());
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        assert!(!Goal::at_most("x", "x", f64::NAN, 1.0).is_met());
        assert!(!Goal::at_least("x", "x", f64::NAN, 1.0).is_met());
        assert!(!Goal::at_most("x", "x", 1.01, 1.0).is_met());
        assert!(Goal::at_least("x", "x", 1.0, 1.0).is_met());
    }
}
