//! How fast records may go, for links that are paid by the byte.

use crate::time::Timestamp;

/// A bucket of tokens in thousandths: one record takes a thousand.
#[derive(Debug)]
pub struct Pace {
    per_s: u64,
    tokens: u64,
    tokens_max: u64,
    at: Timestamp,
}

impl Pace {
    /// `per_s`: records a second; 0 is no limit. A tenth of a second's worth may go at once.
    pub fn new(per_s: u32) -> Pace {
        let per_s = u64::from(per_s);
        let tokens_max = (per_s * 100).max(1000);
        Pace { per_s, tokens: tokens_max, tokens_max, at: Timestamp(0) }
    }

    /// The same, where so many may go at once, after a time without any.
    pub fn with_burst(per_s: u32, burst: u32) -> Pace {
        let tokens_max = u64::from(burst.max(1)) * 1000;
        Pace { tokens: tokens_max, tokens_max, ..Pace::new(per_s) }
    }

    /// Takes a token for one record. False when there is none now.
    pub fn take(&mut self, now: Timestamp) -> bool {
        if self.per_s == 0 {
            return true;
        }
        let passed_ms = now.0.saturating_sub(self.at.0);
        self.at = self.at.max(now);
        let earned = passed_ms.saturating_mul(self.per_s);
        self.tokens = self.tokens.saturating_add(earned).min(self.tokens_max);
        let has = self.tokens >= 1000;
        if has {
            self.tokens -= 1000;
        }
        has
    }

    /// When there will be a token again.
    pub fn next(&self) -> Timestamp {
        let missing = 1000_u64.saturating_sub(self.tokens);
        Timestamp(self.at.0.saturating_add(missing.div_ceil(self.per_s.max(1)).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_rate_and_bursts_a_tenth() {
        let mut pace = Pace::new(50);
        let mut sent = 0;
        for ms in 0..10_000 {
            while pace.take(Timestamp(ms)) {
                sent += 1;
            }
        }
        assert!((499..=505).contains(&sent), "{sent}");
        let late = Timestamp(100_000);
        let burst = (0..100).filter(|_| pace.take(late)).count();
        assert_eq!(burst, 5);
        assert!(pace.next() > late && pace.next() <= Timestamp(late.0 + 20));
        assert!(pace.take(pace.next()));
    }

    #[test]
    fn zero_is_no_limit() {
        let mut pace = Pace::new(0);
        assert!((0..1000).all(|_| pace.take(Timestamp(5))));
    }
}
