//! Numbers as decimal text, without `core::fmt`: its float printing alone is larger than a whole handler may be.

use crate::text::{Piece, Text};

/// Most decimals of [`fixed`]; more are treated as this many. A double has 15 to 17 digits in all.
const DECIMALS_MAX: u8 = 15;

/// A float to be written with a fixed number of decimals. Made by [`fixed`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fixed {
    value: f64,
    decimals: u8,
}

/// `value` with exactly `decimals` decimals (at most 15).
///
/// The exact binary value is rounded, a tie away from zero: 0.25 with one decimal is `0.3`, and 0.15,
/// which as a double lies below it, is `0.1`. A zero result has no sign. NaN is `nan` and the
/// infinities `inf` and `-inf`, in JSON all three `null`; values of 2^64 and beyond count as infinite.
pub const fn fixed(value: f64, decimals: u8) -> Fixed {
    Fixed { value, decimals: if decimals < DECIMALS_MAX { decimals } else { DECIMALS_MAX } }
}

impl Fixed {
    /// Whether it can be written in digits.
    #[inline]
    pub(crate) fn is_finite(self) -> bool {
        self.value.abs() < 18_446_744_073_709_551_616.0
    }
}

impl Piece for Fixed {
    #[inline]
    fn put_into<const N: usize>(&self, out: &mut Text<N>) {
        if self.is_finite() {
            put_fixed(out, self.value, self.decimals);
        } else if self.value.is_nan() {
            out.put_str("nan");
        } else {
            out.put_str(if self.value > 0.0 { "inf" } else { "-inf" });
        }
    }
}

/// ASCII written from the back: room for 20 digits before the point, 15 after it, point and sign.
struct Digits {
    ascii: [u8; Digits::LEN],
    at: usize,
}

impl Digits {
    /// A power of two, so that an index can be masked: a bounds check would bring the panic's
    /// message and `core::fmt` into every handler.
    const LEN: usize = 64;

    #[inline]
    fn new() -> Digits {
        Digits { ascii: [0; Digits::LEN], at: Digits::LEN }
    }

    #[inline]
    fn put(&mut self, ascii: u8) {
        self.at -= 1;
        self.ascii[self.at % Digits::LEN] = ascii;
    }

    #[inline]
    fn written(&self) -> &[u8] {
        self.ascii.get(self.at..).unwrap_or_default()
    }
}

fn put_fixed<const N: usize>(out: &mut Text<N>, value: f64, decimals: u8) {
    let mut scale = 1u64;
    for _ in 0..decimals {
        scale *= 10;
    }
    let magnitude = value.abs();
    let mut whole = magnitude as u64;
    // Exact: a double minus its own integer part loses no bit.
    let mut fraction = round_product(magnitude - whole as f64, scale as f64);
    if fraction == scale {
        whole += 1;
        fraction = 0;
    }
    let mut digits = Digits::new();
    let negative = value < 0.0 && (whole | fraction) != 0;
    if decimals > 0 {
        for _ in 0..decimals {
            digits.put(b'0' + (fraction % 10) as u8);
            fraction /= 10;
        }
        digits.put(b'.');
    }
    loop {
        digits.put(b'0' + (whole % 10) as u8);
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    if negative {
        digits.put(b'-');
    }
    out.put_ascii(digits.written());
}

/// `a * b` to the nearest integer, ties up, for `0 <= a < 1` and `b` a power of ten up to 10^15.
#[inline]
fn round_product(a: f64, b: f64) -> u64 {
    let product = a * b;
    let floor = product as u64;
    // Below 2^53 both steps are exact, so this is how far the rounded product lies above the half.
    let above_half = (product - floor as f64) - 0.5;
    // What rounding the product lost decides only when it lies that close to the half.
    let up = if above_half.abs() > product * f64::EPSILON {
        above_half > 0.0
    } else {
        above_half + lost(a, b, product) >= 0.0
    };
    floor + u64::from(up)
}

/// `a * b - product`, exactly (Dekker 1971: wasm has no fused multiply-add).
#[cold]
fn lost(a: f64, b: f64, product: f64) -> f64 {
    let split = |x: f64| {
        let c = x * 134_217_729.0; // 2^27 + 1
        let high = c - (c - x);
        (high, x - high)
    };
    let ((a1, a2), (b1, b2)) = (split(a), split(b));
    a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2)
}

fn put_digits<const N: usize>(out: &mut Text<N>, mut n: u64, negative: bool) {
    let mut digits = Digits::new();
    loop {
        digits.put(b'0' + (n % 10) as u8);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    if negative {
        digits.put(b'-');
    }
    out.put_ascii(digits.written());
}

macro_rules! whole_numbers {
    ($($signed:ty),+; $($unsigned:ty),+) => {
        $(impl Piece for $signed {
            #[inline]
            fn put_into<const N: usize>(&self, out: &mut Text<N>) {
                put_digits(out, u64::from(self.unsigned_abs()), *self < 0);
            }
        })+
        $(impl Piece for $unsigned {
            #[inline]
            fn put_into<const N: usize>(&self, out: &mut Text<N>) {
                put_digits(out, u64::from(*self), false);
            }
        })+
    };
}
whole_numbers!(i8, i16, i32, i64; u8, u16, u32, u64);

impl Piece for usize {
    #[inline]
    fn put_into<const N: usize>(&self, out: &mut Text<N>) {
        put_digits(out, *self as u64, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::{String, ToString};

    fn write(value: f64, decimals: u8) -> String {
        let mut text = Text::<64>::new();
        text.put(fixed(value, decimals));
        text.whole().expect("64 bytes are enough").as_str().to_string()
    }

    #[track_caller]
    fn check(value: f64, decimals: u8, expect: &str) {
        assert_eq!(write(value, decimals), expect, "{value:?} with {decimals}");
    }

    #[test]
    fn no_number_is_said_in_words() {
        check(f64::NAN, 1, "nan");
        check(f64::INFINITY, 1, "inf");
        check(f64::NEG_INFINITY, 1, "-inf");
        check(1e300, 1, "inf");
        check(-1e20, 0, "-inf");
    }

    #[test]
    fn ties_go_away_from_zero_and_only_real_ties_are_ties() {
        check(0.25, 1, "0.3");
        check(-0.25, 1, "-0.3");
        check(0.5, 0, "1");
        check(2.5, 0, "3");
        check(-2.5, 0, "-3");
        check(0.15, 1, "0.1"); // the double is 0.1499999999999999944
        check(0.35, 1, "0.3"); // 0.34999999999999997780
        check(1.005, 2, "1.00"); // 1.00499999999999989342
        check(0.45, 1, "0.5"); // 0.45000000000000001110
        check(1e15 + 0.125, 2, "1000000000000000.13");
    }

    #[test]
    fn a_carry_reaches_the_whole_part_and_zero_has_no_sign() {
        check(9.99, 1, "10.0");
        check(-99.96, 1, "-100.0");
        check(-0.04, 1, "0.0");
        check(-0.0, 2, "0.00");
        check(0.0, 0, "0");
        check(63.2, 1, "63.2");
        check(18_446_744_073_709_549_568.0, 1, "18446744073709549568.0");
        check(0.1, 99, "0.100000000000000");
    }

    /// `core::fmt` rounds the exact value too; it differs at exact ties only, and those are left out.
    #[test]
    fn agrees_with_exact_formatting_over_many_values() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for round in 0..200_000u32 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let decimals = (round % 16) as u8;
            // Values near a half, ordinary readings, and any bits at all.
            let value = match round % 3 {
                0 => ((seed % 100_000) as f64 + 0.5) / 10f64.powi(i32::from(decimals)),
                1 => (seed % 1_000_000) as f64 / 997.0 - 300.0,
                _ => f64::from_bits(seed >> 2),
            };
            let exact = format!("{value:.80}");
            let tail = exact.split_once('.').map_or("", |(_, tail)| &tail[usize::from(decimals)..]);
            let tie = tail.starts_with('5') && tail[1..].bytes().all(|b| b == b'0');
            if value.abs() >= 1e19 || tie {
                continue;
            }
            let expect = format!("{value:.*}", usize::from(decimals));
            let zero = expect.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
            assert_eq!(write(value, decimals), if zero { expect.replace('-', "") } else { expect });
        }
    }

    #[test]
    fn whole_numbers_keep_their_extremes() {
        let text = text_of(&[i64::MIN, -1, 0, 7, i64::MAX]);
        assert_eq!(text, "-9223372036854775808 -1 0 7 9223372036854775807 ");
        let mut text = Text::<24>::new();
        text.put(u64::MAX);
        assert_eq!(text, "18446744073709551615");
    }

    fn text_of(numbers: &[i64]) -> String {
        let mut text = Text::<64>::new();
        for number in numbers {
            text.put(number).put(" ");
        }
        text.as_str().to_string()
    }
}
