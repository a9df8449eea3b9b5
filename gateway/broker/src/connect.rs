//! CONNECT and CONNACK, through the codec library.

use std::sync::Arc;

use mqtt_protocol_core::mqtt::packet::{self, Properties, Property, Qos, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode, MqttError};
use tidegate_core::message::QoS;
use tidegate_core::topic::Topic;

use crate::Limits;
use crate::clients::Will;
use crate::counters::CloseReason;
use crate::wire::{BODY_BYTES_MAX, Version};

/// What a CONNECT asks for.
pub(crate) struct Connect {
    pub version: Version,
    /// May be empty: one is to be assigned.
    pub client: String,
    pub keep_alive_s: u16,
    /// It wants its session kept, which it cannot have.
    pub wants_session: bool,
    pub receive_max: u16,
    pub packet_bytes_max: usize,
    pub will: Option<Will>,
}

/// Why a CONNECT is turned down, and how to say so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `None` when it cannot be told what the client speaks.
    pub version: Option<Version>,
    pub reason: CloseReason,
}

/// Reads a CONNECT.
pub(crate) fn read(flags: u8, body: &[u8]) -> Result<Connect, Refusal> {
    let nameless = |reason| Refusal { version: None, reason };
    if flags != 0 {
        return Err(nameless(CloseReason::Malformed));
    }
    let version = match body {
        [0, 4, b'M', b'Q', b'T', b'T', 4, ..] => Version::V3_1_1,
        [0, 4, b'M', b'Q', b'T', b'T', 5, ..] => Version::V5,
        [0, 4, b'M', b'Q', b'T', b'T', _, ..] | [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..] => {
            // A return code that every version of MQTT understands.
            return Err(Refusal { version: Some(Version::V3_1_1), reason: CloseReason::Version });
        }
        _ => return Err(nameless(CloseReason::Malformed)),
    };
    let connect = check_flags(body).and_then(|()| match version {
        Version::V3_1_1 => read_v3(body),
        Version::V5 => read_v5(body),
    });
    connect.map_err(|reason| Refusal { version: Some(version), reason })
}

/// What the library lets pass: the reserved bit, and a will's bits without a will (3.1.2.3).
fn check_flags(body: &[u8]) -> Result<(), CloseReason> {
    let flags = *body.get(7).ok_or(CloseReason::Malformed)?;
    let (will, will_qos, will_retain) = (flags & 4 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    let is_fine = flags & 1 == 0 && will_qos < 3 && (will || (will_qos == 0 && !will_retain));
    if is_fine { Ok(()) } else { Err(CloseReason::Malformed) }
}

fn read_v3(body: &[u8]) -> Result<Connect, CloseReason> {
    let connect = whole(v3_1_1::Connect::parse(body), body)?;
    check_client(connect.client_id())?;
    if connect.client_id().is_empty() && !connect.clean_session() {
        return Err(CloseReason::Identifier);
    }
    let will = match (connect.will_topic(), connect.will_payload()) {
        (Some(topic), payload) => Some(Will {
            topic: will_topic(topic)?,
            payload: Arc::from(payload.unwrap_or_default()),
            qos: qos(connect.will_qos()),
            retain: connect.will_retain(),
            forwarded: None,
            expiry_s: None,
        }),
        (None, _) => None,
    };
    Ok(Connect {
        version: Version::V3_1_1,
        client: connect.client_id().to_owned(),
        keep_alive_s: connect.keep_alive(),
        wants_session: !connect.clean_session(),
        receive_max: u16::MAX,
        packet_bytes_max: BODY_BYTES_MAX,
        will,
    })
}

fn read_v5(body: &[u8]) -> Result<Connect, CloseReason> {
    let connect = whole(v5_0::Connect::parse(body), body)?;
    check_client(connect.client_id())?;
    let mut read = Connect {
        version: Version::V5,
        client: connect.client_id().to_owned(),
        keep_alive_s: connect.keep_alive(),
        wants_session: false,
        receive_max: u16::MAX,
        packet_bytes_max: BODY_BYTES_MAX,
        will: None,
    };
    for property in connect.props() {
        match property {
            Property::ReceiveMaximum(max) => read.receive_max = max.val(),
            Property::MaximumPacketSize(max) => read.packet_bytes_max = max.val() as usize,
            Property::SessionExpiryInterval(interval) => read.wants_session = interval.val() != 0,
            Property::AuthenticationMethod(_) => return Err(CloseReason::Authentication),
            // The rest asks for nothing that we do: we send no aliases and no reason strings.
            _ => {}
        }
    }
    if let Some(topic) = connect.will_topic() {
        let (forwarded, expiry_s) = will_properties(connect.will_props());
        read.will = Some(Will {
            topic: will_topic(topic)?,
            payload: Arc::from(connect.will_payload().unwrap_or_default()),
            qos: qos(connect.will_qos()),
            retain: connect.will_retain(),
            forwarded,
            expiry_s,
        });
    }
    Ok(read)
}

/// What of a will's properties is passed on, and its expiry. The delay is not: the session, and with
/// it the delay, ends with the connection (MQTT 5, 3.1.3.2.2).
fn will_properties(properties: &Properties) -> (Option<Arc<[u8]>>, Option<u32>) {
    let mut expiry_s = None;
    let mut forwarded = Vec::new();
    for property in properties {
        match property {
            Property::MessageExpiryInterval(interval) => expiry_s = Some(interval.val()),
            Property::WillDelayInterval(_) => {}
            other => forwarded.extend_from_slice(&other.to_continuous_buffer()),
        }
    }
    ((!forwarded.is_empty()).then(|| Arc::from(forwarded)), expiry_s)
}

fn check_client(client: &str) -> Result<(), CloseReason> {
    if client.contains('\0') { Err(CloseReason::Identifier) } else { Ok(()) }
}

fn will_topic(topic: &str) -> Result<Topic, CloseReason> {
    Topic::new(topic).map_err(|_| CloseReason::TopicName)
}

fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

/// A packet that the library has read, if it read all of it.
pub(crate) fn whole<T>(
    parsed: Result<(T, usize), MqttError>,
    body: &[u8],
) -> Result<T, CloseReason> {
    match parsed {
        Ok((packet, read)) if read == body.len() => Ok(packet),
        Err(MqttError::ProtocolError) => Err(CloseReason::Protocol),
        Ok(_) | Err(_) => Err(CloseReason::Malformed),
    }
}

/// What a client is told with its CONNACK beside the limits.
pub(crate) struct Accepted<'a> {
    /// Its client identifier, when it came without one.
    pub assigned: Option<&'a str>,
    /// The keep-alive, when it is not the one that it asked for.
    pub keep_alive_s: Option<u16>,
    pub session_refused: bool,
}

/// The CONNACK of an accepted client.
pub(crate) fn write_accepted(
    version: Version,
    accepted: &Accepted<'_>,
    limits: &Limits,
) -> Vec<u8> {
    const FITS: &str = "a packet of a few checked values is well-formed";
    match version {
        Version::V3_1_1 => v3_1_1::Connack::builder()
            .session_present(false)
            .return_code(ConnectReturnCode::Accepted)
            .build()
            .expect(FITS)
            .to_continuous_buffer(),
        Version::V5 => v5_0::Connack::builder()
            .session_present(false)
            .reason_code(ConnectReasonCode::Success)
            .props(connack_properties(accepted, limits).expect(FITS))
            .build()
            .expect(FITS)
            .to_continuous_buffer(),
    }
}

fn connack_properties(accepted: &Accepted<'_>, limits: &Limits) -> Result<Properties, MqttError> {
    let packet_bytes_max = u32::try_from(limits.packet_bytes_max).unwrap_or(u32::MAX);
    let mut properties: Properties = vec![
        packet::ReceiveMaximum::new(limits.receive_max.max(1))?.into(),
        packet::MaximumPacketSize::new(packet_bytes_max.max(1))?.into(),
        packet::TopicAliasMaximum::new(limits.topic_aliases_max)?.into(),
        packet::SharedSubscriptionAvailable::new(0)?.into(),
    ];
    if let Some(client) = accepted.assigned {
        properties.push(packet::AssignedClientIdentifier::new(client)?.into());
    }
    if let Some(keep_alive_s) = accepted.keep_alive_s {
        properties.push(packet::ServerKeepAlive::new(keep_alive_s)?.into());
    }
    if accepted.session_refused {
        properties.push(packet::SessionExpiryInterval::new(0)?.into());
    }
    Ok(properties)
}

/// The CONNACK of a client that is turned down; nothing where there is no code for it.
pub(crate) fn write_refused(refusal: &Refusal) -> Vec<u8> {
    let code = match refusal.version {
        Some(Version::V3_1_1) => match refusal.reason {
            CloseReason::Version => Some(ConnectReturnCode::UnacceptableProtocolVersion as u8),
            CloseReason::Identifier => Some(ConnectReturnCode::IdentifierRejected as u8),
            CloseReason::Busy => Some(ConnectReturnCode::ServerUnavailable as u8),
            _ => None,
        },
        Some(Version::V5) => refusal.reason.code(),
        None => None,
    };
    match (refusal.version, code) {
        (Some(Version::V3_1_1), Some(code)) => vec![0x20, 2, 0, code],
        (Some(Version::V5), Some(code)) => vec![0x20, 3, 0, code, 0],
        (_, None) | (None, Some(_)) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &[u8], version: Option<Version>, reason: CloseReason, connack: &[u8]) {
        let refusal = read(0, body).err().expect("a refusal");
        assert_eq!(refusal, Refusal { version, reason });
        assert_eq!(write_refused(&refusal), connack);
    }

    const V3: Option<Version> = Some(Version::V3_1_1);
    const V5: Option<Version> = Some(Version::V5);

    #[test]
    fn what_is_no_connect_is_refused_in_words_that_the_client_knows() {
        let none: &[u8] = &[];
        check(b"", None, CloseReason::Malformed, none);
        check(b"\0\x04MQTX\x04\x02\0\0\0\x01a", None, CloseReason::Malformed, none);
        check(b"\0\x04MQTT\x06\x02\0\0\0\x01a", V3, CloseReason::Version, &[0x20, 2, 0, 1]);
        check(b"\0\x06MQIsdp\x03\x02\0\0\0\x01a", V3, CloseReason::Version, &[0x20, 2, 0, 1]);
        check(b"\0\x04MQTT\x04", V3, CloseReason::Malformed, none);
        check(b"\0\x04MQTT\x04\x03\0\0\0\x01a", V3, CloseReason::Malformed, none);
        check(b"\0\x04MQTT\x04\x12\0\0\0\x01a", V3, CloseReason::Malformed, none);
        check(b"\0\x04MQTT\x04\x1E\0\0\0\x01a\0\x01t\0\0", V3, CloseReason::Malformed, none);
        check(b"\0\x04MQTT\x04\x02\0\0\0\x01ax", V3, CloseReason::Malformed, none);
        check(b"\0\x04MQTT\x04\x02\0\0\0\x01\xFF", V3, CloseReason::Malformed, none);
        check(b"\0\x04MQTT\x04\0\0\0\0\0", V3, CloseReason::Identifier, &[0x20, 2, 0, 2]);
        check(b"\0\x04MQTT\x04\x06\0\0\0\x01a\0\x01+\0\0", V3, CloseReason::TopicName, none);
        check(
            b"\0\x04MQTT\x05\x02\0\0\0\0\x02a",
            V5,
            CloseReason::Malformed,
            &[0x20, 3, 0, 0x81, 0],
        );
        let method = b"\0\x04MQTT\x05\x02\0\0\x06\x15\0\x03abc\0\x01a";
        check(method, V5, CloseReason::Authentication, &[0x20, 3, 0, 0x8C, 0]);
        assert_eq!(read(1, b"").err().map(|refusal| refusal.version), Some(None));
    }
}
