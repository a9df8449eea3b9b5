//! Power cuts while a release is pushed, tried and taken back: whatever is left on the disk, the gateway starts, what
//! had passed reacts, and what was bad never passes. `PUSH_CUTS` says how many.

use std::fs;
use std::time::{Duration, Instant};

use tidegate_release::manifest::{Order, Probation, What};
use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::Handler;
use tidegate_tests::mqtt::Client;
use tidegate_tests::ports;
use tidegate_tests::power_cut::{Cut, Disk, Recorder, Replay, cuts};
use tidegate_tests::pusher::{Fleet, Pusher, SHORT, gateway};
use tidegate_tests::scratch::Scratch;

use crate::house::{GATEWAY, says, traps};

const PATIENCE: Duration = Duration::from_secs(15);

struct Story {
    fleet: Fleet,
    good: (Handler, Order),
    bad: (Handler, Order),
}

impl Story {
    fn new() -> Story {
        let fleet = Fleet::new(1);
        let (good, bad) = (says("p", "one"), traps("p"));
        let first = fleet.order(&good, "1", 1, gateway(GATEWAY));
        let mut second = fleet.order(&bad, "2", 2, gateway(GATEWAY));
        // Time alone does not let it pass.
        if let What::Install(install) = &mut second.what {
            install.probation = Probation { uptime_ms: 600_000, ..SHORT };
        }
        Story { fleet, good: (good, first), bad: (bad, second) }
    }

    fn push(&self, pusher: &mut Pusher, what: &(Handler, Order)) {
        let envelope = self.fleet.sign(&what.1);
        pusher.push(&what.1, &envelope, &[&what.0.module]);
    }
}

/// What comes back for one event, if anything does.
fn react(daemon: &Daemon, wait: Duration) -> Option<Vec<u8>> {
    let mut client = Client::connect(daemon.address, "device").expect("it listens");
    client.subscribe("out", 0).expect("granted");
    client.publish_acked("in", b"x").expect("sent");
    client.message(wait).expect("read").map(|message| message.payload)
}

/// Records the whole story; where the log stood when the first release had passed.
fn record(story: &Story, daemon: &Daemon, recorder: &Recorder) -> u64 {
    let mut pusher = Pusher::connect(daemon.address, GATEWAY);
    story.push(&mut pusher, &story.good);
    pusher.wait_for("1", "probation");
    for _ in 0..3 {
        assert_eq!(react(daemon, PATIENCE).as_deref(), Some(&b"one"[..]));
    }
    pusher.wait_for("1", "active");
    // What follows from the answer is durable when the next commit is.
    story.push(&mut pusher, &story.bad);
    pusher.wait_for("2", "probation");
    let passed = recorder.mark();
    assert_eq!(react(daemon, PATIENCE).as_deref(), Some(&b"one"[..]));
    pusher.wait_for("2", "rolled-back");
    assert_eq!(react(daemon, PATIENCE).as_deref(), Some(&b"one"[..]));
    passed
}

/// After a cut: what is wrong, if anything is.
fn check(story: &Story, daemon: &Daemon, has_passed: bool) -> Result<(), String> {
    if has_passed && react(daemon, PATIENCE).as_deref() != Some(b"one") {
        return Err("what had passed does not react".to_owned());
    }
    // The broker has both orders still.
    let mut pusher = Pusher::connect(daemon.address, GATEWAY);
    story.push(&mut pusher, &story.good);
    let end = Instant::now() + PATIENCE;
    // What has not passed is nothing to come back to, so the first one passes first, unless the second is known.
    while !pusher
        .heard
        .iter()
        .any(|answer| answer.version.as_deref() == Some("2") || answer.stage.name() == "active")
    {
        if Instant::now() > end {
            return Err(format!("the first does not pass; heard {:#?}", pusher.heard));
        }
        react(daemon, Duration::from_millis(100));
        pusher.next(Duration::from_millis(30));
    }
    story.push(&mut pusher, &story.bad);
    loop {
        while let Some(answer) = pusher.next(Duration::from_millis(30)) {
            if answer.version.as_deref() == Some("2") && answer.stage.name() == "active" {
                return Err("what is bad has passed".to_owned());
            }
        }
        let reaction = react(daemon, Duration::from_millis(500));
        let is_settled = pusher.heard.iter().any(|answer| {
            let stage = answer.stage.name();
            let is_two = answer.version.as_deref() == Some("2");
            (is_two && stage == "rolled-back") || (!is_two && stage == "active")
        });
        match reaction.as_deref() {
            Some(b"one") if is_settled => return Ok(()),
            Some(b"one") | None if Instant::now() < end => {}
            reaction => {
                let reaction = reaction.map(String::from_utf8_lossy);
                return Err(format!("{reaction:?} at the end; heard {:#?}", pusher.heard));
            }
        }
    }
}

#[test]
fn a_bad_release_is_taken_back_whenever_the_power_goes() {
    let wanted = std::env::var("PUSH_CUTS").unwrap_or_else(|_| "40".to_owned());
    let wanted: usize = wanted.parse().expect("PUSH_CUTS is a number");
    let story = Story::new();
    let trust = Scratch::new("trust");
    trust.write("trust", story.fleet.trust());
    let more = format!("\n[trust]\nfile = {:?}\n", trust.path().join("trust"));
    let (mut daemon, recorder) = Daemon::spawn_recorded(&[], &more);
    assert!(ports::wait_for_listener(daemon.address, PATIENCE), "nobody listens");
    let passed = record(&story, &daemon, &recorder);
    daemon.process.kill();
    let log = recorder.log();
    let mut replay = Replay::new(&log, Disk::new());
    let mut wrong: Vec<(Cut, String)> = Vec::new();
    let mut count = 0;
    for cut in cuts(&log, wanted, 1) {
        fs::remove_dir_all(daemon.data()).expect("it is ours");
        fs::create_dir(daemon.data()).expect("it is ours");
        replay.image(&cut).write_to(&daemon.data());
        daemon.start_again();
        assert!(ports::wait_for_listener(daemon.address, PATIENCE), "{cut:?}: it does not start");
        if let Err(what) = check(&story, &daemon, log.holds(passed, cut.at)) {
            wrong.push((cut, what));
        }
        daemon.process.kill();
        count += 1;
    }
    println!("{count} cuts in {} operations, {} wrong", log.records().len(), wrong.len());
    assert!(wrong.is_empty(), "{} cuts: {wrong:#?}", wrong.len());
}
