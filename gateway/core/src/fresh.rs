//! How long ago somebody whom we trust has said something new. A broker that holds orders back cannot be prevented, but
//! it can be noticed.

use core::time::Duration;

use crate::time::Timestamp;

/// Since when nothing new was heard.
#[derive(Debug, Default)]
pub struct Fresh {
    /// 0: it does not matter.
    after_ms: u64,
    since: Timestamp,
    is_stale: bool,
}

impl Fresh {
    /// After so long without a word the gateway is stale.
    pub fn know(&mut self, now: Timestamp, after_ms: u64) {
        (self.after_ms, self.since) = (after_ms, now);
    }

    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Something signed has come that was not there before. True: it was stale.
    pub fn handle_word(&mut self, now: Timestamp) -> bool {
        self.since = now;
        core::mem::take(&mut self.is_stale)
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let is_waiting = self.after_ms > 0 && !self.is_stale;
        is_waiting.then(|| self.since.after(Duration::from_millis(self.after_ms)))
    }

    /// True: it is stale from now on.
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        let is_due = self.poll_timeout().is_some_and(|due| due <= now);
        self.is_stale |= is_due;
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_stale_once_until_the_next_word() {
        let mut fresh = Fresh::default();
        assert_eq!((fresh.poll_timeout(), fresh.handle_timeout(Timestamp(99))), (None, false));
        fresh.know(Timestamp(5), 10);
        assert_eq!(fresh.poll_timeout(), Some(Timestamp(15)));
        assert!(!fresh.handle_timeout(Timestamp(14)));
        assert!(!fresh.handle_word(Timestamp(14)), "it was not");
        assert!(!fresh.handle_timeout(Timestamp(15)));
        assert!(fresh.handle_timeout(Timestamp(24)));
        assert!(!fresh.handle_timeout(Timestamp(25)), "it is told once");
        assert_eq!((fresh.poll_timeout(), fresh.is_stale()), (None, true));
        assert!(fresh.handle_word(Timestamp(30)));
        assert_eq!((fresh.poll_timeout(), fresh.is_stale()), (Some(Timestamp(40)), false));
    }
}
