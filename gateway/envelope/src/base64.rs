//! Reads base64 with padding (RFC 4648, section 4); `tidegate_core::notice` writes it.

/// The bytes, or `None` when the text is no base64.
pub(crate) fn read(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let plain = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    let mut bytes = Vec::with_capacity(plain.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for byte in plain.bytes() {
        bits = bits << 6 | u32::from(sextet(byte)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over after the last byte must be nothing.
    (bits == 0).then_some(bytes)
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::notice::write_base64;

    #[test]
    fn what_was_written_is_read_again() {
        for len in 0..50usize {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 73 + len * 31) as u8).collect();
            let mut text = String::new();
            write_base64(&bytes, &mut text);
            assert_eq!(read(text.trim_matches('"')), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in ["A", "AA", "AAA", "A===", "AB==", "AA=A", "AA-A", "A\nAA", "====", "AAB="] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
