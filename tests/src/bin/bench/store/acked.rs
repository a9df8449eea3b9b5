//! Acknowledged messages a second, beside what the disk can do: a loop that writes as many bytes for each sync as the
//! daemon did, and does nothing else.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::counter;
use tidegate_tests::procfs::{self, load_1m};
use tidegate_tests::programs::Placement;

use super::feed::{Feed, Feeding};
use crate::goals::Goal;
use crate::words::{Problem, round, say};

const CLIENTS: u64 = 50;
/// The loop's file: as large as four segments of the journal, filled with zeros before the clock starts.
const FILE_BYTES: usize = 16 << 20;
/// How much longer a sync takes on a class A1 card than on the disk of a test machine, at least.
const CARD: Duration = Duration::from_millis(4);
const WARM: Duration = Duration::from_millis(500);

/// What the daemon did in one round.
#[derive(Clone, Copy, Debug)]
struct Done {
    acked_per_s: f64,
    syncs_per_s: f64,
    bytes_per_sync: f64,
    /// CPU of the daemon's threads for each message.
    cpu_us: f64,
}

/// The daemon's counters at one instant.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    acked: u64,
    syncs: u64,
    bytes: u64,
    cpu_ns: u64,
}

/// 50 clients, first with one message under way each, then with 16.
pub fn measure(rounds: usize, seconds: f64, placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let mut goals = Vec::new();
    for (window, slow) in [(1, None), (16, None), (1, Some(CARD)), (16, Some(CARD))] {
        let placement = Placement { slow_sync: slow, ..*placement };
        let mut daemon = super::start(&[counter("counter", "bulk/+")], "", &placement);
        let (mut rates, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let done = feed(&mut daemon, window, seconds)?;
            let alone = syncs_alone(&daemon.data(), done.bytes_per_sync as usize, seconds, slow)?;
            let ratio = done.syncs_per_s / alone;
            say(&json!({
                "kind": "acked", "window": window, "sync_takes_longer_ms": slow.unwrap_or_default().as_secs_f64() * 1e3, "acked_per_s": round(done.acked_per_s),
                "syncs_per_s": round(done.syncs_per_s), "messages_per_sync": round(done.acked_per_s / done.syncs_per_s),
                "bytes_per_sync": round(done.bytes_per_sync), "syncs_alone_per_s": round(alone),
                "ratio": round(ratio), "cpu_us_per_message": round(done.cpu_us), "load_1m": load_1m(),
            }));
            rates.push(done.acked_per_s);
            ratios.push(ratio);
        }
        let disk = if slow.is_some() { ", syncs as on a card" } else { "" };
        let what =
            format!("acked QoS 1 with state, {CLIENTS} clients, {window} under way each{disk}");
        goals.push(Goal::open(&what, "/s", rates));
        goals.push(Goal::at_least("the same / fdatasync alone, same batches", "x", ratios, 0.7));
    }
    Ok(goals)
}

fn feed(daemon: &mut Daemon, window: u64, seconds: f64) -> Result<Done, Problem> {
    let topic = |n: u64| format!("bulk/{}", n % CLIENTS);
    let feed = Feed { clients: CLIENTS, window, ..Feed::new(daemon.address, topic) }.start();
    thread::sleep(WARM);
    let from = look(daemon, &feed)?;
    thread::sleep(Duration::from_secs_f64(seconds));
    let to = look(daemon, &feed)?;
    feed.stop()?;
    let elapsed = (to.at - from.at).as_secs_f64();
    let syncs = (to.syncs - from.syncs) as f64;
    let acked = (to.acked - from.acked) as f64;
    Ok(Done {
        acked_per_s: acked / elapsed,
        syncs_per_s: syncs / elapsed,
        bytes_per_sync: (to.bytes - from.bytes) as f64 / syncs,
        cpu_us: (to.cpu_ns - from.cpu_ns) as f64 / 1e3 / acked,
    })
}

fn look(daemon: &mut Daemon, feed: &Feeding) -> Result<Look, Problem> {
    let syncs = daemon.counters().get("store.syncs").copied();
    let syncs = syncs.ok_or("the daemon does not count its syncs")?;
    let pid = daemon.process.pid();
    let written = procfs::written(pid).ok_or("the daemon is gone")?;
    let cpu_ns = procfs::cpu_ns(pid).ok_or("the daemon is gone")?;
    let (at, acked, bytes) = (Instant::now(), feed.acked(), written.call_bytes);
    Ok(Look { at, acked, syncs, bytes, cpu_ns })
}

/// How often a second `bytes` can be written behind one another into a file that is there already, and synced.
fn syncs_alone(
    folder: &Path,
    bytes: usize,
    seconds: f64,
    slow: Option<Duration>,
) -> Result<f64, Problem> {
    let path = folder.join("sync-alone");
    let mut file = File::create(&path)?;
    file.write_all(&vec![0; FILE_BYTES])?;
    file.sync_all()?;
    let frame = vec![0xa5; bytes.clamp(1, FILE_BYTES)];
    let (mut at, mut count) = (0, 0u64);
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        if at + frame.len() > FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&frame, at as u64)?;
        if let Some(slow) = slow {
            thread::sleep(slow);
        }
        file.sync_data()?;
        at += frame.len();
        count += 1;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    Ok(rate)
}
