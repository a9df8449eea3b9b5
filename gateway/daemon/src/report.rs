//! Turns the core's reports into log lines, and keeps what a bad device or handler repeats from filling the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_core::job::{Failure, HandlerId};
use tidegate_core::{Report, Timestamp};
use tracing::{debug, error, info, trace, warn};

/// Lines of one kind about one handler in one window. What is beyond is counted and told at the window's end.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Failure,
    Log,
}

#[derive(Debug)]
struct Window {
    since: Timestamp,
    lines: u32,
    name: String,
}

/// Tells people what the core reports.
#[derive(Debug, Default)]
pub struct Reporter {
    windows: BTreeMap<(HandlerId, Kind), Window>,
}

impl Reporter {
    /// Logs one report, unless its like has been logged often enough.
    pub fn tell(&mut self, now: Timestamp, report: Report) {
        match report {
            Report::HandlerActive { name, .. } => info!(handler = name, "handler is active"),
            Report::HandlerRejected { name, reason, .. } => {
                error!(
                    handler = name,
                    reason, "handler cannot run here; the rest goes on"
                );
            }
            Report::EventFailed {
                handler,
                name,
                event_id,
                failure,
            } => {
                if self.may_tell(now, handler, Kind::Failure, &name) {
                    warn!(handler = name, event_id, failure = %Told(&failure), "event failed");
                }
            }
            Report::HandlerQuarantined {
                name,
                wait_ms,
                last,
                ..
            } => {
                warn!(handler = name, wait_ms, failure = %Told(&last), "handler is in quarantine: it failed too often in a row");
            }
            Report::HandlerReleased { name, .. } => {
                info!(handler = name, "handler is out of quarantine")
            }
            Report::HandlerLog {
                handler,
                name,
                line,
            } => {
                if self.may_tell(now, handler, Kind::Log, &name) {
                    match line.level {
                        1 => error!(handler = name, "{}", line.text),
                        2 => warn!(handler = name, "{}", line.text),
                        3 => info!(handler = name, "{}", line.text),
                        4 => debug!(handler = name, "{}", line.text),
                        _ => trace!(handler = name, "{}", line.text),
                    }
                }
            }
            Report::Dropped { reason, total } => {
                warn!(reason = reason.name(), total, "messages dropped")
            }
            Report::LocalLost { reason, retry_ms } => {
                warn!(
                    reason,
                    retry_ms, "the local broker is not there; trying again"
                );
            }
        }
    }

    fn may_tell(&mut self, now: Timestamp, handler: HandlerId, kind: Kind, name: &str) -> bool {
        let window = self.windows.entry((handler, kind)).or_insert_with(|| {
            let name = name.to_owned();
            Window {
                since: now,
                lines: 0,
                name,
            }
        });
        if now.since(window.since) >= WINDOW {
            let more = window.lines.saturating_sub(LINES_MAX);
            if more > 0 {
                let what = match kind {
                    Kind::Failure => "more events failed in the last 10 s",
                    Kind::Log => "more log lines of this handler were left out in the last 10 s",
                };
                warn!(handler = window.name, count = more, "{what}");
            }
            (window.since, window.lines) = (now, 0);
        }
        window.lines += 1;
        window.lines <= LINES_MAX
    }
}

/// A failure in a person's words.
struct Told<'a>(&'a Failure);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Failure::Trap(name) => write!(f, "trap: {name}"),
            Failure::OutOfFuel => f.write_str("out of fuel (limits.fuel)"),
            Failure::Deadline => f.write_str("deadline passed (limits.deadline_ms)"),
            Failure::Quota(limit) => write!(f, "quota: {limit}"),
            Failure::Returned(code) => write!(f, "on_event returned {code}"),
            Failure::RetriesUsedUp => f.write_str("asked for a retry too often"),
            Failure::Quarantined => f.write_str("in quarantine"),
        }
    }
}
