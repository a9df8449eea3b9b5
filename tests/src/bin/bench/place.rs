//! Where the benchmark runs: the generator on the first core and everything under test on the
//! second, so that neither waits for the other's core.

use std::env;
use std::num::NonZeroU64;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::available_parallelism;

use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};
use tidegate_tests::programs::Placement;

use crate::arguments::Arguments;
use crate::words::Problem;

/// Set in the process that `--realtime` starts.
const SETTLED: &str = "TIDEGATE_BENCH_REALTIME";

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
    if !arguments.pinned || available_parallelism()?.get() == 1 {
        return Ok(Placement::default());
    }
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(None, &first)?;
    Ok(Placement { core: Some(1) })
}
