//! What has been sent and not been acked.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_core::Message;

/// What a packet identifier stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// When it is a record of that seq.
    Record(u64),
    /// When it is what the gateway says about a handler.
    Telling(Arc<Message>),
    /// When it asks for control messages.
    Listening,
}

/// Packet identifiers under way, and what is behind them, in order of sending.
#[derive(Debug)]
pub(super) struct Flight {
    under_way: VecDeque<(u16, Load)>,
    window: usize,
    last_id: u16,
}

impl Flight {
    /// `window` at most, far below the number of packet identifiers.
    pub fn new(window: u16) -> Flight {
        Flight {
            under_way: VecDeque::with_capacity(window.into()),
            window: window.into(),
            last_id: 0,
        }
    }

    pub fn has_room(&self) -> bool {
        self.under_way.len() < self.window
    }

    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Takes something up and gives it a packet identifier.
    pub fn begin(&mut self, load: Load) -> u16 {
        loop {
            // 0 is none (MQTT 2.2.1).
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.under_way.iter().any(|(id, _)| *id == self.last_id) {
                self.under_way.push_back((self.last_id, load));
                return self.last_id;
            }
        }
    }

    /// What an ack is for. Brokers ack in order (4.6), and that is looked at first.
    pub fn end(&mut self, packet_id: u16) -> Option<Load> {
        let at = self.under_way.iter().position(|(id, _)| *id == packet_id)?;
        self.under_way.remove(at).map(|(_, load)| load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_that_fits_nothing_is_noticed() {
        let mut flight = Flight::new(2);
        let id = flight.begin(Load::Record(7));
        assert_eq!(flight.end(id + 1), None);
        assert_eq!(flight.end(id), Some(Load::Record(7)));
        assert_eq!(flight.end(id), None, "twice");
    }

    #[test]
    fn acks_may_come_in_any_order() {
        let mut flight = Flight::new(3);
        let ids: Vec<u16> = (10..13).map(|seq| flight.begin(Load::Record(seq))).collect();
        assert!(!flight.has_room());
        assert_eq!(flight.end(ids[2]), Some(Load::Record(12)));
        assert!(flight.has_room());
        assert_eq!(flight.end(ids[0]), Some(Load::Record(10)));
        assert_eq!(flight.end(ids[1]), Some(Load::Record(11)));
    }

    #[test]
    fn packet_identifiers_go_round_and_skip_what_is_under_way() {
        let mut flight = Flight::new(2);
        let stuck = flight.begin(Load::Record(1));
        assert_eq!(stuck, 1);
        for seq in 0..65_534 {
            let id = flight.begin(Load::Record(seq));
            assert!(id > 1, "{id} is taken, and 0 is none");
            assert_eq!(flight.end(id), Some(Load::Record(seq)));
        }
        assert_eq!(flight.begin(Load::Record(9)), 2, "65535 was the last one");
    }
}
