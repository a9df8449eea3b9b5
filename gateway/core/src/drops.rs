//! Counts what is dropped, and says when a person should hear of it.

use crate::effect::{DropReason, Report};

/// How many messages were dropped for each reason.
#[derive(Debug, Default)]
pub struct Drops {
    totals: [u64; DropReason::ALL.len()],
}

impl Drops {
    /// Counts one. The first is told at once, a flood ever more rarely: at powers of two.
    pub fn count(&mut self, reason: DropReason) -> Option<Report> {
        let total = &mut self.totals[reason as usize];
        *total += 1;
        total.is_power_of_two().then_some(Report::Dropped { reason, total: *total })
    }

    pub fn total(&self, reason: DropReason) -> u64 {
        self.totals[reason as usize]
    }
}
