//! How a client comes and goes.

use std::sync::Arc;

use crate::broker::Broker;
use crate::clients::{Phase, Session};
use crate::connect::{self, Connect, Refusal};
use crate::counters::{CloseReason, DropReason};
use crate::event::Event;
use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::subscriptions::Slot;
use crate::wire::{Version, packet};

impl Broker {
    /// The first packet of a connection.
    pub(crate) fn handle_connect(&mut self, slot: Slot, flags: u8, body: &[u8]) {
        let connect = match connect::read(flags, body) {
            Ok(connect) => connect,
            Err(refusal) => return self.refuse(slot, refusal),
        };
        let version = connect.version;
        if let Some(old) = self.slots.get(connect.client.as_str()).copied() {
            self.close(old, CloseReason::TakenOver);
        }
        if self.slots.len() >= self.limits.clients_max {
            return self
                .refuse(slot, Refusal { version: Some(version), reason: CloseReason::Busy });
        }
        self.admit(slot, connect);
    }

    fn admit(&mut self, slot: Slot, connect: Connect) {
        let assigned = connect.client.is_empty().then(|| self.assign_name());
        let client = assigned.clone().unwrap_or_else(|| Arc::from(connect.client.as_str()));
        let keep_alive_s = match connect.version {
            Version::V3_1_1 => connect.keep_alive_s,
            Version::V5 => connect.keep_alive_s.min(self.limits.keep_alive_max_s),
        };
        let accepted = connect::Accepted {
            assigned: assigned.as_deref(),
            keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
            session_refused: connect.wants_session,
        };
        let connack = connect::write_accepted(connect.version, &accepted, &self.limits);
        self.clients.write(slot, |out| out.extend_from_slice(&connack));

        let silence_max_ms = u64::from(keep_alive_s) * 1500;
        let inflight_max = connect.receive_max.min(self.limits.inflight_max);
        let outbound = Outbound::new(connect.version, connect.packet_bytes_max, inflight_max);
        self.clients.at(slot).phase = Phase::Connected(Box::new(Session {
            client: client.clone(),
            version: connect.version,
            silence_max_ms,
            inbound: Inbound::default(),
            outbound,
            aliases: Vec::new(),
            will: connect.will.map(Box::new),
            filters: Default::default(),
        }));
        self.arm(slot, (silence_max_ms > 0).then_some(silence_max_ms));
        self.slots.insert(client.clone(), slot);
        self.counters.connects += 1;
        self.counters.clients += 1;
        let conn = self.clients.get(slot).conn;
        self.events.push_back(Event::Connected { conn, client });
    }

    /// A client identifier for a client that has none; nobody connected has it.
    fn assign_name(&mut self) -> Arc<str> {
        loop {
            self.assigned += 1;
            let name = format!("auto-{}", self.assigned);
            if !self.slots.contains_key(name.as_str()) {
                return Arc::from(name);
            }
        }
    }

    fn refuse(&mut self, slot: Slot, refusal: Refusal) {
        let connack = connect::write_refused(&refusal);
        self.clients.write(slot, |out| out.extend_from_slice(&connack));
        self.close(slot, refusal.reason);
    }

    /// Ends a connection from our side or the client's: its session, its will, its subscriptions.
    /// What waits in its output is still written. Nothing happens when it is closing already.
    pub(crate) fn close(&mut self, slot: Slot, reason: CloseReason) {
        match self.clients.begin_closing(slot) {
            Phase::Closing => return,
            Phase::Greeting => self.counters.close(reason),
            Phase::Connected(session) => {
                self.counters.close(reason);
                self.end_session(slot, *session, reason);
            }
        }
        self.arm(slot, Some(self.limits.connect_timeout_ms));
        self.clients.touch(slot);
    }

    fn end_session(&mut self, slot: Slot, session: Session, reason: CloseReason) {
        let Session { client, version, outbound, will, filters, .. } = session;
        if version == Version::V5
            && let Some(code) = reason.code()
        {
            let disconnect = [packet::DISCONNECT << 4, 1, code];
            self.clients.write(slot, |out| out.extend_from_slice(&disconnect));
        }
        for filter in &filters {
            self.subscriptions.remove(filter, slot);
        }
        self.counters.subscriptions = self.subscriptions.len() as u64;
        self.slots.remove(&client);
        self.counters.clients -= 1;
        let (inflight, queued) = outbound.waiting();
        self.counters.drop_many(DropReason::ClientGone, inflight + queued);
        if reason.publishes_will()
            && let Some(will) = will
        {
            self.publish_will(&client, &will);
        }
        let conn = self.clients.get(slot).conn;
        self.events.push_back(Event::Gone { conn, client, reason });
    }

    /// A connection's deadline has come.
    pub(crate) fn handle_due(&mut self, slot: Slot) {
        let now = self.now;
        let client = self.clients.at(slot);
        match &client.phase {
            Phase::Greeting => self.close(slot, CloseReason::ConnectTimeout),
            Phase::Closing => {
                // The peer does not take its last bytes; the transport is closed without them.
                self.clients.clear_output(slot);
                self.clients.touch(slot);
            }
            Phase::Connected(session) => {
                let silence_max_ms = session.silence_max_ms;
                let silent_ms = now.0.saturating_sub(client.heard.0);
                if client.paused || self.is_stalled(slot) {
                    // Its PINGREQ may lie unread in the transport.
                    self.arm(slot, Some(silence_max_ms));
                } else if silent_ms < silence_max_ms {
                    self.arm(slot, Some(silence_max_ms - silent_ms));
                } else {
                    self.close(slot, CloseReason::KeepAlive);
                }
            }
        }
    }
}
