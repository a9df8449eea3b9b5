//! Probation: what a release has shown so far, against the bounds of its manifest.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use crate::job::{Event, Failure};
use crate::release::{FailedEvent, Figures, Probation, Refusal};
use crate::time::Timestamp;

/// Steps of the fuel histogram: four to a doubling, so that a bound is met within a fifth.
const STEPS: usize = 4 * 40;
/// Before so many events a percentile is one event's whim, unless the probation ends.
const P99_EVENTS_MIN: u64 = 100;
/// Bytes of a failed event's payload that the answer carries.
const PAYLOAD_BYTES_MAX: usize = 256;

/// How fuel was used, by event. Adds up to a percentile without keeping events.
#[derive(Clone, Debug)]
pub struct Spread {
    counts: [u32; STEPS],
    total: u64,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread { counts: [0; STEPS], total: 0 }
    }
}

impl Spread {
    pub fn count(&mut self, fuel: u64) {
        let log = 63 - (fuel | 1).leading_zeros() as usize;
        let quarter = if log < 2 { 0 } else { (fuel >> (log - 2)) as usize & 3 };
        let step = (log * 4 + quarter).min(STEPS - 1);
        self.counts[step] = self.counts[step].saturating_add(1);
        self.total += 1;
    }

    /// Fuel that 99 of 100 events stay below, rounded up to a step.
    pub fn p99(&self) -> u64 {
        let mut beyond = self.total / 100;
        for step in (0..STEPS).rev() {
            let count = u64::from(self.counts[step]);
            if count > beyond {
                let (log, quarter) = (step / 4, step as u64 % 4);
                return if log < 2 { (2 << log) - 1 } else { ((5 + quarter) << log) / 4 };
            }
            beyond -= count;
        }
        0
    }
}

/// What an event, or the time, means for a probation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    GoesOn,
    Passed,
    Broken { refusal: Refusal, last: Option<FailedEvent> },
}

/// A release that runs on probation.
#[derive(Debug)]
pub struct Trial {
    bounds: Probation,
    begun: Timestamp,
    events: u32,
    failed: u32,
    failed_in_a_row: u16,
    deadline_misses: u32,
}

impl Trial {
    pub fn new(bounds: Probation, begun: Timestamp) -> Trial {
        Trial { bounds, begun, events: 0, failed: 0, failed_in_a_row: 0, deadline_misses: 0 }
    }

    /// When it passes for its time alone.
    pub fn due(&self) -> Timestamp {
        self.begun.after(core::time::Duration::from_millis(self.bounds.uptime_ms))
    }

    pub fn events_left(&self) -> u32 {
        self.bounds.events.saturating_sub(self.events)
    }

    pub fn left_ms(&self, now: Timestamp) -> u64 {
        self.due().0.saturating_sub(now.0)
    }

    /// One event has ended, badly with `failed`.
    pub fn judge(
        &mut self,
        failed: Option<(&Event, &Failure)>,
        failures_max: u16,
        figures: &Figures,
    ) -> Judged {
        self.events = self.events.saturating_add(1);
        self.failed_in_a_row = match failed {
            Some(_) => self.failed_in_a_row.saturating_add(1),
            None => 0,
        };
        match failed.map(|(_, failure)| failure) {
            Some(Failure::Deadline) => self.deadline_misses += 1,
            Some(_) => self.failed += 1,
            None => {}
        }
        let broken = self.broken(failures_max, figures, false);
        let passed = self.bounds.events > 0 && self.events >= self.bounds.events;
        let broken = match broken {
            None if passed => self.broken(failures_max, figures, true),
            broken => broken,
        };
        match broken {
            Some(refusal) => {
                Judged::Broken { refusal, last: failed.map(|(event, why)| shown(event, why)) }
            }
            None if passed => Judged::Passed,
            None => Judged::GoesOn,
        }
    }

    /// The time is over.
    pub fn judge_end(&self, failures_max: u16, figures: &Figures) -> Judged {
        match self.broken(failures_max, figures, true) {
            Some(refusal) => Judged::Broken { refusal, last: None },
            None => Judged::Passed,
        }
    }

    fn broken(&self, failures_max: u16, figures: &Figures, is_end: bool) -> Option<Refusal> {
        let bounds = &self.bounds;
        let of = u64::from(bounds.events.max(self.events));
        let may_fail = of * u64::from(bounds.failed_per_mille_max) / 1000;
        if u64::from(self.failed) > may_fail {
            let (failed, events) = (self.failed, self.events);
            let text = format!(
                "{failed} of {events} events failed; {may_fail} may (probation.failed_per_mille_max)"
            );
            return Some(Refusal::new("failed-events", text));
        }
        if self.failed_in_a_row >= failures_max {
            let text = format!("{} events failed in a row", self.failed_in_a_row);
            return Some(Refusal::new("failed-in-a-row", text));
        }
        if self.deadline_misses > bounds.deadline_misses_max {
            let (missed, may) = (self.deadline_misses, bounds.deadline_misses_max);
            let text = format!(
                "{missed} events outlived the deadline; {may} may (probation.deadline_misses_max)"
            );
            return Some(Refusal::new("deadline-misses", text));
        }
        let max = bounds.memory_kib_max;
        if max > 0 && figures.memory_kib > max {
            let text = format!(
                "{} KiB of memory after an event; {max} are allowed (probation.memory_kib_max)",
                figures.memory_kib
            );
            return Some(Refusal::new("memory", text));
        }
        let max = u64::from(bounds.p99_us_max);
        let is_told = figures.events >= P99_EVENTS_MIN || (is_end && figures.events > 0);
        if max > 0 && is_told && figures.p99_us > max {
            let text = format!(
                "the 99th percentile of an event is {} us; {max} are allowed (probation.p99_us_max)",
                figures.p99_us
            );
            return Some(Refusal::new("p99", text));
        }
        None
    }
}

fn shown(event: &Event, failure: &Failure) -> FailedEvent {
    let payload = &event.message.payload;
    FailedEvent {
        topic: event.message.topic.as_str().into(),
        payload: Arc::from(&payload[..payload.len().min(PAYLOAD_BYTES_MAX)]),
        failure: told(failure),
    }
}

/// A failure for people.
pub fn told(failure: &Failure) -> String {
    match failure {
        Failure::Trap(name) | Failure::Quota(name) => format!("{}: {name}", failure.name()),
        Failure::Returned(code) => format!("on_event returned {code}"),
        Failure::OutOfFuel | Failure::Deadline | Failure::RetriesUsedUp | Failure::Quarantined => {
            failure.name().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, QoS};
    use crate::time::WallTime;
    use crate::topic::Topic;

    fn event() -> Event {
        let message = Message {
            topic: Topic::new("a").expect("a topic"),
            payload: Arc::from(&[7; 300][..]),
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            source: Arc::from("s"),
            at: WallTime::default(),
            hops: 0,
            mark: None,
        };
        Event {
            id: 1,
            message: Arc::new(message),
            ticket: None,
            attempt: 0,
            first: false,
            invoke: None,
        }
    }

    /// `.` an event that ends well, `x` one that traps, `d` one that misses its deadline. What the last one meant.
    #[track_caller]
    fn check(bounds: Probation, figures: Figures, script: &str, expect: &str) {
        let mut trial = Trial::new(bounds, Timestamp(5));
        let mut judged = Judged::GoesOn;
        for (at, how) in script.chars().enumerate() {
            assert_eq!(judged, Judged::GoesOn, "{script} ended before event {at}");
            let event = event();
            let failed = match how {
                'x' => Some((&event, &Failure::Trap("unreachable"))),
                'd' => Some((&event, &Failure::Deadline)),
                _ => None,
            };
            judged = trial.judge(failed, 5, &figures);
        }
        let seen = match judged {
            Judged::GoesOn => "on".into(),
            Judged::Passed => "passed".into(),
            Judged::Broken { refusal, last } => {
                assert!(last.is_none_or(|last| last.payload.len() == PAYLOAD_BYTES_MAX));
                refusal.code
            }
        };
        assert_eq!(seen, expect, "{script}");
    }

    const THREE: Probation = Probation { events: 3, ..Probation::DEFAULT };

    #[test]
    fn bounds_hold_or_break() {
        let none = Figures::default();
        check(THREE, none, "...", "passed");
        check(THREE, none, "..", "on");
        check(THREE, none, ".x", "failed-events");
        check(THREE, none, "d", "deadline-misses");
        let lenient = Probation { failed_per_mille_max: 334, deadline_misses_max: 1, ..THREE };
        check(lenient, none, "xd.", "passed");
        check(lenient, none, "x.x", "failed-events");
        check(lenient, none, "dd", "deadline-misses");
        let blind = Probation { events: 0, failed_per_mille_max: 1000, ..Probation::DEFAULT };
        check(blind, none, "xxxx.xxxxx", "failed-in-a-row");
    }

    #[test]
    fn figures_break_bounds_too() {
        let bounds = Probation { memory_kib_max: 64, p99_us_max: 50, ..THREE };
        let figures = Figures { events: 1, memory_kib: 65, ..Figures::default() };
        check(bounds, figures, ".", "memory");
        let figures = Figures { events: 2, p99_us: 51, ..Figures::default() };
        check(bounds, figures, "..", "on");
        check(bounds, figures, "...", "p99");
        let figures = Figures { events: 100, p99_us: 51, ..Figures::default() };
        check(bounds, figures, ".", "p99");
    }

    #[test]
    fn time_alone_is_enough() {
        let trial = Trial::new(THREE, Timestamp(5));
        assert_eq!((trial.due(), trial.left_ms(Timestamp(5))), (Timestamp(60_005), 60_000));
        assert_eq!(trial.judge_end(5, &Figures::default()), Judged::Passed);
    }

    #[test]
    fn the_percentile_is_within_a_step() {
        for fuel in [1, 2, 3, 7, 1_000, 123_456, 9_999_999] {
            let mut spread = Spread::default();
            (0..99).for_each(|_| spread.count(fuel));
            let p99 = spread.p99();
            assert!(p99 >= fuel && p99 <= fuel + fuel / 4 + 1, "{fuel}: {p99}");
            spread.count(u64::MAX);
            assert_eq!(spread.p99(), p99, "one of a hundred is beyond it");
            spread.count(u64::MAX);
            spread.count(u64::MAX);
            assert!(spread.p99() > p99);
        }
        assert_eq!(Spread::default().p99(), 0);
    }
}
