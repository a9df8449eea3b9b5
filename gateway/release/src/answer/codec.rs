//! The payload of answers and reports.
//!
//! ```text
//! answer = { 1: format = 1, 2: gateway (text), 3: handler (text), 4: counter, 5: stage,
//!   6: [key epoch, seq, digest (32 bytes)]             the release; may be absent
//!   7: version (text)                                  may be absent
//!   8: [events, failed, deadline misses, fuel, p99 us, memory KiB] }
//!
//! report = { 1: format = 1, 2: gateway (text), 3: counter, 4: version (text), 5: uptime ms, 6: trust version,
//!   7: key epoch, 8: is safe mode (bool), 9: is stale (bool), 10: handlers,
//!  11: [audit entries, digest of the last (32 bytes)] }
//! ```

use super::{Answer, Figures, NoAnswer, Report, Stage};
use crate::cbor::{Fields, Flaw, Reader, Writer};
use crate::hash::Digest;
use crate::manifest::VERSION_BYTES_MAX;
use crate::ratchet::Rank;

/// The format that this crate reads and writes.
const FORMAT: u64 = 1;

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let optional = usize::from(self.release.is_some()) + usize::from(self.version.is_some());
        let mut writer = Writer::new();
        writer.map(6 + optional).key(1).uint(FORMAT).key(2).text(self.gateway.as_str());
        writer.key(3).text(self.handler.as_str()).key(4).uint(self.counter);
        self.stage.write(writer.key(5));
        if let Some((rank, digest)) = &self.release {
            writer.key(6).array(3).uint(rank.key_epoch).uint(rank.seq).bytes(&digest.0);
        }
        if let Some(version) = &self.version {
            writer.key(7).text(version);
        }
        let Figures { events, failed, deadline_misses, fuel, p99_us, memory_kib } = self.figures;
        writer.key(8).array(6).uint(events).uint(failed).uint(deadline_misses);
        writer.uint(fuel).uint(p99_us).uint(memory_kib);
        writer.finish()
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Answer, NoAnswer> {
        let mut reader = Reader::new(payload);
        let answer = Answer::read(&mut reader)?;
        reader.end()?;
        answer.check()?;
        Ok(answer)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Answer, Flaw> {
        let mut fields = reader.map(usize::MAX)?;
        format(&mut fields, reader)?;
        fields.need(reader, 2)?;
        let gateway = reader.name()?;
        fields.need(reader, 3)?;
        let handler = reader.name()?;
        fields.need(reader, 4)?;
        let counter = reader.u64()?;
        fields.need(reader, 5)?;
        let stage = Stage::read(reader)?;
        let release = if fields.has(reader, 6)? { Some(read_release(reader)?) } else { None };
        let has_version = fields.has(reader, 7)?;
        let version = if has_version { Some(reader.string_of(VERSION_BYTES_MAX)?) } else { None };
        fields.need(reader, 8)?;
        reader.tuple(6)?;
        let figures = Figures {
            events: reader.u64()?,
            failed: reader.u64()?,
            deadline_misses: reader.u64()?,
            fuel: reader.u64()?,
            p99_us: reader.u64()?,
            memory_kib: reader.u64()?,
        };
        fields.end(reader)?;
        Ok(Answer { gateway, handler, counter, stage, release, version, figures })
    }
}

fn read_release(reader: &mut Reader<'_>) -> Result<(Rank, Digest), Flaw> {
    reader.tuple(3)?;
    let rank = Rank { key_epoch: reader.u32()?, seq: reader.u64()? };
    Ok((rank, Digest(reader.array_of()?)))
}

fn format(fields: &mut Fields, reader: &mut Reader<'_>) -> Result<(), Flaw> {
    fields.need(reader, 1)?;
    reader.choice(&[(FORMAT, ())])
}

impl Report {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(11).key(1).uint(FORMAT).key(2).text(self.gateway.as_str());
        writer.key(3).uint(self.counter).key(4).text(&self.version).key(5).uint(self.uptime_ms);
        writer.key(6).uint(self.trust_version).key(7).uint(self.key_epoch);
        writer.key(8).bool(self.is_safe_mode).key(9).bool(self.is_stale);
        writer.key(10).uint(self.handlers);
        writer.key(11).array(2).uint(self.audit.0).bytes(&self.audit.1.0);
        writer.finish()
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Report, NoAnswer> {
        let mut reader = Reader::new(payload);
        let report = Report::read(&mut reader)?;
        reader.end()?;
        report.check()?;
        Ok(report)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Report, Flaw> {
        let mut fields = reader.map(usize::MAX)?;
        format(&mut fields, reader)?;
        fields.need(reader, 2)?;
        let gateway = reader.name()?;
        fields.need(reader, 3)?;
        let counter = reader.u64()?;
        fields.need(reader, 4)?;
        let version = reader.string_of(VERSION_BYTES_MAX)?;
        fields.need(reader, 5)?;
        let uptime_ms = reader.u64()?;
        fields.need(reader, 6)?;
        let trust_version = reader.u64()?;
        fields.need(reader, 7)?;
        let key_epoch = reader.u32()?;
        fields.need(reader, 8)?;
        let is_safe_mode = reader.bool()?;
        fields.need(reader, 9)?;
        let is_stale = reader.bool()?;
        fields.need(reader, 10)?;
        let handlers = reader.u32()?;
        fields.need(reader, 11)?;
        reader.tuple(2)?;
        let audit = (reader.u64()?, Digest(reader.array_of()?));
        fields.end(reader)?;
        Ok(Report {
            gateway,
            counter,
            version,
            uptime_ms,
            trust_version,
            key_epoch,
            is_safe_mode,
            is_stale,
            handlers,
            audit,
        })
    }
}
