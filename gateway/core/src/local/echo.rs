//! Knows our own publishes again when a foreign broker sends them back to us.
//!
//! MQTT 3.1.1 delivers a client's publish to the client itself when it subscribes to the topic.
//! Handlers may feed handlers that way, but a message must not go round for ever: what comes back
//! takes up the hops it had. A device that happens to publish the same bytes merely inherits them.

use alloc::collections::VecDeque;
use core::hash::Hasher;

use crate::message::Message;

/// The publishes that may still come back, oldest first.
#[derive(Debug)]
pub struct Echo {
    sent: VecDeque<(u64, u8)>,
    max: usize,
}

impl Echo {
    pub fn new(max: usize) -> Echo {
        Echo { sent: VecDeque::new(), max }
    }

    /// `message` goes to the foreign broker and would wake one of our handlers.
    pub fn sent(&mut self, message: &Message) {
        if self.sent.len() == self.max {
            self.sent.pop_front();
        }
        self.sent.push_back((fingerprint(message), message.hops));
    }

    /// The hops that an incoming message already has.
    pub fn hops(&mut self, message: &Message) -> u8 {
        if self.sent.is_empty() {
            return 0;
        }
        let print = fingerprint(message);
        match self.sent.iter().position(|(sent, _)| *sent == print) {
            Some(at) => self.sent.remove(at).map_or(0, |(_, hops)| hops),
            None => 0,
        }
    }
}

/// FNV-1a, 64 bits, over topic and payload: public constants, no key, since a collision costs a hop and no more.
#[derive(Debug)]
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

fn fingerprint(message: &Message) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(message.topic.as_str().as_bytes());
    hash.write(&[0]);
    hash.write(&message.payload);
    hash.finish()
}
