//! What lasts: state over restarts, and records that wait for upstream.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_tests::daemon::{Daemon, Local, START_MAX};
use tidegate_tests::handlers::tally;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::{Client, Connect, Packet};
use tidegate_tests::ports;
use tidegate_tests::process::Process;
use tidegate_tests::programs::Placement;

use crate::house::PATIENCE;

/// An upstream that is slow to come back is tried every two seconds.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// The uplink's part of `gateway.toml`.
fn uplink(broker: SocketAddr) -> String {
    format!(
        "\n[uplink]\nbroker = \"mqtt://{broker}\"\ninsecure = true\n\n[[stream]]\nname = \"up\"\n\
         topic = \"{{gateway}}/up\"\nformat = \"json\"\n"
    )
}

fn start(more: &str) -> Daemon {
    let handlers = [tally("in/+")];
    let local = Local::Listen(ports::free());
    let daemon = Daemon::spawn_with(&local, &handlers, &Placement::default(), more);
    daemon.wait_until_ready(&handlers);
    daemon
}

fn start_again(daemon: &mut Daemon) {
    daemon.start_again();
    daemon.wait_until_ready(&[tally("in/+")]);
}

/// What the handler counted of a topic.
fn count(daemon: &Daemon, topic: &str) -> Option<u64> {
    let mut client = Client::connect(daemon.address, "asks").expect("it listens");
    client.subscribe("tally/count", 0).expect("granted");
    client.publish(topic, b"?").expect("sent");
    let answer = client.message(PATIENCE).expect("read").expect("an answer");
    Some(u64::from_le_bytes(answer.payload.try_into().ok()?))
}

fn send(daemon: &Daemon, topic: &str, payloads: impl Iterator<Item = String>) {
    let mut device = Client::connect(daemon.address, "device").expect("it listens");
    for payload in payloads {
        let id = device.publish_acked(topic, payload.as_bytes()).expect("sent");
        let answer = device.read(PATIENCE).expect("read");
        assert_eq!(answer, Some(Packet::PubAck { packet_id: id }));
    }
}

/// Records by seq.
#[derive(Default)]
struct Received(BTreeMap<u64, Value>);

impl Received {
    /// Listens until `count` different records are there, or for so long.
    fn listen(&mut self, client: &mut Client, count: usize, wait: Duration) {
        let end = Instant::now() + wait;
        while self.0.len() < count && Instant::now() < end {
            let Some(message) = client.message(Duration::from_millis(200)).expect("read") else {
                continue;
            };
            let envelope: Value = serde_json::from_slice(&message.payload).expect("JSON");
            let seq = envelope["seq"].as_u64().expect("a seq");
            let old = self.0.insert(seq, envelope.clone());
            assert!(old.is_none_or(|old| old["payload"] == envelope["payload"]), "seq {seq} twice");
        }
    }

    fn payloads(&self) -> Vec<u64> {
        self.0.values().map(|envelope| envelope["payload"].as_u64().expect("a number")).collect()
    }
}

#[test]
fn state_is_there_after_a_clean_stop_and_after_a_kill() {
    let mut daemon = start("");
    assert_eq!(count(&daemon, "in/a"), None);
    send(&daemon, "in/a", (0..20).map(|n| n.to_string()));
    let status = daemon.process.terminate(PATIENCE).expect("it ends");
    assert!(status.success(), "{}", daemon.process.text());
    start_again(&mut daemon);
    assert_eq!(count(&daemon, "in/a"), Some(20), "{}", daemon.process.text());
    send(&daemon, "in/a", (0..5).map(|n| n.to_string()));
    daemon.process.kill();
    start_again(&mut daemon);
    assert_eq!(count(&daemon, "in/a"), Some(25), "{}", daemon.process.text());
}

#[test]
fn records_arrive_in_order_and_once() {
    let broker = Mosquitto::start();
    let mut cloud = Client::connect(broker.address, "cloud").expect("it listens");
    cloud.subscribe("gw-01/#", 1).expect("granted");
    let daemon = start(&uplink(broker.address));
    send(&daemon, "in/a", (0..200).map(|n| n.to_string()));
    let mut received = Received::default();
    received.listen(&mut cloud, 200, DRAIN_MAX);
    assert_eq!(received.payloads(), (0..200).collect::<Vec<u64>>(), "{}", daemon.process.text());
    let first = received.0.first_key_value().expect("some").1;
    assert_eq!((first["gateway"].as_str(), first["stream"].as_str()), (Some("gw-01"), Some("up")));
    assert_eq!(first["seq"].as_u64(), Some(1));
}

#[test]
fn records_wait_for_an_upstream_that_is_away_over_kills_of_the_daemon() {
    let address = ports::free();
    let mut daemon = start(&uplink(address));
    for round in 0..4 {
        send(&daemon, "in/a", (round * 50..(round + 1) * 50).map(|n| n.to_string()));
        daemon.process.kill();
        start_again(&mut daemon);
    }
    let broker = Mosquitto::start_at(address, &Placement::default());
    let mut cloud = Client::connect(broker.address, "cloud").expect("it listens");
    cloud.subscribe("gw-01/#", 1).expect("granted");
    let mut received = Received::default();
    received.listen(&mut cloud, 200, DRAIN_MAX);
    assert_eq!(received.payloads(), (0..200).collect::<Vec<u64>>(), "{}", daemon.process.text());
    assert!(received.0.values().all(|envelope| envelope["historical"] == true));
}

#[test]
fn an_upstream_that_comes_and_goes_gets_everything() {
    let mut broker = Mosquitto::start_durable();
    let kept = Connect { id: "cloud", clean: false, ..Connect::default() };
    let connect =
        |broker: &Mosquitto| Client::connect_with(broker.address, &kept).expect("it listens");
    connect(&broker).subscribe("gw-01/#", 1).expect("granted");
    let daemon = start(&uplink(broker.address));
    let mut sent = 0;
    for _ in 0..3 {
        send(&daemon, "in/a", (sent..sent + 100).map(|n| n.to_string()));
        broker.stop();
        send(&daemon, "in/a", (sent + 100..sent + 150).map(|n| n.to_string()));
        sent += 150;
        broker.resume();
    }
    let mut received = Received::default();
    received.listen(&mut connect(&broker), sent as usize, DRAIN_MAX);
    assert_eq!(received.payloads(), (0..sent).collect::<Vec<u64>>(), "{}", daemon.process.text());
}

#[test]
fn a_second_daemon_is_kept_out_of_the_folder() {
    let daemon = start("");
    let config = daemon.scratch.path().join("gateway.toml");
    let text = std::fs::read_to_string(&config).expect("it was written");
    let other = text.replace(&daemon.address.to_string(), &ports::free().to_string());
    let other = daemon.scratch.write("other.toml", other);
    let mut command = tidegate_tests::daemon::tidegated(&[], &other);
    let mut second = Process::start("tidegated", &mut command);
    let status = second.wait(START_MAX).expect("it ends by itself");
    assert_eq!(status.code(), Some(71), "{}", second.text());
    assert!(second.text().contains("in use by another daemon"), "{}", second.text());
}
