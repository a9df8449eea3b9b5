//! Devices under load that remember what they sent and what was acked, and what must follow from it.
//!
//! Each device sends on four topics in turn: to the handler `tally`, which counts and sends a record (`in/s<n>` with
//! QoS 1, `in/q<n>` with QoS 0), and to `plain`, which only counts (`plain/s<n>`, `plain/q<n>`). No message is sent
//! twice: what comes twice was doubled by the house.

mod ask;
mod verdict;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

pub use ask::{Counts, counts, is_drained};
pub use verdict::{Judge, Upto};

use crate::handlers::{self, Handler};
use crate::mqtt::{Client, Packet};

/// How long an ack may take before the connection is given up.
const ACK_MAX: Duration = Duration::from_secs(15);
/// Between two tries to reach a daemon that is not there.
const REST: Duration = Duration::from_millis(2);

/// The handlers that the devices talk to, and an echo from `ready/in` to `ready/out`.
pub fn handlers() -> [Handler; 3] {
    [
        handlers::tally("in/+"),
        handlers::plain("plain/+"),
        handlers::echo("ready", "ready/in", "ready/out", 0),
    ]
}

/// One message.
#[derive(Clone, Debug)]
pub struct Sent {
    pub topic: String,
    /// JSON text; no two are the same.
    pub payload: String,
    /// What it was sent on: the fleet, the device, and how many connections that had.
    pub way: (String, usize, u32),
    /// Where the recording stood before it was sent.
    pub mark: u64,
    /// Where it stood when the ack was there.
    pub acked: Option<u64>,
}

/// What the devices do.
pub struct Fleet<'a> {
    pub address: SocketAddr,
    pub devices: usize,
    /// Unacked messages of one device.
    pub window: usize,
    /// Messages of one device; after them it stops.
    pub messages: u64,
    /// Bytes of a payload, at least.
    pub payload_bytes: usize,
    /// Where the recording stands.
    pub mark: &'a (dyn Fn() -> u64 + Sync),
    /// Is told how many have been acked.
    pub on_ack: &'a (dyn Fn(u64) + Sync),
    /// Stops it early.
    pub stop: &'a AtomicBool,
    /// How connections ended that were not to end.
    pub broken: &'a Mutex<Vec<String>>,
    /// Makes it differ from another fleet.
    pub name: &'a str,
}

/// Nothing is recorded.
pub fn no_mark() -> u64 {
    0
}

/// Nobody wants to know.
pub fn no_ack(_: u64) {}

impl Fleet<'_> {
    /// Sends everything, and comes again after each broken connection; in the order of each device.
    pub fn run(&self) -> Vec<Sent> {
        let (acked, all) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for device in 0..self.devices {
                let (acked, all) = (&acked, &all);
                scope.spawn(move || {
                    let sent = self.device(device, acked);
                    all.lock().expect("no device panics").extend(sent);
                });
            }
        });
        all.into_inner().expect("no device panics")
    }

    fn device(&self, device: usize, acked: &AtomicU64) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut connection = 0;
        while (sent.len() as u64) < self.messages && !self.is_over() {
            connection += 1;
            // Whatever ended it, the next one goes on behind it.
            if let Err(error) = self.connection(device, connection, &mut sent, acked) {
                self.broken.lock().expect("no device panics").push(error.to_string());
                thread::sleep(REST);
            }
        }
        sent
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn connection(
        &self,
        device: usize,
        connection: u32,
        sent: &mut Vec<Sent>,
        acked: &AtomicU64,
    ) -> io::Result<()> {
        let mut client = Client::connect(self.address, &format!("device-{device}"))?;
        let mut under_way: BTreeMap<u16, usize> = BTreeMap::new();
        loop {
            while under_way.len() < self.window
                && (sent.len() as u64) < self.messages
                && !self.is_over()
            {
                let message = self.message(device, connection, sent.len());
                let (topic, payload) = (message.topic.clone(), message.payload.clone());
                sent.push(message);
                if is_sure(&topic) {
                    let id = client.publish_acked(&topic, payload.as_bytes())?;
                    under_way.insert(id, sent.len() - 1);
                } else {
                    client.publish(&topic, payload.as_bytes())?;
                }
            }
            if under_way.is_empty() {
                return Ok(());
            }
            // Two handlers do not wait for each other: acks come in any order.
            let number = match client.read(ACK_MAX)? {
                Some(Packet::PubAck { packet_id }) => under_way.remove(&packet_id),
                other => return Err(io::Error::other(format!("no ack but {other:?}"))),
            };
            let number = number.ok_or_else(|| io::Error::other("an ack of nothing"))?;
            sent[number].acked = Some((self.mark)());
            (self.on_ack)(acked.fetch_add(1, Ordering::Relaxed) + 1);
        }
    }

    fn message(&self, device: usize, connection: u32, number: usize) -> Sent {
        let line = match number % 8 {
            3 => "plain/q",
            5 => "in/q",
            7 => "plain/s",
            _ => "in/s",
        };
        let mut payload = format!("\"{}-{device}-{number}-", self.name);
        while payload.len() + 1 < self.payload_bytes {
            payload.push('.');
        }
        payload.push('"');
        Sent {
            topic: format!("{line}{device}"),
            payload,
            way: (self.name.to_owned(), device, connection),
            mark: (self.mark)(),
            acked: None,
        }
    }
}

/// Whether messages on this topic are acked.
fn is_sure(topic: &str) -> bool {
    topic.contains("/s")
}

/// Whether messages on this topic become records.
fn is_recorded(topic: &str) -> bool {
    topic.starts_with("in/")
}
