//! What is refused, and what does not even get an answer.

use std::time::{Duration, Instant};

use tidegate_release::hash::digest_of;
use tidegate_release::manifest::What;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::Client;
use tidegate_tests::pusher::{Fleet, gateway, name};

use crate::house::{GATEWAY, House, says};

#[test]
fn only_the_fleets_key_counts() {
    let mut house = House::start();
    let handler = says("p", "one");
    let order = house.order(&handler, "1");
    let stranger = Fleet::new(2).sign(&order);
    house.pusher.push(&order, &stranger, &[&handler.module]);
    house.pusher.wait_for_code("unknown-key");
    let mut changed = house.fleet.sign(&order);
    let at = changed.len() / 3;
    changed[at] ^= 1;
    house.pusher.push(&order, &changed, &[&handler.module]);
    let answer = house.pusher.next(Duration::from_secs(5)).expect("an answer");
    assert!(tidegate_tests::pusher::code(&answer.stage).is_some(), "{answer:?}");
    assert_eq!(house.react("in", b"x", "out"), None);
    let envelope = house.fleet.sign(&order);
    house.pusher.push(&order, &envelope, &[&handler.module]);
    house.pusher.wait_for("1", "probation");
}

#[test]
fn what_is_older_stays_so_over_a_start() {
    let mut house = House::start();
    let first = house.push(&says("p", "one"), "1");
    house.pusher.wait_for("1", "probation");
    house.send("in", 3);
    house.push(&says("p", "two"), "2");
    house.pusher.wait_for("2", "probation");
    house.send("in", 3);
    house.pusher.wait_for("2", "active");
    for _ in 0..2 {
        let envelope = house.fleet.sign(&first);
        house.pusher.push(&first, &envelope, &[&says("p", "one").module]);
        house.pusher.wait_for_code("older");
        assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"two"[..]));
        house.daemon.process.kill();
        house.start_again();
    }
}

#[test]
fn who_it_is_for_stands_in_the_signature() {
    let mut house = House::start();
    let handler = says("p", "one");
    let mut order = house.fleet.order(&handler, "1", 1, gateway("other"));
    let envelope = house.fleet.sign(&order);
    // On our topic all the same.
    order.targets = vec![gateway(GATEWAY)];
    house.pusher.push(&order, &envelope, &[&handler.module]);
    house.pusher.wait_for_code("other-target");
    let mut order = house.fleet.order(&handler, "1", 1, gateway(GATEWAY));
    order.fleet = name("others");
    let envelope = house.fleet.sign(&order);
    house.pusher.push(&order, &envelope, &[&handler.module]);
    house.pusher.wait_for_code("other-fleet");
}

#[test]
fn a_pin_that_the_board_has_not_is_not_promised() {
    let mut house = House::start();
    let handler = says("p", "one");
    let mut order = house.order(&handler, "1");
    if let What::Install(install) = &mut order.what {
        install.grants.pins = vec![name("relay1")];
    }
    let envelope = house.fleet.sign(&order);
    house.pusher.push(&order, &envelope, &[&handler.module]);
    house.pusher.wait_for_code("pins");
}

#[test]
fn what_the_board_does_not_allow_is_not_even_taken_in() {
    let mut house = House::start();
    let handler = says("p", "one");
    let mut order = house.order(&handler, "1");
    if let What::Install(install) = &mut order.what {
        install.limits.memory_kib = 1 << 20;
    }
    let envelope = house.fleet.sign(&order);
    house.pusher.push(&order, &envelope, &[&handler.module]);
    house.pusher.wait_for_code("over-budget");
    let staging = house.daemon.data().join("releases/staging");
    assert_eq!(std::fs::read_dir(staging).expect("it is there").count(), 0);
}

#[test]
fn chunks_for_nothing_and_wrong_chunks_leave_nothing() {
    let mut house = House::start();
    let handler = says("p", "one");
    let digest = digest_of(&handler.module);
    house.pusher.send_chunk(digest, 0, &handler.module);
    house.pusher.send_chunk(digest, 77, &[0; 1000]);
    let order = house.order(&handler, "1");
    let envelope = house.fleet.sign(&order);
    house.pusher.send_order(&order, &envelope);
    let mut wrong = handler.module.clone();
    wrong[20] ^= 1;
    house.pusher.send_chunk(digest, 0, &wrong);
    house.pusher.send_chunk(digest, 0, &handler.module[..10]);
    house.pusher.send_chunk(digest, 0, &handler.module);
    house.pusher.wait_for("1", "probation");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_revoked_key_and_an_old_epoch_end() {
    let mut house = House::start();
    let next = Fleet::new(3);
    let mut content = house.fleet.content();
    (content.version, content.key_epoch) = (2, 2);
    content.release.keys = vec![next.key.public()];
    content.revoked = [house.fleet.key.id()].into();
    content.roots.keys = vec![next.key.public()];
    let trust = content.sign(&[&house.fleet.key, &next.key]);
    let trust = trust.expect("a good trust file");
    let before = house.fleet.order(&says("p", "one"), "1", 1, gateway(GATEWAY));
    let before_signed = house.fleet.sign(&before);
    house.pusher.keep(&format!("tidegate/1/{GATEWAY}/trust"), &trust);
    let found =
        house.daemon.process.wait_for_line(&["a new trust file holds"], Duration::from_secs(10));
    assert!(found.is_some(), "the trust file was not taken");
    house.pusher.push(&before, &before_signed, &[&says("p", "one").module]);
    house.pusher.wait_for_code("revoked-key");
    house.daemon.process.kill();
    house.start_again();
    house.pusher.push(&before, &before_signed, &[&says("p", "one").module]);
    house.pusher.wait_for_code("revoked-key");
    let next = Fleet { key_epoch: 2, ..next };
    let handler = says("p", "two");
    let order = next.order(&handler, "2", 1, gateway(GATEWAY));
    let envelope = next.sign(&order);
    house.pusher.push(&order, &envelope, &[&handler.module]);
    house.pusher.wait_for("2", "probation");
}

#[test]
fn what_is_refused_does_not_take_the_place_of_the_good_one() {
    let mut house = House::start();
    let handler = says("p", "one");
    let order = house.order(&handler, "1");
    let good = house.fleet.sign(&order);
    house.pusher.push(&order, &good, &[&handler.module]);
    house.pusher.wait_for("1", "probation");
    let stranger = Fleet::new(2).sign(&order);
    house.pusher.send_order(&order, &stranger);
    house.pusher.wait_for_code("unknown-key");
    let topic = format!("tidegate/1/{GATEWAY}/release/p");
    let retained = |house: &House, topic: &str| {
        let mut client = Client::connect(house.address, "late").expect("a broker");
        client.subscribe(topic, 1).expect("a subscription");
        let message = client.message(Duration::from_millis(500)).expect("a connection");
        message.map(|message| message.payload)
    };
    assert_eq!(retained(&house, &topic), Some(good), "whoever comes later finds the good one");
    // A trust file that nobody trusted signed is not there either; one for somebody else is no business of ours.
    house.pusher.keep(&format!("tidegate/1/{GATEWAY}/trust"), &Fleet::new(2).trust());
    house.pusher.keep("tidegate/1/gw-02/release/p", b"whatever");
    house.send("in", 1);
    assert_eq!(retained(&house, &format!("tidegate/1/{GATEWAY}/trust")), None);
    assert_eq!(retained(&house, "tidegate/1/gw-02/release/p").as_deref(), Some(&b"whatever"[..]));
    // An empty one takes it away, as ever.
    house.pusher.keep(&topic, b"");
    let end = Instant::now() + Duration::from_secs(5);
    while retained(&house, &topic).is_some() {
        assert!(Instant::now() < end, "it is still there");
    }
}

#[test]
fn behind_a_broker_that_keeps_nothing_answers_come_unkept() {
    let broker = Mosquitto::start_set(|_| "retain_available false\n".to_owned());
    let mut listener = Client::connect(broker.address, "listener").expect("a broker");
    listener.subscribe(&format!("tidegate/1/{GATEWAY}/#"), 1).expect("a subscription");
    let (daemon, _trust) = House::daemon_behind(&broker);
    let mut heard = || listener.message(Duration::from_secs(20)).expect("a connection");
    while !heard().expect("the key").topic.ends_with("/key") {}
    let told = daemon.process.wait_for_line(&["hangs up at retained"], Duration::from_secs(5));
    assert!(told.is_some(), "it says so");
    // It stays connected from now on, whatever it says.
    let lost = || {
        let words = ["the local broker is not there"];
        daemon.process.wait_for_lines(&words, usize::MAX, Duration::ZERO).len()
    };
    let before = lost();
    let mut stranger = Client::connect(broker.address, "stranger").expect("a broker");
    for _ in 0..3 {
        let topic = format!("tidegate/1/{GATEWAY}/release/p");
        stranger.publish_acked(&topic, b"no order").expect("a connection");
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let message = listener.message(Duration::from_secs(5)).expect("a connection");
            if message.is_some_and(|message| message.topic.ends_with("/handler/p")) {
                break;
            }
            assert!(Instant::now() < end, "no answer");
        }
    }
    assert_eq!(lost(), before);
}
