//! Where the benchmark runs, and what it runs on.
//!
//! Left to the scheduler, a message may be handled on the core that its sender has just warmed up.
//! Pinned, generator and program each have a core of their own, and on a virtual machine a message
//! at a low rate costs mostly the wake-up of the other, halted core, twice, whatever is measured.

use std::env;
use std::fs;
use std::num::NonZeroU64;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::available_parallelism;

use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};
use serde_json::json;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::procfs;
use tidegate_tests::programs::Placement;

use crate::arguments::Arguments;
use crate::words::{Problem, say, tell};

/// Set in the process that `--realtime` starts.
const SETTLED: &str = "TIDEGATE_BENCH_REALTIME";

/// The core of the program under test when it is held to one; the generator's is the first.
const CORE: usize = 1;

/// Moves this process to its place and says where everything else goes. Called after everything is
/// built: children inherit the place, and a build belongs on all cores.
pub fn settle(arguments: &Arguments) -> Result<Placement, Problem> {
    if arguments.realtime && env::var_os(SETTLED).is_none() {
        // Children inherit it. `exec` comes back only when it failed.
        let error = Command::new("chrt")
            .args(["-f", "20"])
            .arg(env::current_exe()?)
            .args(env::args_os().skip(1))
            .env(SETTLED, "1")
            .exec();
        return Err(error.into());
    }
    // Without it the kernel may wake a sleeper 50 us late to save power.
    set_current_timer_slack(NonZeroU64::new(1))?;
    if !arguments.pinned {
        return Ok(Placement::default());
    }
    let placement = one_core()?;
    if placement.core.is_some() {
        let mut first = CpuSet::new();
        first.set(0);
        sched_setaffinity(None, &first)?;
    }
    Ok(placement)
}

/// One core for the program under test, where there is another for the generator.
pub fn one_core() -> Result<Placement, Problem> {
    let several = available_parallelism()?.get() > 1;
    Ok(Placement { core: several.then_some(CORE), slow_sync: None })
}

/// How the run was placed, for the head of its tables.
pub fn words(arguments: &Arguments) -> &'static str {
    match (arguments.pinned, arguments.realtime) {
        (false, false) => "placed by the scheduler",
        (true, false) => "pinned: generator on one core, all else on another",
        (false, true) => "placed by the scheduler, real-time priority",
        (true, true) => "pinned: generator on one core, all else on another, real-time priority",
    }
}

/// Says when and on what this runs.
pub fn introduce(arguments: &Arguments) {
    let date = said_by(Command::new("date").args(["-u", "+%F %H:%M UTC"]));
    let kernel = said_by(Command::new("uname").args(["-srm"]));
    let cores = available_parallelism().map_or(0, |count| count.get());
    let cpu = cpu_info();
    let (mosquitto, load) = (Mosquitto::version(), procfs::load_1m());
    say(&json!({
        "kind": "machine", "date": date, "cpu": cpu, "cores": cores, "kernel": kernel,
        "mosquitto": mosquitto, "place": words(arguments), "rounds": arguments.rounds,
        "seconds": arguments.seconds, "load_1m": load,
    }));
    tell(&format!(
        "{date}; {cpu}, {cores} cores; {kernel}; {mosquitto}; {}; {} rounds of {} s; load {load} at the start",
        words(arguments),
        arguments.rounds,
        arguments.seconds,
    ));
}

fn said_by(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout);
    String::from_utf8_lossy(&output.unwrap_or_default()).trim().to_owned()
}

/// The processor's name, and whether a hypervisor stands below it.
fn cpu_info() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    // ARM's has no name for it, but a hardware line.
    let name = value("model name").or_else(|| value("Hardware"));
    let name = name.unwrap_or_else(|| "unknown processor".to_owned());
    let flags = value("flags").unwrap_or_default();
    if flags.split(' ').any(|flag| flag == "hypervisor") {
        format!("{name} (virtual machine)")
    } else {
        name
    }
}
