//! One line per handler, one job at a time; back-off after a retry, quarantine after failures in a row.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::job::{Event, EventOutcome, Failure, HandlerId, Job, JobId, Outcome, Verdict};
use crate::limits::Limits;
use crate::pins::Levels;
use crate::planted::{Bug, planted};
use crate::time::Timestamp;

/// What a line does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// When the module is being checked: messages wait.
    Checking,
    Idle,
    Running(JobId),
    /// When an event asked for a retry: everything waits until then.
    BackingOff(Timestamp),
    /// When it failed too often: nothing waits, everything fails at once until then.
    Quarantined(Timestamp),
}

#[derive(Debug)]
struct Line {
    phase: Phase,
    waiting: VecDeque<Event>,
    /// Failures since the last event that ended well.
    failures: u16,
    /// Quarantines since then.
    quarantines: u32,
    /// No event has run yet.
    fresh: bool,
    /// It changes hands: nothing runs until it is started again.
    held: bool,
    /// One event a job: each is judged before the next.
    alone: bool,
}

/// What a finished job means for its line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// The line is stopped for so long.
    pub quarantined: Option<Duration>,
    /// The line was on trial after a quarantine, and passed.
    pub released: bool,
}

/// All lines.
#[derive(Debug)]
pub struct Schedule {
    limits: Limits,
    lines: BTreeMap<HandlerId, Line>,
    /// Idle handlers with something to do, in the order in which it came.
    ready: VecDeque<HandlerId>,
    /// When which line goes on after a back-off or a quarantine.
    wakes: BTreeSet<(Timestamp, HandlerId)>,
    next_job: u64,
    next_event: u64,
    /// Event lists of finished jobs, used again.
    spare: Vec<Vec<Event>>,
}

impl Schedule {
    pub fn new(limits: Limits) -> Schedule {
        Schedule {
            limits,
            lines: BTreeMap::new(),
            ready: VecDeque::new(),
            wakes: BTreeSet::new(),
            next_job: 1,
            next_event: 1,
            spare: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn insert(&mut self, handler: HandlerId) {
        let line = Line {
            phase: Phase::Checking,
            waiting: VecDeque::new(),
            failures: 0,
            quarantines: 0,
            fresh: true,
            held: true,
            alone: false,
        };
        self.lines.insert(handler, line);
    }

    /// Takes a line away; gives what waited in it.
    pub fn remove(&mut self, handler: HandlerId) -> VecDeque<Event> {
        self.ready.retain(|ready| *ready != handler);
        self.wakes.retain(|(_, wake)| *wake != handler);
        self.lines.remove(&handler).map(|line| line.waiting).unwrap_or_default()
    }

    /// The line runs another version from now on: nothing that the one before did is held against it. Not while a job
    /// runs. `alone`: one event a job.
    pub fn start(&mut self, handler: HandlerId, alone: bool) {
        self.ready.retain(|ready| *ready != handler);
        self.wakes.retain(|(_, wake)| *wake != handler);
        if let Some(line) = self.lines.get_mut(&handler) {
            (line.held, line.alone, line.fresh) = (false, alone, true);
            (line.failures, line.quarantines) = (0, 0);
        }
        self.go_on(handler);
    }

    /// What waits may run.
    fn go_on(&mut self, handler: HandlerId) {
        if let Some(line) = self.lines.get_mut(&handler) {
            line.phase = Phase::Idle;
            if !line.waiting.is_empty() && !line.held {
                self.ready.push_back(handler);
            }
        }
    }

    /// Nothing more runs in this line until [`Schedule::start`] or [`Schedule::let_go`]; a job that runs may end.
    pub fn hold(&mut self, handler: HandlerId) {
        self.ready.retain(|ready| *ready != handler);
        if let Some(line) = self.lines.get_mut(&handler) {
            line.held = true;
        }
    }

    /// A line that was held goes on as it was.
    pub fn let_go(&mut self, handler: HandlerId) {
        let Some(line) = self.lines.get_mut(&handler) else {
            return;
        };
        line.held = false;
        if line.phase == Phase::Idle && !line.waiting.is_empty() && !self.ready.contains(&handler) {
            self.ready.push_back(handler);
        }
    }

    /// Events need not run one by one any more.
    pub fn pass(&mut self, handler: HandlerId) {
        if let Some(line) = self.lines.get_mut(&handler) {
            line.alone = false;
        }
    }

    /// A job's events go back to the head of the line, as if they had not run.
    pub fn put_back(&mut self, job: Job) {
        let handler = job.handler;
        if let Some(line) = self.lines.get_mut(&handler) {
            for mut event in job.events.into_iter().rev() {
                event.attempt = 0;
                if planted(Bug::BrokenEventToTheEnd) {
                    line.waiting.push_back(event);
                } else {
                    line.waiting.push_front(event);
                }
            }
            line.held = true;
            line.phase = Phase::Idle;
        }
    }

    pub fn is_running(&self, handler: HandlerId) -> bool {
        matches!(self.phase(handler), Some(Phase::Running(_)))
    }

    pub fn phase(&self, handler: HandlerId) -> Option<Phase> {
        self.lines.get(&handler).map(|line| line.phase)
    }

    /// How many wait.
    pub fn waiting(&self, handler: HandlerId) -> usize {
        self.lines.get(&handler).map_or(0, |line| line.waiting.len())
    }

    pub fn next_event_id(&mut self) -> u64 {
        let id = self.next_event;
        self.next_event += 1;
        id
    }

    /// Puts an event at the end of a line. A handler without a line loses nothing: it was refused before.
    pub fn push(&mut self, handler: HandlerId, event: Event) {
        let Some(line) = self.lines.get_mut(&handler) else {
            return;
        };
        let may = (line.phase == Phase::Idle && !line.held) || planted(Bug::TwoJobsAtOnce);
        if may && line.waiting.is_empty() {
            self.ready.push_back(handler);
        }
        line.waiting.push_back(event);
    }

    pub fn has_job(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next job, if a handler is idle and has messages.
    /// Its events read the pins as they are in `pins`.
    pub fn poll_job(&mut self, pins: Levels) -> Option<Job> {
        let handler = self.ready.pop_front()?;
        let line = self.lines.get_mut(&handler)?;
        // After a failure the next message is on trial: alone, so that a broken handler fails few.
        let is_one = line.failures > 0 || line.alone;
        let most = if is_one { 1 } else { self.limits.batch_messages_max };
        let count = line.waiting.len().min(most);
        let mut events = self.spare.pop().unwrap_or_default();
        events.extend(line.waiting.drain(..count));
        if let Some(event) = events.first_mut() {
            event.first = line.fresh;
            // What is only tried is not the first event: the first one that counts is.
            line.fresh &= event.invoke.is_some_and(|invoke| invoke.is_dry);
        }
        let id = JobId(self.next_job);
        self.next_job += 1;
        line.phase = Phase::Running(id);
        Some(Job { id, handler, events, pins })
    }

    /// A job has ended. What it did not get to goes back to the head of the line.
    /// Afterwards the outcome's events are exactly those that are finished with, one for each verdict.
    pub fn finish(&mut self, now: Timestamp, outcome: &mut Outcome) -> Finished {
        let handler = outcome.job.handler;
        let Some(line) = self.lines.get_mut(&handler) else {
            return Finished::default();
        };
        let mut finished = Finished::default();
        let mut back_off = None;
        // What a person tries holds up no device's messages: it is not tried again.
        let asked = outcome.events.last().is_some_and(|last| last.verdict == Verdict::Retry)
            && outcome.job.events[outcome.events.len() - 1].invoke.is_none();
        if asked {
            let at = outcome.events.len() - 1;
            let event = &mut outcome.job.events[at];
            event.attempt += 1;
            if event.attempt > self.limits.retries_max {
                outcome.events[at].verdict = Verdict::Failed(Failure::RetriesUsedUp);
            } else {
                let shift = u32::from(event.attempt - 1).min(20);
                let wait = (self.limits.backoff_min_ms << shift).min(self.limits.backoff_max_ms);
                back_off = Some(now.after(Duration::from_millis(wait)));
                outcome.events.pop();
            }
        }
        let left = outcome.job.events.drain(outcome.events.len()..);
        if planted(Bug::RetryToTheEnd) {
            line.waiting.extend(left);
        } else if planted(Bug::RetryLosesTheRest) {
            line.waiting.extend(left.take(1));
        } else {
            left.rev().for_each(|event| line.waiting.push_front(event));
        }
        // Whether a handler is quarantined depends on its devices, not on what a person tries.
        let ours = outcome.job.events.iter().zip(&outcome.events);
        for (_, event) in ours.filter(|(event, _)| event.invoke.is_none()) {
            match &event.verdict {
                Verdict::Done => {
                    finished.released |= line.quarantines > 0;
                    (line.failures, line.quarantines) = (0, 0);
                }
                Verdict::Failed(_) => line.failures = line.failures.saturating_add(1),
                Verdict::Retry => {}
            }
        }
        // On trial, one failure is enough.
        let tolerated = if line.quarantines > 0 { 1 } else { self.limits.failures_max };
        let failed = |(event, outcome): (&Event, &EventOutcome)| {
            event.invoke.is_none() && matches!(outcome.verdict, Verdict::Failed(_))
        };
        let mut ours = outcome.job.events.iter().zip(&outcome.events);
        if line.failures >= tolerated && ours.any(failed) {
            let wait = (self.limits.quarantine_min_ms << line.quarantines.min(20))
                .min(self.limits.quarantine_max_ms);
            let wait = Duration::from_millis(wait);
            line.quarantines += 1;
            line.phase = Phase::Quarantined(now.after(wait));
            self.wakes.insert((now.after(wait), handler));
            finished.quarantined = Some(wait);
        } else if let Some(until) = back_off {
            line.phase = Phase::BackingOff(until);
            self.wakes.insert((until, handler));
        } else {
            line.phase = Phase::Idle;
            if !line.waiting.is_empty() && !line.held {
                self.ready.push_back(handler);
            }
        }
        finished
    }

    /// Takes what waits in a quarantined line.
    pub fn drain(&mut self, handler: HandlerId) -> VecDeque<Event> {
        self.lines
            .get_mut(&handler)
            .map(|line| core::mem::take(&mut line.waiting))
            .unwrap_or_default()
    }

    /// Takes an empty event list back for later use.
    pub fn recycle(&mut self, mut events: Vec<Event>) {
        events.clear();
        if self.spare.len() < 8 {
            self.spare.push(events);
        }
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _)| *at)
    }

    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((_, handler)) = self.wakes.first().filter(|(at, _)| *at <= now).copied() {
            self.wakes.pop_first();
            self.go_on(handler);
        }
    }
}

#[cfg(test)]
mod tests;
