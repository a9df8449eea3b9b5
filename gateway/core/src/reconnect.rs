//! When somebody who is away is tried again.

use core::time::Duration;

use crate::time::Timestamp;

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// When the next try is due at `at`.
    Down {
        at: Timestamp,
    },
    Connecting,
    Up {
        since: Timestamp,
    },
}

/// One peer's comings and goings. Waits double up to a longest one, with jitter.
#[derive(Debug)]
pub struct Reconnect {
    state: State,
    tries: u32,
    backoff: (u64, u64),
    random: SplitMix,
}

impl Reconnect {
    /// `backoff` is the first wait and the longest one, milliseconds.
    pub fn new(backoff: (u64, u64), seed: u64) -> Reconnect {
        let state = State::Down { at: Timestamp(0) };
        Reconnect { state, tries: 0, backoff, random: SplitMix(seed) }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    pub fn handle_up(&mut self, now: Timestamp) {
        self.state = State::Up { since: now };
    }

    /// The peer is gone. Returns the wait before the next try.
    pub fn handle_down(&mut self, now: Timestamp) -> Duration {
        let (min, max) = self.backoff;
        // A link that breaks as soon as it is up has not come back: its next try is no first one.
        let lasted = matches!(self.state, State::Up { since } if now.since(since).as_millis() >= u128::from(max));
        if lasted {
            self.tries = 0;
        }
        let full = min.saturating_mul(1 << self.tries.min(20)).min(max);
        self.tries += 1;
        // Between half and all of it, so that a hundred gateways do not knock at the same instant.
        let wait = Duration::from_millis(full / 2 + self.random.below(full / 2 + 1));
        self.state = State::Down { at: now.after(wait) };
        wait
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.state {
            State::Down { at } => Some(at),
            State::Connecting | State::Up { .. } => None,
        }
    }

    /// Whether the peer is to be tried now.
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        let due = matches!(self.state, State::Down { at } if at <= now);
        if due {
            self.state = State::Connecting;
        }
        due
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for jitter, and the same for the same seed.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_each_time_and_never_too_long() {
        let mut link = Reconnect::new((100, 1000), 1);
        assert!(link.handle_timeout(Timestamp(0)), "the first try is at once");
        assert!(!link.handle_timeout(Timestamp(0)), "and only once");
        let mut now = Timestamp(0);
        for full in [100, 200, 400, 800, 1000, 1000] {
            let wait = link.handle_down(now).as_millis();
            assert!((full / 2..=full).contains(&wait), "{wait} of {full}");
            now = link.poll_timeout().expect("a next try");
            assert!(link.handle_timeout(now));
        }
        link.handle_up(now);
        assert_eq!(link.poll_timeout(), None);
        let soon = Timestamp(now.0 + 999);
        assert!(
            link.handle_down(soon).as_millis() >= 500,
            "it broke at once: goes on waiting long"
        );
        link.handle_up(soon);
        let late = Timestamp(soon.0 + 1000);
        assert!(link.handle_down(late).as_millis() <= 100, "it lasted: starts over");
    }
}
