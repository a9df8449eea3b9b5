//! The least of a broker: takes one client, acks what it publishes, and sends it anything.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::mqtt::Received;
use crate::mqtt::packet::{self, Packet};

/// How long the gateway may take to come back.
const COME_BACK: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One connection with the gateway at its other end.
#[derive(Debug)]
pub struct Broker {
    listener: TcpListener,
    client: Option<TcpStream>,
    bytes: Vec<u8>,
    /// Filters that were subscribed to on this connection.
    pub filters: Vec<String>,
    next_id: u16,
    pub connections: u32,
}

impl Broker {
    pub fn open() -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (client, bytes, filters) = (None, Vec::new(), Vec::new());
        Broker { listener, client, bytes, filters, next_id: 0, connections: 0 }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it listens")
    }

    /// Hangs up.
    pub fn cut(&mut self) {
        self.client = None;
    }

    /// Sends a message with QoS 1.
    pub fn send(&mut self, topic: &str, payload: &[u8], retain: bool) {
        self.next_id = self.next_id % 60_000 + 1;
        let mut bytes = Vec::new();
        packet::publish(&mut bytes, topic, payload, 1, self.next_id, retain);
        self.write(&bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        let end = Instant::now() + COME_BACK;
        while Instant::now() < end {
            if self.client.is_none() {
                self.accept(end);
            }
            let Some(client) = &mut self.client else {
                continue;
            };
            match client.write_all(bytes) {
                Ok(()) => return,
                Err(_) => self.client = None,
            }
        }
        panic!("the gateway does not come back");
    }

    /// Takes the gateway in, if it comes.
    fn accept(&mut self, end: Instant) {
        self.listener.set_nonblocking(true).expect("a socket");
        loop {
            match self.listener.accept() {
                Ok((client, _)) => {
                    client.set_nonblocking(false).expect("a socket");
                    client.set_nodelay(true).expect("a socket");
                    client.set_read_timeout(Some(LOOK_EVERY)).expect("a socket");
                    self.client = Some(client);
                    self.bytes.clear();
                    self.filters.clear();
                    self.connections += 1;
                    if self.greet(end) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(Instant::now() < end, "the gateway does not come");
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits for CONNECT and answers it. False when the gateway is gone again.
    fn greet(&mut self, end: Instant) -> bool {
        while self.client.is_some() && Instant::now() < end {
            self.read();
            if let Some(packet) = self.take_packet() {
                self.answer(packet);
                return self.client.is_some();
            }
        }
        false
    }

    /// The next thing that the gateway publishes, if one comes in time.
    pub fn next(&mut self, wait: Duration) -> Option<Received> {
        let end = Instant::now() + wait;
        loop {
            if self.client.is_none() {
                self.accept(Instant::now() + COME_BACK);
            }
            while let Some(packet) = self.take_packet() {
                if let Some(received) = self.answer(packet) {
                    return Some(received);
                }
            }
            if Instant::now() >= end {
                return None;
            }
            self.read();
        }
    }

    fn read(&mut self) {
        let Some(client) = &mut self.client else {
            return;
        };
        let mut bytes = [0; 64 * 1024];
        match client.read(&mut bytes) {
            Ok(0) => self.client = None,
            Ok(count) => self.bytes.extend_from_slice(&bytes[..count]),
            Err(error)
                if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {
            }
            Err(_) => self.client = None,
        }
    }

    /// Head byte and body of the next whole packet.
    fn take_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let ((head, body), length) =
            packet::frame(&self.bytes).expect("the gateway speaks MQTT")?;
        let packet = (head, body.to_vec());
        self.bytes.drain(..length);
        Some(packet)
    }

    fn answer(&mut self, (head, body): (u8, Vec<u8>)) -> Option<Received> {
        let reply = match head >> 4 {
            1 => vec![0x20, 2, 0, 0],
            8 => {
                let len = usize::from(u16::from_be_bytes([body[2], body[3]]));
                let filter = String::from_utf8(body[4..4 + len].to_vec()).expect("a filter");
                self.filters.push(filter);
                vec![0x90, 3, body[0], body[1], 1]
            }
            10 => vec![0xb0, 2, body[0], body[1]],
            12 => vec![0xd0, 0],
            3 => {
                let mut whole = vec![head];
                packet::put_length(&mut whole, body.len());
                whole.extend_from_slice(&body);
                let (packet, _) = Packet::decode(&whole).expect("a packet").expect("a whole one");
                let Packet::Publish(received) = packet else {
                    return None;
                };
                if received.qos > 0 {
                    self.write(&packet::puback(received.packet_id));
                }
                return Some(received);
            }
            _ => return None,
        };
        self.write(&reply);
        None
    }
}
