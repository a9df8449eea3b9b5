//! A disk that fails for good, in every life of the daemon: it comes up all the same, reacts, and acks nothing that is not
//! durable. sled ends its process then, so it must not be the daemon's.

use std::fs;
use std::time::{Duration, Instant};

use tidegate_tests::fleet::Sent;
use tidegate_tests::mqtt::{Client, Packet};
use tidegate_tests::power_cut::Recorder;
use tidegate_tests::upstream::Mood;

use crate::house::{House, PATIENCE, first_reaction};

/// From a start to the first reaction.
const REACTION_MAX: Duration = Duration::from_secs(5);
/// What an ack would come in, had there been one.
const ACK_MAX: Duration = Duration::from_millis(500);
/// Until it has tried again, after a failure or two.
const HEALED_MAX: Duration = Duration::from_secs(25);
/// The folder of state.
const STATE: &str = "write:1+:5,sync:1+:5@state/";
const STATE_SYNCS: &str = "sync:1+:5@state/";
const STATE_WRITES: &str = "write:1+:5@state/";
/// All there is.
const ALL: &str = "write:1+:5,sync:1+:5";
const ALL_SYNCS: &str = "sync:1+:5";

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Kill,
    Stop,
}

fn end(house: &mut House, end: End) {
    assert!(house.daemon.process.is_running(), "it ended by itself");
    match end {
        End::Kill => house.daemon.process.kill(),
        End::Stop => {
            let status = house.daemon.process.terminate(PATIENCE).expect("it ends");
            assert!(status.success(), "{status}");
        }
    }
}

/// Starts it, and sees it react in time.
fn start(house: &mut House, recorder: &Recorder, what: &str) {
    house.daemon.start_again_recorded(recorder);
    let took = first_reaction(house.daemon.address, house.daemon.process.started);
    println!("{what}: the first reaction after {took:?}");
    assert!(took < REACTION_MAX, "{what}: {took:?}");
}

/// Whether a message of its own is acked.
fn is_acked(house: &House, within: Duration) -> bool {
    let mut client = Client::connect(house.daemon.address, "asks").expect("it listens");
    let id = client.publish_acked("plain/x", b"\"one more\"").expect("sent");
    client.read(within).expect("read") == Some(Packet::PubAck { packet_id: id })
}

#[track_caller]
fn wait_for(house: &House, words: &str, wait: Duration) {
    let said = house.daemon.process.wait_for_line(&[words], wait);
    assert!(said.is_some(), "{words}: {}", house.daemon.process.text());
}

#[track_caller]
fn judge(house: &House, sent: &[Sent]) {
    let acked = sent.iter().filter(|sent| sent.acked.is_some()).count();
    assert!(acked > 0, "something was acked");
    assert_eq!(house.judge(sent), [""; 0], "{}", house.daemon.process.text());
}

/// All that asked for an ack.
fn all_acked(sent: &[Sent]) -> bool {
    sent.iter().all(|sent| sent.acked.is_some() || !sent.topic.contains("/s"))
}

/// Only the folder of state fails: everything is acked, and kept by the journal.
fn state_fails(fault: &str, is_new: bool) {
    let (mut house, recorder) = House::start_faulty(Mood::Takes, fault);
    let mut sent = house.fleet("well", 20).run();
    end(&mut house, End::Stop);
    if is_new {
        fs::remove_dir_all(house.daemon.data()).expect("it is ours");
        fs::create_dir(house.daemon.data()).expect("it is ours");
        house.upstream.begin(Mood::Takes);
        sent.clear();
    }
    recorder.fall_ill();
    for (life, how) in [End::Kill, End::Stop, End::Kill, End::Kill].into_iter().enumerate() {
        start(&mut house, &recorder, &format!("{fault}, life {life}"));
        sent.extend(house.fleet(&format!("ill{life}"), 20).run());
        wait_for(&house, "the state's folder", PATIENCE);
        end(&mut house, how);
    }
    assert!(all_acked(&sent), "the journal's disk is good");
    start(&mut house, &recorder, fault);
    assert!(is_acked(&house, PATIENCE));
    recorder.heal();
    let healed = Instant::now();
    for round in 0.. {
        // Enough that a checkpoint is due.
        let name = format!("much{round}");
        let mut fleet = house.fleet(&name, 20);
        fleet.payload_bytes = 8000;
        sent.extend(fleet.run());
        if house.daemon.said(&["state can be written again"]) {
            break;
        }
        assert!(healed.elapsed() < HEALED_MAX, "{}", house.daemon.process.text());
    }
    judge(&house, &sent);
    end(&mut house, End::Stop);
    start(&mut house, &recorder, "healed");
    judge(&house, &sent);
    assert!(!house.daemon.process.text().contains("ERROR"), "{}", house.daemon.process.text());
}

#[test]
fn state_that_cannot_be_written_or_synced() {
    state_fails(STATE, false);
}

#[test]
fn state_that_cannot_be_synced() {
    state_fails(STATE_SYNCS, false);
}

#[test]
fn state_that_cannot_be_written() {
    state_fails(STATE_WRITES, false);
}

#[test]
fn state_that_could_never_be_written() {
    state_fails(STATE, true);
}

#[test]
fn state_that_could_never_be_synced() {
    state_fails(STATE_SYNCS, true);
}

/// Everything fails: nothing is acked, and what was acked before is there when the disk is well, in the same life or the
/// next one.
fn all_fails(fault: &str, heals_in_life: bool) {
    let (mut house, recorder) = House::start_faulty(Mood::Takes, fault);
    let mut sent = house.fleet("well", 20).run();
    end(&mut house, End::Kill);
    recorder.fall_ill();
    for (life, how) in [End::Kill, End::Stop, End::Kill].into_iter().enumerate() {
        start(&mut house, &recorder, &format!("{fault}, life {life}"));
        assert!(!is_acked(&house, ACK_MAX), "nothing is acked that is not durable");
        wait_for(&house, "the store cannot write", PATIENCE);
        first_reaction(house.daemon.address, Instant::now());
        if life < 2 || !heals_in_life {
            end(&mut house, how);
        }
    }
    recorder.heal();
    if heals_in_life {
        wait_for(&house, "the store can write again", HEALED_MAX);
        assert!(is_acked(&house, PATIENCE));
    } else {
        start(&mut house, &recorder, "healed");
    }
    sent.extend(house.fleet("again", 20).run());
    assert!(all_acked(&sent), "{}", house.daemon.process.text());
    judge(&house, &sent);
    end(&mut house, End::Kill);
    start(&mut house, &recorder, "after it");
    judge(&house, &sent);
}

#[test]
fn nothing_can_be_written_until_it_can() {
    all_fails(ALL, true);
}

#[test]
fn nothing_can_be_written_until_the_next_start() {
    all_fails(ALL, false);
}

#[test]
fn nothing_can_be_synced_until_it_can() {
    all_fails(ALL_SYNCS, true);
}

#[test]
fn nothing_can_be_synced_until_the_next_start() {
    all_fails(ALL_SYNCS, false);
}
