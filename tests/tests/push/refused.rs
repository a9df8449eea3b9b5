//! What is refused, and what does not even get an answer.

use std::time::Duration;

use tidegate_release::hash::digest_of;
use tidegate_release::manifest::What;
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
