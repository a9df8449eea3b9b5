//! What was decided is on the disk, in a chain, and the tool shows where it breaks.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_tests::programs;
use tidegate_tests::pusher::Fleet;

use crate::house::{House, says, traps};

/// The entries, and what is wrong with them.
fn audit(house: &House) -> (Vec<Value>, Result<(), String>) {
    let data = house.daemon.data();
    let output = Command::new(programs::tidegate())
        .args(["audit", "--json", "--data-dir"])
        .arg(data)
        .output()
        .expect("it starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let entries = text.lines().map(|line| serde_json::from_str(line).expect("an object"));
    let told = String::from_utf8(output.stderr).expect("text");
    (entries.collect(), if output.status.success() { Ok(()) } else { Err(told) })
}

fn words(entries: &[Value]) -> String {
    let words: Vec<&str> = entries.iter().filter_map(|entry| entry["what"].as_str()).collect();
    words.join(" ")
}

/// The desk writes after it has spoken.
#[track_caller]
fn wait_for(house: &House, expect: &str) {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let (entries, wrong) = audit(house);
        if words(&entries) == expect {
            return assert_eq!(wrong, Ok(()));
        }
        assert!(Instant::now() < end, "{entries:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn log(house: &House) -> PathBuf {
    house.daemon.data().join("audit.log")
}

#[test]
fn decisions_are_written_down_and_a_broken_chain_is_found() {
    let mut house = House::start();
    house.push(&says("p", "one"), "1");
    house.pusher.wait_for("1", "probation");
    house.send("in", 3);
    house.pusher.wait_for("1", "active");
    house.push(&traps("p"), "2");
    house.pusher.wait_for("2", "probation");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
    house.pusher.wait_for("2", "rolled-back");
    let so_far = "trusted accepted activated passed accepted activated rolled-back";
    wait_for(&house, so_far);

    house.daemon.process.kill();
    let whole = fs::read(log(&house)).expect("it is there");
    fs::write(log(&house), &whole[..whole.len() - 1]).expect("it is ours");
    let wrong = audit(&house).1.expect_err("its end is torn");
    assert!(wrong.contains("are no entry"), "{wrong}");
    house.start_again();
    house.pusher.wait_for("1", "active");
    wait_for(&house, &so_far.replace("rolled-back", "gap"));

    house.daemon.process.kill();
    let mut changed = fs::read(log(&house)).expect("it is there");
    let at = changed.windows(8).position(|bytes| bytes == b"overheat").unwrap_or(60);
    changed[at] ^= 1;
    fs::write(log(&house), changed).expect("it is ours");
    assert!(audit(&house).1.is_err(), "a bit is changed");
    house.start_again();
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_flood_of_refusals_costs_the_disk_no_more_than_some() {
    let mut house = House::start();
    let handler = says("p", "one");
    let stranger = Fleet::new(2);
    let order = house.order(&handler, "1");
    let envelope = stranger.sign(&order);
    for _ in 0..400 {
        house.pusher.send_order(&order, &envelope);
    }
    house.pusher.wait_for_code("unknown-key");
    house.push(&handler, "1");
    house.pusher.wait_for("1", "probation");
    let end = Instant::now() + Duration::from_secs(5);
    while !words(&audit(&house).0).ends_with("activated") {
        assert!(Instant::now() < end, "{:#?}", audit(&house));
        std::thread::sleep(Duration::from_millis(20));
    }
    let (entries, wrong) = audit(&house);
    assert_eq!((entries.len(), wrong), (1 + 16 + 2, Ok(())), "{}", words(&entries));
}
