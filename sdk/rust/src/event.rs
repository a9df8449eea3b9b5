//! The event that woke the handler, read where the host put it.

use tidegate_abi::{Trigger, field, flags, inbox};

use crate::error::length;
use crate::{Error, Result, Text, host};

/// One event. Topic, source and payload lie in the inbox; JSON fields are read on the host.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    head: &'a [u8; inbox::HEAD_LEN],
    record: &'a [u8],
}

impl<'a> Event<'a> {
    /// The event in an inbox record; nothing when it is shorter than a head.
    #[inline]
    pub(crate) fn new(record: &'a [u8]) -> Option<Event<'a>> {
        Some(Event { head: record.first_chunk()?, record })
    }

    /// The topic of the message.
    #[inline]
    pub fn topic(&self) -> &'a str {
        host::host_text(self.field(inbox::TOPIC))
    }

    /// One level of the topic: level 1 of `devices/7/telemetry` is `7`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the topic has no such level.
    pub fn level(&self, index: usize) -> Result<&'a str> {
        let mut rest = self.field(inbox::TOPIC);
        for _ in 0..index {
            let (_, behind) = rest.split_at_checked(slash(rest)).ok_or(Error::NotFound)?;
            rest = behind.get(1..).ok_or(Error::NotFound)?;
        }
        let level = rest.get(..slash(rest)).ok_or(Error::NotFound)?;
        // Cut at slashes, text stays text.
        Ok(host::host_text(level))
    }

    /// Who sent it: the client identifier of the device, or the name of a handler.
    #[inline]
    pub fn source(&self) -> &'a str {
        host::host_text(self.field(inbox::SOURCE))
    }

    /// The payload, as far as it fitted the inbox: see [`Event::truncated`].
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.field(inbox::PAYLOAD)
    }

    /// A number in the JSON payload, by path: `"temp"`, `"a.b.0.c"`.
    ///
    /// # Errors
    /// [`Error::Argument`] when the payload is not JSON, [`Error::NotFound`] when it has no such number.
    #[inline]
    pub fn num(&self, path: &str) -> Result<f64> {
        let mut value = 0.0;
        length(host::ev_num(path.as_bytes(), &mut value))?;
        Ok(value)
    }

    /// A whole number in the JSON payload, by path.
    ///
    /// # Errors
    /// As [`Event::num`]; [`Error::Argument`] also for a fraction and beyond 2^53, where a JSON
    /// number is no longer sure to be the one that was sent.
    #[inline]
    pub fn int(&self, path: &str) -> Result<i64> {
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        let value = self.num(path)?;
        let whole = value as i64;
        if whole as f64 == value && (-EXACT_MAX..=EXACT_MAX).contains(&value) {
            Ok(whole)
        } else {
            Err(Error::Argument)
        }
    }

    /// A string in the JSON payload, by path, of at most `N` bytes.
    ///
    /// # Errors
    /// [`Error::Argument`] when the payload is not JSON, [`Error::NotFound`] when it has no such
    /// string, [`Error::TooLarge`] when it is longer.
    #[inline]
    pub fn str<const N: usize>(&self, path: &str) -> Result<Text<N>> {
        Text::fill(|buf| host::ev_str(path.as_bytes(), buf))
    }

    /// Reads the payload from `offset` on into `buf`, whether or not it fitted the inbox. Returns how
    /// many bytes were read; fewer than `buf` holds means that the payload ends there.
    ///
    /// # Errors
    /// [`Error::Argument`] when `offset` lies behind the payload's end.
    pub fn read_payload(&self, offset: usize, buf: &mut [u8]) -> Result<usize> {
        let cap = buf.len();
        let left = length(host::ev_read(field::PAYLOAD, offset, buf))?;
        Ok(left.min(cap))
    }

    /// Whether a field did not fit the inbox. [`Event::read_payload`] has the whole payload, and
    /// [`Event::num`] and [`Event::str`] see all of it in any case.
    #[inline]
    pub fn truncated(&self) -> bool {
        self.flags() & flags::TRUNCATED != 0
    }

    /// Increasing over the life of the gateway, and the same in every attempt.
    #[inline]
    pub fn id(&self) -> u64 {
        u64::from_le_bytes(self.bytes(inbox::EVENT_ID))
    }

    /// When the gateway received the message, unix microseconds. Trust it as far as [`Event::clock_quality`] says.
    #[inline]
    pub fn ts_us(&self) -> i64 {
        i64::from_le_bytes(self.bytes(inbox::TS_US))
    }

    /// 0 nothing is known about wall time, 1 it is not before the last time written down, 2 it is synchronised.
    #[inline]
    pub fn clock_quality(&self) -> u32 {
        u32::from_le_bytes(self.bytes(inbox::CLOCK_QUALITY))
    }

    /// 0 at the first try.
    #[inline]
    pub fn attempt(&self) -> u16 {
        u16::from_le_bytes(self.bytes(inbox::ATTEMPT))
    }

    /// The bits of [`flags`].
    #[inline]
    pub fn flags(&self) -> u8 {
        self.head[inbox::FLAGS]
    }

    /// Whether what woke the handler is `trigger`.
    #[inline]
    pub fn is(&self, trigger: Trigger) -> bool {
        self.head[inbox::TRIGGER] == trigger as u8
    }

    #[inline]
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.head[at..].first_chunk().copied().unwrap_or([0; N])
    }

    /// The bytes of one field. A record that points outside itself has an empty one.
    #[inline]
    fn field(&self, at: usize) -> &'a [u8] {
        let off = u32::from_le_bytes(self.bytes(at)) as usize;
        let len = u32::from_le_bytes(self.bytes(at + 4)) as usize;
        self.record.get(off..).and_then(|rest| rest.get(..len)).unwrap_or_default()
    }
}

/// Where the first `/` is, or the length. Eight bytes at a time: a handler's topic is most of what its
/// own code reads, and an interpreter takes as long for a byte as for eight.
fn slash(text: &[u8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut at = 0;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        // A byte that is `/` becomes 0, and the lowest 0 is the lowest byte with its top bit set here.
        let other = u64::from_le_bytes(*eight) ^ (EACH * b'/' as u64);
        let found = other.wrapping_sub(EACH) & !other & (EACH << 7);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn the_first_slash_is_found_wherever_it_is_and_nothing_like_it() {
        for len in 0..20 {
            // Neighbours of `/`, with and without the top bit, are what such arithmetic gets wrong.
            for other in [0x2e, 0x30, 0xae, 0xaf, 0xb0, 0, 1, 0xff] {
                let mut text = vec![other; len];
                assert_eq!(slash(&text), len, "{other:#x}");
                for at in (0..len).rev() {
                    text[at] = b'/';
                    assert_eq!(slash(&text), at, "{other:#x}");
                }
            }
        }
    }
}
