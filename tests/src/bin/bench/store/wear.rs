//! What the flash and the memory bear: an idle gateway, state that nobody relies on, and much state.

use std::thread;
use std::time::Duration;

use serde_json::json;
use tidegate_tests::handlers::{Handler, counter, overheat};
use tidegate_tests::load::{self, Load, Target};
use tidegate_tests::mqtt::{Client, Packet};
use tidegate_tests::procfs::{self, Written};
use tidegate_tests::programs::Placement;
use tidegate_tests::{daemon::Daemon, ports};

use super::disk::OwnDisk;
use super::feed::Feed;
use crate::goals::Goal;
use crate::words::{Problem, round, say};

/// After the last message the store tidies up for a moment; then it has to be silent.
const SETTLE: Duration = Duration::from_secs(5);
/// How long a daemon may take to stop.
const STOP_MAX: Duration = Duration::from_secs(20);
const DAY_S: f64 = 86_400.0;
/// The journal's segment (`gateway/journal`): a checkpoint is due when the next one begins.
const SEGMENT_BYTES: f64 = (4u64 << 20) as f64;
const KEYS: u64 = 10_000;
const KEEPERS: usize = 10;

fn written(daemon: &Daemon) -> Result<Written, Problem> {
    Ok(procfs::written(daemon.process.pid()).ok_or("the daemon is gone")?)
}

/// A gateway that has worked, whose upstream is away, and to which nothing happens.
pub fn idle(seconds: f64, placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let more = super::forward(ports::free(), 64);
    let daemon = super::start(&[overheat()], &more, placement);
    let mut client = Client::connect(daemon.address, "once")?;
    for topic in ["devices/d1/telemetry", "bulk/1"] {
        let id = client.publish_acked(topic, b"{\"temp\":71.3,\"seq\":1}")?;
        let answer = client.read(Duration::from_secs(5))?;
        if answer != Some(Packet::PubAck { packet_id: id }) {
            return Err(format!("no ack but {answer:?}").into());
        }
    }
    drop(client);
    thread::sleep(SETTLE);
    let before = written(&daemon)?;
    thread::sleep(Duration::from_secs_f64(seconds));
    let bytes = written(&daemon)?.dirty_bytes - before.dirty_bytes;
    say(&json!({"kind": "idle", "seconds": seconds, "written_bytes": bytes}));
    let what = format!("idle, upstream away: written in {seconds} s");
    Ok(vec![Goal::at_most(&what, "B", vec![bytes as f64], 0.0)])
}

/// 1,000 messages a second of QoS 0 from 100 devices, a number in the state for each device; what reaches a disk of
/// its own.
///
/// In the window few or no checkpoints fall due. So what a day costs is the window's bytes, scaled, and for each
/// segment that those would fill what is written when the daemon is told to stop: a checkpoint and an export.
pub fn lazy(seconds: f64, placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let handlers = [counter("counter", "devices/+/telemetry")];
    let mut daemon = super::start(&handlers, "", placement);
    daemon.process.terminate(STOP_MAX).ok_or("the daemon does not stop")?;
    let disk = OwnDisk::mount(&daemon.data())?;
    daemon.start_again();
    daemon.wait_until_ready(&handlers);
    let target = Target { address: daemon.address, answers: "devices/+/telemetry" };
    let load = Load { seconds, warm_seconds: 5.0, ..Load::default() };
    let mut marks = Vec::with_capacity(2);
    let measured = load::run(&target, &load, || marks.push(disk.written_bytes()))?;
    let mut marks = marks.into_iter();
    let (Some(from), Some(to)) = (marks.next(), marks.next()) else {
        return Err("the load has no two marks".into());
    };
    let to = to?;
    let in_window = (to - from?) as f64;
    let syncs = daemon.counters().get("store.syncs").copied();
    daemon.process.terminate(STOP_MAX).ok_or("the daemon does not stop")?;
    let at_stop = (disk.written_bytes()? - to) as f64;
    let journal_a_day = in_window / seconds * DAY_S;
    let segments_a_day = journal_a_day / SEGMENT_BYTES;
    let checkpoints_a_day = segments_a_day * at_stop;
    say(&json!({
        "kind": "lazy", "seconds": seconds, "lost": measured.lost, "window_bytes": in_window, "stop_bytes": at_stop,
        "syncs": syncs, "segments_a_day": round(segments_a_day), "journal_mb_a_day": round(journal_a_day / 1e6),
        "checkpoints_mb_a_day": round(checkpoints_a_day / 1e6),
    }));
    let lost = measured.lost;
    let what =
        format!("1,000 QoS 0 msg/s, state of 100 devices, {lost} lost: reach the device a day");
    Ok(vec![
        Goal::at_most(&what, "MB", vec![(journal_a_day + checkpoints_a_day) / 1e6], 500.0),
        Goal::open("of that: checkpoints and exports", "MB", vec![checkpoints_a_day / 1e6]),
    ])
}

/// 10,000 keys in the tables of 10 handlers.
pub fn rss(placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let handlers: Vec<Handler> =
        (0..KEEPERS).map(|n| counter(&format!("keeper-{n}"), &format!("state/{n}/+"))).collect();
    let mut daemon = super::start(&handlers, "", placement);
    let rss = |daemon: &Daemon| {
        let memory = procfs::memory(daemon.process.pid()).ok_or("the daemon is gone")?;
        Ok::<f64, Problem>(memory.rss_kb as f64 / 1024.0)
    };
    let empty = rss(&daemon)?;
    let topic = |n: u64| format!("state/{}/sensor-{:05}", n % 10, n);
    let feed = Feed { clients: 10, window: 16, total: KEYS, ..Feed::new(daemon.address, topic) };
    let acked = feed.start().join()?;
    if acked != KEYS {
        return Err(format!("{acked} of {KEYS} keys were acked").into());
    }
    thread::sleep(Duration::from_secs(1));
    let full = rss(&daemon)?;
    daemon.process.terminate(STOP_MAX).ok_or("the daemon does not stop")?;
    daemon.start_again();
    daemon.wait_until_ready(&handlers);
    let again = rss(&daemon)?;
    say(&json!({
        "kind": "rss", "keys": KEYS, "empty_mb": round(empty), "full_mb": round(full), "again_mb": round(again),
    }));
    Ok(vec![
        Goal::at_most(
            "RSS, 10,000 keys of 20 B in 10 handlers, front door",
            "MB",
            vec![full],
            14.0,
        ),
        Goal::open("the same after a stop and a start", "MB", vec![again]),
        Goal::open("the same before the first key", "MB", vec![empty]),
    ])
}
