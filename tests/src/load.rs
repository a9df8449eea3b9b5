//! The load generator: open loop, so that a stall of the system under test counts against it. A
//! message's latency runs from the instant at which it should have been sent.

mod generator;
mod telemetry;

pub use generator::{Load, Measured, Target, run};
pub use telemetry::{SEQ_DIGITS, SEQ_FIRST, Telemetry, seq_of};

/// The value below which the share `part` of `sorted` lies; NaN when there is none.
pub fn percentile(sorted: &[u64], part: f64) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        len => {
            let rank = (part * len as f64).ceil() as usize;
            sorted[rank.clamp(1, len) - 1] as f64
        }
    }
}

/// The middle value; NaN when there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => (sorted[len / 2 - 1] + sorted[len / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_tail() {
        assert!(percentile(&[], 0.5).is_nan() && median(&[]).is_nan());
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&values, 0.5), 50.0);
        assert_eq!(percentile(&values, 0.99), 99.0);
        assert_eq!(percentile(&values, 1.0), 100.0);
        assert_eq!(median(&[3.0, f64::NAN, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
    }
}
