//! What handlers say, as a terminal may show it.

/// The ABI's levels of log lines, by number.
pub const LEVELS: [&str; 6] = ["?", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// Control characters must not reach the terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Text as it is, other bytes in hexadecimal.
pub fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        Ok(_) | Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{hex}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(bytes(b"{\"fan\":\"on\"}"), "{\"fan\":\"on\"}");
        assert_eq!(bytes(&[0, 255]), "0x00ff");
        assert_eq!(bytes(b"\x1b[2J"), "0x1b5b324a");
    }
}
