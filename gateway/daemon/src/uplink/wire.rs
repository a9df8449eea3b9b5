//! The bytes of MQTT 3.1.1 and 5, as far as an uplink needs them. rumqttc writes and reads the packets; its event
//! loop is not used: it flushes each packet by itself, and it cannot tell a slow TCP connect from a slow CONNACK.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{self as mqtt, v4};
use rumqttc::v5::mqttbytes::{self as mqtt5, v5};
use tidegate_config::{BrokerSettings, Protocol};
use tidegate_core::Message;
use tidegate_envelope::Encoded;

/// Longest packet that is taken from the broker: a control message of 128 KiB with its topic.
const INCOMING_BYTES_MAX: u32 = 136 * 1024;

/// Our filters are shorter; the length of a longer one would need a third byte.
const FILTER_BYTES_MAX: usize = 16_000;

/// From this code on, a reason is a failure (MQTT 5, 2.4).
pub(super) const FAILURE: u8 = 0x80;

/// What the broker agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Messages of QoS 1 that it takes before it has acked the first.
    pub receive_max: u16,
    pub packet_bytes_max: usize,
    /// When it wants another than we asked for; 0 is never.
    pub keep_alive_s: Option<u16>,
}

/// One packet from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// When it has taken our connection.
    Accepted(Accepted),
    /// When it has not, and why.
    Rejected(String),
    /// When it has dealt with a message; below [`FAILURE`] it has taken it.
    Acked {
        packet_id: u16,
        code: u8,
    },
    /// When it has dealt with a subscription; below [`FAILURE`] control messages come.
    Subscribed {
        packet_id: u16,
        code: u8,
    },
    /// When a message that was subscribed to has come.
    Message {
        topic: String,
        payload: Bytes,
    },
    Pong,
    /// When it ends the connection, and why.
    Bye(String),
    /// When it sends what an uplink never asks for.
    Other,
}

/// Writes and reads packets of one MQTT version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire(Protocol);

impl Wire {
    pub fn new(protocol: Protocol) -> Wire {
        Wire(protocol)
    }

    /// Appends a CONNECT with a clean session.
    ///
    /// # Errors
    /// When it cannot be one, such as a password that is too long.
    pub fn connect(self, broker: &BrokerSettings, out: &mut BytesMut) -> Result<(), String> {
        let login = broker.username.clone().map(|username| {
            let password = broker.password.as_ref().map_or("", |secret| secret.expose());
            (username, password.to_owned())
        });
        match self.0 {
            Protocol::V311 => {
                let mut connect = v4::Connect::new(&broker.client_id);
                connect.keep_alive = broker.keep_alive_s;
                connect.login = login.map(|(username, password)| v4::Login { username, password });
                connect.write(out).map(drop).map_err(|error| error.to_string())
            }
            Protocol::V5 => {
                let properties = v5::ConnectProperties {
                    max_packet_size: Some(INCOMING_BYTES_MAX),
                    ..v5::ConnectProperties::new()
                };
                let connect = v5::Connect {
                    keep_alive: broker.keep_alive_s,
                    client_id: broker.client_id.clone(),
                    clean_start: true,
                    properties: Some(properties),
                };
                let login = login.map(|(username, password)| v5::Login { username, password });
                connect.write(&None, &login, out).map(drop).map_err(|error| error.to_string())
            }
        }
    }

    /// Appends a PUBLISH with QoS 1.
    ///
    /// # Errors
    /// How long it would be, when that is more than `bytes_max`.
    pub fn publish(
        self,
        topic: &str,
        packet_id: u16,
        encoded: Encoded,
        bytes_max: usize,
        out: &mut BytesMut,
    ) -> Result<(), usize> {
        let payload = Bytes::from(encoded.payload);
        match self.0 {
            Protocol::V311 => {
                let mut publish = v4::Publish::from_bytes(topic, mqtt::QoS::AtLeastOnce, payload);
                publish.pkid = packet_id;
                fits(publish.size(), bytes_max)?;
                publish.write(out).map(drop).map_err(|_| usize::MAX)
            }
            Protocol::V5 => {
                let user_properties = encoded.properties;
                let properties = (!user_properties.is_empty())
                    .then(|| v5::PublishProperties { user_properties, ..Default::default() });
                let publish = v5::Publish {
                    qos: mqtt5::QoS::AtLeastOnce,
                    topic: Bytes::copy_from_slice(topic.as_bytes()),
                    pkid: packet_id,
                    payload,
                    properties,
                    ..v5::Publish::default()
                };
                fits(publish.size(), bytes_max)?;
                publish.write(out).map(drop).map_err(|_| usize::MAX)
            }
        }
    }

    /// Appends a PUBLISH with QoS 1, which the broker keeps if the message asks for it.
    ///
    /// # Errors
    /// How long it would be, when that is more than `bytes_max`.
    pub fn tell(
        self,
        message: &Message,
        packet_id: u16,
        bytes_max: usize,
        out: &mut BytesMut,
    ) -> Result<(), usize> {
        let at = out.len();
        let encoded = Encoded { payload: message.payload.to_vec(), properties: Vec::new() };
        self.publish(message.topic.as_str(), packet_id, encoded, bytes_max, out)?;
        // The retain flag (3.3.1.3).
        out[at] |= u8::from(message.retain);
        Ok(())
    }

    /// Appends a SUBSCRIBE with QoS 0: what is lost on the way is sent again by who waits for our answer.
    pub fn subscribe(self, filter: &str, packet_id: u16, out: &mut BytesMut) {
        let properties: &[u8] = match self.0 {
            Protocol::V311 => &[],
            Protocol::V5 => &[0],
        };
        let filter = &filter.as_bytes()[..filter.len().min(FILTER_BYTES_MAX)];
        let len = 2 + properties.len() + 2 + filter.len() + 1;
        // Two bytes hold the length of every filter of ours (2.2.3).
        out.extend_from_slice(&[0x82, len as u8 & 0x7f | 0x80, (len >> 7) as u8]);
        out.extend_from_slice(&packet_id.to_be_bytes());
        out.extend_from_slice(properties);
        out.extend_from_slice(&(filter.len() as u16).to_be_bytes());
        out.extend_from_slice(filter);
        out.extend_from_slice(&[0]);
    }

    pub fn ping(self, out: &mut BytesMut) {
        // The same in both versions (3.12).
        out.extend_from_slice(&[0xc0, 0]);
    }

    pub fn disconnect(self, out: &mut BytesMut) {
        // The same in both versions (3.14): in 5, without a reason it is a normal end.
        out.extend_from_slice(&[0xe0, 0]);
    }

    /// Takes one whole packet from the front of `incoming`, if there is one.
    ///
    /// # Errors
    /// When what stands there is no packet of this version.
    pub fn read(self, incoming: &mut BytesMut) -> Result<Option<Heard>, String> {
        let before = incoming.len();
        let read = match self.0 {
            Protocol::V311 => read_v4(incoming),
            Protocol::V5 => read_v5(incoming),
        };
        match read {
            Ok(heard) => Ok(Some(heard)),
            // "More bytes" inside a packet that was taken out whole is a packet that is none.
            Err(None) if incoming.len() == before => Ok(None),
            Err(why) => {
                let why = why.unwrap_or_else(|| "a packet ends early".to_owned());
                let hint = match self.0 {
                    Protocol::V5 => {
                        "; if it is older than MQTT 5, write uplink.protocol = \"3.1.1\""
                    }
                    Protocol::V311 => "",
                };
                Err(format!("it sends what is not MQTT {}: {why}{hint}", self.0.name()))
            }
        }
    }
}

fn fits(bytes: usize, bytes_max: usize) -> Result<(), usize> {
    if bytes <= bytes_max { Ok(()) } else { Err(bytes) }
}

/// `Err(None)` when there is not enough.
fn read_v4(incoming: &mut BytesMut) -> Result<Heard, Option<String>> {
    let packet = v4::Packet::read(incoming, INCOMING_BYTES_MAX as usize);
    Ok(match packet {
        Ok(v4::Packet::ConnAck(ack)) => match ack.code {
            v4::ConnectReturnCode::Success => Heard::Accepted(Accepted {
                receive_max: u16::MAX,
                packet_bytes_max: usize::MAX,
                keep_alive_s: None,
            }),
            v4::ConnectReturnCode::RefusedProtocolVersion => {
                Heard::Rejected("it does not speak MQTT 3.1.1".to_owned())
            }
            v4::ConnectReturnCode::BadClientId => Heard::Rejected(BAD_CLIENT_ID.to_owned()),
            v4::ConnectReturnCode::ServiceUnavailable => {
                Heard::Rejected("it is not available at the moment".to_owned())
            }
            v4::ConnectReturnCode::BadUserNamePassword | v4::ConnectReturnCode::NotAuthorized => {
                Heard::Rejected(NOT_AUTHORIZED.to_owned())
            }
        },
        Ok(v4::Packet::PubAck(ack)) => Heard::Acked { packet_id: ack.pkid, code: 0 },
        Ok(v4::Packet::SubAck(ack)) => Heard::Subscribed {
            packet_id: ack.pkid,
            code: match ack.return_codes.first() {
                Some(v4::SubscribeReasonCode::Success(_)) => 0,
                Some(v4::SubscribeReasonCode::Failure) | None => FAILURE,
            },
        },
        Ok(v4::Packet::Publish(publish)) if publish.qos == mqtt::QoS::AtMostOnce => {
            Heard::Message { topic: publish.topic, payload: publish.payload }
        }
        Ok(v4::Packet::PingResp) => Heard::Pong,
        Ok(_) => Heard::Other,
        Err(mqtt::Error::InsufficientBytes(_)) => return Err(None),
        Err(error) => return Err(Some(error.to_string())),
    })
}

/// `Err(None)` when there is not enough.
fn read_v5(incoming: &mut BytesMut) -> Result<Heard, Option<String>> {
    let packet = v5::Packet::read(incoming, Some(INCOMING_BYTES_MAX));
    Ok(match packet {
        Ok(v5::Packet::ConnAck(ack)) => connack(&ack),
        Ok(v5::Packet::PubAck(ack)) => Heard::Acked { packet_id: ack.pkid, code: code(ack.reason) },
        Ok(v5::Packet::SubAck(ack)) => Heard::Subscribed {
            packet_id: ack.pkid,
            code: match ack.return_codes.first() {
                Some(v5::SubscribeReasonCode::Success(_)) => 0,
                _ => FAILURE,
            },
        },
        Ok(v5::Packet::Publish(publish)) if publish.qos == mqtt5::QoS::AtMostOnce => {
            Heard::Message {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload,
            }
        }
        Ok(v5::Packet::PingResp(_)) => Heard::Pong,
        Ok(v5::Packet::Disconnect(bye)) => {
            let words = bye.properties.and_then(|properties| properties.reason_string);
            let words = words.map_or(String::new(), |words| format!(": {words}"));
            Heard::Bye(format!(
                "it ended the connection: {:?} (0x{:02x}){words}",
                bye.reason_code, bye.reason_code as u8
            ))
        }
        Ok(_) => Heard::Other,
        Err(mqtt5::Error::InsufficientBytes(_)) => return Err(None),
        Err(error) => return Err(Some(error.to_string())),
    })
}

const BAD_CLIENT_ID: &str = "it does not take our client identifier (uplink.client_id)";
const NOT_AUTHORIZED: &str = "it refused our user name, password or certificate (uplink.username, uplink.password_file, uplink.cert)";

fn connack(ack: &v5::ConnAck) -> Heard {
    use v5::ConnectReturnCode as Code;
    let properties = ack.properties.as_ref();
    match ack.code {
        Code::Success => {}
        Code::ClientIdentifierNotValid | Code::BadClientId => {
            return Heard::Rejected(BAD_CLIENT_ID.to_owned());
        }
        Code::BadUserNamePassword | Code::NotAuthorized => {
            return Heard::Rejected(NOT_AUTHORIZED.to_owned());
        }
        other => {
            let words = properties.and_then(|properties| properties.reason_string.as_deref());
            let words = words.map_or(String::new(), |words| format!(": {words}"));
            return Heard::Rejected(format!("it refused the connection: {other:?}{words}"));
        }
    }
    if properties.is_some_and(|properties| properties.max_qos == Some(0)) {
        return Heard::Rejected("it takes nothing with QoS 1".to_owned());
    }
    let limit = properties.and_then(|properties| properties.max_packet_size);
    Heard::Accepted(Accepted {
        receive_max: properties.and_then(|properties| properties.receive_max).unwrap_or(u16::MAX),
        packet_bytes_max: limit.map_or(usize::MAX, |limit| limit as usize),
        keep_alive_s: properties.and_then(|properties| properties.server_keep_alive),
    })
}

/// The number of a reason (MQTT 5, 3.4.2.1).
const fn code(reason: v5::PubAckReason) -> u8 {
    match reason {
        v5::PubAckReason::Success => 0x00,
        v5::PubAckReason::NoMatchingSubscribers => 0x10,
        v5::PubAckReason::UnspecifiedError => 0x80,
        v5::PubAckReason::ImplementationSpecificError => 0x83,
        v5::PubAckReason::NotAuthorized => 0x87,
        v5::PubAckReason::TopicNameInvalid => 0x90,
        v5::PubAckReason::PacketIdentifierInUse => 0x91,
        v5::PubAckReason::QuotaExceeded => 0x97,
        v5::PubAckReason::PayloadFormatInvalid => 0x99,
    }
}

#[cfg(test)]
mod tests;
