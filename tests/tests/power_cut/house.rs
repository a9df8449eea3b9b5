//! The daemon under the recorder.

use std::time::Duration;

use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::tally;
use tidegate_tests::mqtt::{Client, Packet};
use tidegate_tests::power_cut::{Disk, Image, Op, Recorder, Replay};

const PATIENCE: Duration = Duration::from_secs(10);

/// A stream for the handler, and an upstream that is never there.
const STREAM: &str = "\n[uplink]\nbroker = \"mqtt://127.0.0.1:9\"\ninsecure = true\n\n\
    [[stream]]\nname = \"up\"\ntopic = \"{gateway}/up\"\nformat = \"json\"\n";

/// Sends `count` messages of QoS 1, each after the last one's ack; where the log stood at each ack.
fn send(daemon: &Daemon, recorder: &Recorder, count: u64) -> Vec<u64> {
    let mut device = Client::connect(daemon.address, "device").expect("it listens");
    let mut marks = Vec::new();
    for number in 0..count {
        let topic = format!("in/{}", number % 10);
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
