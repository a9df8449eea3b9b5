//! The way of a message: from a client's PUBLISH, or a handler, or a will, to subscribers, to the
//! retained store and to the core.

use std::sync::Arc;

use tidegate_core::commit::Seen;
use tidegate_core::message::{AckTo, QoS};
use tidegate_core::{Message, Timestamp};

use crate::Limits;
use crate::broker::Broker;
use crate::clients::{Clients, Context, Session, Will};
use crate::counters::{CloseReason, Counters, DropReason};
use crate::event::Event;
use crate::inbound::Begun;
use crate::outbound::Sending;
use crate::properties::{self, Properties};
use crate::retained::Retained;
use crate::subscriptions::{Delivery, Slot};
use crate::wire::{self, Publish, Version, packet};

/// Open handshakes of a 3.1.1 client in `receive_max`s: room for those of QoS 2 that are waiting for
/// a PUBREL, which does not stop us from reading.
const OPEN_MAX_FACTOR: usize = 4;

impl Broker {
    /// A client's PUBLISH.
    pub(crate) fn handle_publish(
        &mut self,
        slot: Slot,
        version: Version,
        flags: u8,
        body: &[u8],
    ) -> Result<(), CloseReason> {
        let publish = wire::read_publish(version, flags, body)?;
        let properties::Inbound { properties, topic_alias, message_id } =
            properties::read(publish.properties, self.now)?;
        let Broker { clients, topics, subscriptions, limits, counters, retained, .. } = self;
        let Some(session) = clients.session(slot) else {
            return Ok(());
        };

        let known = match topic_alias {
            None => None,
            Some(alias) => resolve_alias(session, alias, publish.topic, limits)?,
        };
        let name = known.as_ref().map_or(publish.topic, |topic| topic.as_str().as_bytes());
        let entry = topics.find(name, subscriptions).ok_or_else(|| why_no_topic(name))?;
        if let Some(alias) = topic_alias
            && known.is_none()
        {
            remember_alias(session, alias, entry.topic.clone());
        }
        if entry.topic.is_dollar() {
            counters.drop(DropReason::NotPermitted);
            refuse(clients, slot, version, &publish);
            return Ok(());
        }

        let ack = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                match begin(session, &publish, limits)? {
                    Begun::New => {}
                    Begun::Repeated => return Ok(()),
                    Begun::RepeatedSafe => {
                        let id = publish.packet_id;
                        clients.write(slot, |out| wire::write_ack(out, packet::PUBREC, id, 0));
                        return Ok(());
                    }
                }
                Some(publish.packet_id)
            }
        };
        let mark = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                message_id.map(|id| Seen::of(&session.client, id))
            }
        };
        let message = Message {
            topic: entry.topic.clone(),
            payload: Arc::from(publish.payload),
            // The handshake of QoS 2 ends here; beyond it is "not lost", as of QoS 1.
            qos: publish.qos.min(QoS::AtLeastOnce),
            retain: publish.retain,
            dup: publish.dup,
            source: session.client.clone(),
            at: self.wall,
            hops: 0,
            mark,
        };
        counters.messages_in += 1;
        let from = Some(slot);
        fan_out(
            &entry.deliveries,
            &message,
            &properties,
            from,
            clients,
            Context { counters, limits, now: self.now },
        );
        keep(retained, &message, &properties, limits, counters, self.now);
        let source = clients.get(slot).conn;
        let ack = ack.map(|packet_id| AckTo { source, packet_id });
        self.events.push_back(Event::Message { message, ack });
        Ok(())
    }

    /// Hands a message to subscribers and to the retained store.
    pub(crate) fn deliver(
        &mut self,
        message: &Message,
        properties: &Properties,
        from: Option<Slot>,
    ) {
        let Broker { clients, topics, subscriptions, limits, counters, retained, now, .. } = self;
        let entry = topics
            .find(message.topic.as_str().as_bytes(), subscriptions)
            .expect("a Topic has been checked to be one");
        let context = Context { counters, limits, now: *now };
        fan_out(&entry.deliveries, message, properties, from, clients, context);
        keep(retained, message, properties, limits, counters, *now);
    }

    /// Keeps an order or a trust file, or with an empty one forgets it: the core has looked at it, and what it refuses
    /// does not take the place of what was good. Without the properties that it came with.
    pub fn keep(&mut self, message: &Message) {
        if !self.retained.set(message, &Properties::NONE, &self.limits, self.now) {
            self.counters.drop(DropReason::RetainedFull);
        }
    }

    /// Publishes what a client that is gone left behind.
    pub(crate) fn publish_will(&mut self, client: &Arc<str>, will: &Will) {
        if will.topic.is_dollar() {
            self.counters.drop(DropReason::NotPermitted);
            return;
        }
        let message = Message {
            topic: will.topic.clone(),
            payload: will.payload.clone(),
            qos: will.qos.min(QoS::AtLeastOnce),
            retain: will.retain,
            dup: false,
            source: client.clone(),
            at: self.wall,
            hops: 0,
            mark: None,
        };
        self.counters.messages_in += 1;
        self.deliver(&message, &will.properties(self.now), None);
        self.events.push_back(Event::Message { message, ack: None });
    }
}

/// Sends a message to everybody who asked for its topic.
#[inline]
fn fan_out(
    deliveries: &[Delivery],
    message: &Message,
    properties: &Properties,
    from: Option<Slot>,
    clients: &mut Clients,
    context: Context<'_>,
) {
    let Context { counters, limits, now } = context;
    for delivery in deliveries {
        let merged = if from == Some(delivery.slot) {
            let Some(own) = &delivery.own else { continue };
            own
        } else {
            &delivery.to
        };
        let sending = Sending {
            topic: &message.topic,
            payload: &message.payload,
            properties,
            qos: message.qos.min(merged.qos),
            retain: message.retain && merged.retain_as_published,
            subscription_ids: &merged.ids,
            patient: false,
        };
        clients.send(delivery.slot, &sending, Context { counters, limits, now });
    }
}

/// Whether a topic is one of orders or trust files.
fn waits_for_word(topic: &str) -> bool {
    let rest = topic.strip_prefix("tidegate/1/").and_then(|rest| rest.split_once('/'));
    rest.is_some_and(|(_, what)| what == "trust" || what.starts_with("release/"))
}

#[inline]
fn keep(
    retained: &mut Retained,
    message: &Message,
    properties: &Properties,
    limits: &Limits,
    counters: &mut Counters,
    now: Timestamp,
) {
    // Chunks of what is pushed: whoever pushes keeps them, and here they would take memory for nothing. Orders wait for
    // the core's word: see [`Broker::keep`].
    let is_chunk = message.topic.as_str().starts_with("tidegate/1/blob/");
    let waits = waits_for_word(message.topic.as_str());
    if message.retain && !is_chunk && !waits && !retained.set(message, properties, limits, now) {
        counters.drop(DropReason::RetainedFull);
    }
}

/// Opens the handshake of a PUBLISH of QoS 1 or 2, unless it is a repetition.
fn begin(
    session: &mut Session,
    publish: &Publish<'_>,
    limits: &Limits,
) -> Result<Begun, CloseReason> {
    let begun = match publish.qos {
        QoS::ExactlyOnce => session.inbound.find(publish.packet_id),
        QoS::AtMostOnce | QoS::AtLeastOnce => Begun::New,
    };
    if begun != Begun::New {
        return Ok(begun);
    }
    let open_max = match session.version {
        Version::V3_1_1 => usize::from(limits.receive_max) * OPEN_MAX_FACTOR,
        Version::V5 => usize::from(limits.receive_max),
    };
    if session.inbound.open() >= open_max {
        return Err(CloseReason::ReceiveMaximum);
    }
    session.inbound.begin(publish.packet_id, publish.qos);
    Ok(Begun::New)
}

/// Answers a PUBLISH that nobody gets. A 3.1.1 client can only be told that it went well.
fn refuse(clients: &mut Clients, slot: Slot, version: Version, publish: &Publish<'_>) {
    const NOT_AUTHORIZED: u8 = 0x87;
    let packet_type = match publish.qos {
        QoS::AtMostOnce => return,
        QoS::AtLeastOnce => packet::PUBACK,
        QoS::ExactlyOnce => packet::PUBREC,
    };
    let reason = match version {
        Version::V3_1_1 => 0,
        Version::V5 => NOT_AUTHORIZED,
    };
    clients.write(slot, |out| wire::write_ack(out, packet_type, publish.packet_id, reason));
}

/// The topic behind an alias; `None` when the PUBLISH names a topic for it (MQTT 5, 3.3.2.3.4).
fn resolve_alias(
    session: &Session,
    alias: u16,
    name: &[u8],
    limits: &Limits,
) -> Result<Option<tidegate_core::topic::Topic>, CloseReason> {
    if alias == 0 || alias > limits.topic_aliases_max {
        return Err(CloseReason::TopicAlias);
    }
    if !name.is_empty() {
        return Ok(None);
    }
    match session.aliases.get(usize::from(alias) - 1) {
        Some(Some(topic)) => Ok(Some(topic.clone())),
        Some(None) | None => Err(CloseReason::TopicAlias),
    }
}

fn remember_alias(session: &mut Session, alias: u16, topic: tidegate_core::topic::Topic) {
    let at = usize::from(alias) - 1;
    if session.aliases.len() <= at {
        session.aliases.resize(at + 1, None);
    }
    session.aliases[at] = Some(topic);
}

/// Not UTF-8, or U+0000 in it, is malformed (1.5.4); the rest is a name that is not one.
#[cold]
fn why_no_topic(name: &[u8]) -> CloseReason {
    match str::from_utf8(name) {
        Ok(text) if !text.contains('\0') => CloseReason::TopicName,
        _ => CloseReason::Malformed,
    }
}
