//! The hostile handlers, each in the real daemon beside a handler at 100 messages a second that
//! must not notice: the daemon lives, each event is stopped within 100 ms, the neighbour loses
//! nothing. `TIDEGATE_PROFILE=release` runs it in the profile that ships.

mod neighbour;

use std::time::{Duration, Instant};

use neighbour::Neighbour;
use tidegate_tests::daemon::{Daemon, field};
use tidegate_tests::handlers::Handler;
use tidegate_tests::hostile::{self, Fate, Hostile};
use tidegate_tests::mqtt::Client;
use tidegate_tests::procfs;

/// Hostile handlers in one daemon: enough to save starts, few enough to see who did it.
const GROUP: usize = 10;

/// What a daemon may need with every hostile handler loaded.
const RSS_KB_MAX: u64 = 96 * 1024;

fn with_fate(fates: &[Fate]) -> Vec<Hostile> {
    hostile::all().iter().filter(|hostile| fates.contains(&hostile.fate)).cloned().collect()
}

fn start(group: &[Hostile]) -> (Daemon, Neighbour) {
    let mut handlers: Vec<Handler> = vec![neighbour::handler()];
    handlers.extend(group.iter().map(|hostile| hostile.handler.clone()));
    let daemon = Daemon::start(&handlers);
    let neighbour = Neighbour::start(daemon.address);
    (daemon, neighbour)
}

/// The neighbour noticed nothing, the daemon lives and stops as asked.
#[track_caller]
fn finish(mut daemon: Daemon, neighbour: Neighbour) {
    let heard = neighbour.stop();
    let memory = procfs::memory(daemon.process.pid()).expect("the daemon lives");
    println!("neighbour: {heard:?}; daemon: {memory:?}");
    assert!(heard.sent >= 20, "the neighbour was watched: {heard:?}");
    assert_eq!(heard.lost, 0, "the neighbour lost messages: {heard:?}");
    assert!(
        heard.longest < Duration::from_millis(hostile::PATIENCE_MS),
        "the neighbour waited too long: {heard:?}"
    );
    assert!(memory.peak_kb < RSS_KB_MAX, "{memory:?}");
    let status = daemon.process.terminate(Duration::from_secs(5));
    assert!(status.is_some_and(|status| status.success()), "a clean stop, not {status:?}");
}

/// Publishes one message to a hostile handler; returns when that was.
fn wake(client: &mut Client, hostile: &Hostile) -> Instant {
    let payload = b"{\"temp\":71.5,\"a\":{\"b\":{\"c\":[1,2,3]}}}";
    let now = Instant::now();
    client.publish(&Hostile::topic(hostile.name), payload).expect("the daemon lives");
    now
}

#[test]
fn misfits_are_refused_by_name() {
    let group = with_fate(&[Fate::Refused]);
    let (daemon, neighbour) = start(&group);
    let mut wrong = Vec::new();
    for hostile in &group {
        match daemon.refusal(hostile.name) {
            Some(line) => println!("{:<24} refused: {line}", hostile.name),
            None => wrong.push(format!("{} ({}) was let in", hostile.name, hostile.tries)),
        }
    }
    neighbour.wait_for(30);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    finish(daemon, neighbour);
}

#[test]
fn large_shapes_are_contained() {
    for group in with_fate(&[Fate::Contained]).chunks(GROUP) {
        let (daemon, neighbour) = start(group);
        let mut client = Client::connect(daemon.address, "waker").expect("the daemon lives");
        for hostile in group {
            if let Some(line) = daemon.refusal(hostile.name) {
                println!("{:<24} refused: {line}", hostile.name);
                continue;
            }
            assert!(daemon.is_active(hostile.name), "{} is neither in nor out", hostile.name);
            wake(&mut client, hostile);
            let failed = daemon.failure(hostile.name, 0, Duration::from_millis(200));
            println!("{:<24} active, {}", hostile.name, failed.map_or("ends well", |_| "fails"));
        }
        neighbour.wait_for(30);
        finish(daemon, neighbour);
    }
}

#[test]
fn events_are_stopped_in_time() {
    for group in with_fate(&[Fate::Stopped]).chunks(GROUP) {
        let (daemon, neighbour) = start(group);
        let mut client = Client::connect(daemon.address, "waker").expect("the daemon lives");
        let mut watcher = Client::connect(daemon.address, "watcher").expect("the daemon lives");
        for topic in ["flood/#", "neighbour/out", "devices/#", "tidegate/#", "$SYS/#"] {
            watcher.subscribe(topic, 0).expect("the front door answers");
        }
        let mut wrong = Vec::new();
        for hostile in group {
            if !daemon.is_active(hostile.name) {
                wrong.push(format!("{}: {:?}", hostile.name, daemon.refusal(hostile.name)));
                continue;
            }
            match fail(&daemon, &mut client, hostile) {
                None => wrong.push(format!("{} ({}) did not fail", hostile.name, hostile.tries)),
                Some(took) if took > Duration::from_millis(hostile.patience_ms) => {
                    wrong.push(format!("{} took {took:?}", hostile.name));
                }
                Some(_) => {}
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        all_at_once(&daemon, &mut client, group);
        // What a failed event did is not visible.
        let leaked = watcher.message(Duration::from_millis(50)).expect("the daemon lives");
        assert_eq!(leaked, None);
        neighbour.wait_for(30);
        finish(daemon, neighbour);
    }
}

/// Wakes it and returns how long it took until its event had failed. A machine that does other work
/// may hold the daemon or this test up: the best of three counts.
fn fail(daemon: &Daemon, client: &mut Client, hostile: &Hostile) -> Option<Duration> {
    let mut best = None;
    for seen in 0..3 {
        let at = wake(client, hostile);
        let line = daemon.failure(hostile.name, seen, Duration::from_secs(20))?;
        let took = line.at.duration_since(at);
        println!("{:<24} {:>7.1} ms  {}", hostile.name, took.as_secs_f64() * 1e3, line.text);
        best = Some(best.map_or(took, |best: Duration| best.min(took)));
        if took <= Duration::from_millis(hostile.patience_ms) {
            break;
        }
    }
    best
}

/// Wakes all of them many times in one go; each ends up in quarantine.
#[track_caller]
fn all_at_once(daemon: &Daemon, client: &mut Client, group: &[Hostile]) {
    for _ in 0..20 {
        for hostile in group {
            wake(client, hostile);
        }
    }
    for hostile in group.iter().filter(|hostile| hostile.patience_ms == hostile::PATIENCE_MS) {
        let words = ["in quarantine: it failed too often", &field(hostile.name)];
        let found = daemon.process.wait_for_line(&words, Duration::from_secs(10));
        assert!(found.is_some(), "{} is not in quarantine", hostile.name);
    }
}

#[test]
fn harmless_ones_end_well() {
    let group = with_fate(&[Fate::Harmless]);
    let (daemon, neighbour) = start(&group);
    let mut client = Client::connect(daemon.address, "waker").expect("the daemon lives");
    for hostile in &group {
        assert!(daemon.is_active(hostile.name), "{:?}", daemon.refusal(hostile.name));
        for _ in 0..3 {
            wake(&mut client, hostile);
        }
        let failed = daemon.failure(hostile.name, 0, Duration::from_millis(300));
        assert!(failed.is_none(), "{}: {failed:?}", hostile.name);
    }
    let looped = ["messages dropped", "loop"];
    assert!(daemon.process.wait_for_line(&looped, Duration::from_secs(5)).is_some(), "a loop ends");
    finish(daemon, neighbour);
}
