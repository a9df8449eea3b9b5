//! `tidegate outbox` beside the real daemon: while it runs, and when it has been killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::handlers::tally;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::{Client, Packet};
use tidegate_tests::ports;
use tidegate_tests::programs::{self, Placement};

use crate::house::PATIENCE;

fn uplink(broker: SocketAddr) -> String {
    format!(
        "\n[uplink]\nbroker = \"mqtt://{broker}\"\ninsecure = true\n\n[[stream]]\nname = \"up\"\n"
    )
}

fn start(more: &str) -> Daemon {
    let handlers = [tally("in/+")];
    let local = Local::Listen(ports::free());
    let daemon = Daemon::spawn_with(&local, &handlers, &Placement::default(), more);
    daemon.wait_until_ready(&handlers);
    daemon
}

/// Publishes and waits for each ack: then a record of it is durable.
fn send(daemon: &Daemon, count: u64) {
    let mut device = Client::connect(daemon.address, "device").expect("it listens");
    for n in 0..count {
        let id = device.publish_acked("in/a", n.to_string().as_bytes()).expect("sent");
        let answer = device.read(PATIENCE).expect("read");
        assert_eq!(answer, Some(Packet::PubAck { packet_id: id }));
    }
}

/// What the command says, and of the stream `up`.
fn outbox(option: &str, path: &Path) -> (Value, Value) {
    let output = Command::new(programs::tidegate())
        .args(["outbox", "--json", option])
        .arg(path)
        .output()
        .expect("the tool was just built");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{option} {}: {stderr}", path.display());
    let seen: Value = serde_json::from_slice(&output.stdout).expect("one object");
    let streams = seen["streams"].as_array().expect("a list");
    let up = streams.iter().find(|stream| stream["name"] == "up" || stream["waiting"] != 0);
    let up = up.cloned().unwrap_or_default();
    (seen, up)
}

#[test]
fn what_waits_is_told_live_and_read_after_a_kill() {
    let mut daemon = start(&uplink(ports::free()));
    let begun = Instant::now();
    send(&daemon, 30);
    let data = daemon.data();
    let (seen, up) = outbox("--data-dir", &data);
    assert_eq!((&seen["source"], &seen["gateway"]), (&"daemon".into(), &"gw-01".into()));
    assert_eq!(seen["uplink"]["state"], "down", "{seen}");
    assert_eq!((&up["waiting"], &up["delivered"]), (&30.into(), &0.into()), "{seen}");
    let age_s = up["oldest_s"].as_u64().expect("known");
    assert!(up["oldest"] == "exact" && age_s <= begun.elapsed().as_secs(), "{seen}");
    assert_eq!(up["drain_s"], Value::Null);
    assert!(seen["journal"]["used_bytes"].as_u64() >= Some(1 << 22), "{seen}");

    let socket = data.join("control.sock");
    let (by_socket, _) = outbox("--socket", &socket);
    assert_eq!(by_socket["epoch"], seen["epoch"]);
    daemon.process.kill();
    let (offline, left) = outbox("--config", &daemon.scratch.path().join("gateway.toml"));
    assert_eq!((&offline["source"], &offline["epoch"]), (&"disk".into(), &seen["epoch"]));
    assert!(socket.exists(), "a killed daemon leaves its socket");
    for key in ["name", "number", "waiting", "waiting_bytes", "delivered", "lost"] {
        assert_eq!(left[key], up[key], "{key}: {offline} after {seen}");
    }
    daemon.start_again();
    daemon.wait_until_ready(&[tally("in/+")]);
    let (seen, up) = outbox("--data-dir", &data);
    assert_eq!((&seen["source"], &up["waiting"]), (&"daemon".into(), &30.into()), "{seen}");
    assert_eq!(up["oldest"], "at-least", "from before the start: {seen}");
}

#[test]
fn what_upstream_has_acked_does_not_wait() {
    let broker = Mosquitto::start();
    let mut daemon = start(&uplink(broker.address));
    send(&daemon, 30);
    let end = Instant::now() + PATIENCE;
    let (seen, up) = loop {
        let (seen, up) = outbox("--data-dir", &daemon.data());
        if up["delivered"] == 30 || Instant::now() > end {
            break (seen, up);
        }
    };
    assert_eq!((&up["delivered"], &up["waiting"]), (&30.into(), &0.into()), "{seen}");
    assert_eq!((&up["oldest"], &up["drain_s"]), (&"none".into(), &0.into()), "{seen}");
    assert_eq!(up["delivered_lately"], 30, "{seen}");
    assert_eq!(seen["uplink"]["state"], "up", "{seen}");
    let status = daemon.process.terminate(PATIENCE);
    assert!(status.is_some_and(|status| status.success()));
    assert!(!daemon.data().join("control.sock").exists(), "a stopped daemon takes it away");
    let (seen, up) = outbox("--config", &daemon.scratch.path().join("gateway.toml"));
    assert_eq!((&up["delivered"], &up["waiting"]), (&30.into(), &0.into()), "{seen}");
}
