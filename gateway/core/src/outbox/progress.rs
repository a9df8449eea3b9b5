//! How far upstream is, and when to look again.

use alloc::vec::Vec;
use core::time::Duration;

use super::Outbox;
use super::lane::Lane;
use crate::commit::{LedgerLine, Progress, Told};
use crate::time::Timestamp;

/// Progress rides along with a commit that is made anyway, but not more often than this.
const PROGRESS_RIDES_MS: u64 = 1_000;
/// Nor more rarely than once in so many frames.
const PROGRESS_FRAMES: u64 = 1024;
/// Records that may be sent twice after a power cut, while commits are made.
const PROGRESS_SETTLED: u64 = 256;

impl Outbox {
    /// What upstream is to be told of losses: the line, and that it is told then.
    pub fn poll_untold(&mut self, now: Timestamp) -> Vec<(LedgerLine, Told)> {
        if !self.is_up() {
            return Vec::new();
        }
        self.losses.tell(now, now.after(Duration::from_millis(self.limits.announce_ms)))
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            known: self.last_frame,
            spans: self.lanes.iter().map(Lane::span).collect(),
            waiting: self.backlog.iter().copied().collect(),
        }
    }

    /// How far upstream is, if a commit that is made now should say so.
    pub fn take_progress(&mut self, now: Timestamp) -> Option<Progress> {
        let is_due = self.progress_due.is_some_and(|due| {
            due <= now
                || self.settled >= PROGRESS_SETTLED
                || now.since(self.progress_at) >= Duration::from_millis(PROGRESS_RIDES_MS)
        });
        // What has no records is passed by, too: a start would search it for some.
        let is_old = self.last_frame >= self.progress_frame + PROGRESS_FRAMES;
        if !is_due && !is_old {
            return None;
        }
        self.progress_due = None;
        self.settled = 0;
        self.progress_at = now;
        self.progress_frame = self.last_frame;
        Some(self.progress())
    }

    /// Whether a commit should be made only to say how far upstream is.
    pub fn wants_progress(&self, now: Timestamp) -> bool {
        self.progress_due.is_some_and(|due| due <= now)
    }

    /// The gateway stops: the next commit says how far upstream is.
    pub fn handle_stop(&mut self) {
        if self.progress_due.is_some() {
            self.progress_due = Some(Timestamp(0));
        }
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let connect = self.reconnect.poll_timeout().filter(|_| self.has_uplink);
        let untold = (self.is_up() && self.losses.has_untold()).then(|| self.losses.due());
        [connect, self.stall(), self.paced_until, untold, self.progress_due]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the connection counts as stalled.
    fn stall(&self) -> Option<Timestamp> {
        let oldest = self.flights.values().map(|flight| flight.sent_at).min()?;
        Some(oldest.after(Duration::from_millis(self.limits.ack_timeout_ms)))
    }

    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.wants_connect |= self.has_uplink && self.reconnect.handle_timeout(now);
        if self.is_up() && self.stall().is_some_and(|at| at <= now) {
            self.wants_drop = true;
            // Once is enough: `UplinkDown` comes.
            for flight in self.flights.values_mut() {
                flight.sent_at = now;
            }
        }
    }
}
