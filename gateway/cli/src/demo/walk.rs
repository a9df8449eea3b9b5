//! A temperature that wanders around the threshold.

/// A random walk in tenths of a degree, drawn to 60.
#[derive(Debug)]
pub struct Walk {
    tenths: i64,
    state: u64,
}

impl Walk {
    const MIDDLE: i64 = 600;

    pub fn new(seed: u64) -> Walk {
        Walk {
            tenths: Walk::MIDDLE - 60 + 25 * seed as i64,
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// The next reading in tenths of a degree, within 40.0 and 80.0.
    pub fn next_tenths(&mut self) -> i64 {
        // Xorshift64 (Marsaglia 2003).
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let step = (self.state >> 33) as i64 % 41 - 20;
        let pull = (Walk::MIDDLE - self.tenths) / 20;
        self.tenths = (self.tenths + step + pull).clamp(400, 800);
        self.tenths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crosses_the_threshold_often() {
        for seed in 1..=5 {
            let mut walk = Walk::new(seed);
            let above = (0..1000).filter(|_| walk.next_tenths() > Walk::MIDDLE).count();
            assert!((100..=900).contains(&above), "seed {seed}: {above} of 1000 above");
        }
    }
}
