//! The `[config]` of `handler.toml`: strings that the author or operator set.

use crate::{Error, Result, Text, host};

/// The value of a key in `[config]`, of at most `N` bytes.
///
/// # Errors
/// [`Error::NotFound`] when there is none, [`Error::TooLarge`] when it is longer.
#[inline]
pub fn config<const N: usize>(key: &str) -> Result<Text<N>> {
    Text::fill(|buf| host::config_get(key.as_bytes(), buf))
}

/// A plain decimal number in `[config]`: `60`, `-0.5`. No exponent.
///
/// # Errors
/// As [`config`]; [`Error::Argument`] when it is no such number or has more than 15 digits.
pub fn config_num(key: &str) -> Result<f64> {
    decimal(config::<24>(key)?.as_bytes())
}

/// Reads `-?digits(.digits)?`. Exact up to 15 digits: both sides of the one division are exact then.
fn decimal(text: &[u8]) -> Result<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mut mantissa, mut scale) = (0u64, 1u64);
    let (mut count, mut point) = (0, false);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                scale *= if point { 10 } else { 1 };
                count += 1;
                if count > 15 {
                    return Err(Error::Argument);
                }
            }
            b'.' if count > 0 && !point => point = true,
            _ => return Err(Error::Argument),
        }
    }
    if count == 0 || digits.ends_with(b".") {
        return Err(Error::Argument);
    }
    let value = mantissa as f64 / scale as f64;
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_decimal_is_refused() {
        for text in ["", "-", ".5", "5.", "1.2.3", "1e3", " 1", "0x1", "--1", "1234567890123456"] {
            assert_eq!(decimal(text.as_bytes()), Err(Error::Argument), "{text:?}");
        }
    }

    #[test]
    fn plain_decimals_are_read_exactly() {
        for text in ["0", "60", "-0.5", "63.2", "0.000001", "123456789012345", "999999999.99999"] {
            assert_eq!(decimal(text.as_bytes()), Ok(text.parse().expect("a number")), "{text}");
        }
    }
}
