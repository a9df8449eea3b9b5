//! The foreign broker's comings and goings, and what waits for it meanwhile.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::time::Duration;

use crate::limits::Limits;
use crate::message::{Message, QoS};
use crate::reconnect::Reconnect;
use crate::time::Timestamp;

/// What becomes of a reaction.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// When the broker is there.
    Now(Arc<Message>),
    /// When it is not: QoS 1 waits.
    Waits,
    /// When it is not, and this message (a QoS 0, or the oldest that waited) was given up.
    Dropped,
}

/// The link to the local side. A front door of our own is always up.
#[derive(Debug)]
pub struct Link {
    reconnect: Reconnect,
    waiting: VecDeque<Arc<Message>>,
    waiting_max: usize,
}

impl Link {
    pub fn new(limits: &Limits, seed: u64) -> Link {
        Link {
            reconnect: Reconnect::new((limits.backoff_min_ms, limits.backoff_max_ms), seed),
            waiting: VecDeque::new(),
            waiting_max: limits.local_waiting_max,
        }
    }

    pub fn is_up(&self) -> bool {
        self.reconnect.is_up()
    }

    pub fn handle_up(&mut self, now: Timestamp) {
        self.reconnect.handle_up(now);
    }

    /// The broker is gone. Returns the wait before the next try.
    pub fn handle_down(&mut self, now: Timestamp) -> Duration {
        self.reconnect.handle_down(now)
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.reconnect.poll_timeout()
    }

    /// Whether the broker is to be tried now.
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        self.reconnect.handle_timeout(now)
    }

    pub fn send(&mut self, message: Arc<Message>) -> Sent {
        if self.is_up() {
            return Sent::Now(message);
        }
        if message.qos == QoS::AtMostOnce {
            return Sent::Dropped;
        }
        self.waiting.push_back(message);
        if self.waiting.len() > self.waiting_max {
            self.waiting.pop_front();
            return Sent::Dropped;
        }
        Sent::Waits
    }

    /// What waited for the link, oldest first.
    pub fn poll_waiting(&mut self) -> Option<Arc<Message>> {
        if self.is_up() { self.waiting.pop_front() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallTime;
    use crate::topic::Topic;

    const LIMITS: Limits = Limits { local_waiting_max: 1, ..Limits::DEV };

    fn message(qos: QoS) -> Arc<Message> {
        Arc::new(Message {
            topic: Topic::new("a").expect("a topic"),
            payload: Arc::from(&b"x"[..]),
            qos,
            retain: false,
            dup: false,
            source: Arc::from("s"),
            at: WallTime::default(),
            hops: 0,
            mark: None,
        })
    }

    #[test]
    fn keeps_qos_1_and_drops_qos_0_while_down() {
        let mut link = Link::new(&LIMITS, 1);
        assert_eq!(link.send(message(QoS::AtMostOnce)), Sent::Dropped);
        assert_eq!(link.send(message(QoS::AtLeastOnce)), Sent::Waits);
        assert_eq!(link.send(message(QoS::AtLeastOnce)), Sent::Dropped, "the oldest");
        assert_eq!(link.poll_waiting(), None, "not before the link is up");
        link.handle_up(Timestamp(0));
        assert!(link.poll_waiting().is_some());
        assert_eq!(link.poll_waiting(), None);
    }
}
