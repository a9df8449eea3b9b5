//! A small MQTT 3.1.1 client over a plain socket, for load and for checks that a library would be
//! too polite for. What it sends can be any bytes; what it reads is one packet at a time.

pub mod packet;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub use packet::{Connect, Packet, Will, connect, puback, publish, subscribe, unsubscribe};

/// Longest packet this client takes in: more than any test sends.
const PACKET_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A broker that for so long neither reads nor hangs up has forgotten the connection.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A connection with its read buffer.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    next_id: u16,
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    /// 0 with QoS 0.
    pub packet_id: u16,
}

impl Client {
    /// Opens a socket and sends nothing.
    ///
    /// # Errors
    /// When nobody listens at `address`.
    pub fn open(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_MAX))?;
        Ok(Client { stream, buffer: vec![0; 64 * 1024], start: 0, end: 0, next_id: 0 })
    }

    /// Opens a clean session without keep-alive.
    ///
    /// # Errors
    /// When the socket fails or the broker refuses.
    pub fn connect(address: SocketAddr, id: &str) -> io::Result<Client> {
        Client::connect_with(address, &Connect { id, ..Connect::default() })
    }

    /// Opens a session.
    ///
    /// # Errors
    /// When the socket fails or the broker refuses.
    pub fn connect_with(address: SocketAddr, options: &Connect<'_>) -> io::Result<Client> {
        let mut client = Client::open(address)?;
        client.send(&connect(options))?;
        match client.read(Duration::from_secs(5))? {
            Some(Packet::ConnAck { code: 0, .. }) => Ok(client),
            other => Err(io::Error::other(format!("no CONNACK but {other:?}"))),
        }
    }

    /// The socket, to write from another thread.
    ///
    /// # Errors
    /// When the system has no file descriptor left.
    pub fn stream(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Sends raw bytes.
    ///
    /// # Errors
    /// When the connection is gone, or the other side takes nothing for too long.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Subscribes and waits for the SUBACK; returns its code. Messages that come first are lost.
    ///
    /// # Errors
    /// When the connection is gone or the answer does not come.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<u8> {
        let id = self.take_id();
        self.send(&subscribe(id, filter, qos))?;
        let end = Instant::now() + Duration::from_secs(5);
        while let Some(packet) = self.read(end.saturating_duration_since(Instant::now()))? {
            if let Packet::SubAck { packet_id, code } = packet
                && packet_id == id
            {
                return Ok(code);
            }
        }
        Err(io::Error::other("no SUBACK"))
    }

    /// Publishes with QoS 0.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(payload.len() + topic.len() + 8);
        publish(&mut bytes, topic, payload, 0, 0, false);
        self.send(&bytes)
    }

    /// Publishes with QoS 1 and returns the packet identifier whose PUBACK will come.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn publish_acked(&mut self, topic: &str, payload: &[u8]) -> io::Result<u16> {
        let id = self.take_id();
        let mut bytes = Vec::with_capacity(payload.len() + topic.len() + 8);
        publish(&mut bytes, topic, payload, 1, id, false);
        self.send(&bytes)?;
        Ok(id)
    }

    /// The next message, acked when it asks for it. `None` when none came in time.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn message(&mut self, wait: Duration) -> io::Result<Option<Received>> {
        let end = Instant::now() + wait;
        while let Some(packet) = self.read(end.saturating_duration_since(Instant::now()))? {
            if let Packet::Publish(message) = packet {
                if message.qos == 1 {
                    self.send(&puback(message.packet_id))?;
                }
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Waits until the broker closes the connection; `false` when it does not.
    pub fn is_closed_within(&mut self, wait: Duration) -> bool {
        let end = Instant::now() + wait;
        loop {
            match self.read(end.saturating_duration_since(Instant::now())) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    /// The next packet; `None` when none came in time.
    ///
    /// # Errors
    /// When the connection is gone or the bytes are no packet.
    pub fn read(&mut self, wait: Duration) -> io::Result<Option<Packet>> {
        let end = Instant::now() + wait;
        loop {
            if let Some((packet, len)) = Packet::decode(&self.buffer[self.start..self.end])? {
                self.start += len;
                return Ok(Some(packet));
            }
            // A read timeout of zero would mean "for ever".
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            match self.fill() {
                Ok(()) => {}
                Err(error) if !is_timeout(&error) => return Err(error),
                Err(_) if Instant::now() >= end => return Ok(None),
                Err(_) => {}
            }
        }
    }

    /// Sets how long [`Client::read_messages`] waits.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn set_wait(&self, wait: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(wait))
    }

    /// Reads once and hands each message among the bytes to `take`: the load generator's way in,
    /// which copies nothing.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn read_messages(&mut self, mut take: impl FnMut(&str, &[u8])) -> io::Result<()> {
        match self.fill() {
            Err(error) if is_timeout(&error) => return Ok(()),
            other => other?,
        }
        while let Some((packet, len)) = packet::frame(&self.buffer[self.start..self.end])? {
            if let Some((topic, payload)) = packet::as_publish(packet) {
                take(topic, payload);
            }
            self.start += len;
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() {
                if self.buffer.len() >= PACKET_BYTES_MAX {
                    return Err(io::Error::other("a packet longer than any test sends"));
                }
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        loop {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.end += n;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take_id(&mut self) -> u16 {
        self.next_id = self.next_id % 65_535 + 1;
        self.next_id
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
