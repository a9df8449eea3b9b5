//! Power cuts while a bad release is pushed, tried and taken back: whatever is left on the disk, the gateway starts,
//! what had passed reacts, and what is bad never passes. `PUSH_CUTS` says how many for each kind of bad.

use std::fs;
use std::time::{Duration, Instant};

use tidegate_release::golden::{Case, Expect, Golden};
use tidegate_release::manifest::{Order, Probation, What};
use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mqtt::Client;
use tidegate_tests::ports;
use tidegate_tests::power_cut::{Cut, Disk, Recorder, Replay, cuts};
use tidegate_tests::pusher::{Fleet, Pusher, SHORT, gateway, with_golden};
use tidegate_tests::scratch::Scratch;

use crate::house::{GATEWAY, says, traps};

const PATIENCE: Duration = Duration::from_secs(15);
/// After so long no reaction comes any more.
const SILENCE: Duration = Duration::from_secs(1);

/// How a release is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    Traps,
    Slow,
    Leaks,
    /// When its golden events expect something else.
    Lies,
}

impl Bad {
    /// A handler that is bad so, and says nothing to any event.
    fn handler(self) -> Handler {
        let body = match self {
            Bad::Traps => return traps("p"),
            Bad::Slow => {
                "(local.set $i (i32.const 100000))
                 (loop $l (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $l (local.get $i)))
                 (i32.const 0)"
            }
            Bad::Leaks => "(drop (memory.grow (i32.const 1))) (i32.const 0)",
            Bad::Lies => "(i32.const 0)",
        };
        Handler::new("p", "in", handlers::guest(body))
    }

    /// Bounds that show it at the first event. Time alone does not let it pass.
    fn probation(self) -> Probation {
        let probation = Probation { uptime_ms: 600_000, ..SHORT };
        match self {
            Bad::Traps | Bad::Lies => probation,
            Bad::Slow => Probation { events: 1, p99_us_max: 20, ..probation },
            Bad::Leaks => Probation { memory_kib_max: 128, ..probation },
        }
    }

    /// Whether the event that shows it ends well, and without a reaction.
    fn says_nothing(self) -> bool {
        matches!(self, Bad::Slow | Bad::Leaks)
    }

    /// How far it comes, and what is said of it in the end.
    fn stages(self) -> (&'static str, &'static str) {
        match self {
            Bad::Traps | Bad::Slow | Bad::Leaks => ("probation", "rolled-back"),
            Bad::Lies => ("rejected", "rejected"),
        }
    }
}

struct Story {
    fleet: Fleet,
    kind: Bad,
    good: (Handler, Order),
    bad: (Handler, Order),
    golden: Option<Vec<u8>>,
}

impl Story {
    fn new(kind: Bad) -> Story {
        let fleet = Fleet::new(1);
        let (good, bad) = (says("p", "one"), kind.handler());
        let first = fleet.order(&good, "1", 1, gateway(GATEWAY));
        let mut second = fleet.order(&bad, "2", 2, gateway(GATEWAY));
        if let What::Install(install) = &mut second.what {
            install.probation = kind.probation();
        }
        let expect = vec![Expect::Publish { topic: "out".to_owned(), payload: b"two".to_vec() }];
        let case = Case { topic: "in".to_owned(), payload: b"x".to_vec(), expect };
        let golden = Golden { cases: vec![case] };
        let golden = (kind == Bad::Lies).then(|| with_golden(&mut second, &golden));
        Story { fleet, kind, good: (good, first), bad: (bad, second), golden }
    }

    fn push_good(&self, pusher: &mut Pusher) {
        let envelope = self.fleet.sign(&self.good.1);
        pusher.push(&self.good.1, &envelope, &[&self.good.0.module]);
    }

    fn push_bad(&self, pusher: &mut Pusher) {
        let envelope = self.fleet.sign(&self.bad.1);
        pusher.push(&self.bad.1, &envelope, &[&self.bad.0.module]);
        if let Some(golden) = &self.golden {
            pusher.send_blob(golden);
        }
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
    story.push_good(&mut pusher);
    pusher.wait_for("1", "probation");
    for _ in 0..3 {
        assert_eq!(react(daemon, PATIENCE).as_deref(), Some(&b"one"[..]));
    }
    pusher.wait_for("1", "active");
    // What follows from the answer is durable when the next commit is.
    story.push_bad(&mut pusher);
    let (begun, ended) = story.kind.stages();
    pusher.wait_for("2", begun);
    let passed = recorder.mark();
    // One that ends an event well has handled it, and says nothing.
    let first = react(daemon, if story.kind.says_nothing() { SILENCE } else { PATIENCE });
    assert_eq!(first.is_none(), story.kind.says_nothing());
    if begun != ended {
        pusher.wait_for("2", ended);
    }
    assert_eq!(react(daemon, PATIENCE).as_deref(), Some(&b"one"[..]));
    passed
}

/// After a cut: what is wrong, if anything is.
fn check(story: &Story, daemon: &Daemon, has_passed: bool) -> Result<(), String> {
    // Within one event: what is on probation may have this one.
    let reacts = |wait| react(daemon, wait).as_deref() == Some(b"one");
    if has_passed && !reacts(3 * SILENCE) && !reacts(PATIENCE) {
        return Err("what had passed does not react".to_owned());
    }
    // The broker has both orders still.
    let mut pusher = Pusher::connect(daemon.address, GATEWAY);
    story.push_good(&mut pusher);
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
    story.push_bad(&mut pusher);
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
            (is_two && stage == story.kind.stages().1) || (!is_two && stage == "active")
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

/// Cuts of one kind's story: how many, in how many operations, and what was wrong.
fn cut_story(kind: Bad, wanted: usize) {
    let story = Story::new(kind);
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
    println!("{kind:?}: {count} cuts in {} operations, {} wrong", log.records().len(), wrong.len());
    assert!(wrong.is_empty(), "{kind:?}, {} cuts: {wrong:#?}", wrong.len());
}

fn wanted() -> usize {
    let wanted = std::env::var("PUSH_CUTS").unwrap_or_else(|_| "10".to_owned());
    wanted.parse().expect("PUSH_CUTS is a number")
}

#[test]
fn one_that_traps_is_taken_back_whenever_the_power_goes() {
    cut_story(Bad::Traps, wanted());
}

#[test]
fn one_that_is_slow_is_taken_back_whenever_the_power_goes() {
    cut_story(Bad::Slow, wanted());
}

#[test]
fn one_that_leaks_is_taken_back_whenever_the_power_goes() {
    cut_story(Bad::Leaks, wanted());
}

#[test]
fn one_with_wrong_output_is_refused_whenever_the_power_goes() {
    cut_story(Bad::Lies, wanted());
}
