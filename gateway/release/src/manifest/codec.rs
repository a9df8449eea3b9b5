//! The order's bytes.
//!
//! ```text
//! { 1: format = 1, 2: fleet (text), 3: handler (text), 4: [key epoch, seq],
//!   5: [[0 gateway | 1 group, name (text)], ...]       targets, ascending
//!   6: [1, install] | [2] | [3, invoke]                what
//!   7: [author, built with, source] }                  provenance, three texts
//!
//! install = { 1: blob                                  module: [sha256 (32 bytes), bytes]
//!   2: version (text)
//!   3: [filter (text), ...]                            events
//!   4: [[filter, ...], [stream, ...], [pin, ...]]      grants
//!   5: [fuel, memory KiB, deadline ms, publishes]      limits of an event
//!   6: [[key (text), value (text)], ...]               settings, ascending by key
//!   7: 0 event | 1 instance                            isolation
//!   8: 0 now | 1 durable                               react
//!   9: blob                                            golden events; may be absent
//!  10: version (text)                                  migrates from; may be absent
//!  11: [events, uptime ms, failed per mille max,
//!       deadline misses max, p99 us max, memory KiB max] }   probation
//!
//! invoke = { 1: nonce (16 bytes), 2: topic (text), 3: payload (bytes), 4: is dry (bool) }
//! ```

use super::{
    FORMAT, INVOKE_BYTES_MAX, Install, Invoke, Order, PROVENANCE_BYTES_MAX, Provenance,
    TARGETS_MAX, TOPIC_BYTES_MAX, Target, What, Wrong,
};
use crate::cbor::{Flaw, Reader, Writer};
use crate::envelope::{ENVELOPE_BYTES_MAX, seal};
use crate::keys::{Domain, SecretKey};
use crate::ratchet::Rank;

const INSTALL: u64 = 1;
const REMOVE: u64 = 2;
const INVOKE: u64 = 3;

impl Order {
    /// The signed envelope.
    ///
    /// # Errors
    /// When the order is none that may be signed, or not by these keys.
    pub fn sign(&self, keys: &[&SecretKey]) -> Result<Vec<u8>, Wrong> {
        let payload = self.encode()?;
        seal(Domain::Release, &payload, keys, ENVELOPE_BYTES_MAX).map_err(Wrong::Unsealed)
    }

    /// The payload.
    ///
    /// # Errors
    /// When the order is none that may be signed.
    pub fn encode(&self) -> Result<Vec<u8>, Wrong> {
        self.check()?;
        let mut writer = Writer::new();
        writer.map(7).key(1).uint(FORMAT);
        writer.key(2).text(self.fleet.as_str()).key(3).text(self.handler.as_str());
        writer.key(4).array(2).uint(self.rank.key_epoch).uint(self.rank.seq);
        writer.key(5).array(self.targets.len());
        for target in &self.targets {
            let (kind, name) = match target {
                Target::Gateway(name) => (0u8, name),
                Target::Group(name) => (1, name),
            };
            writer.array(2).uint(kind).text(name.as_str());
        }
        writer.key(6);
        match &self.what {
            What::Install(install) => install.write(writer.array(2).uint(INSTALL)),
            What::Remove => drop(writer.array(1).uint(REMOVE)),
            What::Invoke(invoke) => invoke.write(writer.array(2).uint(INVOKE)),
        }
        let Provenance { author, built_with, source } = &self.provenance;
        writer.key(7).array(3).text(author).text(built_with).text(source);
        Ok(writer.finish())
    }

    /// Reads a payload; only one whose signatures were verified is worth it.
    ///
    /// # Errors
    /// When it is no order, or none that may be signed.
    pub fn decode(payload: &[u8]) -> Result<Order, Wrong> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.map(usize::MAX).map_err(Wrong::Form)?;
        let mut first = || {
            fields.need(&mut reader, 1)?;
            reader.u64()
        };
        let format = first().map_err(Wrong::Form)?;
        if format != u64::from(FORMAT) {
            return Err(Wrong::NewerFormat { format });
        }
        let rest = || -> Result<Order, Flaw> {
            fields.need(&mut reader, 2)?;
            let fleet = reader.name()?;
            fields.need(&mut reader, 3)?;
            let handler = reader.name()?;
            fields.need(&mut reader, 4)?;
            reader.tuple(2)?;
            let rank = Rank { key_epoch: reader.u32()?, seq: reader.u64()? };
            fields.need(&mut reader, 5)?;
            let targets = reader.ascending(TARGETS_MAX, read_target)?;
            fields.need(&mut reader, 6)?;
            let what = read_what(&mut reader)?;
            fields.need(&mut reader, 7)?;
            let provenance = read_provenance(&mut reader)?;
            fields.end(&mut reader)?;
            Ok(Order { fleet, handler, rank, targets, what, provenance })
        };
        let order = rest().and_then(|order| reader.end().map(|()| order));
        let order = order.map_err(|flaw| {
            if flaw.is_newer() { Wrong::NewerField(flaw) } else { Wrong::Form(flaw) }
        })?;
        order.check()?;
        Ok(order)
    }
}

fn read_target(reader: &mut Reader<'_>) -> Result<Target, Flaw> {
    reader.tuple(2)?;
    let make = reader.choice(&[(0, Target::Gateway as fn(_) -> _), (1, Target::Group)])?;
    reader.name().map(make)
}

fn read_what(reader: &mut Reader<'_>) -> Result<What, Flaw> {
    let at = reader.at();
    let len = reader.array(2)?;
    let kind = reader.choice(&[(INSTALL, INSTALL), (REMOVE, REMOVE), (INVOKE, INVOKE)])?;
    match (kind, len) {
        (INSTALL, 2) => Install::read(reader).map(What::Install),
        (REMOVE, 1) => Ok(What::Remove),
        (INVOKE, 2) => Invoke::read(reader).map(What::Invoke),
        _ => Err(Flaw::Kind { at }),
    }
}

fn read_provenance(reader: &mut Reader<'_>) -> Result<Provenance, Flaw> {
    reader.tuple(3)?;
    let mut text = || reader.string_of(PROVENANCE_BYTES_MAX);
    Ok(Provenance { author: text()?, built_with: text()?, source: text()? })
}

impl Invoke {
    fn write(&self, writer: &mut Writer) {
        writer.map(4).key(1).bytes(&self.nonce).key(2).text(&self.topic);
        writer.key(3).bytes(&self.payload).key(4).bool(self.is_dry);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Invoke, Flaw> {
        let mut fields = reader.map(usize::MAX)?;
        fields.need(reader, 1)?;
        let nonce = reader.array_of()?;
        fields.need(reader, 2)?;
        let topic = reader.string_of(TOPIC_BYTES_MAX)?;
        fields.need(reader, 3)?;
        let payload = reader.bytes(INVOKE_BYTES_MAX)?.to_vec();
        fields.need(reader, 4)?;
        let is_dry = reader.bool()?;
        fields.end(reader)?;
        Ok(Invoke { nonce, topic, payload, is_dry })
    }
}
