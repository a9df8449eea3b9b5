//! Numbers and bytes as people read them.

/// Three digits and a unit, in thousands: `7.44 GB`.
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes;
    let mut at = 0;
    // What would be rounded to 1000 is 1 of the next.
    while value >= 999.5 && at + 1 < UNITS.len() {
        value /= 1000.0;
        at += 1;
    }
    format!("{} {}", three_digits(value, at == 0), UNITS[at])
}

fn three_digits(value: f64, is_whole: bool) -> String {
    match value {
        value if is_whole || value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A count with commas between thousands; less than ten with what is behind the point.
pub fn count(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits() {
        for (value, text) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (999.6, "1.00 kB"),
            (4097.0, "4.10 kB"),
            (99_960.0, "100 kB"),
            (256e6, "256 MB"),
            (7.4449e9, "7.44 GB"),
            (1e18, "1000 PB"),
        ] {
            assert_eq!(bytes(value), text, "{value}");
        }
    }

    #[test]
    fn counts_have_commas() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (20.0, "20"),
            (999.0, "999"),
            (1000.0, "1,000"),
            (432_000.4, "432,000"),
            (1e9, "1,000,000,000"),
        ] {
            assert_eq!(count(value), text, "{value}");
        }
    }
}
