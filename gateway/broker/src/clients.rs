//! The connections: what each one is doing, and which ones the driver should look at.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tidegate_core::Timestamp;
use tidegate_core::message::{QoS, SourceId};
use tidegate_core::topic::{Filter, Topic};

use crate::event::ConnId;
use crate::inbound::Inbound;
use crate::outbound::{Buffers, Outbound, Output, Sender, Sending};
use crate::properties::Properties;
use crate::subscriptions::Slot;
use crate::wire::Version;

/// Bits of a [`ConnId`] that say where the connection is; the others count connections, so that no
/// identifier comes twice.
const SLOT_BITS: u32 = 20;

/// What a client wants published when it is gone.
#[derive(Debug)]
pub(crate) struct Will {
    pub topic: Topic,
    pub payload: Arc<[u8]>,
    pub qos: QoS,
    pub retain: bool,
    pub forwarded: Option<Arc<[u8]>>,
    pub expiry_s: Option<u32>,
}

/// What is known of a client from its CONNECT to its end.
#[derive(Debug)]
pub(crate) struct Session {
    pub client: Arc<str>,
    pub version: Version,
    /// One and a half times the keep-alive, 0 for none.
    pub silence_max_ms: u64,
    pub inbound: Inbound,
    pub outbound: Outbound,
    /// Topics by alias, from 1; as long as the highest one used.
    pub aliases: Vec<Option<Topic>>,
    pub will: Option<Box<Will>>,
    pub filters: BTreeSet<Filter>,
}

/// Where a connection is in its life.
#[derive(Debug)]
pub(crate) enum Phase {
    /// When its CONNECT has not come.
    Greeting,
    Connected(Box<Session>),
    /// When only what waits in its output is still to be written.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub conn: ConnId,
    pub phase: Phase,
    /// The start of a packet whose end has not come.
    pub partial: Vec<u8>,
    pub output: Output,
    /// In the list of those that the driver should look at.
    pub dirty: bool,
    /// By [`crate::Broker::pause`].
    pub paused: bool,
    /// When its last packet came.
    pub heard: Timestamp,
    /// Its deadline in the timers.
    pub armed: Option<Timestamp>,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    slots: Vec<Option<Box<Client>>>,
    free: Vec<Slot>,
    accepted: u64,
    dirty: VecDeque<ConnId>,
    /// What all clients hold: see [`Client::held_bytes`].
    held_bytes: usize,
    pub buffers: Buffers,
}

impl Client {
    /// Bytes that are kept for this client until it takes them or sends the rest.
    #[inline]
    fn held_bytes(&self) -> usize {
        let queued = match &self.phase {
            Phase::Connected(session) => session.outbound.queued_bytes(),
            Phase::Greeting | Phase::Closing => 0,
        };
        self.partial.len() + self.output.len() + queued
    }
}

impl Clients {
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes in a connection; `None` when there are as many as identifiers can tell apart.
    pub fn add(&mut self, now: Timestamp) -> Option<Slot> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < 1 << SLOT_BITS => {
                self.slots.push(None);
                (self.slots.len() - 1) as Slot
            }
            None => return None,
        };
        self.accepted += 1;
        self.slots[slot as usize] = Some(Box::new(Client {
            conn: SourceId(self.accepted << SLOT_BITS | u64::from(slot)),
            phase: Phase::Greeting,
            partial: Vec::new(),
            output: Output::default(),
            dirty: false,
            paused: false,
            heard: now,
            armed: None,
        }));
        Some(slot)
    }

    pub fn remove(&mut self, slot: Slot) {
        if let Some(mut client) = self.slots[slot as usize].take() {
            self.held_bytes -= client.held_bytes();
            client.output.clear(&mut self.buffers);
            self.buffers.give(std::mem::take(&mut client.partial));
            self.free.push(slot);
        }
    }

    /// Where a connection is, if it still is.
    #[inline]
    pub fn slot(&self, conn: ConnId) -> Option<Slot> {
        let slot = (conn.0 & ((1 << SLOT_BITS) - 1)) as Slot;
        let client = self.slots.get(slot as usize)?.as_deref()?;
        (client.conn == conn).then_some(slot)
    }

    /// The client in a slot that [`Clients::slot`] gave and nobody has removed.
    #[inline]
    pub fn at(&mut self, slot: Slot) -> &mut Client {
        self.slots[slot as usize].as_deref_mut().expect("a slot in use")
    }

    #[inline]
    pub fn get(&self, slot: Slot) -> &Client {
        self.slots[slot as usize].as_deref().expect("a slot in use")
    }

    #[inline]
    pub fn is_closing(&self, slot: Slot) -> bool {
        matches!(self.get(slot).phase, Phase::Closing)
    }

    /// The client's session while it is connected.
    #[inline]
    pub fn session(&mut self, slot: Slot) -> Option<&mut Session> {
        match &mut self.at(slot).phase {
            Phase::Connected(session) => Some(session),
            Phase::Greeting | Phase::Closing => None,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slots.iter().filter_map(|slot| slot.as_deref())
    }

    /// Lets the driver look at a connection.
    #[inline]
    pub fn touch(&mut self, slot: Slot) {
        let client = self.slots[slot as usize].as_deref_mut().expect("a slot in use");
        if !client.dirty {
            client.dirty = true;
            self.dirty.push_back(client.conn);
        }
    }

    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.dirty.pop_front() {
            if let Some(slot) = self.slot(conn) {
                self.at(slot).dirty = false;
                return Some(conn);
            }
        }
        None
    }

    /// Appends to a connection's output.
    pub fn write(&mut self, slot: Slot, write: impl FnOnce(&mut Vec<u8>)) {
        let client = self.slots[slot as usize].as_deref_mut().expect("a slot in use");
        let before = client.output.len();
        write(client.output.buffer(&mut self.buffers));
        self.held_bytes += client.output.len() - before;
        self.touch(slot);
    }

    /// The first `count` bytes of a connection's output were written; says how many there were.
    pub fn written(&mut self, slot: Slot, count: usize) -> usize {
        let client = self.slots[slot as usize].as_deref_mut().expect("a slot in use");
        let count = count.min(client.output.len());
        client.output.written(count, &mut self.buffers);
        self.held_bytes -= count;
        count
    }

    /// Gives up what waits to be written to a connection.
    pub fn clear_output(&mut self, slot: Slot) {
        let waiting = self.get(slot).output.len();
        self.written(slot, waiting);
    }

    /// Ends a connection's phase and what it was in the middle of; its output stays.
    pub fn begin_closing(&mut self, slot: Slot) -> Phase {
        let client = self.slots[slot as usize].as_deref_mut().expect("a slot in use");
        let before = client.held_bytes();
        self.buffers.give(std::mem::take(&mut client.partial));
        let phase = std::mem::replace(&mut client.phase, Phase::Closing);
        self.held_bytes -= before - client.held_bytes();
        phase
    }

    /// Takes the start of a packet out, to look at it or to add to it.
    pub fn take_partial(&mut self, slot: Slot) -> Vec<u8> {
        let partial = std::mem::take(&mut self.at(slot).partial);
        self.held_bytes -= partial.len();
        partial
    }

    /// Keeps the start of a packet.
    pub fn put_partial(&mut self, slot: Slot, partial: Vec<u8>) {
        self.held_bytes += partial.len();
        self.at(slot).partial = partial;
    }

    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Sends a message to a connected client.
    #[inline]
    pub fn send(&mut self, slot: Slot, sending: &Sending<'_>, context: Context<'_>) {
        self.with_outbound(slot, context, |outbound, output, sender| {
            outbound.send(output, sending, sender);
        });
    }

    /// Sends what has waited for room.
    pub fn drain(&mut self, slot: Slot, context: Context<'_>) {
        self.with_outbound(slot, context, Outbound::drain);
    }

    #[inline]
    fn with_outbound(
        &mut self,
        slot: Slot,
        context: Context<'_>,
        act: impl FnOnce(&mut Outbound, &mut Output, &mut Sender<'_>),
    ) {
        let client = self.slots[slot as usize].as_deref_mut().expect("a slot in use");
        let before = client.held_bytes();
        let Phase::Connected(session) = &mut client.phase else {
            return;
        };
        let mut sender = Sender {
            buffers: &mut self.buffers,
            counters: context.counters,
            limits: context.limits,
            now: context.now,
            room: context.limits.buffered_bytes_max.saturating_sub(self.held_bytes),
        };
        act(&mut session.outbound, &mut client.output, &mut sender);
        self.held_bytes = self.held_bytes + client.held_bytes() - before;

        if client.output.len() > 0 {
            self.touch(slot);
        }
    }
}

/// What sending needs beside the connections.
pub(crate) struct Context<'a> {
    pub counters: &'a mut crate::counters::Counters,
    pub limits: &'a crate::Limits,
    pub now: Timestamp,
}

impl Will {
    /// Its properties as of the moment that it is published.
    pub fn properties(&self, now: Timestamp) -> Properties {
        let expires = self
            .expiry_s
            .map(|expiry_s| Timestamp(now.0.saturating_add(u64::from(expiry_s) * 1000)));
        Properties { forwarded: self.forwarded.clone(), expires }
    }
}
