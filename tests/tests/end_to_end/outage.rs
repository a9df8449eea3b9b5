//! The local broker is away, comes and goes; the port is taken.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::handlers;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::{self, Client, Connect, Packet};
use tidegate_tests::ports;
use tidegate_tests::programs::Placement;

use crate::house::{House, PATIENCE, Side};

/// The longest wait between two tries to reach the broker, and some.
const BACK_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn a_taken_port_is_a_clear_end() {
    let address = ports::free();
    let _other = TcpListener::bind(address).expect("it is free");
    let mut daemon = Daemon::spawn(&Local::Listen(address), &[], &Placement::default());
    let status = daemon.process.wait(PATIENCE).expect("it ends by itself");
    assert_eq!(status.code(), Some(71));
    let text = daemon.process.text();
    assert!(text.contains(&address.to_string()) && text.contains("local.listen"), "{text}");
}

#[test]
fn a_broker_that_comes_later_is_found() {
    let address = ports::free();
    let echo = handlers::echo("ready", "ready/in", "ready/out", 0);
    let mut daemon = Daemon::spawn(&Local::Broker(address), &[echo], &Placement::default());
    let said = daemon.process.wait_for_line(&["local broker is not there"], PATIENCE);
    assert!(said.is_some(), "{}", daemon.process.text());
    std::thread::sleep(Duration::from_millis(500));
    assert!(daemon.process.is_running());
    let broker = Mosquitto::start_at(address, &Placement::default());
    let house = House { daemon, broker: Some(broker), address };
    house.wait_until_it_reacts(BACK_WITHIN);
}

#[test]
fn a_killed_broker_is_found_again() {
    let mut house = House::start(Side::Broker, &[]);
    for _ in 0..3 {
        let broker = house.broker.as_mut().expect("there is one on this side");
        broker.process.kill();
        let said = house.daemon.process.wait_for_line(&["local broker is not there"], PATIENCE);
        assert!(said.is_some(), "{}", house.daemon.process.text());
        let broker = house.broker.as_mut().expect("there is one on this side");
        broker.resume();
        house.wait_until_it_reacts(BACK_WITHIN);
    }
}

/// Messages of the outage test, and after which of them the broker stops.
const MESSAGES: u32 = 400;
const STOPS: [u32; 2] = [100, 250];

#[test]
fn no_acked_message_is_lost_over_a_restart_of_the_broker() {
    let mut broker = Mosquitto::start_durable();
    let echo = handlers::echo("sure", "sure/in", "sure/out", 1);
    let daemon = Daemon::start_behind(broker.address, &[echo]);
    // A kept session of our own, so that reactions wait for us too.
    let mut listener = Listener::new(broker.address);
    let mut device = Device { address: broker.address, client: None };
    // The daemon's subscription must be in place before the first message that counts.
    let end = Instant::now() + BACK_WITHIN;
    while listener.heard.is_empty() && Instant::now() < end {
        device.send_until_acked(u32::MAX);
        listener.listen(Duration::from_millis(200));
    }
    for n in 0..MESSAGES {
        device.send_until_acked(n);
        if STOPS.contains(&n) {
            broker.stop();
            std::thread::sleep(Duration::from_millis(300));
            broker.resume();
        }
    }
    let end = Instant::now() + BACK_WITHIN;
    while listener.missing().next().is_some() && Instant::now() < end {
        listener.listen(Duration::from_millis(200));
    }
    let missing: Vec<u32> = listener.missing().collect();
    assert!(missing.is_empty(), "lost {missing:?}\n{}", daemon.process.text());
}

/// Publishes with QoS 1, and again after each cut until it has the PUBACK.
struct Device {
    address: std::net::SocketAddr,
    client: Option<Client>,
}

impl Device {
    fn send_until_acked(&mut self, number: u32) {
        let end = Instant::now() + BACK_WITHIN;
        while Instant::now() < end {
            if self.try_send(number).unwrap_or(false) {
                return;
            }
            self.client = None;
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("message {number} was not acked");
    }

    fn try_send(&mut self, number: u32) -> std::io::Result<bool> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.address, "device")?,
        };
        let id = client.publish_acked("sure/in", &number.to_be_bytes())?;
        let acked = client.read(Duration::from_secs(2))? == Some(Packet::PubAck { packet_id: id });
        self.client = Some(client);
        Ok(acked)
    }
}

/// Hears reactions in a session that outlives cuts.
struct Listener {
    address: std::net::SocketAddr,
    client: Option<Client>,
    heard: std::collections::BTreeSet<u32>,
}

impl Listener {
    fn new(address: std::net::SocketAddr) -> Listener {
        let mut client = Listener::connect(address).expect("connected");
        client.subscribe("sure/out", 1).expect("subscribed");
        Listener { address, client: Some(client), heard: Default::default() }
    }

    fn connect(address: std::net::SocketAddr) -> std::io::Result<Client> {
        Client::connect_with(
            address,
            &Connect { id: "listener", clean: false, ..Connect::default() },
        )
    }

    /// Takes in what comes until it is quiet for `wait`.
    fn listen(&mut self, wait: Duration) {
        let client = match self.client.as_mut() {
            Some(client) => client,
            None => match Listener::connect(self.address) {
                Ok(client) => self.client.insert(client),
                Err(_) => return std::thread::sleep(wait),
            },
        };
        loop {
            match client.message(wait) {
                Ok(Some(message)) => {
                    let number: [u8; 4] = message.payload.as_slice().try_into().expect("our own");
                    self.heard.insert(u32::from_be_bytes(number));
                }
                Ok(None) => return,
                Err(_) => {
                    self.client = None;
                    return;
                }
            }
        }
    }

    fn missing(&self) -> impl Iterator<Item = u32> {
        (0..MESSAGES).filter(|number| !self.heard.contains(number))
    }
}

#[test]
fn a_poisoned_message_does_not_hold_the_line() {
    // A kept session delivers a QoS 1 message again after each cut: one that the daemon cannot take
    // must not cut it for ever.
    let mut house = House::start(Side::Broker, &[handlers::echo("huge", "huge/in", "huge/out", 1)]);
    let mut client = house.client("client");
    client.subscribe("huge/out", 0).expect("subscribed");
    for bytes in [1 << 18, 1 << 20, 1 << 22] {
        let mut packet = Vec::new();
        mqtt::publish(&mut packet, "huge/in", &vec![b'x'; bytes], 1, 5, false);
        client.send(&packet).expect("mosquitto takes it");
        let id = client.publish_acked("huge/in", b"after").expect("sent");
        assert!(id > 0);
        let end = Instant::now() + BACK_WITHIN;
        let mut came = false;
        while !came && Instant::now() < end {
            let message = client.message(Duration::from_millis(500)).expect("connected");
            came = message.is_some_and(|message| message.payload == b"after");
        }
        assert!(came, "the message after one of {bytes} bytes");
    }
    house.still_works();
}
