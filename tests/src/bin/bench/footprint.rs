//! What the daemon takes: memory with few and many handlers, time to its first reaction, bytes on
//! disk.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::handlers::Handler;
use tidegate_tests::load::{self, Load, Target, median};
use tidegate_tests::mqtt::Client;
use tidegate_tests::programs::Placement;
use tidegate_tests::{ports, procfs};

use crate::goals::Goal;
use crate::words::{Problem, round, say};

const DEVICES: usize = 100;
/// Starts that are measured; the middle one counts.
const STARTS: usize = 9;

/// This many handlers that share the devices among them: each device has one.
fn share(overheat: &Handler, count: usize) -> Vec<Handler> {
    if count == 1 {
        return vec![overheat.clone()];
    }
    (0..count)
        .map(|n| Handler {
            name: format!("overheat-{n}"),
            triggers: (n..DEVICES)
                .step_by(count)
                .map(|device| format!("devices/d{device:03}/telemetry"))
                .collect(),
            ..overheat.clone()
        })
        .collect()
}

/// Resident memory with 1, 10 and 100 handlers: before the first message, and at 1000 messages a
/// second over all of them.
pub fn memory(overheat: &Handler, placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let mut goals = Vec::new();
    let mb = |kb: u64| vec![kb as f64 / 1024.0];
    for (count, idle_mb_max) in [(1, Some(7.0)), (10, None), (100, Some(14.0))] {
        let handlers = share(overheat, count);
        let local = Local::Listen(ports::free());
        let mut daemon = Daemon::spawn(&local, &handlers, placement);
        daemon.wait_until_ready(&handlers);
        std::thread::sleep(Duration::from_millis(500));
        let pid = daemon.process.pid();
        let idle = procfs::memory_of_all(pid).ok_or("the daemon is gone")?;
        let target = Target { address: daemon.address, answers: "devices/+/cmd" };
        let load = Load { seconds: 3.0, devices: DEVICES, ..Load::default() };
        let measured = load::run(&target, &load, || ())?;
        let loaded = procfs::memory_of_all(pid).ok_or("the daemon is gone")?;
        say(&json!({
            "kind": "memory", "handlers": count, "idle_kb": idle.rss_kb, "loaded_kb": loaded.rss_kb,
            "peak_kb": loaded.peak_kb, "lost": measured.lost,
        }));
        let plural = if count == 1 { "" } else { "s" };
        let what = format!("idle RSS, front door and {count} handler{plural}");
        goals.push(match idle_mb_max {
            Some(most) => Goal::at_most(&what, "MB", mb(idle.rss_kb), most),
            None => Goal::open(&what, "MB", mb(idle.rss_kb)),
        });
        let what = format!("the same at 1000/s, {} lost", measured.lost);
        goals.push(Goal::open(&what, "MB", mb(loaded.rss_kb)));
        daemon.process.terminate(Duration::from_secs(5));
    }
    Ok(goals)
}

/// From the start of the process to the first reaction that a device hears.
pub fn start(overheat: &Handler, placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let address = ports::free();
        // The folders are written before the clock starts.
        let local = Local::Listen(address);
        let started = Instant::now();
        let daemon = Daemon::spawn(&local, std::slice::from_ref(overheat), placement);
        let spawned = daemon.process.started;
        wait_for_reaction(address, started)?;
        times.push(spawned.elapsed().as_secs_f64() * 1e3);
    }
    let middle = median(&times);
    let worst = times.iter().copied().fold(0.0, f64::max);
    say(
        &json!({"kind": "start", "median_ms": round(middle), "worst_ms": round(worst), "starts": STARTS}),
    );
    Ok(vec![Goal::at_most(
        &format!("process start to first reaction, {STARTS} starts"),
        "ms",
        times,
        30.0,
    )])
}

/// Tries to connect all the time, then sends until `overheat` answers.
pub fn wait_for_reaction(address: SocketAddr, started: Instant) -> Result<(), Problem> {
    let mut client = loop {
        match Client::connect(address, "first") {
            Ok(client) => break client,
            Err(error) if started.elapsed() > Duration::from_secs(10) => {
                return Err(error.into());
            }
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    };
    client.subscribe("devices/+/cmd", 0)?;
    loop {
        client.publish("devices/d1/telemetry", b"{\"temp\":71.3,\"seq\":1}")?;
        if client.message(Duration::from_millis(2))?.is_some() {
            break;
        }
    }
    Ok(())
}

/// The size of the daemon's file. Only the release profile is stripped.
pub fn binary(daemon: &Path) -> Result<Vec<Goal>, Problem> {
    let bytes = fs::metadata(daemon)?.len();
    say(&json!({"kind": "binary", "bytes": bytes}));
    Ok(vec![Goal::at_most("daemon binary", "MB", vec![bytes as f64 / 1e6], 5.0)])
}
