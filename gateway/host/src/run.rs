//! Runs a job's events in slices of fuel. What comes out does not depend on how it was sliced.

use tidegate_abi::Errno;
use tidegate_core::job::{EventOutcome, Failure, Job, Outcome, Verdict};
use tidegate_core::manifest::Isolation;
use tidegate_core::planted::{Bug, planted};
use wasmi::{TypedResumableCall, TypedResumableCallOutOfFuel};

use crate::costs::{COPY_BYTES_PER_FUEL, EVENT_SLICE_FUEL, FRESH_SLICE_FUEL};
use crate::guest::Now;
use crate::inbox;
use crate::instance::{Instance, Place, Reset};
use crate::live::{Live, OUT_OF_BOUNDS, failure};
use crate::meter::copy_fuel;

/// How far a job has come.
#[derive(Debug)]
pub enum Step {
    /// When it has ended.
    Finished(Outcome),
    /// When the slice was used up: [`Instance::resume`] goes on.
    Parked,
}

/// The job that runs or is parked.
pub(crate) struct Run {
    job: Job,
    events: Vec<EventOutcome>,
    flight: Option<Flight>,
}

/// An event in the middle.
struct Flight {
    call: TypedResumableCallOutOfFuel<i32>,
    /// What is left of the event's fuel.
    fuel_left: u64,
    started_us: u64,
}

/// Where a stretch of guest code ended.
enum Stretch {
    Ended { verdict: Verdict, fuel_left: u64 },
    Parked(Flight),
}

impl Instance {
    /// Begins `job` and runs it for about `fuel_slice` of fuel. `now` is the time now.
    ///
    /// # Panics
    /// When a job is parked here: a handler runs one at a time.
    pub fn start(&mut self, job: Job, fuel_slice: u64, now: Now) -> Step {
        assert!(self.run.is_none(), "a job is parked here");
        self.data_mut().levels = job.pins;
        let events = Vec::with_capacity(job.events.len());
        self.advance(Run { job, events, flight: None }, fuel_slice, now)
    }

    /// Goes on with the parked job for about `fuel_slice` of fuel. `now` is the time now.
    ///
    /// # Panics
    /// When no job is parked here.
    pub fn resume(&mut self, fuel_slice: u64, now: Now) -> Step {
        let run = self.run.take().expect("a job is parked here");
        self.advance(run, fuel_slice, now)
    }

    fn advance(&mut self, mut run: Run, fuel_slice: u64, now: Now) -> Step {
        let mut slice_left = fuel_slice.max(1);
        while run.flight.is_some() || run.events.len() < run.job.events.len() {
            if slice_left == 0 {
                return self.park(run);
            }
            let before = match &run.flight {
                Some(flight) => flight.fuel_left,
                None => self.fuel_limit(),
            };
            let stretch = match run.flight.take() {
                Some(flight) => self.go_on(flight, slice_left, now),
                // A whole slice, whatever is left: an event that outlives it is long, and not just late in
                // its batch.
                None => self.begin(&run, &mut slice_left, fuel_slice.max(1), now),
            };
            match stretch {
                Stretch::Parked(flight) => {
                    run.flight = Some(flight);
                    return self.park(run);
                }
                Stretch::Ended { verdict, fuel_left } => {
                    slice_left = slice_left.saturating_sub(before - fuel_left);
                    let retry = verdict == Verdict::Retry;
                    run.events.push(self.end(verdict, fuel_left));
                    if retry {
                        break;
                    }
                }
            }
        }
        Step::Finished(Outcome { job: run.job, events: run.events })
    }

    /// Whether the parked job waits between two events: each so far has ended within its slice, there are
    /// just many of them.
    pub fn is_between_events(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.flight.is_none())
    }

    fn park(&mut self, run: Run) -> Step {
        self.run = Some(run);
        Step::Parked
    }

    /// Brings the next event to the guest and starts it. What that takes goes off the slice, not off
    /// the event's fuel.
    fn begin(&mut self, run: &Run, slice_left: &mut u64, grant: u64, now: Now) -> Stretch {
        let fuel_left = self.fuel_limit();
        let failed = |failure| Stretch::Ended { verdict: Verdict::Failed(failure), fuel_left };
        let mut overhead = EVENT_SLICE_FUEL;
        if self.dirty {
            overhead += self.image.memory_len as u64 / COPY_BYTES_PER_FUEL;
            if self.facts().reset != Reset::Image {
                overhead += FRESH_SLICE_FUEL + self.facts().init_fuel;
            }
            self.dirty = !self.reset();
        }
        *slice_left = slice_left.saturating_sub(overhead).max(1);
        let (Place::Live(live), false) = (&mut self.guest, self.dirty) else {
            return failed(Failure::Trap("no-memory-for-an-instance"));
        };
        let event = &run.job.events[run.events.len()];
        live.store.data_mut().begin(event, now);
        let record_fuel = copy_fuel(self.inbox.record_len(event));
        let Some(fuel_left) = fuel_left.checked_sub(record_fuel) else {
            return failed(Failure::OutOfFuel);
        };
        let memory = live.memory.data_mut(&mut live.store);
        let buffer = self.inbox.range().and_then(|range| memory.get_mut(range));
        let len = inbox::write(buffer.expect("memory never shrinks"), event, fuel_left);
        let grant = fuel_left.min(grant);
        live.grant(grant, fuel_left);
        let called = live.on_event.call_resumable(&mut live.store, len as i32);
        live.stretch(called, grant, fuel_left, now.mono_us)
    }

    /// Goes on with the event in the middle, unless its time is over.
    fn go_on(&mut self, flight: Flight, slice_left: u64, now: Now) -> Stretch {
        let Flight { call, fuel_left, started_us } = flight;
        let Place::Live(live) = &mut self.guest else {
            unreachable!("an instance with an event in the middle is never let go");
        };
        let deadline_us = u64::from(live.store.data().manifest.limits.deadline_ms) * 1000;
        if now.mono_us.saturating_sub(started_us) > deadline_us {
            return Stretch::Ended { verdict: Verdict::Failed(Failure::Deadline), fuel_left };
        }
        let grant = fuel_left.min(slice_left.max(call.required_fuel()));
        live.grant(grant, fuel_left);
        let called = call.resume(&mut live.store);
        live.stretch(called, grant, fuel_left, started_us)
    }

    /// Makes what the event did visible, or forgets it.
    fn end(&mut self, mut verdict: Verdict, fuel_left: u64) -> EventOutcome {
        if verdict == Verdict::Failed(Failure::Trap(OUT_OF_BOUNDS)) {
            verdict = Verdict::Failed(Failure::Trap(self.bounds_trap()));
        }
        let fuel_used = self.fuel_limit() - fuel_left;
        let done = verdict == Verdict::Done;
        let memory_kib = match &self.guest {
            Place::Live(live) => live.memory.data_size(&live.store).div_ceil(1024) as u32,
            Place::Resting(_) | Place::Moving => 0,
        };
        let mut outcome =
            EventOutcome { verdict, fuel_used, memory_kib, ..EventOutcome::default() };
        let guest = self.data_mut();
        if done || planted(Bug::FailedReactionsLeave) {
            guest.commit(&mut outcome);
        } else {
            guest.roll_back(&mut outcome);
        }
        let lives_on = guest.manifest.isolation == Isolation::Instance;
        self.dirty |= !(done && lives_on);
        outcome
    }

    /// Which end of its memory the guest went beyond, as far as can be told.
    fn bounds_trap(&self) -> &'static str {
        match &self.guest {
            Place::Live(live) if live.is_stack_used_up(&self.image) => "memory-stack-overflow",
            Place::Live(_) if self.facts().memory_is_tight => "memory-above-heap-base",
            _ => OUT_OF_BOUNDS,
        }
    }

    fn fuel_limit(&self) -> u64 {
        self.data().manifest.limits.fuel
    }
}

impl Live {
    /// Puts `grant` of the event's fuel into the store.
    fn grant(&mut self, grant: u64, fuel_left: u64) {
        self.set_fuel(grant);
        self.store.data_mut().meter.grant(grant, fuel_left - grant);
    }

    /// Settles accounts after a stretch of guest code.
    fn stretch(
        &mut self,
        called: Result<TypedResumableCall<i32>, wasmi::Error>,
        grant: u64,
        fuel_left: u64,
        started_us: u64,
    ) -> Stretch {
        let used = grant - self.fuel() + self.store.data().meter.debt();
        let fuel_left = fuel_left - used;
        let verdict = match called {
            Ok(TypedResumableCall::Finished(code)) => self.verdict(code),
            Ok(TypedResumableCall::HostTrap(call)) => Verdict::Failed(failure(call.host_error())),
            Ok(TypedResumableCall::OutOfFuel(call)) => {
                if call.required_fuel() <= fuel_left {
                    return Stretch::Parked(Flight { call, fuel_left, started_us });
                }
                Verdict::Failed(Failure::OutOfFuel)
            }
            Err(error) => Verdict::Failed(failure(&error)),
        };
        Stretch::Ended { verdict, fuel_left }
    }

    fn verdict(&self, code: i32) -> Verdict {
        const RETRY: i32 = Errno::Retry.code();
        const QUOTA: i32 = Errno::Quota.code();
        match (code, self.store.data().quota) {
            (0.., _) => Verdict::Done,
            (RETRY, _) => Verdict::Retry,
            // It gave up over a limit: say which.
            (QUOTA, Some(limit)) => Verdict::Failed(Failure::Quota(limit)),
            (code, _) => Verdict::Failed(Failure::Returned(code)),
        }
    }
}
