//! Reads envelopes.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tidegate_core::time::WallTime;

use crate::cbor::Reader;
use crate::{Envelope, base64, epoch_of, field, quality_of};

/// Why something is no envelope.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// When neither a CBOR map nor a JSON object stands there, and there are no user properties of ours.
    #[error("is neither CBOR nor JSON, and has no user properties `epoch` and `seq`")]
    Unknown,
    /// When a CBOR map ends early, has indefinite lengths, or something behind it.
    #[error("is no whole CBOR map")]
    Cbor,
    /// When it is no JSON, or a field of it has another type.
    #[error("is no envelope in JSON")]
    Json(#[source] serde_json::Error),
    #[error("has no `{0}`")]
    Missing(&'static str),
    /// When a field has another type or an impossible value.
    #[error("has a `{0}` that cannot be")]
    Wrong(&'static str),
}

/// Reads an envelope in any of the three layouts. `properties` are the user properties it came with.
///
/// # Errors
/// When it is none; see [`Error`].
pub fn decode(payload: &[u8], properties: &[(String, String)]) -> Result<Envelope, Error> {
    let has = |name| properties.iter().any(|(found, _)| found == name);
    if has(field::EPOCH) && has(field::SEQ) {
        return raw(payload, properties);
    }
    match payload.first() {
        // Major type 5 is a map, and `{` would be a text of more bytes than there are atoms.
        Some(first) if first >> 5 == 5 => cbor(payload),
        Some(b'{') => json(payload),
        _ => Err(Error::Unknown),
    }
}

/// What has been read so far.
#[derive(Default)]
struct Parts {
    gateway: Option<String>,
    epoch: Option<u64>,
    seq: Option<u64>,
    stream: Option<String>,
    unix_us: Option<i64>,
    clock_quality: Option<String>,
    historical: Option<bool>,
    boot: Option<u64>,
    mono_ms: Option<u64>,
    topic: Option<String>,
    payload: Option<Vec<u8>>,
}

impl Parts {
    fn whole(self) -> Result<Envelope, Error> {
        let missing = Error::Missing;
        let quality = self.clock_quality.ok_or(missing(field::CLOCK_QUALITY))?;
        let boot = self.boot.ok_or(missing(field::BOOT))?;
        let seq = self.seq.ok_or(missing(field::SEQ))?;
        if seq == 0 {
            return Err(Error::Wrong(field::SEQ));
        }
        Ok(Envelope {
            gateway: self.gateway.ok_or(missing(field::GATEWAY))?,
            epoch: self.epoch.ok_or(missing(field::EPOCH))?,
            seq,
            stream: self.stream.ok_or(missing(field::STREAM))?,
            at: WallTime {
                unix_us: self.unix_us.ok_or(missing(field::TS))?,
                quality: quality_of(&quality).ok_or(Error::Wrong(field::CLOCK_QUALITY))?,
            },
            historical: self.historical.ok_or(missing(field::HISTORICAL))?,
            boot: u32::try_from(boot).map_err(|_| Error::Wrong(field::BOOT))?,
            mono_ms: self.mono_ms.ok_or(missing(field::MONO_MS))?,
            topic: self.topic,
            payload: self.payload.ok_or(missing(field::PAYLOAD))?,
        })
    }
}

/// Puts a field where it belongs, once.
fn put<T>(place: &mut Option<T>, name: &'static str, value: Option<T>) -> Result<(), Error> {
    match (value, &place) {
        (Some(value), None) => {
            *place = Some(value);
            Ok(())
        }
        (None, _) | (_, Some(_)) => Err(Error::Wrong(name)),
    }
}

fn cbor(bytes: &[u8]) -> Result<Envelope, Error> {
    let mut from = Reader::new(bytes);
    let mut parts = Parts::default();
    let text = |from: &mut Reader<'_>| from.text().map(str::to_owned);
    for _ in 0..from.map().ok_or(Error::Cbor)? {
        match from.text().ok_or(Error::Cbor)? {
            field::GATEWAY => put(&mut parts.gateway, field::GATEWAY, text(&mut from))?,
            field::EPOCH => {
                put(&mut parts.epoch, field::EPOCH, from.text().and_then(epoch_of))?;
            }
            field::SEQ => put(&mut parts.seq, field::SEQ, from.unsigned())?,
            field::STREAM => put(&mut parts.stream, field::STREAM, text(&mut from))?,
            field::TS => put(&mut parts.unix_us, field::TS, from.integer())?,
            field::CLOCK_QUALITY => {
                put(&mut parts.clock_quality, field::CLOCK_QUALITY, text(&mut from))?;
            }
            field::HISTORICAL => put(&mut parts.historical, field::HISTORICAL, from.flag())?,
            field::BOOT => put(&mut parts.boot, field::BOOT, from.unsigned())?,
            field::MONO_MS => put(&mut parts.mono_ms, field::MONO_MS, from.unsigned())?,
            field::TOPIC => put(&mut parts.topic, field::TOPIC, text(&mut from))?,
            field::PAYLOAD => {
                put(&mut parts.payload, field::PAYLOAD, from.bytes().map(<[u8]>::to_vec))?;
            }
            _ => from.skip().ok_or(Error::Cbor)?,
        }
    }
    if !from.is_empty() {
        return Err(Error::Cbor);
    }
    parts.whole()
}

/// The object as serde takes it apart.
#[derive(Deserialize)]
struct Object<'a> {
    gateway: Option<String>,
    epoch: Option<String>,
    seq: Option<u64>,
    stream: Option<String>,
    ts: Option<i64>,
    clock_quality: Option<String>,
    historical: Option<bool>,
    boot: Option<u64>,
    mono_ms: Option<u64>,
    topic: Option<String>,
    #[serde(borrow, default, deserialize_with = "written")]
    payload: Option<&'a RawValue>,
    payload_text: Option<String>,
    payload_base64: Option<String>,
}

/// What is written, even if that is `null`.
fn written<'a, D: Deserializer<'a>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

fn json(bytes: &[u8]) -> Result<Envelope, Error> {
    let object: Object<'_> = serde_json::from_slice(bytes).map_err(Error::Json)?;
    let payload = match (object.payload, object.payload_text, object.payload_base64) {
        (Some(json), None, None) => Some(json.get().as_bytes().to_vec()),
        (None, Some(text), None) => Some(text.into_bytes()),
        (None, None, Some(text)) => {
            Some(base64::read(&text).ok_or(Error::Wrong("payload_base64"))?)
        }
        (None, None, None) => None,
        _ => return Err(Error::Wrong(field::PAYLOAD)),
    };
    let epoch = object.epoch.map(|text| epoch_of(&text).ok_or(Error::Wrong(field::EPOCH)));
    Parts {
        gateway: object.gateway,
        epoch: epoch.transpose()?,
        seq: object.seq,
        stream: object.stream,
        unix_us: object.ts,
        clock_quality: object.clock_quality,
        historical: object.historical,
        boot: object.boot,
        mono_ms: object.mono_ms,
        topic: object.topic,
        payload,
    }
    .whole()
}

fn raw(payload: &[u8], properties: &[(String, String)]) -> Result<Envelope, Error> {
    let mut parts = Parts { payload: Some(payload.to_vec()), ..Parts::default() };
    for (name, value) in properties {
        let text = Some(value.clone());
        match name.as_str() {
            field::GATEWAY => put(&mut parts.gateway, field::GATEWAY, text)?,
            field::EPOCH => put(&mut parts.epoch, field::EPOCH, epoch_of(value))?,
            field::SEQ => put(&mut parts.seq, field::SEQ, value.parse().ok())?,
            field::STREAM => put(&mut parts.stream, field::STREAM, text)?,
            field::TS => put(&mut parts.unix_us, field::TS, value.parse().ok())?,
            field::CLOCK_QUALITY => put(&mut parts.clock_quality, field::CLOCK_QUALITY, text)?,
            field::HISTORICAL => {
                put(&mut parts.historical, field::HISTORICAL, value.parse().ok())?;
            }
            field::BOOT => put(&mut parts.boot, field::BOOT, value.parse().ok())?,
            field::MONO_MS => put(&mut parts.mono_ms, field::MONO_MS, value.parse().ok())?,
            field::TOPIC => put(&mut parts.topic, field::TOPIC, text)?,
            _ => {}
        }
    }
    parts.whole()
}
