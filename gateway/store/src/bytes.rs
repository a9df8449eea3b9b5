//! Numbers as bytes: LEB128 for what is small most of the time, little-endian for the rest.

use crate::error::CodecError;

/// Appends an unsigned number, seven bits a byte, the lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a signed number so that small ones are short, whatever their sign.
pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_varint(out, ((number << 1) ^ (number >> 63)) as u64);
}

/// Appends bytes behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what was put, and believes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    pub fn byte(&mut self) -> Result<u8, CodecError> {
        let (byte, rest) = self.0.split_first().ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub fn short(&mut self) -> Result<u16, CodecError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(u16::from_le_bytes(*bytes))
    }

    pub fn long(&mut self) -> Result<u64, CodecError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub fn varint(&mut self) -> Result<u64, CodecError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(CodecError::Number);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(CodecError::Number)
    }

    pub fn signed(&mut self) -> Result<i64, CodecError> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A varint that must fit a smaller type.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Result<T, CodecError> {
        T::try_from(self.varint()?).map_err(|_| CodecError::Number)
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let len = self.small()?;
        self.take(len)
    }

    pub fn text(&mut self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CodecError::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::MAX / 2, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            put_signed(&mut out, number as i64);
            put_signed(&mut out, (number as i64).wrapping_neg());
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Ok(number));
            assert_eq!(reader.signed(), Ok(number as i64));
            assert_eq!(reader.signed(), Ok((number as i64).wrapping_neg()));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Reader::new(&[0x80]).varint(), Err(CodecError::Short));
        assert_eq!(Reader::new(&[0xff; 10]).varint(), Err(CodecError::Number));
        let mut high = [0x80; 10];
        high[9] = 2;
        assert_eq!(Reader::new(&high).varint(), Err(CodecError::Number), "bit 64");
        assert_eq!(Reader::new(&[0x80, 2]).small::<u8>(), Err(CodecError::Number));
        assert_eq!(Reader::new(&[5, 1]).bytes(), Err(CodecError::Short));
        assert_eq!(Reader::new(&[1, 0xff]).text(), Err(CodecError::Text));
    }
}
