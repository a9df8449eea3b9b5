//! The broker as its driver sees it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use tidegate_core::message::AckTo;
use tidegate_core::time::WallTime;
use tidegate_core::topic::Filter;
use tidegate_core::{Message, Timestamp};

use crate::Limits;
use crate::clients::{Clients, Context, Phase};
use crate::counters::{CloseReason, Counters};
use crate::event::{ConnId, Event};
use crate::properties::Properties;
use crate::retained::Retained;
use crate::subscriptions::{Slot, Subscriptions};
use crate::timers::Timers;
use crate::topics::Topics;
use crate::wire::{self, Version};

/// Why a transport was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// When there are as many connections as `clients_max` allows, counting those without a CONNECT.
    Full,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Full => f.write_str("there are as many connections as the limits allow"),
        }
    }
}

impl std::error::Error for Refused {}

/// What can be shown of a connected client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo<'a> {
    pub conn: ConnId,
    pub client: &'a Arc<str>,
    pub version: Version,
    pub subscriptions: usize,
    /// Messages from it that the core has not acked.
    pub unacked: usize,
    /// Messages to it that it has not acked.
    pub inflight: usize,
    /// Messages to it that wait for room.
    pub queued: usize,
    /// Bytes that wait to be written to it.
    pub output_bytes: usize,
}

/// The MQTT broker. Feed it with `handle_*`, then take what [`Broker::poll_event`] and
/// [`Broker::poll_dirty`] have, and call [`Broker::handle_timeout`] at [`Broker::poll_timeout`].
pub struct Broker {
    pub(crate) limits: Limits,
    pub(crate) clients: Clients,
    /// Connected clients by identifier.
    pub(crate) slots: BTreeMap<Arc<str>, Slot>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) topics: Topics,
    pub(crate) retained: Retained,
    pub(crate) timers: Timers,
    pub(crate) events: VecDeque<Event>,
    pub(crate) counters: Counters,
    /// Client identifiers given out to those that came without one.
    pub(crate) assigned: u64,
    /// The time of the last call that had one.
    pub(crate) now: Timestamp,
    pub(crate) wall: WallTime,
}

impl Broker {
    /// A broker without connections. Windows of 0 count as 1: nothing could ever pass.
    pub fn new(limits: Limits) -> Broker {
        let limits = Limits {
            inflight_max: limits.inflight_max.max(1),
            receive_max: limits.receive_max.max(1),
            ..limits
        };
        Broker {
            topics: Topics::new(limits.topics_cached_max),
            limits,
            clients: Clients::default(),
            slots: BTreeMap::new(),
            subscriptions: Subscriptions::default(),
            retained: Retained::default(),
            timers: Timers::default(),
            events: VecDeque::new(),
            counters: Counters::default(),
            assigned: 0,
            now: Timestamp::default(),
            wall: WallTime::default(),
        }
    }

    /// A transport was accepted. Every connection ends with [`Broker::handle_disconnected`].
    ///
    /// # Errors
    /// When there are too many; the driver closes the transport.
    pub fn handle_connected(&mut self, now: Timestamp) -> Result<ConnId, Refused> {
        self.now = now;
        let room = self.clients.len() < self.limits.transports_max();
        let Some(slot) = room.then(|| self.clients.add(now)).flatten() else {
            self.counters.transports_refused += 1;
            return Err(Refused::Full);
        };
        self.arm(slot, Some(self.limits.connect_timeout_ms));
        Ok(self.clients.get(slot).conn)
    }

    /// Bytes came from a connection. Says how many were used: all of them, unless the connection is
    /// paused or closing. The start of a packet is kept here until its end comes. What comes out is at
    /// most one event for five bytes.
    ///
    /// A paused connection's rest is given again when [`Broker::is_paused`] is over; a closing one's
    /// is thrown away.
    pub fn handle_bytes(
        &mut self,
        now: Timestamp,
        wall: WallTime,
        conn: ConnId,
        bytes: &[u8],
    ) -> usize {
        (self.now, self.wall) = (now, wall);
        let Some(slot) = self.clients.slot(conn) else {
            return 0;
        };
        let used = self.take_packets(slot, bytes);
        self.counters.bytes_in += used as u64;
        used
    }

    /// A transport is gone, whoever ended it.
    pub fn handle_disconnected(&mut self, now: Timestamp, wall: WallTime, conn: ConnId) {
        (self.now, self.wall) = (now, wall);
        let Some(slot) = self.clients.slot(conn) else {
            return;
        };
        self.close(slot, CloseReason::TransportGone);
        self.arm(slot, None);
        self.clients.remove(slot);
    }

    /// Time has passed. May come late or twice.
    pub fn handle_timeout(&mut self, now: Timestamp, wall: WallTime) {
        (self.now, self.wall) = (now, wall);
        while let Some(conn) = self.timers.pop(now) {
            if let Some(slot) = self.clients.slot(conn) {
                self.clients.at(slot).armed = None;
                self.handle_due(slot);
            }
        }
    }

    /// When [`Broker::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Publishes for a handler or the gateway itself: to subscribers, and retained when it says so.
    pub fn publish(&mut self, message: &Message) {
        self.deliver(message, &Properties::NONE, None);
    }

    /// A message is safe: its sender is told. Acks may come in any order; one that nobody waits for
    /// is ignored.
    pub fn ack(&mut self, to: AckTo) {
        let Some(slot) = self.clients.slot(to.source) else {
            return;
        };
        let Some(session) = self.clients.session(slot) else {
            return;
        };
        let Some(packet_type) = session.inbound.ack(to.packet_id) else {
            return;
        };
        // The driver looks at the connection for this, and with that sees the end of a pause too.
        self.clients.write(slot, |out| wire::write_ack(out, packet_type, to.packet_id, 0));
    }

    /// Uses nothing more from a connection until [`Broker::resume`]. Its keep-alive rests.
    pub fn pause(&mut self, conn: ConnId) {
        if let Some(slot) = self.clients.slot(conn) {
            self.clients.at(slot).paused = true;
        }
    }

    pub fn resume(&mut self, conn: ConnId) {
        let Some(slot) = self.clients.slot(conn) else {
            return;
        };
        let now = self.now;
        let client = self.clients.at(slot);
        client.paused = false;
        client.heard = now;
        self.clients.touch(slot);
    }

    /// Ends a connection that brings more than there is room for. A v5 client is told that the server is busy.
    pub fn hang_up(&mut self, conn: ConnId) {
        if let Some(slot) = self.clients.slot(conn) {
            self.close(slot, CloseReason::Busy);
        }
    }

    /// Whether the connection's bytes are left unused now: between [`Broker::pause`] and
    /// [`Broker::resume`], and while a 3.1.1 client has `receive_max` messages unacked. When it ends,
    /// the connection comes up in [`Broker::poll_dirty`], and bytes that were left go in again.
    pub fn is_paused(&self, conn: ConnId) -> bool {
        self.clients
            .slot(conn)
            .is_some_and(|slot| self.clients.get(slot).paused || self.is_stalled(slot))
    }

    /// What is retained under a filter, in the order of topics.
    pub fn retained(&self, filter: &Filter) -> Vec<Message> {
        self.retained.matching(filter, self.now).map(|kept| kept.message.clone()).collect()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// A connection that has bytes to write, is to be closed, or takes bytes again.
    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        self.clients.poll_dirty()
    }

    /// Bytes that wait to be written to a connection.
    pub fn output(&mut self, conn: ConnId) -> &[u8] {
        match self.clients.slot(conn) {
            Some(slot) => self.clients.get(slot).output.waiting(),
            None => &[],
        }
    }

    /// The first `count` bytes of the output were written.
    pub fn written(&mut self, conn: ConnId, count: usize) {
        let Some(slot) = self.clients.slot(conn) else {
            return;
        };
        self.counters.bytes_out += self.clients.written(slot, count) as u64;
        self.drain(slot);
    }

    /// Whether the transport is to be closed as soon as the output is written; it always is for a
    /// connection that is not known.
    pub fn is_closing(&self, conn: ConnId) -> bool {
        self.clients.slot(conn).is_none_or(|slot| self.clients.is_closing(slot))
    }

    /// Ends every connection, because the daemon stops. Wills are not published.
    pub fn stop(&mut self, now: Timestamp, wall: WallTime) {
        (self.now, self.wall) = (now, wall);
        let all: Vec<ConnId> = self.clients.iter().map(|client| client.conn).collect();
        for conn in all {
            if let Some(slot) = self.clients.slot(conn) {
                self.close(slot, CloseReason::Stopped);
            }
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes kept for all clients, see [`Limits::buffered_bytes_max`].
    pub fn buffered_bytes(&self) -> usize {
        self.clients.held_bytes()
    }

    /// Messages retained, and their bytes.
    pub fn retained_size(&self) -> (usize, usize) {
        self.retained.size()
    }

    /// Every connected client.
    pub fn clients(&self) -> impl Iterator<Item = ClientInfo<'_>> {
        self.clients.iter().filter_map(|client| match &client.phase {
            Phase::Connected(session) => {
                let (inflight, queued) = session.outbound.waiting();
                Some(ClientInfo {
                    conn: client.conn,
                    client: &session.client,
                    version: session.version,
                    subscriptions: session.filters.len(),
                    unacked: session.inbound.unacked(),
                    inflight,
                    queued,
                    output_bytes: client.output.len(),
                })
            }
            Phase::Greeting | Phase::Closing => None,
        })
    }

    /// Sends what has waited for room towards a client.
    pub(crate) fn drain(&mut self, slot: Slot) {
        let Broker { clients, counters, limits, now, .. } = self;
        clients.drain(slot, Context { counters, limits, now: *now });
    }

    /// Sets or clears a connection's deadline, from now.
    pub(crate) fn arm(&mut self, slot: Slot, wait_ms: Option<u64>) {
        let at = wait_ms.map(|wait_ms| Timestamp(self.now.0.saturating_add(wait_ms)));
        let client = self.clients.at(slot);
        self.timers.arm(client.conn, &mut client.armed, at);
    }
}
