//! SUBSCRIBE and UNSUBSCRIBE, through the codec library, and their answers.

use mqtt_protocol_core::mqtt::packet::{Property, Qos, RetainHandling, SubEntry, v3_1_1, v5_0};
use tidegate_core::message::QoS;
use tidegate_core::topic::Filter;

use crate::broker::Broker;
use crate::clients::Context;
use crate::connect::whole;
use crate::counters::CloseReason;
use crate::outbound::Sending;
use crate::subscriptions::{Options, Slot};
use crate::wire::{self, Version};

/// Reason codes of SUBACK and UNSUBACK (MQTT 5, 3.9.3 and 3.11.3).
mod code {
    pub const SUCCESS: u8 = 0;
    pub const NO_SUBSCRIPTION: u8 = 0x11;
    /// The only one that 3.1.1 has.
    pub const FAILURE: u8 = 0x80;
    pub const FILTER_INVALID: u8 = 0x8F;
    pub const QUOTA: u8 = 0x97;
    pub const NO_SHARED: u8 = 0x9E;
}

/// Whether what is retained is sent with a new subscription (MQTT 5, 3.8.3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handling {
    Always,
    IfNew,
    Never,
}

struct Entry<'a> {
    filter: &'a str,
    options: Options,
    handling: Handling,
}

impl Broker {
    pub(crate) fn handle_subscribe(
        &mut self,
        slot: Slot,
        version: Version,
        body: &[u8],
    ) -> Result<(), CloseReason> {
        match version {
            Version::V3_1_1 => {
                let packet = whole(v3_1_1::Subscribe::parse(body), body)?;
                self.subscribe_all(slot, version, packet.packet_id(), packet.entries(), 0)
            }
            Version::V5 => {
                let packet = whole(v5_0::Subscribe::parse(body), body)?;
                let id = packet.props().iter().find_map(|property| match property {
                    Property::SubscriptionIdentifier(id) => Some(id.val()),
                    _ => None,
                });
                let id = id.unwrap_or(0);
                self.subscribe_all(slot, version, packet.packet_id(), packet.entries(), id)
            }
        }
    }

    fn subscribe_all(
        &mut self,
        slot: Slot,
        version: Version,
        packet_id: u16,
        entries: &[SubEntry],
        id: u32,
    ) -> Result<(), CloseReason> {
        if packet_id == 0 {
            return Err(CloseReason::Malformed);
        }
        let mut codes = Vec::with_capacity(entries.len());
        let mut retained_due = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let entry = read_entry(version, entry, id)?;
            let result = if at < self.limits.subscriptions_max {
                self.subscribe(slot, &entry)
            } else {
                Err(code::QUOTA)
            };
            codes.push(match result {
                Ok((filter, is_new)) => {
                    let due = match entry.handling {
                        Handling::Always => true,
                        Handling::IfNew => is_new,
                        Handling::Never => false,
                    };
                    if due {
                        retained_due.push((filter, entry.options));
                    }
                    entry.options.qos as u8
                }
                Err(refused) => {
                    self.counters.subscriptions_refused += 1;
                    if version == Version::V3_1_1 { code::FAILURE } else { refused }
                }
            });
        }
        self.counters.subscriptions = self.subscriptions.len() as u64;
        const SUBACK: u8 = 0x90;
        self.clients.write(slot, |out| write_codes(out, SUBACK, version, packet_id, &codes));
        for (filter, options) in retained_due {
            self.send_retained(slot, &filter, &options);
        }
        Ok(())
    }

    /// Subscribes to one filter: the filter and whether it is new, or why not.
    fn subscribe(&mut self, slot: Slot, entry: &Entry<'_>) -> Result<(Filter, bool), u8> {
        if entry.filter == "$share" || entry.filter.starts_with("$share/") {
            return Err(code::NO_SHARED);
        }
        let filter = Filter::new(entry.filter).map_err(|_| code::FILTER_INVALID)?;
        let (all, limits) = (self.subscriptions.len(), self.limits);
        let Some(session) = self.clients.session(slot) else {
            return Err(code::QUOTA);
        };
        let is_new = !session.filters.contains(&filter);
        if is_new {
            if session.filters.len() >= limits.subscriptions_max || all >= limits.filters_max {
                return Err(code::QUOTA);
            }
            session.filters.insert(filter.clone());
        }
        self.subscriptions.insert(&filter, slot, entry.options);
        Ok((filter, is_new))
    }

    fn send_retained(&mut self, slot: Slot, filter: &Filter, options: &Options) {
        let Broker { retained, clients, counters, limits, now, .. } = self;
        let id = [options.id];
        for kept in retained.matching(filter, *now) {
            let sending = Sending {
                topic: &kept.message.topic,
                payload: &kept.message.payload,
                properties: &kept.properties,
                qos: kept.message.qos.min(options.qos),
                retain: true,
                subscription_ids: if options.id == 0 { &[] } else { &id },
                patient: true,
            };
            clients.send(slot, &sending, Context { counters, limits, now: *now });
        }
    }

    pub(crate) fn handle_unsubscribe(
        &mut self,
        slot: Slot,
        version: Version,
        body: &[u8],
    ) -> Result<(), CloseReason> {
        match version {
            Version::V3_1_1 => {
                let packet = whole(v3_1_1::Unsubscribe::parse(body), body)?;
                let filters = packet.entries().iter().map(|filter| filter.as_str());
                self.unsubscribe_all(slot, version, packet.packet_id(), filters)
            }
            Version::V5 => {
                let packet = whole(v5_0::Unsubscribe::parse(body), body)?;
                let filters = packet.entries().iter().map(|filter| filter.as_str());
                self.unsubscribe_all(slot, version, packet.packet_id(), filters)
            }
        }
    }

    fn unsubscribe_all<'a>(
        &mut self,
        slot: Slot,
        version: Version,
        packet_id: u16,
        filters: impl Iterator<Item = &'a str>,
    ) -> Result<(), CloseReason> {
        if packet_id == 0 {
            return Err(CloseReason::Malformed);
        }
        let codes: Vec<u8> = filters.map(|filter| self.unsubscribe(slot, filter)).collect();
        self.counters.subscriptions = self.subscriptions.len() as u64;
        const UNSUBACK: u8 = 0xB0;
        let codes = if version == Version::V3_1_1 { &[] } else { &codes[..] };
        self.clients.write(slot, |out| write_codes(out, UNSUBACK, version, packet_id, codes));
        Ok(())
    }

    fn unsubscribe(&mut self, slot: Slot, filter: &str) -> u8 {
        let Ok(filter) = Filter::new(filter) else {
            return code::FILTER_INVALID;
        };
        let Some(session) = self.clients.session(slot) else {
            return code::NO_SUBSCRIPTION;
        };
        if session.filters.remove(&filter) && self.subscriptions.remove(&filter, slot) {
            code::SUCCESS
        } else {
            code::NO_SUBSCRIPTION
        }
    }
}

fn read_entry(version: Version, entry: &SubEntry, id: u32) -> Result<Entry<'_>, CloseReason> {
    let asked = entry.sub_opts();
    // 3.1.1 keeps these bits reserved (3.8.3); the library reads them for both versions.
    let is_plain = !asked.nl() && !asked.rap() && asked.rh() == RetainHandling::SendRetained;
    if version == Version::V3_1_1 && !is_plain {
        return Err(CloseReason::Malformed);
    }
    Ok(Entry {
        filter: entry.topic_filter(),
        options: Options {
            qos: match asked.qos() {
                Qos::AtMostOnce => QoS::AtMostOnce,
                // Nothing of QoS 2 is sent; a server may grant less than was asked for.
                Qos::AtLeastOnce | Qos::ExactlyOnce => QoS::AtLeastOnce,
            },
            no_local: asked.nl(),
            retain_as_published: asked.rap(),
            id,
        },
        handling: match asked.rh() {
            RetainHandling::SendRetained => Handling::Always,
            RetainHandling::SendRetainedIfNotExists => Handling::IfNew,
            RetainHandling::DoNotSendRetained => Handling::Never,
        },
    })
}

fn write_codes(out: &mut Vec<u8>, first: u8, version: Version, packet_id: u16, codes: &[u8]) {
    let properties: &[u8] = match version {
        Version::V3_1_1 => &[],
        Version::V5 => &[0],
    };
    out.push(first);
    wire::write_varint(out, 2 + properties.len() + codes.len());
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.extend_from_slice(properties);
    out.extend_from_slice(codes);
}
