//! The stage of an answer.
//!
//! ```text
//! stage = [1, have, of]                                checking
//!       | [2]                                          installing
//!       | [3, events, of, left ms]                     probation
//!       | [4]                                          active
//!       | [5, code (text), text]                       rejected
//!       | [6, code, text]                              rolled back
//!       | [6, code, text, topic (text), payload (bytes)]   rolled back, with the last event that failed
//!       | [7]                                          removed
//!       | [8, { 1: nonce (16 bytes), 2: is dry (bool), 3: fuel, 4: us, 5: [effect, ...], 6: left off,
//!              7: reason (text), 8: [write, ...], 9: [[level, text], ...] }]
//!                                                      invoked; 7 when it failed, 8 and 9 when there are any
//!
//! write = [key (bytes), value (bytes)] | [key]         set | deleted
//! ```
//! An effect is one of [`crate::golden`].

use super::{
    CODE_BYTES_MAX, EVENT_BYTES_MAX, Invoked, LINES_MAX, LastEvent, Line, Stage, TEXT_BYTES_MAX,
    WRITE_KEY_BYTES_MAX, WRITES_MAX, Wrote,
};
use crate::cbor::{Fields, Flaw, Reader, Writer};
use crate::golden::{EFFECTS_MAX, Expect, PAYLOAD_BYTES_MAX};
use crate::manifest::TOPIC_BYTES_MAX;

impl Stage {
    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Stage::Checking { have, of } => {
                writer.array(3).uint(1u8).uint(*have).uint(*of);
            }
            Stage::Installing => drop(writer.array(1).uint(2u8)),
            Stage::Probation { events, events_of, left_ms } => {
                writer.array(4).uint(3u8).uint(*events).uint(*events_of).uint(*left_ms);
            }
            Stage::Active => drop(writer.array(1).uint(4u8)),
            Stage::Rejected { code, text } => drop(writer.array(3).uint(5u8).text(code).text(text)),
            Stage::RolledBack { code, text, event } => {
                let len = if event.is_some() { 5 } else { 3 };
                writer.array(len).uint(6u8).text(code).text(text);
                if let Some(LastEvent { topic, payload }) = event {
                    writer.text(topic).bytes(payload);
                }
            }
            Stage::Removed => drop(writer.array(1).uint(7u8)),
            Stage::Invoked(invoked) => invoked.write(writer.array(2).uint(8u8)),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Stage, Flaw> {
        let at = reader.at();
        let len = reader.array(5)?;
        let value_at = reader.at();
        let kind = reader.u64()?;
        Ok(match (kind, len) {
            (1, 3) => Stage::Checking { have: reader.u32()?, of: reader.u32()? },
            (2, 1) => Stage::Installing,
            (3, 4) => Stage::Probation {
                events: reader.u64()?,
                events_of: reader.u64()?,
                left_ms: reader.u64()?,
            },
            (4, 1) => Stage::Active,
            (5, 3) => {
                let (code, text) = read_why(reader)?;
                Stage::Rejected { code, text }
            }
            (6, 3) => {
                let (code, text) = read_why(reader)?;
                Stage::RolledBack { code, text, event: None }
            }
            (6, 5) => {
                let (code, text) = read_why(reader)?;
                let topic = reader.string_of(TOPIC_BYTES_MAX)?;
                let payload = reader.bytes(EVENT_BYTES_MAX)?.to_vec();
                Stage::RolledBack { code, text, event: Some(LastEvent { topic, payload }) }
            }
            (7, 1) => Stage::Removed,
            (8, 2) => Stage::Invoked(Invoked::read(reader)?),
            (1..=8, _) => return Err(Flaw::Kind { at }),
            _ => return Err(Flaw::Value { at: value_at, is: kind }),
        })
    }
}

fn read_why(reader: &mut Reader<'_>) -> Result<(String, String), Flaw> {
    Ok((reader.string_of(CODE_BYTES_MAX)?, reader.string_of(TEXT_BYTES_MAX)?))
}

impl Invoked {
    fn write(&self, writer: &mut Writer) {
        let optional = [self.failed.is_some(), !self.writes.is_empty(), !self.lines.is_empty()];
        writer.map(6 + optional.into_iter().filter(|is_there| *is_there).count());
        writer.key(1).bytes(&self.nonce).key(2).bool(self.is_dry);
        writer.key(3).uint(self.fuel).key(4).uint(self.us);
        writer.key(5).array(self.effects.len());
        for effect in &self.effects {
            effect.write(writer);
        }
        writer.key(6).uint(self.left_off);
        if let Some(why) = &self.failed {
            writer.key(7).text(why);
        }
        if !self.writes.is_empty() {
            writer.key(8).array(self.writes.len());
            for Wrote { key, value } in &self.writes {
                writer.array(1 + usize::from(value.is_some())).bytes(key);
                if let Some(value) = value {
                    writer.bytes(value);
                }
            }
        }
        if !self.lines.is_empty() {
            writer.key(9).array(self.lines.len());
            for Line { level, text } in &self.lines {
                writer.array(2).uint(*level).text(text);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Invoked, Flaw> {
        let mut fields = reader.map(usize::MAX)?;
        fields.need(reader, 1)?;
        let nonce = reader.array_of()?;
        fields.need(reader, 2)?;
        let is_dry = reader.bool()?;
        fields.need(reader, 3)?;
        let fuel = reader.u64()?;
        fields.need(reader, 4)?;
        let us = reader.u64()?;
        fields.need(reader, 5)?;
        let effects = reader.list(EFFECTS_MAX, Expect::read)?;
        fields.need(reader, 6)?;
        let left_off = reader.u32()?;
        let has_failed = fields.has(reader, 7)?;
        let failed = if has_failed { Some(reader.string_of(TEXT_BYTES_MAX)?) } else { None };
        let writes = some(&mut fields, reader, 8, |reader| reader.list(WRITES_MAX, Wrote::read))?;
        let lines = some(&mut fields, reader, 9, |reader| reader.list(LINES_MAX, Line::read))?;
        fields.end(reader)?;
        Ok(Invoked { nonce, is_dry, fuel, us, effects, left_off, failed, writes, lines })
    }
}

/// A list that is there only when it has members: there is one encoding of each value.
fn some<T>(
    fields: &mut Fields,
    reader: &mut Reader<'_>,
    key: u64,
    read: impl FnOnce(&mut Reader<'_>) -> Result<Vec<T>, Flaw>,
) -> Result<Vec<T>, Flaw> {
    if !fields.has(reader, key)? {
        return Ok(Vec::new());
    }
    let at = reader.at();
    let list = read(reader)?;
    if list.is_empty() { Err(Flaw::Kind { at }) } else { Ok(list) }
}

impl Wrote {
    fn read(reader: &mut Reader<'_>) -> Result<Wrote, Flaw> {
        let at = reader.at();
        let len = reader.array(2)?;
        if len == 0 {
            return Err(Flaw::Kind { at });
        }
        let key = reader.bytes(WRITE_KEY_BYTES_MAX)?.to_vec();
        let is_set = len == 2;
        let value = if is_set { Some(reader.bytes(PAYLOAD_BYTES_MAX)?.to_vec()) } else { None };
        Ok(Wrote { key, value })
    }
}

impl Line {
    fn read(reader: &mut Reader<'_>) -> Result<Line, Flaw> {
        reader.tuple(2)?;
        let (at, level) = (reader.at(), reader.u64()?);
        let level = u8::try_from(level).map_err(|_| Flaw::Value { at, is: level })?;
        Ok(Line { level, text: reader.string_of(TEXT_BYTES_MAX)? })
    }
}
