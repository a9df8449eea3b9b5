//! From bytes to packets, and from a packet to the one who handles it.

use crate::broker::Broker;
use crate::clients::Phase;
use crate::counters::CloseReason;
use crate::subscriptions::Slot;
use crate::wire::{self, Frame, Version, packet};

/// A partial packet's first bytes are copied into at least this much room.
const PARTIAL_BYTES_MIN: usize = 256;
/// So much of a packet is kept whatever is kept for others, see `buffered_bytes_max`: transports cut
/// small packets too.
const PARTIAL_BYTES_FREE: usize = 4096;
/// So much of the answers to a client's own packets may wait whatever else is kept: a burst of acks.
const ANSWER_BYTES_FREE: usize = 16 * 1024;

impl Broker {
    /// Uses whole packets where they lie, and keeps the start of the last one.
    pub(crate) fn take_packets(&mut self, slot: Slot, bytes: &[u8]) -> usize {
        let mut used = self.finish_partial(slot, bytes);
        while used < bytes.len() && self.is_reading(slot) {
            match wire::frame(&bytes[used..], self.limits.packet_bytes_max) {
                Frame::Whole { body, end } => {
                    let packet = &bytes[used..used + end];
                    used += end;
                    self.take_packet(slot, packet[0], &packet[body..]);
                }
                Frame::Partial { .. } => {
                    if !self.may_begin(slot, bytes[used]) {
                        self.close(slot, CloseReason::Protocol);
                        break;
                    }
                    self.keep_partial(slot, &bytes[used..]);
                    return bytes.len();
                }
                Frame::TooLarge => self.close(slot, CloseReason::PacketTooLarge),
                Frame::Malformed => self.close(slot, CloseReason::Malformed),
            }
        }
        used
    }

    /// Completes the packet whose start was kept, with just the bytes that it needs.
    fn finish_partial(&mut self, slot: Slot, bytes: &[u8]) -> usize {
        let mut used = 0;
        if self.clients.get(slot).partial.is_empty() {
            return 0;
        }
        let mut partial = self.clients.take_partial(slot);
        while self.is_reading(slot) {
            match wire::frame(&partial, self.limits.packet_bytes_max) {
                Frame::Whole { body, .. } => {
                    self.take_packet(slot, partial[0], &partial[body..]);
                    self.clients.buffers.give(partial);
                    return used;
                }
                Frame::Partial { missing } => {
                    let more = missing.min(bytes.len() - used);
                    if more == 0 {
                        break;
                    }
                    partial.extend_from_slice(&bytes[used..used + more]);
                    used += more;
                }
                Frame::TooLarge => self.close(slot, CloseReason::PacketTooLarge),
                Frame::Malformed => self.close(slot, CloseReason::Malformed),
            }
        }
        if self.clients.is_closing(slot) {
            self.clients.buffers.give(partial);
        } else if used > 0 && !self.may_keep(partial.len()) {
            self.clients.buffers.give(partial);
            self.close(slot, CloseReason::Buffered);
        } else {
            self.clients.put_partial(slot, partial);
        }
        used
    }

    fn keep_partial(&mut self, slot: Slot, bytes: &[u8]) {
        if !self.may_keep(bytes.len()) {
            return self.close(slot, CloseReason::Buffered);
        }
        let mut partial = self.clients.buffers.take();
        partial.reserve(bytes.len().max(PARTIAL_BYTES_MIN));
        partial.extend_from_slice(bytes);
        self.clients.put_partial(slot, partial);
    }

    /// Whether so much of a packet may be kept, beside what is kept for others.
    fn may_keep(&self, bytes: usize) -> bool {
        let room = self.limits.buffered_bytes_max.saturating_sub(self.clients.held_bytes());
        bytes <= PARTIAL_BYTES_FREE.max(room)
    }

    /// Whether the client takes what it is answered: an answer is as long as the question, so one that
    /// only asks would fill the memory.
    #[inline]
    fn may_go_on(&self, slot: Slot) -> bool {
        let unread = self.clients.get(slot).output.len();
        unread <= ANSWER_BYTES_FREE
            || unread <= self.limits.outbound_bytes_max + ANSWER_BYTES_FREE
                && self.clients.held_bytes() < self.limits.buffered_bytes_max
    }

    /// Whether the connection's next packet is to be looked at.
    #[inline]
    fn is_reading(&self, slot: Slot) -> bool {
        let client = self.clients.get(slot);
        !client.paused && !self.clients.is_closing(slot) && !self.is_stalled(slot)
    }

    /// Whether a 3.1.1 client has as many messages unacked as it may. A v5 client knows the number.
    #[inline]
    pub(crate) fn is_stalled(&self, slot: Slot) -> bool {
        match &self.clients.get(slot).phase {
            Phase::Connected(session) => {
                session.version == Version::V3_1_1
                    && session.inbound.unacked() >= usize::from(self.limits.receive_max)
            }
            Phase::Greeting | Phase::Closing => false,
        }
    }

    /// Whether a packet may begin so: what cannot be a CONNECT is not worth waiting for.
    fn may_begin(&self, slot: Slot, first: u8) -> bool {
        !matches!(self.clients.get(slot).phase, Phase::Greeting) || first == packet::CONNECT << 4
    }

    #[inline]
    fn take_packet(&mut self, slot: Slot, first: u8, body: &[u8]) {
        let now = self.now;
        let client = self.clients.at(slot);
        client.heard = now;
        let (packet_type, flags) = (first >> 4, first & 0xF);
        let result = match &client.phase {
            Phase::Greeting if packet_type == packet::CONNECT => {
                self.handle_connect(slot, flags, body);
                Ok(())
            }
            Phase::Greeting => Err(CloseReason::Protocol),
            Phase::Closing => Ok(()),
            Phase::Connected(session) => {
                let version = session.version;
                match packet_type {
                    packet::PUBLISH => self.handle_publish(slot, version, flags, body),
                    _ => self.take_other(slot, version, packet_type, flags, body),
                }
            }
        };
        if let Err(reason) = result {
            self.close(slot, reason);
        } else if !self.may_go_on(slot) {
            self.close(slot, CloseReason::Unread);
        }
    }

    fn take_other(
        &mut self,
        slot: Slot,
        version: Version,
        packet_type: u8,
        flags: u8,
        body: &[u8],
    ) -> Result<(), CloseReason> {
        let flags_expected = match packet_type {
            packet::PUBREL | packet::SUBSCRIBE | packet::UNSUBSCRIBE => 2,
            _ => 0,
        };
        if flags != flags_expected {
            return Err(CloseReason::Malformed);
        }
        match packet_type {
            packet::PUBACK => {
                let packet_id = wire::read_ack(version, body)?;
                self.handle_puback(slot, packet_id);
                Ok(())
            }
            packet::PUBREL => {
                let packet_id = wire::read_ack(version, body)?;
                self.handle_pubrel(slot, version, packet_id);
                Ok(())
            }
            packet::SUBSCRIBE => self.handle_subscribe(slot, version, body),
            packet::UNSUBSCRIBE => self.handle_unsubscribe(slot, version, body),
            packet::PINGREQ if body.is_empty() => {
                self.clients.write(slot, |out| out.extend_from_slice(&[packet::PINGRESP << 4, 0]));
                Ok(())
            }
            packet::PINGREQ => Err(CloseReason::Malformed),
            packet::DISCONNECT => Err(disconnect_reason(version, body)),
            // PUBREC and PUBCOMP among them: we send nothing of QoS 2.
            _ => Err(CloseReason::Protocol),
        }
    }

    fn handle_puback(&mut self, slot: Slot, packet_id: u16) {
        let Some(session) = self.clients.session(slot) else {
            return;
        };
        if session.outbound.acked(packet_id) {
            self.drain(slot);
        } else {
            self.counters.unknown_acks += 1;
        }
    }

    fn handle_pubrel(&mut self, slot: Slot, version: Version, packet_id: u16) {
        const NOT_FOUND: u8 = 0x92;
        let Some(session) = self.clients.session(slot) else {
            return;
        };
        let found = session.inbound.release(packet_id);
        let reason = if found || version == Version::V3_1_1 { 0 } else { NOT_FOUND };
        self.clients.write(slot, |out| wire::write_ack(out, packet::PUBCOMP, packet_id, reason));
    }
}

/// Why a client leaves with a DISCONNECT. v5: its first byte is the reason, 0 when there is none.
fn disconnect_reason(version: Version, body: &[u8]) -> CloseReason {
    match (version, body) {
        (Version::V3_1_1, []) | (Version::V5, [] | [0, ..]) => CloseReason::Disconnected,
        (Version::V3_1_1, _) => CloseReason::Malformed,
        (Version::V5, _) => CloseReason::DisconnectedWithWill,
    }
}
