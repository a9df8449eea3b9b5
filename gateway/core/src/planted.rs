//! Bugs on purpose. The simulation must find each of them (`tests/planted`), or it proves nothing.
//! Without `--cfg planted` every question here is answered "no" at compile time.

#[cfg(planted)]
use core::sync::atomic::{AtomicUsize, Ordering};

/// One bug that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// When a message is acked before its handlers have run.
    AckAtOnce,
    /// When the first of several handlers acks.
    AckByFirstHandler,
    /// When a failed event keeps its credit.
    CreditLeak,
    /// When what a failed event did is visible.
    FailedReactionsLeave,
    /// When a paused source is never read from again.
    NeverResume,
    /// When what a quarantine skips is never acked.
    QuarantineForgetsAck,
    /// When a retry loses the events behind it.
    RetryLosesTheRest,
    /// When a retry lets the others pass.
    RetryToTheEnd,
    /// When a busy handler may get a second job.
    TwoJobsAtOnce,
    /// When QoS 0 is never dropped.
    UnboundedLine,
    /// When a message is acked before its commit is durable.
    AckBeforeCommit,
    /// When a durable commit leaves behind the state that its handler had waiting.
    LazyLeftBehind,
    /// When a record goes upstream before its commit is durable.
    SendBeforeCommit,
    /// When what was under way on a lost link is never sent again.
    WindowForgotten,
    /// When a release runs before its row, and with it the ratchet, is durable.
    SwitchBeforeRatchet,
    /// When a start believes that no order was ever accepted.
    RatchetForgotten,
    /// When the event that broke a release is not given to the one before.
    BrokenEventLost,
    /// When the event that broke a release goes to the end of the line.
    BrokenEventToTheEnd,
    /// When starts of a release on probation are not counted.
    TriesNotCounted,
    /// When the order of a release that was taken back is followed once more.
    TakenBackRunsAgain,
    /// When an older order that waited for its chunks is followed after a newer one.
    WaitingTurnsRatchetBack,
    /// When what was loaded for an earlier check may be switched to.
    LateLoadRuns,
    /// When a release that passes makes the newer one pass, whose row is being written.
    PassesForNewer,
}

impl Bug {
    pub const ALL: &[Bug] = &[
        Bug::AckAtOnce,
        Bug::AckByFirstHandler,
        Bug::CreditLeak,
        Bug::FailedReactionsLeave,
        Bug::NeverResume,
        Bug::QuarantineForgetsAck,
        Bug::RetryLosesTheRest,
        Bug::RetryToTheEnd,
        Bug::TwoJobsAtOnce,
        Bug::UnboundedLine,
        Bug::AckBeforeCommit,
        Bug::LazyLeftBehind,
        Bug::SendBeforeCommit,
        Bug::WindowForgotten,
        Bug::SwitchBeforeRatchet,
        Bug::RatchetForgotten,
        Bug::BrokenEventLost,
        Bug::BrokenEventToTheEnd,
        Bug::TriesNotCounted,
        Bug::TakenBackRunsAgain,
        Bug::WaitingTurnsRatchetBack,
        Bug::LateLoadRuns,
        Bug::PassesForNewer,
    ];

    /// Those of pushed releases.
    pub const OF_RELEASES: &[Bug] = &[
        Bug::SwitchBeforeRatchet,
        Bug::RatchetForgotten,
        Bug::BrokenEventLost,
        Bug::BrokenEventToTheEnd,
        Bug::TriesNotCounted,
        Bug::TakenBackRunsAgain,
        Bug::WaitingTurnsRatchetBack,
        Bug::LateLoadRuns,
        Bug::PassesForNewer,
    ];
}

/// The number of the bug that is on; `usize::MAX` is none.
#[cfg(planted)]
static ON: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Switches one bug on, and every other off.
#[cfg(planted)]
pub fn plant(bug: Option<Bug>) {
    ON.store(bug.map_or(usize::MAX, |bug| bug as usize), Ordering::Relaxed);
}

/// Whether `bug` is on.
#[cfg(planted)]
pub fn planted(bug: Bug) -> bool {
    ON.load(Ordering::Relaxed) == bug as usize
}

/// Whether `bug` is on: it is not.
#[cfg(not(planted))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}
