//! A daemon with its surroundings, on either side.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::Client;

/// How long a reaction may take on a busy machine before it counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// On which side messages come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The embedded front door.
    Door,
    /// A mosquitto that was there before.
    Broker,
}

pub const BOTH: [Side; 2] = [Side::Door, Side::Broker];

/// A daemon that takes messages, with an echo from `ready/in` to `ready/out` that proves it.
#[derive(Debug)]
pub struct House {
    pub daemon: Daemon,
    pub broker: Option<Mosquitto>,
    /// Where clients go.
    pub address: SocketAddr,
}

impl House {
    /// Starts a daemon with these handlers and the echo, and waits until the echo answers.
    pub fn start(side: Side, handlers: &[Handler]) -> House {
        let mut all = handlers.to_vec();
        all.push(handlers::echo("ready", "ready/in", "ready/out", 0));
        let (broker, daemon) = match side {
            Side::Door => (None, Daemon::start(&all)),
            Side::Broker => {
                let broker = Mosquitto::start();
                let daemon = Daemon::start_behind(broker.address, &all);
                (Some(broker), daemon)
            }
        };
        let house = House { address: daemon.address, daemon, broker };
        house.wait_until_it_reacts(Duration::from_secs(15));
        house
    }

    /// A clean session.
    pub fn client(&self, id: &str) -> Client {
        Client::connect(self.address, id).expect("the broker takes clients")
    }

    /// Sends to the echo until it answers.
    #[track_caller]
    pub fn wait_until_it_reacts(&self, wait: Duration) {
        assert!(reacts(self.address, wait), "no reaction within {wait:?}");
    }

    /// The rest goes on: the daemon lives, and the echo answers at once.
    #[track_caller]
    pub fn still_works(&mut self) {
        assert!(self.daemon.process.is_running(), "the daemon lives");
        self.wait_until_it_reacts(PATIENCE);
    }
}

/// Whether the echo answers within `wait`, whatever becomes of the connection meanwhile.
fn reacts(address: SocketAddr, wait: Duration) -> bool {
    let end = Instant::now() + wait;
    while Instant::now() < end {
        if asked_and_answered(address, end).unwrap_or(false) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

fn asked_and_answered(address: SocketAddr, end: Instant) -> std::io::Result<bool> {
    let mut client = Client::connect(address, "ready-probe")?;
    client.subscribe("ready/out", 0)?;
    while Instant::now() < end {
        client.publish("ready/in", b"ready?")?;
        if client.message(Duration::from_millis(200))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
