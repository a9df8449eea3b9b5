//! How far a push is: a machine without IO. Told what gateways answer, it knows what a person should see, when chunks
//! are to be sent again, and when it is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidegate_release::answer::{Answer, LastEvent, Stage};
use tidegate_release::{Digest, Name, Rank};

/// A gateway that has some chunks and says nothing for so long gets them again.
const AGAIN: Duration = Duration::from_secs(3);
/// When nobody says anything for so long, they are asked.
const ASK: Duration = Duration::from_secs(5);
/// Members of a group that are there answer within a second; another slow one is waited for that long.
const GROUP_LINGER: Duration = Duration::from_secs(3);

/// How far a gateway is with our release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// When nothing was heard of it.
    Silent,
    Checking {
        have: u32,
        of: u32,
    },
    Installing,
    Probation {
        left_ms: u64,
    },
    Active,
    Removed,
    Rejected {
        code: String,
        text: String,
    },
    RolledBack {
        code: String,
        text: String,
        event: Option<LastEvent>,
    },
    /// When a newer release, pushed by somebody else, took its place.
    Overtaken(Rank),
}

impl Phase {
    /// Nothing follows it.
    pub fn is_final(&self) -> bool {
        match self {
            Phase::Active
            | Phase::Removed
            | Phase::Rejected { .. }
            | Phase::RolledBack { .. }
            | Phase::Overtaken(_) => true,
            Phase::Silent
            | Phase::Checking { .. }
            | Phase::Installing
            | Phase::Probation { .. } => false,
        }
    }

    /// It is as it was wanted.
    pub fn is_good(&self) -> bool {
        matches!(self, Phase::Active | Phase::Removed)
    }
}

/// One gateway.
#[derive(Clone, Debug)]
pub struct At {
    pub phase: Phase,
    /// From sending to the first event that it could run.
    pub took: Option<Duration>,
    /// Until when its word counts as fresh.
    patience: Instant,
    heard: Instant,
}

/// One push under way.
#[derive(Debug)]
pub struct Course {
    release: (Rank, Digest),
    gateways: BTreeMap<Name, At>,
    has_groups: bool,
    silence: Duration,
    sent: Instant,
    chunks_at: Instant,
    asked_at: Instant,
    first_heard: Option<Instant>,
    newcomer: Instant,
}

impl Course {
    /// Begins when the release was sent. `silence` is how long a gateway may say nothing.
    pub fn new(
        release: (Rank, Digest),
        named: impl IntoIterator<Item = Name>,
        has_groups: bool,
        silence: Duration,
        now: Instant,
    ) -> Course {
        let at = At { phase: Phase::Silent, took: None, patience: now + silence, heard: now };
        let gateways = named.into_iter().map(|name| (name, at.clone())).collect();
        Course {
            release,
            gateways,
            has_groups,
            silence,
            sent: now,
            chunks_at: now,
            asked_at: now,
            first_heard: None,
            newcomer: now,
        }
    }

    /// Takes an answer; `Some` is what is new about its gateway.
    pub fn handle_answer(&mut self, now: Instant, answer: &Answer, is_kept: bool) -> Option<&At> {
        let phase = self.phase_of(answer, is_kept)?;
        let patience = now + self.silence + left(&phase);
        let is_new = !self.gateways.contains_key(&answer.gateway);
        if is_new && !self.has_groups {
            return None;
        }
        if is_new {
            self.newcomer = now;
        }
        self.first_heard.get_or_insert(now);
        let at = self.gateways.entry(answer.gateway.clone()).or_insert(At {
            phase: Phase::Silent,
            took: None,
            patience,
            heard: now,
        });
        (at.heard, at.patience) = (now, patience);
        if at.phase.is_final() && !matches!(phase, Phase::RolledBack { .. } | Phase::Overtaken(_)) {
            return None;
        }
        if at.took.is_none() && matches!(phase, Phase::Probation { .. } | Phase::Active) {
            at.took = Some(now.duration_since(self.sent));
        }
        let is_same = at.phase == phase
            || matches!((&at.phase, &phase), (Phase::Probation { .. }, Phase::Probation { .. }));
        at.phase = phase;
        (!is_same).then_some(&*at)
    }

    /// Where an answer says its gateway is with our release; nothing when it is about another.
    fn phase_of(&self, answer: &Answer, is_kept: bool) -> Option<Phase> {
        let (rank, digest) = match answer.release {
            Some(release) => release,
            // Not even whose release it is could be told: it is an answer to whoever sent just now.
            None => {
                return match &answer.stage {
                    Stage::Rejected { code, text } if !is_kept => {
                        Some(Phase::Rejected { code: code.clone(), text: text.clone() })
                    }
                    Stage::Rejected { .. }
                    | Stage::Checking { .. }
                    | Stage::Installing
                    | Stage::Probation { .. }
                    | Stage::Active
                    | Stage::RolledBack { .. }
                    | Stage::Removed
                    | Stage::Invoked(_) => None,
                };
            }
        };
        if digest != self.release.1 {
            return (rank > self.release.0).then_some(Phase::Overtaken(rank));
        }
        Some(match &answer.stage {
            Stage::Checking { have, of } => Phase::Checking { have: *have, of: *of },
            Stage::Installing => Phase::Installing,
            Stage::Probation { left_ms, .. } => Phase::Probation { left_ms: *left_ms },
            Stage::Active => Phase::Active,
            Stage::Removed => Phase::Removed,
            Stage::Rejected { code, text } => {
                Phase::Rejected { code: code.clone(), text: text.clone() }
            }
            Stage::RolledBack { code, text, event } => {
                Phase::RolledBack { code: code.clone(), text: text.clone(), event: event.clone() }
            }
            Stage::Invoked(_) => return None,
        })
    }

    /// Chunks are to be sent again: a gateway lacks some and has not got further for a while.
    pub fn poll_chunks(&mut self, now: Instant) -> bool {
        let lacks = |at: &At| {
            matches!(at.phase, Phase::Checking { have, of } if have < of)
                && now.duration_since(at.heard) >= AGAIN
        };
        let due = now.duration_since(self.chunks_at) >= AGAIN && self.gateways.values().any(lacks);
        if due {
            self.chunks_at = now;
        }
        due
    }

    /// Gateways are to be asked how they are: nothing was heard for a while.
    pub fn poll_ask(&mut self, now: Instant) -> bool {
        let heard = self.gateways.values().map(|at| at.heard).max().unwrap_or(self.sent);
        let last = heard.max(self.asked_at);
        let due = now.duration_since(last) >= ASK;
        if due {
            self.asked_at = now;
        }
        due
    }

    /// All was sent anew, after a connection was lost.
    pub fn handle_sent_again(&mut self, now: Instant) {
        self.chunks_at = now;
    }

    /// Nothing more is to be waited for.
    pub fn is_over(&self, now: Instant) -> bool {
        let is_done = |at: &At| at.phase.is_final() || now >= at.patience;
        let all_done = self.gateways.values().all(is_done);
        if !self.has_groups {
            return all_done;
        }
        match self.first_heard {
            None => now.duration_since(self.sent) >= self.silence,
            Some(_) => {
                let since = self.newcomer.max(self.sent);
                all_done && now.duration_since(since) >= GROUP_LINGER
            }
        }
    }

    /// Every gateway that was named or has answered.
    pub fn gateways(&self) -> &BTreeMap<Name, At> {
        &self.gateways
    }
}

/// A probation lasts as long as it says.
fn left(phase: &Phase) -> Duration {
    match phase {
        Phase::Probation { left_ms } => Duration::from_millis(*left_ms),
        Phase::Silent
        | Phase::Checking { .. }
        | Phase::Installing
        | Phase::Active
        | Phase::Removed
        | Phase::Rejected { .. }
        | Phase::RolledBack { .. }
        | Phase::Overtaken(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
