//! Records that wait for an upstream that is away: memory, the next start, and how fast they leave.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::overheat;
use tidegate_tests::load::median;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::programs::Placement;
use tidegate_tests::{ports, procfs};

use super::feed::Feed;
use crate::footprint::wait_for_reaction;
use crate::goals::Goal;
use crate::words::{Problem, round, say};

/// Starts after a kill; the middle one counts.
const STARTS: usize = 5;
/// Payload of one record. A record of it takes less than so much of the journal.
const PAYLOAD_BYTES: usize = 200;
const RECORD_BYTES_MAX: u64 = 512;
/// Between two looks at how many have left.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// No record has left for so long: something is broken.
const STUCK: Duration = Duration::from_secs(30);

/// `records` of them, made through the daemon.
pub fn measure(records: u64, placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let upstream = ports::free();
    let more = super::forward(upstream, records * RECORD_BYTES_MAX / 1_000_000 + 64);
    let mut daemon = super::start(&[overheat()], &more, placement);
    let topic = |n: u64| format!("bulk/{}", n % 100);
    let feed = Feed {
        clients: 16,
        window: 64,
        total: records,
        payload_bytes: PAYLOAD_BYTES,
        ..Feed::new(daemon.address, topic)
    };
    let begun = Instant::now();
    feed.start().join()?;
    let fed_per_s = records as f64 / begun.elapsed().as_secs_f64();
    let waiting = counter(&mut daemon, "waiting");
    if waiting != records {
        return Err(format!("{waiting} of {records} records wait").into());
    }
    let filled = peak_mb(&daemon)?;
    let starts = starts(&mut daemon)?;
    let started = peak_mb(&daemon)?;
    let broker = Mosquitto::start_at(upstream, placement);
    let drained_per_s = drain(&mut daemon, records)?;
    let drained = peak_mb(&daemon)?;
    drop(broker);
    say(&json!({
        "kind": "backlog", "records": records, "fed_per_s": round(fed_per_s), "filled_peak_mb": round(filled),
        "start_ms": round(median(&starts)), "started_peak_mb": round(started), "drained_per_s": round(drained_per_s),
        "drained_peak_mb": round(drained), "load_1m": procfs::load_1m(),
    }));
    let n = crate::table::digits(records as f64);
    Ok(vec![
        Goal::at_most(&format!("peak RSS while {n} records gather"), "MB", vec![filled], 24.0),
        Goal::at_most(
            "peak RSS from the next start until they have left",
            "MB",
            vec![drained],
            24.0,
        ),
        Goal::at_most("kill -9, then start to first reaction", "ms", starts, 300.0),
        Goal::at_least("records leaving, local mosquitto", "/s", vec![drained_per_s], 20_000.0),
        Goal::open("records gathering, QoS 1, each durable before its ack", "/s", vec![fed_per_s]),
    ])
}

fn counter(daemon: &mut Daemon, what: &str) -> u64 {
    daemon.counters().get(&format!("stream.raw.{what}")).copied().unwrap_or(0)
}

/// The highest resident memory of this process so far.
fn peak_mb(daemon: &Daemon) -> Result<f64, Problem> {
    let memory = procfs::memory(daemon.process.pid()).ok_or("the daemon is gone")?;
    Ok(memory.peak_kb as f64 / 1024.0)
}

/// Milliseconds from a start after a kill to the first reaction that a device hears.
fn starts(daemon: &mut Daemon) -> Result<Vec<f64>, Problem> {
    (0..STARTS)
        .map(|_| {
            daemon.process.kill();
            daemon.start_again();
            wait_for_reaction(daemon.address, daemon.process.started)?;
            Ok(daemon.process.started.elapsed().as_secs_f64() * 1e3)
        })
        .collect()
}

/// Records a second from the connection until all of them are acked upstream.
fn drain(daemon: &mut Daemon, records: u64) -> Result<f64, Problem> {
    let up = daemon.process.wait_for_line(&["upstream is there"], STUCK);
    let up = up.ok_or("the daemon does not find its upstream")?.at;
    let mut last = (u64::MAX, Instant::now());
    loop {
        let waiting = counter(daemon, "waiting");
        let now = Instant::now();
        if waiting == 0 {
            return Ok(records as f64 / (now - up).as_secs_f64());
        }
        if waiting < last.0 {
            last = (waiting, now);
        } else if now - last.1 > STUCK {
            return Err(format!("{waiting} records do not leave").into());
        }
        thread::sleep(LOOK_EVERY);
    }
}
