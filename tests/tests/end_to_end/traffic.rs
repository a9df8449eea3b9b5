//! Telemetry in, reaction out: the main job, with the clients that people use.

use std::env;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tidegate_tests::handlers;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::{self, Client};
use tidegate_tests::process::Process;
use tidegate_tests::programs;

use crate::house::{BOTH, House, PATIENCE};

/// `mosquitto_sub`, started and subscribed.
fn mosquitto_sub(address: SocketAddr, topic: &str, more: &[&str]) -> Process {
    let mut command = Mosquitto::client("mosquitto_sub", address);
    command.args(["-t", topic, "-d", "-v"]).args(more);
    let process = Process::start("mosquitto_sub", &mut command);
    assert!(process.wait_for_line(&["Subscribed"], PATIENCE).is_some(), "{}", process.text());
    process
}

#[track_caller]
fn mosquitto_pub(address: SocketAddr, topic: &str, payload: &str, more: &[&str]) {
    let mut command = Mosquitto::client("mosquitto_pub", address);
    let output = command.args(["-t", topic, "-m", payload]).args(more).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_hot_device_is_answered() {
    for side in BOTH {
        let house = House::start(side, &[handlers::overheat()]);
        for (version, qos) in
            [("mqttv311", "0"), ("mqttv311", "1"), ("mqttv5", "0"), ("mqttv5", "1")]
        {
            let device = format!("{version}-{qos}");
            let more = ["-V", version, "-q", qos];
            let heard = mosquitto_sub(house.address, &format!("devices/{device}/cmd"), &more);
            let topic = format!("devices/{device}/telemetry");
            mosquitto_pub(house.address, &topic, "{\"temp\": 40.0, \"seq\": 16}", &more);
            mosquitto_pub(
                house.address,
                &topic,
                "{\"temp\": 190.0, \"unit\": \"C\", \"seq\": 17}",
                &more,
            );
            // 40 + 0.2 * (190 - 40), and the cool one before it was not answered.
            let reaction = heard.wait_for_line(&["devices/", "fan"], PATIENCE);
            let reaction = reaction.unwrap_or_else(|| panic!("{side:?} {device}: no reaction"));
            let expect =
                format!("devices/{device}/cmd {{\"fan\":\"on\",\"ewma\":70.0,\"seq\":17}}");
            assert_eq!(reaction.text, expect, "{side:?}");
        }
    }
}

#[test]
fn paho_clients_are_served() {
    for side in BOTH {
        let house = House::start(side, &[handlers::overheat()]);
        for version in ["3", "5"] {
            let script = programs::workspace().join("tests/clients/paho_check.py");
            let python = env::var("TIDEGATE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
            let output = Command::new(python)
                .arg(script)
                .args([&house.address.ip().to_string(), &house.address.port().to_string(), version])
                .output()
                .expect("python3 is installed");
            assert!(
                output.status.success(),
                "{side:?} version {version}:\n{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn a_reaction_carries_its_qos_and_every_message_is_acked() {
    for side in BOTH {
        let echo = handlers::echo("sure", "sure/+/in", "sure/out", 1);
        let house = House::start(side, &[echo]);
        let mut back = house.client("back");
        back.subscribe("sure/out", 1).expect("subscribed");
        let mut device = house.client("device");
        for n in 0..100 {
            let id = device.publish_acked(&format!("sure/{n}/in"), &[n]).expect("sent");
            let ack = device.read(PATIENCE).expect("connected");
            assert_eq!(ack, Some(mqtt::Packet::PubAck { packet_id: id }), "{side:?}");
        }
        for n in 0..100 {
            let message = back.message(PATIENCE).expect("connected");
            let message = message.unwrap_or_else(|| panic!("{side:?}: reaction {n} is lost"));
            assert_eq!((message.payload, message.qos), (vec![n], 1), "{side:?}");
        }
    }
}

#[test]
fn one_device_s_messages_stay_in_order() {
    for side in BOTH {
        let house = House::start(side, &[handlers::echo("order", "order/in", "order/out", 0)]);
        let mut back = house.client("back");
        back.subscribe("order/out", 0).expect("subscribed");
        let mut device = house.client("device");
        let mut bytes = Vec::new();
        for n in 0..2000u32 {
            mqtt::publish(&mut bytes, "order/in", &n.to_be_bytes(), 0, 0, false);
        }
        device.send(&bytes).expect("sent");
        for n in 0..2000u32 {
            let message = back.message(PATIENCE).expect("connected").expect("a reaction");
            assert_eq!(message.payload, n.to_be_bytes(), "{side:?}");
        }
    }
}

#[test]
fn a_kept_message_reaches_a_handler_that_starts_later() {
    let broker = Mosquitto::start();
    let mut device = Client::connect(broker.address, "device").expect("connected");
    let mut bytes = Vec::new();
    mqtt::publish(&mut bytes, "kept/in", b"from before", 1, 1, true);
    device.send(&bytes).expect("sent");
    device.read(PATIENCE).expect("connected").expect("a PUBACK");
    device.subscribe("kept/out", 0).expect("subscribed");
    let echo = handlers::echo("kept", "kept/in", "kept/out", 0);
    let _daemon = tidegate_tests::daemon::Daemon::start_behind(broker.address, &[echo]);
    let message = device.message(PATIENCE).expect("connected").expect("a reaction");
    assert_eq!(message.payload, b"from before");
}

#[test]
fn two_handlers_see_the_same_message_and_one_feeds_the_other() {
    for side in BOTH {
        let handlers = [
            handlers::echo("first", "two/in", "two/mid", 0),
            handlers::echo("second", "two/#", "three/out", 0),
        ];
        let house = House::start(side, &handlers);
        let mut client = house.client("client");
        client.subscribe("three/out", 0).expect("subscribed");
        client.publish("two/in", b"x").expect("sent");
        // Once from the device, once from the first handler.
        for _ in 0..2 {
            let message = client.message(PATIENCE).expect("connected").expect("a reaction");
            assert_eq!(message.payload, b"x", "{side:?}");
        }
        let third = client.message(Duration::from_millis(200)).expect("connected");
        assert_eq!(third, None, "{side:?}");
    }
}
