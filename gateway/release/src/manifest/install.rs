//! The codec of an install.

use std::collections::BTreeMap;

use super::{
    Blob, FILTERS_MAX, GRANTS_MAX, Grants, Install, Isolation, Limits, Probation, React,
    SETTING_BYTES_MAX, SETTING_KEY_BYTES_MAX, SETTINGS_MAX, TOPIC_BYTES_MAX, VERSION_BYTES_MAX,
};
use crate::cbor::{Flaw, Reader, Writer};
use crate::hash::Digest;
use crate::name::Name;

const ISOLATIONS: [(u64, Isolation); 2] = [(0, Isolation::Event), (1, Isolation::Instance)];
const REACTS: [(u64, React); 2] = [(0, React::Now), (1, React::Durable)];

impl Install {
    pub(super) fn write(&self, writer: &mut Writer) {
        let optional =
            usize::from(self.golden.is_some()) + usize::from(self.migrate_from.is_some());
        writer.map(9 + optional);
        self.module.write(writer.key(1));
        writer.key(2).text(&self.version);
        texts(writer.key(3), &self.events);
        texts(writer.key(4).array(3), &self.grants.publish);
        names(writer, &self.grants.streams);
        names(writer, &self.grants.pins);
        let Limits { fuel, memory_kib, deadline_ms, publishes } = self.limits;
        writer.key(5).array(4).uint(fuel).uint(memory_kib).uint(deadline_ms).uint(publishes);
        writer.key(6).array(self.settings.len());
        for (key, text) in &self.settings {
            writer.array(2).text(key).text(text);
        }
        writer.key(7).uint(number(&ISOLATIONS, self.isolation));
        writer.key(8).uint(number(&REACTS, self.react));
        if let Some(golden) = &self.golden {
            golden.write(writer.key(9));
        }
        if let Some(version) = &self.migrate_from {
            writer.key(10).text(version);
        }
        let probation = &self.probation;
        writer.key(11).array(6).uint(probation.events).uint(probation.uptime_ms);
        writer.uint(probation.failed_per_mille_max).uint(probation.deadline_misses_max);
        writer.uint(probation.p99_us_max).uint(probation.memory_kib_max);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Install, Flaw> {
        let mut fields = reader.map(usize::MAX)?;
        fields.need(reader, 1)?;
        let module = Blob::read(reader)?;
        fields.need(reader, 2)?;
        let version = reader.string_of(VERSION_BYTES_MAX)?;
        fields.need(reader, 3)?;
        let events = read_texts(reader)?;
        fields.need(reader, 4)?;
        reader.tuple(3)?;
        let publish = read_texts(reader)?;
        let streams = reader.list(GRANTS_MAX, Reader::name)?;
        let pins = reader.list(GRANTS_MAX, Reader::name)?;
        fields.need(reader, 5)?;
        reader.tuple(4)?;
        let limits = Limits {
            fuel: reader.u64()?,
            memory_kib: reader.u32()?,
            deadline_ms: reader.u32()?,
            publishes: reader.u32()?,
        };
        fields.need(reader, 6)?;
        let settings = read_settings(reader)?;
        fields.need(reader, 7)?;
        let isolation = reader.choice(&ISOLATIONS)?;
        fields.need(reader, 8)?;
        let react = reader.choice(&REACTS)?;
        let golden = if fields.has(reader, 9)? { Some(Blob::read(reader)?) } else { None };
        let has_from = fields.has(reader, 10)?;
        let migrate_from = if has_from { Some(reader.string_of(VERSION_BYTES_MAX)?) } else { None };
        fields.need(reader, 11)?;
        let probation = read_probation(reader)?;
        fields.end(reader)?;
        Ok(Install {
            module,
            version,
            events,
            grants: Grants { publish, streams, pins },
            limits,
            settings,
            isolation,
            react,
            golden,
            migrate_from,
            probation,
        })
    }
}

impl Blob {
    fn write(&self, writer: &mut Writer) {
        writer.array(2).bytes(&self.digest.0).uint(self.bytes);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Blob, Flaw> {
        reader.tuple(2)?;
        Ok(Blob { digest: Digest(reader.array_of()?), bytes: reader.u64()? })
    }
}

fn read_probation(reader: &mut Reader<'_>) -> Result<Probation, Flaw> {
    reader.tuple(6)?;
    Ok(Probation {
        events: reader.u64()?,
        uptime_ms: reader.u64()?,
        failed_per_mille_max: reader.u32()?,
        deadline_misses_max: reader.u32()?,
        p99_us_max: reader.u32()?,
        memory_kib_max: reader.u32()?,
    })
}

/// Settings are ascending by key, so there is one encoding and no key twice.
fn read_settings(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>, Flaw> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..reader.array(SETTINGS_MAX)? {
        let at = reader.at();
        reader.tuple(2)?;
        let key = reader.string_of(SETTING_KEY_BYTES_MAX)?;
        if settings.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(Flaw::Order { at });
        }
        settings.insert(key, reader.string_of(SETTING_BYTES_MAX)?);
    }
    Ok(settings)
}

fn read_texts(reader: &mut Reader<'_>) -> Result<Vec<String>, Flaw> {
    reader.list(FILTERS_MAX, |reader| reader.string_of(TOPIC_BYTES_MAX))
}

fn texts(writer: &mut Writer, texts: &[String]) {
    writer.array(texts.len());
    for text in texts {
        writer.text(text);
    }
}

fn names(writer: &mut Writer, names: &[Name]) {
    writer.array(names.len());
    for name in names {
        writer.text(name.as_str());
    }
}

fn number<T: PartialEq>(of: &[(u64, T)], meaning: T) -> u64 {
    let found = of.iter().find(|(_, other)| *other == meaning);
    found.expect("every variant has its number").0
}
