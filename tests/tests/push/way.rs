//! The way of a release that is good.

use std::time::Duration;

use tidegate_release::answer::Stage;
use tidegate_release::chunks::split;
use tidegate_release::golden::{Case, Expect, Golden};
use tidegate_release::hash::digest_of;
use tidegate_release::manifest::{Target, What};
use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::pusher::{gateway, name, with_golden};

use crate::house::{GATEWAY, House, says};

/// A module of several chunks: a custom section that nobody reads.
fn padded(handler: Handler, bytes: usize) -> Handler {
    let section = (0..bytes).map(|at| (at * 7 + at / 255) as u8);
    let module = handlers::with_section(&handler.module, "p", section);
    Handler { module, ..handler }
}

#[test]
fn a_pushed_handler_reacts_passes_and_is_there_after_a_kill() {
    let mut house = House::start();
    house.push(&says("p", "one"), "1");
    house.pusher.wait_for("1", "probation");
    for _ in 0..3 {
        assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
    }
    let active = house.pusher.wait_for("1", "active");
    assert_eq!((active.figures.events, active.figures.failed), (3, 0));
    house.daemon.process.kill();
    house.start_again();
    house.pusher.wait_for("1", "active");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_second_version_takes_over_with_the_state() {
    let mut house = House::start();
    house.push(&handlers::plain("in/+"), "1");
    house.pusher.wait_for("1", "probation");
    house.send("in/a", 5);
    house.pusher.wait_for("1", "active");
    house.push(&padded(handlers::plain("in/+"), 10), "2");
    house.pusher.wait_for("2", "probation");
    house.send("in/a", 2);
    assert_eq!(house.react("in/a", b"?", "plain/count"), Some(7_u64.to_le_bytes().to_vec()));
}

#[test]
fn behind_a_broker_chunks_are_fetched_from_it() {
    let mut house = House::start_behind();
    let handler = padded(says("p", "one"), 200_000);
    // Chunks first, as a retained push from long ago would be.
    house.pusher.send_blob(&handler.module);
    let order = house.order(&handler, "1");
    let envelope = house.fleet.sign(&order);
    house.pusher.send_order(&order, &envelope);
    house.pusher.wait_for("1", "probation");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_transfer_goes_on_after_a_kill_in_any_order_and_twice() {
    let mut house = House::start();
    let handler = padded(says("p", "one"), 300_000);
    let chunks: Vec<&[u8]> = split(&handler.module).collect();
    let digest = digest_of(&handler.module);
    assert_eq!(chunks.len(), 4);
    let order = house.order(&handler, "1");
    let envelope = house.fleet.sign(&order);
    house.pusher.send_order(&order, &envelope);
    for n in [3, 1, 1] {
        house.pusher.send_chunk(digest, n, chunks[n as usize]);
    }
    house.pusher.wait("2 of 4", |answer| answer.stage == Stage::Checking { have: 2, of: 4 });
    house.daemon.process.kill();
    house.start_again();
    house.pusher.wait("2 of 4", |answer| answer.stage == Stage::Checking { have: 2, of: 4 });
    house.pusher.send_chunk(digest, 0, chunks[0]);
    house.pusher.send_chunk(digest, 2, chunks[2]);
    house.pusher.wait_for("1", "probation");
}

#[test]
fn golden_events_decide() {
    let mut house = House::start();
    let handler = says("p", "one");
    for (word, stage) in [("two", "rejected"), ("one", "probation")] {
        let expect = vec![Expect::Publish { topic: "out".into(), payload: word.into() }];
        let golden = Golden { cases: vec![Case { topic: "in".into(), payload: vec![1], expect }] };
        let mut order = house.order(&handler, "1");
        let golden = with_golden(&mut order, &golden);
        let envelope = house.fleet.sign(&order);
        house.pusher.push(&order, &envelope, &[&handler.module, &golden]);
        house.pusher.wait_for("1", stage);
    }
}

#[test]
fn a_group_is_as_good_as_a_name() {
    // `groups` belongs to the first table of the file.
    let mut house = House::start();
    house.daemon.process.kill();
    let config = house.daemon.scratch.path().join("gateway.toml");
    let text = std::fs::read_to_string(&config).expect("its configuration");
    let text = text.replacen("[gateway]\n", "[gateway]\ngroups = [\"boilers\"]\n", 1);
    std::fs::write(&config, text).expect("a writable file");
    house.start_again();
    let handler = says("p", "one");
    let seq = house.next_seq();
    let others = house.fleet.order(&handler, "0", seq, Target::Group(name("pumps")));
    let envelope = house.fleet.sign(&others);
    house.pusher.push(&others, &envelope, &[&handler.module]);
    let seq = house.next_seq();
    let order = house.fleet.order(&handler, "1", seq, Target::Group(name("boilers")));
    let envelope = house.fleet.sign(&order);
    house.pusher.push(&order, &envelope, &[&handler.module]);
    house.pusher.wait_for("1", "probation");
    assert!(house.pusher.heard.iter().all(|answer| answer.version.as_deref() != Some("0")));
}

#[test]
fn a_removed_handler_is_gone_also_after_a_start() {
    let configured = says("p", "configured");
    let mut house = House::start_with(&[configured], "");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"configured"[..]));
    let seq = house.next_seq();
    let order = house.fleet.order_of("p", seq, gateway(GATEWAY), What::Remove);
    let envelope = house.fleet.sign(&order);
    house.pusher.send_order(&order, &envelope);
    house.pusher.wait("removed", |answer| answer.stage == Stage::Removed);
    assert_eq!(house.react("in", b"x", "out"), None);
    house.daemon.process.kill();
    house.start_again();
    house.pusher.wait("removed", |answer| answer.stage == Stage::Removed);
    assert_eq!(house.react("in", b"x", "out"), None);
}

#[test]
fn whoever_asks_is_told() {
    let mut house = House::start_with(&[says("q", "here")], "");
    house.pusher.wait_for("1.0.0", "active");
    assert!(house.react("in", b"x", "out").is_some());
    let topic = format!("tidegate/1/{GATEWAY}/report");
    house.pusher.client.publish(&topic, b"").expect("a connection");
    let answer = house.pusher.wait("one event", |answer| answer.figures.events == 1);
    assert_eq!(answer.handler.as_str(), "q");
}

#[test]
fn files_that_nothing_refers_to_go() {
    let mut house = House::start();
    for version in ["1", "2", "3", "4"] {
        house.push(&padded(says("p", version), 50_000), version);
        house.pusher.wait_for(version, "probation");
        house.send("in", 3);
        house.pusher.wait_for(version, "active");
    }
    let count = |daemon: &Daemon, folder: &str| {
        let path = daemon.data().join("releases").join(folder);
        std::fs::read_dir(path).expect("it is there").count()
    };
    let end = std::time::Instant::now() + Duration::from_secs(5);
    while count(&house.daemon, "blobs") > 2 && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let counts = ["orders", "blobs", "staging"].map(|folder| count(&house.daemon, folder));
    assert_eq!(counts, [2, 2, 0], "the one that runs and the one before");
}

#[test]
fn a_damaged_key_of_the_gateways_is_set_aside_and_the_start_goes_on() {
    let mut house = House::start();
    house.push(&says("p", "one"), "1");
    house.pusher.wait_for("1", "probation");
    let before = house.pusher.key;
    house.daemon.process.kill();
    let path = house.daemon.data().join("gateway.key");
    std::fs::write(&path, b"\xff\0no key").expect("a writable file");
    house.start_again();
    assert!(house.pusher.key != before, "it has a new one");
    house.pusher.wait_for("1", "probation");
    assert!(path.with_file_name("gateway.key.damaged").exists());
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}
