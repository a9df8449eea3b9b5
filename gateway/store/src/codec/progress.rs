//! How far upstream has everything.

use tidegate_core::commit::{Progress, Span, Waiting};
use tidegate_core::record::{PRIORITY_MAX, Place, StreamId};

use crate::bytes::{Reader, put_signed, put_varint};
use crate::error::CodecError;

/// Beside the priority: the span has an end.
const BOUNDED: u8 = 1 << 3;

pub(crate) fn put_progress(out: &mut Vec<u8>, progress: &Progress) {
    put_varint(out, progress.known);
    put_varint(out, progress.spans.len() as u64);
    let mut frame = progress.known;
    let mut put_place = |out: &mut Vec<u8>, place: Place| {
        put_signed(out, place.frame.wrapping_sub(frame) as i64);
        put_varint(out, u64::from(place.index));
        frame = place.frame;
    };
    for span in &progress.spans {
        let bounded = if span.until.is_some() { BOUNDED } else { 0 };
        out.push(span.priority & PRIORITY_MAX | bounded);
        put_place(out, span.from);
        if let Some(until) = span.until {
            put_place(out, until);
        }
    }
    put_varint(out, progress.waiting.len() as u64);
    for waiting in &progress.waiting {
        out.extend_from_slice(&waiting.stream.0.to_le_bytes());
        put_varint(out, waiting.records);
        put_varint(out, waiting.bytes);
        put_varint(out, waiting.delivered);
    }
}

pub(crate) fn read_progress(reader: &mut Reader<'_>) -> Result<Progress, CodecError> {
    let known = reader.varint()?;
    let mut frame = known;
    let mut place = |reader: &mut Reader<'_>| {
        frame = frame.wrapping_add(reader.signed()? as u64);
        Ok(Place { frame, index: reader.small()? })
    };
    let mut spans = Vec::new();
    for _ in 0..reader.varint()? {
        let flags = reader.byte()?;
        if flags & !(PRIORITY_MAX | BOUNDED) != 0 {
            return Err(CodecError::Tag { tag: flags });
        }
        let from = place(reader)?;
        let until = if flags & BOUNDED != 0 { Some(place(reader)?) } else { None };
        spans.push(Span { priority: flags & PRIORITY_MAX, from, until });
    }
    let mut waiting = Vec::new();
    for _ in 0..reader.varint()? {
        waiting.push(Waiting {
            stream: StreamId(reader.short()?),
            records: reader.varint()?,
            bytes: reader.varint()?,
            delivered: reader.varint()?,
        });
    }
    Ok(Progress { known, spans, waiting })
}
