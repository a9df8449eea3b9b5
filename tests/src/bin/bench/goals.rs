//! The goals, and whether this run reached them.

use serde_json::json;
use tidegate_tests::load::median;

use crate::table::{Table, digits, spread};
use crate::words::{round, say};

/// A figure of this run beside what it must be: one value a round, of which the middle one counts.
#[derive(Clone, Debug)]
pub struct Goal {
    pub what: String,
    pub unit: &'static str,
    pub values: Vec<f64>,
    pub bound: Bound,
}

/// Which side of the number is good.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// When it is shown to compare with, and nothing was promised.
    Open,
}

impl Goal {
    pub fn at_most(what: &str, unit: &'static str, values: Vec<f64>, most: f64) -> Goal {
        Goal::new(what, unit, values, Bound::AtMost(most))
    }

    pub fn at_least(what: &str, unit: &'static str, values: Vec<f64>, least: f64) -> Goal {
        Goal::new(what, unit, values, Bound::AtLeast(least))
    }

    pub fn open(what: &str, unit: &'static str, values: Vec<f64>) -> Goal {
        Goal::new(what, unit, values, Bound::Open)
    }

    fn new(what: &str, unit: &'static str, values: Vec<f64>, bound: Bound) -> Goal {
        Goal { what: what.to_owned(), unit, values, bound }
    }

    pub fn measured(&self) -> f64 {
        median(&self.values)
    }

    /// A figure that was not measured does not meet its goal.
    pub fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.measured() <= most,
            Bound::AtLeast(least) => self.measured() >= least,
            Bound::Open => true,
        }
    }

    fn bound_text(&self) -> String {
        match self.bound {
            Bound::AtMost(most) => format!("<= {} {}", digits(most), self.unit),
            Bound::AtLeast(least) => format!(">= {} {}", digits(least), self.unit),
            Bound::Open => "-".to_owned(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.bound {
            _ if !self.measured().is_finite() => "not measured",
            Bound::Open => "to compare",
            _ if self.is_met() => "met",
            _ => "NOT MET",
        }
    }
}

/// Prints each goal as JSON and all of them as a table. `place` says where everything ran.
pub fn report(goals: &[Goal], place: &str, markdown: bool) {
    let mut table = Table::new(&["figure", "measured", "must be", "verdict"]);
    for goal in goals {
        table.row(vec![
            goal.what.clone(),
            format!("{} {}", spread(&goal.values), goal.unit),
            goal.bound_text(),
            goal.verdict().to_owned(),
        ]);
        say(&json!({
            "kind": "goal", "what": goal.what, "unit": goal.unit, "measured": round(goal.measured()),
            "values": goal.values.iter().map(|value| round(*value)).collect::<Vec<_>>(),
            "bound": goal.bound_text(), "verdict": goal.verdict(),
        }));
    }
    table.print(&format!("Goals, {place}"), markdown);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_met() {
        assert!(!Goal::at_most("x", "x", Vec::new(), 1.0).is_met());
        assert!(!Goal::at_least("x", "x", vec![f64::NAN], 1.0).is_met());
        assert_eq!(Goal::open("x", "x", Vec::new()).verdict(), "not measured");
        assert!(!Goal::at_most("x", "x", vec![1.01], 1.0).is_met());
        assert!(Goal::at_least("x", "x", vec![1.0], 1.0).is_met());
    }

    #[test]
    fn the_middle_round_counts() {
        let goal = |values| Goal::at_most("x", "x", values, 1.0);
        assert!(goal(vec![0.9, 9.0, 0.8]).is_met());
        assert!(!goal(vec![0.9, 9.0, 1.1]).is_met());
    }
}
