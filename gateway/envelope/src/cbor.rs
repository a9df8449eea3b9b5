//! The part of CBOR (RFC 8949) that an envelope needs: definite lengths, no floats but to pass over.

/// Major types (3.1).
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

const FALSE: u64 = 20;
const TRUE: u64 = 21;

/// Writes items in deterministic encoding; the order of a map's keys is the caller's.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer(Vec::with_capacity(bytes))
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// The head of a map; its keys and values follow.
    pub fn map(&mut self, pairs: u64) {
        self.head(MAP, pairs);
    }

    pub fn unsigned(&mut self, value: u64) {
        self.head(UNSIGNED, value);
    }

    pub fn integer(&mut self, value: i64) {
        // -1 - n is encoded as n (3.1), which is every bit turned around.
        match u64::try_from(value) {
            Ok(value) => self.head(UNSIGNED, value),
            Err(_) => self.head(NEGATIVE, !value as u64),
        }
    }

    pub fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub fn flag(&mut self, flag: bool) {
        self.head(SIMPLE, if flag { TRUE } else { FALSE });
    }

    /// Type and argument, in the shortest form (4.2.1).
    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        let bytes = value.to_be_bytes();
        let (info, from) = match value {
            0..=23 => return self.0.push(major | value as u8),
            24..=0xff => (24, 7),
            0x100..=0xffff => (25, 6),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 0),
        };
        self.0.push(major | info);
        self.0.extend_from_slice(&bytes[from..]);
    }
}

/// Reads items. Every method is `None` when something else stands there.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn map(&mut self) -> Option<u64> {
        self.expect(MAP)
    }

    pub fn unsigned(&mut self) -> Option<u64> {
        self.expect(UNSIGNED)
    }

    pub fn integer(&mut self) -> Option<i64> {
        match self.head()? {
            (UNSIGNED, value) => i64::try_from(value).ok(),
            (NEGATIVE, value) => i64::try_from(value).ok().map(|value| !value),
            _ => None,
        }
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let len = self.expect(TEXT)?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.expect(BYTES)?;
        self.take(len)
    }

    pub fn flag(&mut self) -> Option<bool> {
        match self.head()? {
            (SIMPLE, FALSE) => Some(false),
            (SIMPLE, TRUE) => Some(true),
            _ => None,
        }
    }

    /// Passes over one item, with all that is in it.
    pub fn skip(&mut self) -> Option<()> {
        let mut items = 1u64;
        while items > 0 {
            items -= 1;
            items = items.checked_add(match self.head()? {
                (BYTES | TEXT, len) => {
                    self.take(len)?;
                    0
                }
                (ARRAY, len) => len,
                (MAP, pairs) => pairs.checked_mul(2)?,
                (TAG, _) => 1,
                _ => 0,
            })?;
            // Each item has a byte at least.
            if items > self.0.len() as u64 {
                return None;
            }
        }
        Some(())
    }

    fn expect(&mut self, major: u8) -> Option<u64> {
        let (found, value) = self.head()?;
        (found == major).then_some(value)
    }

    /// Type and argument. Indefinite lengths (31) are not for us.
    fn head(&mut self) -> Option<(u8, u64)> {
        let first = *self.take(1)?.first()?;
        let (major, info) = (first >> 5, first & 31);
        let more = match info {
            0..=23 => return Some((major, info.into())),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        let bytes = self.take(more)?;
        Some((major, bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))))
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8949, appendix A.
    #[test]
    fn numbers_are_written_as_the_specification_says() {
        for (value, expect) in [
            (0, &[0x00][..]),
            (23, &[0x17]),
            (24, &[0x18, 0x18]),
            (1000, &[0x19, 0x03, 0xe8]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (1_000_000_000_000, &[0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00]),
            (-1, &[0x20]),
            (-100, &[0x38, 0x63]),
            (-1000, &[0x39, 0x03, 0xe7]),
            (i64::MIN, &[0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ] {
            let mut out = Writer::with_capacity(9);
            out.integer(value);
            let bytes = out.finish();
            assert_eq!(bytes, expect, "{value}");
            assert_eq!(Reader::new(&bytes).integer(), Some(value));
        }
    }

    #[test]
    fn anything_can_be_passed_over() {
        // {1: [h'00', "a", 1.5, -3, null, 24(h'')], "b": {}} and 7.
        let bytes = b"\xa2\x01\x86\x41\x00\x61a\xf9\x3e\x00\x22\xf6\xd8\x18\x40\x61b\xa0\x07";
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.skip(), Some(()));
        assert_eq!(reader.unsigned(), Some(7));
        assert!(reader.is_empty());
    }

    #[test]
    fn what_is_cut_off_or_claims_too_much_is_refused() {
        for bytes in [
            &b""[..],
            b"\x18",
            b"\x82\x01",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x9f\xff",
            b"\x1c",
        ] {
            assert_eq!(Reader::new(bytes).skip(), None, "{bytes:x?}");
        }
        assert_eq!(Reader::new(b"\x61\xff").text(), None);
    }
}
