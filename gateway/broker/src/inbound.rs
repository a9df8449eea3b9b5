//! Messages of QoS 1 and 2 that one client has sent and that are not done yet. An entry is counted
//! from the PUBLISH to the PUBACK or PUBCOMP, as Receive Maximum counts it (MQTT 5, 4.9).

use std::collections::VecDeque;

use tidegate_core::message::QoS;

use crate::wire::packet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// QoS 1, for the core: PUBACK goes out then.
    CoreThenAck,
    /// QoS 2, for the core: PUBREC goes out then.
    CoreThenRec,
    /// QoS 2, for the client's PUBREL: PUBCOMP goes out then.
    Release,
}

/// What a PUBLISH of QoS 1 or 2 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// When the core is to have it.
    New,
    /// When the core has it (QoS 2 only) and will say when it is safe.
    Repeated,
    /// When it is safe (QoS 2 only): PUBREC goes out again.
    RepeatedSafe,
}

/// The open ones of one client, oldest first. Acks mostly come in order, so searches end early.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    open: VecDeque<(u16, Waits)>,
    /// How many wait for the core.
    unacked: usize,
}

impl Inbound {
    /// Messages whose sender still waits for a packet of ours.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Messages that the core has not acked.
    pub fn unacked(&self) -> usize {
        self.unacked
    }

    /// Whether a PUBLISH of QoS 2 with this identifier is a repetition.
    pub fn find(&self, packet_id: u16) -> Begun {
        let same = self.open.iter().find(|(id, waits)| {
            *id == packet_id && matches!(waits, Waits::CoreThenRec | Waits::Release)
        });
        match same {
            None => Begun::New,
            Some((_, Waits::Release)) => Begun::RepeatedSafe,
            Some(_) => Begun::Repeated,
        }
    }

    /// Opens an entry for a new PUBLISH.
    pub fn begin(&mut self, packet_id: u16, qos: QoS) {
        let waits = if qos == QoS::ExactlyOnce { Waits::CoreThenRec } else { Waits::CoreThenAck };
        self.open.push_back((packet_id, waits));
        self.unacked += 1;
    }

    /// The core has acked: the packet type that goes out, none when nothing waits for it.
    pub fn ack(&mut self, packet_id: u16) -> Option<u8> {
        let at = self
            .open
            .iter()
            .position(|(id, waits)| *id == packet_id && *waits != Waits::Release)?;
        self.unacked -= 1;
        match self.open[at].1 {
            Waits::CoreThenRec => {
                self.open[at].1 = Waits::Release;
                Some(packet::PUBREC)
            }
            Waits::CoreThenAck | Waits::Release => {
                self.open.remove(at);
                Some(packet::PUBACK)
            }
        }
    }

    /// The client has sent PUBREL: whether there was such an entry.
    pub fn release(&mut self, packet_id: u16) -> bool {
        let found = self.open.iter().position(|entry| *entry == (packet_id, Waits::Release));
        found.is_some_and(|at| self.open.remove(at).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_that_nobody_waits_for_is_none() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.ack(1), None);
        inbound.begin(1, QoS::AtLeastOnce);
        assert_eq!(inbound.ack(2), None);
        assert_eq!(inbound.ack(1), Some(packet::PUBACK));
        assert_eq!(inbound.ack(1), None);
        assert!(!inbound.release(1));
        assert_eq!((inbound.open(), inbound.unacked()), (0, 0));
    }

    #[test]
    fn qos_2_is_new_once_until_it_is_released() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.find(9), Begun::New);
        inbound.begin(9, QoS::ExactlyOnce);
        assert_eq!(inbound.find(9), Begun::Repeated);
        assert!(!inbound.release(9));
        assert_eq!(inbound.ack(9), Some(packet::PUBREC));
        assert_eq!(inbound.ack(9), None);
        assert_eq!(inbound.find(9), Begun::RepeatedSafe);
        assert_eq!((inbound.open(), inbound.unacked()), (1, 0));
        assert!(inbound.release(9));
        assert_eq!(inbound.find(9), Begun::New);
    }

    #[test]
    fn acks_may_come_in_any_order() {
        let mut inbound = Inbound::default();
        for id in 1..=5 {
            inbound.begin(id, QoS::AtLeastOnce);
        }
        for id in [3, 5, 1, 2, 4] {
            assert_eq!(inbound.ack(id), Some(packet::PUBACK));
        }
        assert_eq!(inbound.open(), 0);
    }
}
