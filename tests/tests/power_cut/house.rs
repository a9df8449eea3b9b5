//! The daemon under the recorder.

use std::fs;
use std::time::Duration;

use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::tally;
use tidegate_tests::mqtt::{Client, Packet};
use tidegate_tests::power_cut::{Cut, Disk, Image, Op, Recorder, Replay, cuts};

const PATIENCE: Duration = Duration::from_secs(10);

/// A stream for the handler, and an upstream that is never there.
const STREAM: &str = "\n[uplink]\nbroker = \"mqtt://127.0.0.1:9\"\ninsecure = true\n\n\
    [[stream]]\nname = \"up\"\ntopic = \"{gateway}/up\"\nformat = \"json\"\n";

/// Topics that the messages go to in turn.
const TOPICS: u64 = 10;

/// Sends `count` messages of QoS 1, each after the last one's ack; where the log stood at each ack.
fn send(daemon: &Daemon, recorder: &Recorder, count: u64) -> Vec<u64> {
    let mut device = Client::connect(daemon.address, "device").expect("it listens");
    let mut marks = Vec::new();
    for number in 0..count {
        let topic = format!("in/{}", number % TOPICS);
        let id = device.publish_acked(&topic, number.to_string().as_bytes()).expect("sent");
        let answer = device.read(PATIENCE).expect("read");
        assert_eq!(answer, Some(Packet::PubAck { packet_id: id }));
        marks.push(recorder.mark());
    }
    marks
}

/// Every change that the daemon makes goes through the C library: journal, state, locks.
#[test]
fn the_daemon_is_recorded_faithfully() {
    let handlers = [tally("in/+")];
    let (mut daemon, recorder) = Daemon::spawn_recorded(&handlers, STREAM);
    for round in 0..2 {
        if round > 0 {
            daemon.start_again_recorded(&recorder);
        }
        daemon.wait_until_ready(&handlers);
        let marks = send(&daemon, &recorder, 100);
        assert!(daemon.process.terminate(PATIENCE).is_some_and(|status| status.success()));
        let log = recorder.log();
        let mut replay = Replay::new(&log, Disk::new());
        replay.go_to(log.records().len());
        let real = Image::of(&daemon.data());
        assert_eq!(replay.seen().difference(&real), None, "the log's folder, and the real one");
        assert!(!real.files.is_empty(), "it did something");

        // Nothing is acked that was not synced: between two acks there is a good sync.
        let synced_between = |from: u64, to: u64| {
            log.records().iter().any(|record| {
                let is_between = from < record.end && record.end <= to;
                is_between && matches!(record.op, Op::SyncDone { is_good: true, .. })
            })
        };
        assert!(marks.is_sorted_by(|from, to| synced_between(*from, *to)));
    }
}

/// How many cuts: `POWER_CUTS`, or some.
fn cuts_wanted() -> usize {
    let text = std::env::var("POWER_CUTS").unwrap_or_else(|_| "100".to_owned());
    text.parse().expect("POWER_CUTS is a number")
}

/// What the handler counted of each topic, asked of a daemon that runs.
fn counts(daemon: &Daemon) -> Vec<u64> {
    let mut client = Client::connect(daemon.address, "asks").expect("it listens");
    client.subscribe("tally/count", 0).expect("granted");
    let ask = |topic| {
        client.publish(&format!("in/{topic}"), b"?").expect("sent");
        let answer = client.message(PATIENCE).expect("read").expect("an answer");
        // Nothing while it has counted nothing.
        answer.payload.try_into().map_or(0, u64::from_le_bytes)
    };
    (0..TOPICS).map(ask).collect()
}

/// After any cut the daemon starts, knows every message that was acked, and no more than one that was not.
#[test]
fn what_was_acked_is_counted_after_every_cut() {
    let handlers = [tally("in/+")];
    let (mut daemon, recorder) = Daemon::spawn_recorded(&handlers, STREAM);
    daemon.wait_until_ready(&handlers);
    let marks = send(&daemon, &recorder, 150);
    daemon.process.kill();
    let log = recorder.log();
    let mut replay = Replay::new(&log, Disk::new());
    let mut wrong: Vec<(Cut, u64, Vec<u64>)> = Vec::new();
    for cut in cuts(&log, cuts_wanted(), 1) {
        fs::remove_dir_all(daemon.data()).expect("it is ours");
        fs::create_dir(daemon.data()).expect("it is ours");
        replay.image(&cut).write_to(&daemon.data());
        daemon.start_again();
        daemon.wait_until_ready(&handlers);
        let acked = marks.iter().take_while(|mark| log.holds(**mark, cut.at)).count() as u64;
        let counts = counts(&daemon);
        daemon.process.kill();
        let first =
            |messages: u64| (0..TOPICS).map(move |topic| (messages + TOPICS - 1 - topic) / TOPICS);
        if ![acked, acked + 1]
            .into_iter()
            .any(|messages| first(messages).eq(counts.iter().copied()))
        {
            wrong.push((cut, acked, counts));
        }
    }
    assert!(wrong.is_empty(), "{} cuts lost or doubled something: {wrong:#?}", wrong.len());
}
