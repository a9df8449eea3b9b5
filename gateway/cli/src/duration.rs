//! Times as people write and read them: `90s`, `6h`, `2d`.

/// Reads a whole number and its unit: `s`, `m`, `h` or `d`. Returns seconds.
///
/// # Errors
/// What is wrong with it, in one phrase.
pub fn read(text: &str) -> Result<u64, String> {
    const EXAMPLE: &str = "write a whole number and a unit, such as 90s, 30m, 6h or 2d";
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| EXAMPLE.to_owned())?;
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "" => return Err(format!("it has no unit; {EXAMPLE}")),
        _ => return Err(EXAMPLE.to_owned()),
    };
    number.checked_mul(unit).ok_or_else(|| "that is too long".to_owned())
}

/// The two largest units that say something: `2 d 3 h`, `45 s`, `under 1 s`.
pub fn describe(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "for ever".to_owned();
    }
    if seconds > 0.0 && seconds < 1.0 {
        return "under 1 s".to_owned();
    }
    let seconds = seconds.round() as u64;
    const UNITS: [(u64, &str); 5] =
        [(31_557_600, "years"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let at = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[at];
    let text = format!("{} {name}", seconds / unit);
    match UNITS.get(at + 1) {
        // Of years nobody wants to know the days.
        Some((smaller, name)) if at > 0 && seconds % unit >= *smaller => {
            format!("{text} {} {name}", seconds % unit / smaller)
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_number_or_no_unit_is_refused() {
        for text in ["", "h", "6", "six", "6 h", "6w", "-6h", "1.5h", "6hh", "99999999999999999d"] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert!(read("6").expect_err("no unit").contains("no unit"));
    }

    #[test]
    fn times_are_read() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1800), ("6h", 21_600), ("2d", 172_800), ("0s", 0)]
        {
            assert_eq!(read(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn times_are_described() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.2, "under 1 s"),
            (59.6, "1 min"),
            (61.0, "1 min 1 s"),
            (21_600.0, "6 h"),
            (180_000.0, "2 d 2 h"),
            (400_000_000.0, "12 years"),
            (f64::INFINITY, "for ever"),
        ] {
            assert_eq!(describe(seconds), text);
        }
    }
}
