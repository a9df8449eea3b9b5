//! The way to one client: bytes that wait to be written, messages of QoS 1 that wait for its acks,
//! and the queue of those that wait for room.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_core::Timestamp;
use tidegate_core::message::QoS;
use tidegate_core::topic::Topic;

use crate::Limits;
use crate::counters::{Counters, DropReason};
use crate::properties::Properties;
use crate::wire::{BODY_BYTES_MAX, OutboundProperties, PublishOut, Version};

/// Buffers kept for the next burst, and the largest one worth keeping.
const SPARE_BUFFERS_MAX: usize = 8;
const SPARE_BYTES_MAX: usize = 64 * 1024;

/// Buffers that nobody uses now. A connection has one only while bytes wait in it, so that idle
/// connections cost none and busy ones never allocate.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    spare: Vec<Vec<u8>>,
}

impl Buffers {
    pub fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let fits = (1..=SPARE_BYTES_MAX).contains(&buffer.capacity());
        if fits && self.spare.len() < SPARE_BUFFERS_MAX {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

/// Bytes that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    written: usize,
}

impl Output {
    pub fn waiting(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    pub fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// The buffer to append to.
    #[inline]
    pub fn buffer(&mut self, buffers: &mut Buffers) -> &mut Vec<u8> {
        if self.buffer.capacity() == 0 {
            self.buffer = buffers.take();
        }
        &mut self.buffer
    }

    pub fn written(&mut self, count: usize, buffers: &mut Buffers) {
        self.written += count.min(self.len());
        if self.written == self.buffer.len() {
            self.clear(buffers);
        } else if self.written > self.buffer.len() / 2 {
            // Otherwise a client that never quite catches up would grow the buffer for ever.
            self.buffer.drain(..self.written);
            self.written = 0;
            // Nor does a burst's buffer stay for its last byte: a large one is at most four times what waits.
            let enough = SPARE_BYTES_MAX.max(2 * self.buffer.len());
            self.buffer.shrink_to(enough);
        }
    }

    pub fn clear(&mut self, buffers: &mut Buffers) {
        buffers.give(std::mem::take(&mut self.buffer));
        self.written = 0;
    }
}

/// One message for one client.
#[derive(Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub topic: &'a Topic,
    pub payload: &'a Arc<[u8]>,
    pub properties: &'a Properties,
    /// The lower of the message's and the subscription's; never 2.
    pub qos: QoS,
    pub retain: bool,
    pub subscription_ids: &'a [u32],
    /// Wait in the queue for room even with QoS 0: what is retained comes all at once and only once.
    pub patient: bool,
}

impl<'a> Sending<'a> {
    #[inline]
    fn packet(&self, version: Version, packet_id: u16, now: Timestamp) -> PublishOut<'a> {
        let properties = match version {
            Version::V3_1_1 => None,
            Version::V5 => Some(OutboundProperties {
                forwarded: self.properties.forwarded(),
                expiry_s: self.properties.expiry_left_s(now),
                subscription_ids: self.subscription_ids,
            }),
        };
        PublishOut {
            topic: self.topic.as_str(),
            payload: self.payload,
            packet_id,
            qos: self.qos,
            retain: self.retain,
            properties,
        }
    }
}

/// A message in the queue.
#[derive(Debug)]
struct Queued {
    topic: Topic,
    payload: Arc<[u8]>,
    properties: Properties,
    qos: QoS,
    retain: bool,
    subscription_ids: Box<[u32]>,
    /// What it counts for in `queued_bytes`; 0 for what the retained store holds anyway.
    bytes: usize,
}

impl Queued {
    fn sending(&self) -> Sending<'_> {
        Sending {
            topic: &self.topic,
            payload: &self.payload,
            properties: &self.properties,
            qos: self.qos,
            retain: self.retain,
            subscription_ids: &self.subscription_ids,
            patient: true,
        }
    }
}

/// What sending needs from the broker.
pub(crate) struct Sender<'a> {
    pub buffers: &'a mut Buffers,
    pub counters: &'a mut Counters,
    pub limits: &'a Limits,
    pub now: Timestamp,
    /// Bytes that may still be kept for all clients together.
    pub room: usize,
}

impl Sender<'_> {
    /// Whether so many bytes more may wait for a client. Where nothing waits any packet has room, or
    /// a long one could never pass.
    fn has_room(&self, waiting: usize, bytes: usize) -> bool {
        waiting == 0 || waiting + bytes <= self.limits.outbound_bytes_max && bytes <= self.room
    }
}

/// The way to one client.
#[derive(Debug)]
pub(crate) struct Outbound {
    version: Version,
    /// The client's Maximum Packet Size.
    packet_bytes_max: usize,
    inflight_max: usize,
    /// Packet identifiers that the client has not acked, oldest first. The messages themselves are
    /// not kept: without kept sessions nothing is sent twice.
    inflight: VecDeque<u16>,
    last_id: u16,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
}

impl Outbound {
    pub fn new(version: Version, packet_bytes_max: usize, inflight_max: u16) -> Outbound {
        Outbound {
            version,
            packet_bytes_max: packet_bytes_max.min(BODY_BYTES_MAX),
            inflight_max: usize::from(inflight_max),
            inflight: VecDeque::new(),
            last_id: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    /// Bytes of the queue, without what the retained store holds anyway.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Messages that the client has not acked, and those that wait for room.
    pub fn waiting(&self) -> (usize, usize) {
        (self.inflight.len(), self.queue.len())
    }

    /// Writes a message, or queues it, or drops and counts it.
    #[inline]
    pub fn send(&mut self, output: &mut Output, sending: &Sending<'_>, sender: &mut Sender<'_>) {
        let mut packet = sending.packet(self.version, 0, sender.now);
        let bytes = packet.len();
        if bytes > self.packet_bytes_max {
            return sender.counters.drop(DropReason::TooLargeForClient);
        }
        let fits = sender.has_room(output.len(), bytes);
        let acked = sending.qos != QoS::AtMostOnce;
        if acked || sending.patient {
            if !fits || !self.queue.is_empty() || acked && self.is_window_full() {
                return self.enqueue(sending, bytes, sender);
            }
        } else if !fits {
            return sender.counters.drop(DropReason::OutboundFull);
        }
        if acked {
            packet.packet_id = self.take_id();
        }
        packet.write(output.buffer(sender.buffers));
        sender.counters.messages_out += 1;
    }

    /// The client has acked: whether we were waiting for it.
    pub fn acked(&mut self, packet_id: u16) -> bool {
        let found = self.inflight.iter().position(|id| *id == packet_id);
        found.is_some_and(|at| self.inflight.remove(at).is_some())
    }

    /// Sends from the queue what has room now.
    pub fn drain(&mut self, output: &mut Output, sender: &mut Sender<'_>) {
        while let Some(front) = self.queue.front() {
            let acked = front.qos != QoS::AtMostOnce;
            if front.properties.has_expired(sender.now) {
                sender.counters.drop(DropReason::Expired);
            } else {
                let bytes = front.sending().packet(self.version, 0, sender.now).len();
                if !sender.has_room(output.len(), bytes) || acked && self.is_window_full() {
                    return;
                }
                let packet_id = if acked { self.take_id() } else { 0 };
                let front = self.queue.front().expect("it was there a moment ago");
                let packet = front.sending().packet(self.version, packet_id, sender.now);
                packet.write(output.buffer(sender.buffers));
                sender.counters.messages_out += 1;
            }
            if let Some(gone) = self.queue.pop_front() {
                self.queued_bytes -= gone.bytes;
            }
        }
        // A burst's queue is not kept for a client that is idle again.
        if self.queue.capacity() > 0 {
            self.queue = VecDeque::new();
        }
    }

    fn is_window_full(&self) -> bool {
        self.inflight.len() >= self.inflight_max
    }

    #[cold]
    fn enqueue(&mut self, sending: &Sending<'_>, bytes: usize, sender: &mut Sender<'_>) {
        let counted = if sending.patient { 0 } else { bytes };
        if self.queue.len() >= sender.limits.queued_messages_max
            || !sender.has_room(self.queued_bytes, counted)
        {
            return sender.counters.drop(DropReason::QueueFull);
        }
        self.queued_bytes += counted;
        self.queue.push_back(Queued {
            topic: sending.topic.clone(),
            payload: sending.payload.clone(),
            properties: sending.properties.clone(),
            qos: sending.qos,
            retain: sending.retain,
            subscription_ids: Box::from(sending.subscription_ids),
            bytes: counted,
        });
    }

    /// A packet identifier that is not in flight. There is one: the window is smaller than their number.
    fn take_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.inflight.contains(&self.last_id) {
                self.inflight.push_back(self.last_id);
                return self.last_id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_does_not_keep_the_buffer_of_its_burst() {
        let (mut output, mut buffers) = (Output::default(), Buffers::default());
        output.buffer(&mut buffers).resize(1 << 20, 0);
        while output.len() > 1 {
            let count = output.len().min(1000 + output.len() / 3) - 1;
            output.written(count.max(1), &mut buffers);
            let most = SPARE_BYTES_MAX.max(4 * output.len());
            let capacity = output.buffer.capacity();
            assert!(capacity <= most, "{capacity} for {} bytes", output.len());
        }
        output.written(1, &mut buffers);
        assert_eq!(output.buffer.capacity(), 0);
    }
}
