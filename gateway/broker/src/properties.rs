//! The v5 properties of a PUBLISH: what is for us, and what is passed on to v5 subscribers.
//! Source: MQTT 5, 2.2.2 and 3.3.2.3.

use std::sync::Arc;

use tidegate_core::Timestamp;

use crate::counters::CloseReason;
use crate::reader::{Malformed, Reader};

/// Property identifiers (2.2.2.2), those that a PUBLISH or a will may have.
pub(crate) mod id {
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_ID: u8 = 0x0B;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const USER_PROPERTY: u8 = 0x26;
}

/// What a message carries beside its payload, for v5 subscribers. Cloning shares the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    /// Encoded as they came, without expiry and alias; `None` when there are none.
    pub forwarded: Option<Arc<[u8]>>,
    pub expires: Option<Timestamp>,
}

impl Properties {
    pub const NONE: Properties = Properties { forwarded: None, expires: None };

    pub fn forwarded(&self) -> &[u8] {
        self.forwarded.as_deref().unwrap_or_default()
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// The expiry that a subscriber is told: what is left, in whole seconds rounded up.
    pub fn expiry_left_s(&self, now: Timestamp) -> Option<u32> {
        let left_ms = self.expires?.since(now).as_millis();
        Some(u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

/// What the properties of an inbound PUBLISH say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inbound<'a> {
    pub properties: Properties,
    pub topic_alias: Option<u16>,
    /// The first user property [`MESSAGE_ID`] that is not empty.
    pub message_id: Option<&'a str>,
}

/// Name of the user property in which a device gives a message an id of its own, for whoever takes each once.
pub(crate) const MESSAGE_ID: &str = "message-id";

impl From<Malformed> for CloseReason {
    fn from(Malformed: Malformed) -> CloseReason {
        CloseReason::Malformed
    }
}

/// Reads the properties of an inbound PUBLISH.
pub(crate) fn read(bytes: &[u8], now: Timestamp) -> Result<Inbound<'_>, CloseReason> {
    let mut inbound = Inbound::default();
    if bytes.is_empty() {
        return Ok(inbound);
    }
    let mut forwarded = Vec::new();
    let mut seen = 0u64;
    let mut reader = Reader(bytes);
    while !reader.0.is_empty() {
        let start = reader.0;
        let id = reader.u8()?;
        if id != id::USER_PROPERTY {
            let bit = 1u64.checked_shl(u32::from(id)).unwrap_or(0);
            if seen & bit != 0 {
                return Err(CloseReason::Protocol);
            }
            seen |= bit;
        }
        match id {
            id::PAYLOAD_FORMAT => {
                if reader.u8()? > 1 {
                    return Err(CloseReason::Protocol);
                }
            }
            id::MESSAGE_EXPIRY => {
                let expiry_ms = u64::from(reader.u32()?) * 1000;
                inbound.properties.expires = Some(Timestamp(now.0.saturating_add(expiry_ms)));
                continue;
            }
            id::CONTENT_TYPE => {
                text(&mut reader)?;
            }
            id::RESPONSE_TOPIC => {
                let topic = reader.bytes16()?;
                if topic.iter().any(|byte| matches!(byte, b'+' | b'#')) {
                    return Err(CloseReason::Protocol);
                }
                check_text(topic)?;
            }
            id::CORRELATION_DATA => {
                reader.bytes16()?;
            }
            id::TOPIC_ALIAS => {
                inbound.topic_alias = Some(reader.u16()?);
                continue;
            }
            id::USER_PROPERTY => {
                let (name, value) = (text(&mut reader)?, text(&mut reader)?);
                if name == MESSAGE_ID && !value.is_empty() {
                    inbound.message_id.get_or_insert(value);
                }
            }
            // Among others the subscription identifier, which only a server may send (3.3.4-6).
            _ => return Err(CloseReason::Protocol),
        }
        forwarded.extend_from_slice(&start[..start.len() - reader.0.len()]);
    }
    if !forwarded.is_empty() {
        inbound.properties.forwarded = Some(Arc::from(forwarded));
    }
    Ok(inbound)
}

fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    check_text(reader.bytes16()?)
}

fn check_text(bytes: &[u8]) -> Result<&str, Malformed> {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed on, when it expires, the alias.
    type Shown<'a> = (&'a [u8], Option<u64>, Option<u16>);

    #[track_caller]
    fn check(bytes: &[u8], expect: Result<Shown<'_>, CloseReason>) {
        let read = read(bytes, Timestamp(500));
        let shown = read.as_ref().map(|inbound| {
            let properties = &inbound.properties;
            (properties.forwarded(), properties.expires.map(|at| at.0), inbound.topic_alias)
        });
        assert_eq!(shown.map_err(|reason| *reason), expect);
    }

    #[test]
    fn what_is_not_allowed_closes() {
        check(&[0x02, 0, 0], Err(CloseReason::Malformed));
        check(&[0x01, 2], Err(CloseReason::Protocol));
        check(&[0x01, 1, 0x01, 1], Err(CloseReason::Protocol));
        check(&[0x0B, 1], Err(CloseReason::Protocol));
        check(&[0x11, 0, 0, 0, 1], Err(CloseReason::Protocol));
        check(&[0xFF], Err(CloseReason::Protocol));
        check(&[0x03, 0, 1, 0xFF], Err(CloseReason::Malformed));
        check(&[0x08, 0, 1, b'+'], Err(CloseReason::Protocol));
        check(&[0x26, 0, 1, b'k', 0, 1], Err(CloseReason::Malformed));
    }

    #[test]
    fn expiry_and_alias_are_taken_out_and_the_rest_is_passed_on() {
        check(&[], Ok((&[], None, None)));
        check(&[0x23, 0, 7], Ok((&[], None, Some(7))));
        let user = [0x26, 0, 1, b'k', 0, 1, b'v'];
        let bytes = [&user[..], &[0x02, 0, 0, 0, 2], &user, &[0x01, 1, 0x23, 0, 1]].concat();
        check(&bytes, Ok((&[&user[..], &user, &[0x01, 1]].concat(), Some(2500), Some(1))));
    }

    #[test]
    fn the_first_message_id_that_says_something_counts() {
        let user = |name: &str, value: &str| {
            let mut bytes = vec![0x26];
            for text in [name, value] {
                bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            bytes
        };
        let id = |parts: &[Vec<u8>]| {
            let bytes = parts.concat();
            let inbound = read(&bytes, Timestamp(0)).expect("well formed");
            assert_eq!(inbound.properties.forwarded(), bytes, "it is passed on");
            inbound.message_id.map(str::to_owned)
        };
        assert_eq!(id(&[user("message_id", "1"), user("Message-Id", "2")]), None);
        assert_eq!(id(&[user("message-id", "")]), None);
        assert_eq!(id(&[user("k", "message-id"), user("message-id", "7")]).as_deref(), Some("7"));
        let twice = [user("message-id", "é"), user("message-id", "8")];
        assert_eq!(id(&twice).as_deref(), Some("é"));
    }

    #[test]
    fn a_subscriber_is_told_what_is_left() {
        let properties = Properties { forwarded: None, expires: Some(Timestamp(5000)) };
        assert_eq!(properties.expiry_left_s(Timestamp(3999)), Some(2));
        assert!(!properties.has_expired(Timestamp(4999)));
        assert!(properties.has_expired(Timestamp(5000)));
        assert_eq!(Properties::NONE.expiry_left_s(Timestamp(0)), None);
    }
}
