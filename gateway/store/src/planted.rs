//! Bugs on purpose. The property tests must find each of them, or they prove nothing. Outside of this
//! crate's tests and of `--cfg planted` every question here is answered "no" at compile time.

#[cfg(any(planted, test))]
use std::cell::Cell;

/// One bug that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// When a checkpoint names the last frame that was appended, durable or not.
    AppliedTooHigh,
    /// When state that an eviction carried forward counts as new.
    CarriedStateTwice,
    /// When an eviction gives up what is on its way upstream.
    EvictsUnderWay,
    /// When a fetch that stops in the middle of a frame goes on behind it.
    FetchSkips,
    /// When the journal forgets state before the shelf and the export have it.
    ForgetsTooEarly,
    /// When losses whose mark was torn off are not counted by the next start.
    LosesLosses,
    /// When the next seq follows from the records that wait, and not from those that are gone.
    NextSeqRepeats,
    /// When a commit is reported that the disk has refused.
    ReportsTooEarly,
    /// When state goes to the shelf before it is durable.
    StateAhead,
    /// When a progress that knows less than the log says what is settled in all of it.
    TrustsProgress,
}

impl Bug {
    pub const ALL: &[Bug] = &[
        Bug::AppliedTooHigh,
        Bug::CarriedStateTwice,
        Bug::EvictsUnderWay,
        Bug::FetchSkips,
        Bug::ForgetsTooEarly,
        Bug::LosesLosses,
        Bug::NextSeqRepeats,
        Bug::ReportsTooEarly,
        Bug::StateAhead,
        Bug::TrustsProgress,
    ];
}

#[cfg(any(planted, test))]
thread_local! {
    static ON: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Switches one bug on in this thread, and every other off.
#[cfg(any(planted, test))]
pub fn plant(bug: Option<Bug>) {
    ON.set(bug);
}

/// Whether `bug` is on.
#[cfg(any(planted, test))]
pub(crate) fn planted(bug: Bug) -> bool {
    ON.get() == Some(bug)
}

/// Whether `bug` is on: it is not.
#[cfg(not(any(planted, test)))]
#[inline(always)]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}
