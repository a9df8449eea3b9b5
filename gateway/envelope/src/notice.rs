//! Reads what the gateway itself says in its streams `losses` and `dead-letters`: the payloads that
//! `tidegate_core::notice` writes.

use serde::Deserialize;

use crate::base64;

/// That records of a stream were lost. Payload of a record in the stream `losses`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Loss {
    pub stream: String,
    /// Such as `dropped-oldest`; every reason: `tidegate_core::record::LossReason`.
    pub reason: String,
    /// Records of this stream lost for this reason since the store's beginning.
    pub count: u64,
    /// Around those lost since the last time it was told.
    pub first_seq: u64,
    pub last_seq: u64,
    /// Payload bytes since the store's beginning.
    pub bytes: u64,
}

impl Loss {
    /// # Errors
    /// When the payload is none.
    pub fn read(payload: &[u8]) -> Result<Loss, serde_json::Error> {
        serde_json::from_slice(payload)
    }
}

/// A record that upstream did not take. Payload of a record in the stream `dead-letters`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DeadLetter {
    pub stream: String,
    pub seq: u64,
    /// `refused`, `too-large` or `no-topic`.
    pub reason: String,
    /// MQTT 5's reason code, when it was refused.
    pub code: Option<u8>,
    /// How long it was, when it was too large.
    pub bytes: Option<u64>,
    /// How long it might have been.
    pub max: Option<u64>,
    pub boot: u32,
    pub mono_ms: u64,
    pub topic: Option<String>,
    pub payload_bytes: u64,
    payload_text: Option<String>,
    payload_base64: Option<String>,
}

impl DeadLetter {
    /// # Errors
    /// When the payload is none.
    pub fn read(payload: &[u8]) -> Result<DeadLetter, serde_json::Error> {
        serde_json::from_slice(payload)
    }

    /// The record's own payload, unless it was too long to be kept.
    pub fn payload(&self) -> Option<Vec<u8>> {
        match (&self.payload_text, &self.payload_base64) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(text)) => base64::read(text),
            (None, None) => None,
        }
    }
}
