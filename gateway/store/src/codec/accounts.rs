//! The small lists of a frame.

use tidegate_core::commit::{BootClock, Lost, Told};
use tidegate_core::record::{LossReason, StreamId};

use crate::bytes::{Reader, put_signed, put_varint};
use crate::error::CodecError;

pub(crate) fn put_losses(out: &mut Vec<u8>, losses: &[Lost]) {
    for lost in losses {
        out.extend_from_slice(&lost.stream.0.to_le_bytes());
        out.push(lost.reason as u8);
        put_varint(out, lost.seq);
        put_varint(out, lost.bytes);
    }
}

pub(crate) fn read_losses(body: &[u8]) -> Result<Vec<Lost>, CodecError> {
    let mut reader = Reader::new(body);
    let mut losses = Vec::new();
    while !reader.is_empty() {
        losses.push(Lost {
            stream: StreamId(reader.short()?),
            reason: reason(reader.byte()?)?,
            seq: reader.varint()?,
            bytes: reader.varint()?,
        });
    }
    Ok(losses)
}

pub(crate) fn put_told(out: &mut Vec<u8>, told: &[Told]) {
    for told in told {
        out.extend_from_slice(&told.stream.0.to_le_bytes());
        out.push(told.reason as u8);
        put_varint(out, told.count);
    }
}

pub(crate) fn read_told(body: &[u8]) -> Result<Vec<Told>, CodecError> {
    let mut reader = Reader::new(body);
    let mut told = Vec::new();
    while !reader.is_empty() {
        told.push(Told {
            stream: StreamId(reader.short()?),
            reason: reason(reader.byte()?)?,
            count: reader.varint()?,
        });
    }
    Ok(told)
}

fn reason(number: u8) -> Result<LossReason, CodecError> {
    LossReason::from_number(number).ok_or(CodecError::Number)
}

pub(crate) fn put_clocks<'a>(out: &mut Vec<u8>, clocks: impl IntoIterator<Item = &'a BootClock>) {
    for clock in clocks {
        put_varint(out, u64::from(clock.boot));
        put_signed(out, clock.start_unix_us);
    }
}

/// Clocks up to the end.
pub(crate) fn read_clocks(reader: &mut Reader<'_>) -> Result<Vec<BootClock>, CodecError> {
    let mut clocks = Vec::new();
    while !reader.is_empty() {
        clocks.push(BootClock { boot: reader.small()?, start_unix_us: reader.signed()? });
    }
    Ok(clocks)
}

/// Ranges, each by its first and last.
pub(crate) fn put_pairs(out: &mut Vec<u8>, pairs: &[(u64, u64)]) {
    put_varint(out, pairs.len() as u64);
    for (first, last) in pairs {
        put_varint(out, *first);
        put_varint(out, *last);
    }
}

pub(crate) fn read_pairs(reader: &mut Reader<'_>) -> Result<Vec<(u64, u64)>, CodecError> {
    let mut pairs = Vec::new();
    for _ in 0..reader.varint()? {
        pairs.push((reader.varint()?, reader.varint()?));
    }
    Ok(pairs)
}
