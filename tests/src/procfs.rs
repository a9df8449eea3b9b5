//! What Linux knows about a process: memory and CPU.

use std::fs;

/// A process with its children's and threads' use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub rss_kb: u64,
    /// The highest it ever was.
    pub peak_kb: u64,
}

/// Resident memory of `pid`; `None` when it has ended.
pub fn memory(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Memory { rss_kb: kb(&status, "VmRSS:")?, peak_kb: kb(&status, "VmHWM:")? })
}

/// Resident memory of `pid` and of the processes that it has started, each with all that they share.
pub fn memory_of_all(pid: u32) -> Option<Memory> {
    let mut all = memory(pid)?;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let path = task.ok()?.path().join("children");
        // A thread, or a child, may end between the listing and the reading.
        for child in fs::read_to_string(path).unwrap_or_default().split_whitespace() {
            if let Some(memory) = child.parse().ok().and_then(memory_of_all) {
                all.rss_kb += memory.rss_kb;
                all.peak_kb += memory.peak_kb;
            }
        }
    }
    Some(all)
}

fn kb(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What a process has written so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the folios that it made dirty: 0 when nothing is to reach a device. Otherwise up to 500 times as much
    /// as does: on a file system with large folios each counts as a whole.
    pub dirty_bytes: u64,
    /// Bytes that it handed to `write` and its like. What goes through `send` is not in it.
    pub call_bytes: u64,
}

/// What `pid` has written; `None` when it has ended and was waited for.
pub fn written(pid: u32) -> Option<Written> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let number = |key: &str| {
        let line = io.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(Written { dirty_bytes: number("write_bytes:")?, call_bytes: number("wchar:")? })
}

/// CPU time of all living threads of `pid`, in nanoseconds; `None` when it has ended. `schedstat`
/// counts nanoseconds where `stat` counts ticks of 10 ms.
pub fn cpu_ns(pid: u32) -> Option<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let path = task.ok()?.path().join("schedstat");
        // A thread may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(path) else {
            continue;
        };
        total += stat.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(total)
}

/// The machine's load over the last minute: how quiet it was during a measurement.
pub fn load_1m() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_itself() {
        let own = std::process::id();
        let memory = memory(own).expect("we are running");
        assert!(memory.rss_kb > 100 && memory.peak_kb >= memory.rss_kb, "{memory:?}");
        assert!(memory_of_all(own).expect("we are running").rss_kb > 100);
        let before = cpu_ns(own).expect("we are running");
        let mut sum = 0u64;
        while cpu_ns(own).expect("we are running") < before + 5_000_000 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        // Process ids stay below 2^22 on Linux.
        assert_eq!(super::memory(1 << 30), None);
        assert_eq!(written(1 << 30), None);
        assert_eq!(cpu_ns(1 << 30), None);
    }
}
