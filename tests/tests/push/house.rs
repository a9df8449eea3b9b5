//! A daemon that trusts a fleet, and the fleet.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_release::manifest::Order;
use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::Client;
use tidegate_tests::ports;
use tidegate_tests::programs::Placement;
use tidegate_tests::pusher::{Fleet, Pusher, gateway};
use tidegate_tests::scratch::Scratch;

/// The name of every test's gateway.
pub const GATEWAY: &str = "gw-01";

pub struct House {
    pub daemon: Daemon,
    pub fleet: Fleet,
    pub pusher: Pusher,
    /// Ends with the test, when there is one.
    _broker: Option<Mosquitto>,
    /// Where clients go.
    pub address: SocketAddr,
    /// Where persons go, when that is not the same.
    pub upstream: Option<SocketAddr>,
    seq: u64,
    _trust: Scratch,
}

impl House {
    /// With its own front door.
    pub fn start() -> House {
        House::start_with(&[], "")
    }

    pub fn start_with(handlers: &[Handler], more: &str) -> House {
        let address = ports::free();
        House::start_at(&Local::Listen(address), address, None, handlers, more)
    }

    /// With its own front door for devices, and a broker upstream, where persons are.
    pub fn start_below() -> House {
        let upstream = Mosquitto::start();
        let (address, up) = (ports::free(), upstream.address);
        let more = format!("\n[uplink]\nbroker = \"mqtt://{up}\"\ninsecure = true\n");
        let mut house =
            House::start_at(&Local::Listen(address), address, Some(upstream), &[], &more);
        house.upstream = Some(up);
        house
    }

    /// With more in `[trust]`.
    pub fn start_with_trust(more: &str) -> House {
        let address = ports::free();
        House::start_set(&Local::Listen(address), address, None, (&[], ""), more)
    }

    /// Behind a broker that was there before.
    pub fn start_behind() -> House {
        let broker = Mosquitto::start();
        let address = broker.address;
        House::start_at(&Local::Broker(address), address, Some(broker), &[], "")
    }

    /// A daemon behind a broker, without anybody who has heard its key. The folder holds the trust file.
    pub fn daemon_behind(broker: &Mosquitto) -> (Daemon, Scratch) {
        let (trust, path) = trust_file(&Fleet::new(1));
        let more = format!("\n[trust]\nfile = {path:?}\n");
        let local = Local::Broker(broker.address);
        (Daemon::spawn_with(&local, &[], &Placement::default(), &more), trust)
    }

    fn start_at(
        local: &Local,
        address: SocketAddr,
        broker: Option<Mosquitto>,
        handlers: &[Handler],
        more: &str,
    ) -> House {
        House::start_set(local, address, broker, (handlers, more), "")
    }

    fn start_set(
        local: &Local,
        address: SocketAddr,
        broker: Option<Mosquitto>,
        (handlers, more): (&[Handler], &str),
        trust_more: &str,
    ) -> House {
        let fleet = Fleet::new(1);
        let (trust, path) = trust_file(&fleet);
        let more = format!("{more}\n[trust]\nfile = {path:?}\n{trust_more}");
        let daemon = Daemon::spawn_with(local, handlers, &Placement::default(), &more);
        daemon.wait_until_ready(handlers);
        let pusher = Pusher::connect(address, GATEWAY);
        House {
            daemon,
            fleet,
            pusher,
            _broker: broker,
            address,
            upstream: None,
            seq: 0,
            _trust: trust,
        }
    }

    pub fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// The next order to run this handler here.
    pub fn order(&mut self, handler: &Handler, version: &str) -> Order {
        let seq = self.next_seq();
        self.fleet.order(handler, version, seq, gateway(GATEWAY))
    }

    /// Signs and sends all of it.
    pub fn push(&mut self, handler: &Handler, version: &str) -> Order {
        let order = self.order(handler, version);
        let envelope = self.fleet.sign(&order);
        self.pusher.push(&order, &envelope, &[&handler.module]);
        order
    }

    /// The same daemon again, after it has ended in whatever way.
    pub fn start_again(&mut self) {
        self.daemon.start_again();
        assert!(ports::wait_for_listener(self.address, Duration::from_secs(20)), "nobody listens");
        self.pusher = Pusher::connect(self.address, GATEWAY);
    }

    /// Sends one message and gives the reaction on `out`.
    #[track_caller]
    pub fn react(&self, topic: &str, payload: &[u8], out: &str) -> Option<Vec<u8>> {
        let mut client = Client::connect(self.address, "device").expect("a broker");
        client.subscribe(out, 0).expect("a subscription");
        client.publish_acked(topic, payload).expect("a connection");
        let message = client.message(Duration::from_secs(2)).expect("a connection");
        message.map(|message| message.payload)
    }

    /// Sends messages that nobody need react to, each acked.
    pub fn send(&self, topic: &str, count: usize) {
        let mut client = Client::connect(self.address, "sender").expect("a broker");
        for _ in 0..count {
            client.publish_acked(topic, b"x").expect("a connection");
        }
        // A QoS 1 message of our own comes back behind all of them.
        client.subscribe("fence", 1).expect("a subscription");
        client.publish_acked("fence", b"x").expect("a connection");
        client.message(Duration::from_secs(10)).expect("a connection").expect("the fence");
    }
}

fn trust_file(fleet: &Fleet) -> (Scratch, PathBuf) {
    let scratch = Scratch::new("trust");
    scratch.write("trust", fleet.trust());
    let path = scratch.path().join("trust");
    (scratch, path)
}

/// Answers on `out` with `word`.
pub fn says(name: &str, word: &str) -> Handler {
    let module = handlers::guest_with(
        &format!("(data (i32.const 16) \"out\") (data (i32.const 32) \"{word}\")"),
        &format!(
            "(call $publish (i32.const 16) (i32.const 3) (i32.const 32) (i32.const {}) (i32.const 0))",
            word.len()
        ),
    );
    Handler::new(name, "in", module).may_publish("out")
}

/// Traps at every event.
pub fn traps(name: &str) -> Handler {
    Handler::new(name, "in", handlers::guest("(unreachable)"))
}
