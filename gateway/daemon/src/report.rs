//! Turns the core's reports into log lines, and keeps what a bad device or handler repeats from filling the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_core::job::{Failure, HandlerId};
use tidegate_core::record::Refusal;
use tidegate_core::release::{Answer, Stage};
use tidegate_core::{Report, Timestamp};
use tracing::{debug, error, info, trace, warn};

/// Lines of one kind about one handler in one window. What is beyond is counted and told at the window's end.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Failure,
    Log,
    /// What became of orders, over all handlers: anybody may send some.
    Release,
    /// Records that upstream does not take, of all streams.
    Refused,
}

/// Stands for all handlers together.
const RELEASES: HandlerId = HandlerId(u16::MAX);
const RECORDS: HandlerId = RELEASES;

#[derive(Debug)]
struct Window {
    since: Timestamp,
    lines: u32,
}

/// Tells people what the core reports.
#[derive(Debug, Default)]
pub struct Reporter {
    names: BTreeMap<HandlerId, String>,
    windows: BTreeMap<(HandlerId, Kind), Window>,
}

impl Reporter {
    /// Logs one report, unless its like has been logged often enough.
    pub fn tell(&mut self, now: Timestamp, report: Report) {
        match report {
            Report::HandlerActive { handler, name } => {
                info!(handler = name, "handler is active");
                self.names.insert(handler, name);
            }
            Report::HandlerRejected { name, reason, .. } => {
                error!(handler = name, reason, "handler cannot run here; the rest goes on");
            }
            Report::Release(answer) => {
                if self.may_tell(now, RELEASES, Kind::Release) {
                    tell_release(&answer);
                }
            }
            Report::Unsigned { handler, reason } => {
                if self.may_tell(now, RELEASES, Kind::Release) {
                    error!(
                        handler = &*handler,
                        reason, "an answer cannot be signed, and nobody hears it"
                    );
                }
            }
            Report::Stale { is_stale: true } => {
                warn!(
                    "no new signed order or trust file has come for long; somebody in between may hold them back (trust.stale_after_s)"
                );
            }
            Report::Stale { is_stale: false } => info!("something new and signed has come again"),
            Report::SafeMode => {
                error!(
                    "the daemon restarted so often that no handler is started; records go on, pushes are taken (gateway.restarts_max)"
                );
            }
            Report::EventFailed { handler, event_id, failure } => {
                if self.may_tell(now, handler, Kind::Failure) {
                    let handler = self.name(handler);
                    warn!(handler, event_id, failure = %Told(&failure), "event failed");
                }
            }
            Report::HandlerQuarantined { handler, wait_ms, last } => {
                let (handler, failure) = (self.name(handler), Told(&last));
                warn!(handler, wait_ms, %failure, "handler is in quarantine: it failed too often in a row");
            }
            Report::HandlerReleased { handler } => {
                info!(handler = self.name(handler), "handler is out of quarantine");
            }
            Report::HandlerLog { handler, line } => {
                if self.may_tell(now, handler, Kind::Log) {
                    let handler = self.name(handler);
                    match line.level {
                        1 => error!(handler, "{}", line.text),
                        2 => warn!(handler, "{}", line.text),
                        3 => info!(handler, "{}", line.text),
                        4 => debug!(handler, "{}", line.text),
                        _ => trace!(handler, "{}", line.text),
                    }
                }
            }
            Report::Dropped { reason, total } => {
                warn!(reason = reason.name(), total, "messages dropped")
            }
            Report::LocalLost { reason, retry_ms } => {
                warn!(reason, retry_ms, "the local broker is not there; trying again");
            }
            Report::RetainedRefused => {
                warn!(
                    "the local broker hangs up at retained messages; from now on it gets none: who pushes must listen while answers are said"
                );
            }
            Report::UplinkLost { reason, retry_ms } => {
                warn!(reason, retry_ms, "upstream is not there; records wait, trying again");
            }
            Report::UplinkBack { waiting } => info!(waiting, "upstream is there"),
            Report::StoreFailing { reason } => {
                error!(
                    reason,
                    "the store cannot write; nothing is acked until it can, trying again"
                );
            }
            Report::StoreWell => info!("the store can write again"),
            Report::RecordsLost { stream, reason, total } => {
                error!(stream, reason = reason.name(), total, "records given up");
            }
            Report::RecordRefused { stream, seq, refusal, is_kept } => {
                if self.may_tell(now, RECORDS, Kind::Refused) {
                    tell_refused(&stream, seq, &refusal, is_kept);
                }
            }
        }
    }

    fn name(&self, handler: HandlerId) -> &str {
        self.names.get(&handler).map_or("?", |name| name)
    }

    fn may_tell(&mut self, now: Timestamp, handler: HandlerId, kind: Kind) -> bool {
        let window = self.windows.entry((handler, kind)).or_insert(Window { since: now, lines: 0 });
        if now.since(window.since) >= WINDOW {
            let count = window.lines.saturating_sub(LINES_MAX);
            (window.since, window.lines) = (now, 0);
            if count > 0 {
                let handler = self.name(handler);
                match kind {
                    Kind::Failure => warn!(handler, count, "more events failed since"),
                    Kind::Log => warn!(handler, count, "more log lines were left out since"),
                    Kind::Release => warn!(count, "more orders, or steps of them, since"),
                    Kind::Refused => error!(count, "more records were refused since"),
                }
            }
        }
        let window = self.windows.get_mut(&(handler, kind)).expect("it was just made");
        window.lines += 1;
        window.lines <= LINES_MAX
    }
}

/// A record that will not arrive.
fn tell_refused(stream: &str, seq: u64, refusal: &Refusal, is_kept: bool) {
    let dead_letter = if is_kept { "kept" } else { "none: there are too many" };
    match refusal {
        Refusal::Code(code) => {
            error!(stream, seq, code, dead_letter, "upstream refused a record");
        }
        Refusal::TooLarge { bytes, max } => {
            error!(stream, seq, bytes, max, dead_letter, "a record is too long for upstream");
        }
        Refusal::HangsUp => error!(stream, seq, dead_letter, "upstream hangs up at a record"),
        Refusal::NoTopic => error!(stream, seq, dead_letter, "a record has no topic to go to"),
    }
}

/// What became of a pushed release.
fn tell_release(answer: &Answer) {
    let (handler, version) = (&*answer.handler, answer.version.as_str());
    let release = answer.release.map(|(_, digest)| digest.to_string()).unwrap_or_default();
    let release = release.get(..12).unwrap_or_default();
    match &answer.stage {
        Stage::Checking { have, of } => debug!(handler, release, have, of, "chunks are missing"),
        Stage::Installing => info!(handler, version, release, "a release is being installed"),
        Stage::Probation { .. } => info!(handler, version, release, "a release is on probation"),
        Stage::Active => info!(handler, version, release, "a release is active"),
        Stage::Rejected(refusal) => {
            warn!(
                handler,
                version,
                release,
                code = refusal.code,
                reason = refusal.text,
                "a release was rejected"
            );
        }
        Stage::RolledBack { refusal, .. } => {
            error!(
                handler,
                version,
                release,
                code = refusal.code,
                reason = refusal.text,
                "a release was rolled back"
            );
        }
        Stage::Removed => info!(handler, release, "a handler was removed"),
        Stage::Invoked(invoked) => {
            info!(
                handler,
                fuel = invoked.fuel,
                dry = invoked.invoke.is_dry,
                "a person has sent an event"
            );
        }
        Stage::SafeMode => debug!(handler, "not started"),
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
