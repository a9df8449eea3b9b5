//! Writes envelopes.

use tidegate_core::record::Sending;
use tidegate_core::stream::Format;
use tidegate_core::time::WallTime;

use crate::{Envelope, cbor, field, json, quality_name};

/// Who sends: the same for all records of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub gateway: String,
    pub epoch: u64,
}

/// A record as it goes upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    pub payload: Vec<u8>,
    /// MQTT 5 user properties; only of [`Format::Raw`].
    pub properties: Vec<(String, String)>,
}

/// Writes a record's envelope. `stream` is its stream's name.
pub fn encode(sending: &Sending, identity: &Identity, stream: &str, format: Format) -> Encoded {
    let record = &sending.record;
    let fields = Fields {
        gateway: &identity.gateway,
        epoch: identity.epoch,
        seq: record.seq,
        stream,
        at: sending.at,
        historical: sending.historical,
        boot: record.stamp.boot,
        mono_ms: record.stamp.mono_ms,
        topic: record.topic.as_deref(),
        payload: &record.payload,
    };
    match format {
        Format::Cbor => Encoded { payload: write_cbor(&fields), properties: Vec::new() },
        Format::Json => {
            Encoded { payload: json::write(&fields, false).into_bytes(), properties: Vec::new() }
        }
        Format::Raw => {
            Encoded { payload: fields.payload.to_vec(), properties: properties(&fields) }
        }
    }
}

/// All fields, borrowed.
pub(crate) struct Fields<'a> {
    pub gateway: &'a str,
    pub epoch: u64,
    pub seq: u64,
    pub stream: &'a str,
    pub at: WallTime,
    pub historical: bool,
    pub boot: u32,
    pub mono_ms: u64,
    pub topic: Option<&'a str>,
    pub payload: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(envelope: &'a Envelope) -> Fields<'a> {
        Fields {
            gateway: &envelope.gateway,
            epoch: envelope.epoch,
            seq: envelope.seq,
            stream: &envelope.stream,
            at: envelope.at,
            historical: envelope.historical,
            boot: envelope.boot,
            mono_ms: envelope.mono_ms,
            topic: envelope.topic.as_deref(),
            payload: &envelope.payload,
        }
    }

    /// What the fields take beside payload and topic, in any layout.
    pub const BYTES: usize = 224;
}

/// The map, its keys in the order of their bytes: shorter ones first, because the length stands before them.
fn write_cbor(fields: &Fields<'_>) -> Vec<u8> {
    let topic_len = fields.topic.map_or(0, str::len);
    let mut out = cbor::Writer::with_capacity(Fields::BYTES + topic_len + fields.payload.len());
    out.map(if fields.topic.is_some() { 11 } else { 10 });
    out.text(field::TS);
    out.integer(fields.at.unix_us);
    out.text(field::SEQ);
    out.unsigned(fields.seq);
    out.text(field::BOOT);
    out.unsigned(fields.boot.into());
    out.text(field::EPOCH);
    out.text(&format!("{:016x}", fields.epoch));
    if let Some(topic) = fields.topic {
        out.text(field::TOPIC);
        out.text(topic);
    }
    out.text(field::STREAM);
    out.text(fields.stream);
    out.text(field::GATEWAY);
    out.text(fields.gateway);
    out.text(field::MONO_MS);
    out.unsigned(fields.mono_ms);
    out.text(field::PAYLOAD);
    out.bytes(fields.payload);
    out.text(field::HISTORICAL);
    out.flag(fields.historical);
    out.text(field::CLOCK_QUALITY);
    out.text(quality_name(fields.at.quality));
    out.finish()
}

fn properties(fields: &Fields<'_>) -> Vec<(String, String)> {
    let mut all = vec![
        (field::GATEWAY, fields.gateway.to_owned()),
        (field::EPOCH, format!("{:016x}", fields.epoch)),
        (field::SEQ, fields.seq.to_string()),
        (field::STREAM, fields.stream.to_owned()),
        (field::TS, fields.at.unix_us.to_string()),
        (field::CLOCK_QUALITY, quality_name(fields.at.quality).to_owned()),
        (field::HISTORICAL, fields.historical.to_string()),
        (field::BOOT, fields.boot.to_string()),
        (field::MONO_MS, fields.mono_ms.to_string()),
    ];
    if let Some(topic) = fields.topic {
        all.push((field::TOPIC, topic.to_owned()));
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
