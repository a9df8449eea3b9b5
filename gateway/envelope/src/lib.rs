//! The envelope: how a record looks upstream, written by the gateway and read by whoever receives it.
//!
//! A stream's `format` says which of three layouts its records have. All carry the same fields:
//!
//! | field | CBOR | JSON | raw (user property) | what |
//! |---|---|---|---|---|
//! | `gateway` | text | string | text | the gateway's id, `[a-z0-9-]{1,32}` |
//! | `epoch` | text | string | text | the store's epoch: 16 hexadecimal digits. Text everywhere, because a reader in JavaScript would round a number |
//! | `seq` | unsigned | number | decimal | dense and increasing within `(gateway, epoch)`, from 1, over all streams |
//! | `stream` | text | string | text | the stream's name |
//! | `ts` | integer | number | decimal | when the record was made, unix microseconds |
//! | `clock_quality` | text | string | text | how far to believe `ts`: `none` (not at all), `floor` (it was not earlier), `ntp` |
//! | `historical` | bool | bool | `true`, `false` | it was made before the link came up |
//! | `boot` | unsigned | number | decimal | counts the starts of the gateway's daemon |
//! | `mono_ms` | unsigned | number | decimal | milliseconds from that start to the record: right even when `ts` is not |
//! | `topic` | text | string | text | the local topic it came under; only when it was forwarded as it was |
//! | `payload` | bytes | see below | the MQTT payload | |
//!
//! - **CBOR** is one map in deterministic encoding (RFC 8949, 4.2.1): definite lengths, shortest numbers, keys
//!   in the order of their encoded bytes: `ts seq boot epoch topic stream gateway mono_ms payload historical
//!   clock_quality`.
//! - **JSON** is one object, its keys in the order of the table. A payload that is JSON itself stands there as it is
//!   written, as `payload`; one that is UTF-8 as a string, `payload_text`; anything else in base64 with padding,
//!   `payload_base64`.
//! - **raw** is the payload alone. The fields are MQTT 5 user properties of the PUBLISH, in the order of the table.
//!
//! A receiver that keeps `(gateway, epoch, seq)` sees each record once: drop what it has seen, and what is missing
//! below the highest seq is either on its way or announced in the stream `losses` ([`Loss`]). New fields may be added.

mod base64;
mod cbor;
mod decode;
mod encode;
mod json;
mod notice;

pub use decode::{Error, decode};
pub use encode::{Encoded, Identity, encode};
pub use notice::{DeadLetter, Loss};

use tidegate_core::time::{ClockQuality, WallTime};

/// The names of the fields, in the order of JSON and of the user properties.
mod field {
    pub const GATEWAY: &str = "gateway";
    pub const EPOCH: &str = "epoch";
    pub const SEQ: &str = "seq";
    pub const STREAM: &str = "stream";
    pub const TS: &str = "ts";
    pub const CLOCK_QUALITY: &str = "clock_quality";
    pub const HISTORICAL: &str = "historical";
    pub const BOOT: &str = "boot";
    pub const MONO_MS: &str = "mono_ms";
    pub const TOPIC: &str = "topic";
    pub const PAYLOAD: &str = "payload";
}

/// What an envelope says, whatever its layout was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub gateway: String,
    pub epoch: u64,
    pub seq: u64,
    pub stream: String,
    pub at: WallTime,
    pub historical: bool,
    pub boot: u32,
    pub mono_ms: u64,
    pub topic: Option<String>,
    pub payload: Vec<u8>,
}

impl Envelope {
    /// The layout of `format = "json"`, on one line.
    pub fn to_json_line(&self) -> String {
        json::write(&encode::Fields::of(self), true)
    }
}

const fn quality_name(quality: ClockQuality) -> &'static str {
    match quality {
        ClockQuality::None => "none",
        ClockQuality::Floor => "floor",
        ClockQuality::Ntp => "ntp",
    }
}

fn quality_of(name: &str) -> Option<ClockQuality> {
    [ClockQuality::None, ClockQuality::Floor, ClockQuality::Ntp]
        .into_iter()
        .find(|quality| quality_name(*quality) == name)
}

/// 16 hexadecimal digits.
fn epoch_of(text: &str) -> Option<u64> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
