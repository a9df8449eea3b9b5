//! Bugs on purpose. The property tests must find each of them, or they prove nothing. Outside of this
//! crate's tests and of `--cfg planted` every question here is answered "no" at compile time.

#[cfg(any(planted, test))]
use std::cell::Cell;

/// One bug that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// When a commit reports what it has written, but not synced.
    AckBeforeSync,
    /// When a sync that failed is tried again, and believed.
    BelieveSecondSync,
    /// When a checksum does not know its segment's generation.
    CrcWithoutGeneration,
    /// When a bad frame ends its segment.
    CutValidTail,
    /// When an evicted segment is free before what it carried is durable.
    ForgetBeforeDurable,
    /// When what follows a hole in the last write is kept.
    KeepTornTail,
    /// When recovery believes what it reads of the last write without making it durable.
    TrustPageCache,
}

impl Bug {
    pub const ALL: &[Bug] = &[
        Bug::AckBeforeSync,
        Bug::BelieveSecondSync,
        Bug::CrcWithoutGeneration,
        Bug::CutValidTail,
        Bug::ForgetBeforeDurable,
        Bug::KeepTornTail,
        Bug::TrustPageCache,
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
