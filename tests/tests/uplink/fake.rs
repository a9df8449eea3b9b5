//! A broker that does what the test says, byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::bench::PATIENCE;

/// CONNACKs that accept.
pub const CONNACK_V311: &[u8] = &[0x20, 2, 0, 0];
pub const CONNACK_V5: &[u8] = &[0x20, 3, 0, 0, 0];

pub struct Fake {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Fake {
    pub fn listen() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Fake { listener, address }
    }

    /// The next connection.
    pub fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream, bytes: Vec::new() }
    }

    /// The next connection, after its CONNECT and this answer.
    pub fn greet(&self, connack: &[u8]) -> Peer {
        let mut peer = self.accept();
        let connect = peer.packet().expect("a CONNECT");
        assert_eq!(connect[0], 0x10, "a CONNECT comes first");
        peer.send(connack);
        peer
    }
}

pub struct Peer {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Peer {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Acks a PUBLISH; in MQTT 5 with a reason, if there is one.
    pub fn ack(&mut self, packet_id: u16, code: Option<u8>) {
        let [high, low] = packet_id.to_be_bytes();
        match code {
            None => self.send(&[0x40, 2, high, low]),
            Some(code) => self.send(&[0x40, 3, high, low, code]),
        }
    }

    /// The next packet; `None` when the connection has ended.
    pub fn packet(&mut self) -> Option<Vec<u8>> {
        self.packet_within(PATIENCE).expect("a packet comes")
    }

    /// The next packet, `Some(None)` at the connection's end, `None` when nothing comes in time.
    pub fn packet_within(&mut self, wait: Duration) -> Option<Option<Vec<u8>>> {
        let end = Instant::now() + wait;
        loop {
            if let Some(len) = packet_len(&self.bytes) {
                return Some(Some(self.bytes.drain(..len).collect()));
            }
            // A read timeout of zero would mean "for ever".
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Some(None),
                Ok(read) => self.bytes.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Some(None),
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                    return None;
                }
            }
        }
    }

    /// The packet identifier of the next PUBLISH.
    pub fn publish(&mut self) -> u16 {
        let packet = self.packet().expect("the connection lasts");
        assert_eq!(packet[0], 0x32, "a PUBLISH with QoS 1, not retained, not a duplicate");
        let body = &packet[packet_head(&packet).unwrap()..];
        let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
        u16::from_be_bytes([body[2 + topic_len], body[3 + topic_len]])
    }
}

/// Bytes of the fixed header.
fn packet_head(bytes: &[u8]) -> Option<usize> {
    bytes.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0).map(|at| at + 2)
}

fn packet_len(bytes: &[u8]) -> Option<usize> {
    let head = packet_head(bytes)?;
    let rest: usize = bytes[1..head]
        .iter()
        .enumerate()
        .map(|(at, byte)| usize::from(byte & 0x7f) << (7 * at))
        .sum();
    (bytes.len() >= head + rest).then_some(head + rest)
}
