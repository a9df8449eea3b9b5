use super::*;
use crate::message::{Message, QoS};
use crate::time::WallTime;
use crate::topic::Topic;
use alloc::string::String;
use alloc::sync::Arc;

const H: HandlerId = HandlerId(1);

fn event(id: u64) -> Event {
    let message = Message {
        topic: Topic::new("a").expect("a topic"),
        payload: Arc::from(&b""[..]),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: Arc::from("s"),
        at: WallTime::default(),
        hops: 0,
        mark: None,
    };
    Event { id, message: Arc::new(message), ticket: None, attempt: 0, first: false, invoke: None }
}

/// Runs a script: `+N` a message, `ok`/`fail`/`retry` how the next event of the running job ends (`!` ends the
/// job), `tN` time. Writes down which events each job had and what a finished job meant.
#[track_caller]
fn check(script: &str, expect: &str) {
    let limits = Limits { batch_messages_max: 2, failures_max: 2, retries_max: 2, ..Limits::DEV };
    let mut schedule = Schedule::new(limits);
    let (mut now, mut job, mut verdicts) = (Timestamp(0), None::<Job>, Vec::new());
    let mut seen = String::new();
    schedule.insert(H);
    schedule.start(H, false);
    for word in script.split_whitespace() {
        match word.split_at(1) {
            ("+", id) => schedule.push(H, event(id.parse().expect("an id"))),
            ("t", ms) => {
                now = Timestamp(ms.parse().expect("a time"));
                schedule.handle_timeout(now);
            }
            ("!", _) => {
                let job = job.take().expect("a job");
                let mut outcome = Outcome { job, events: core::mem::take(&mut verdicts) };
                let finished = schedule.finish(now, &mut outcome);
                if let Some(wait) = finished.quarantined {
                    seen += &alloc::format!("quarantine {} ", wait.as_millis());
                }
                if finished.released {
                    seen += "released ";
                }
                assert_eq!(outcome.events.len(), outcome.job.events.len());
            }
            _ => {
                let verdict = match word {
                    "ok" => Verdict::Done,
                    "retry" => Verdict::Retry,
                    _ => Verdict::Failed(Failure::Trap("unreachable")),
                };
                verdicts.push(EventOutcome { verdict, ..EventOutcome::default() });
            }
        }
        if job.is_none() {
            job = schedule.poll_job(Levels::default());
            if let Some(job) = &job {
                let ids: Vec<String> = job
                    .events
                    .iter()
                    .map(|e| alloc::format!("{}{}", e.id, if e.attempt > 0 { "'" } else { "" }))
                    .collect();
                seen += &alloc::format!("[{}] ", ids.join(" "));
            }
        }
    }
    assert_eq!(seen.trim_end(), expect, "{script}");
}

#[test]
fn runs_one_job_at_a_time_in_order() {
    check("+1 +2 +3 +4 ok !", "[1] [2 3]");
    check("+1 ok ! +2", "[1] [2]");
}

#[test]
fn a_retry_blocks_the_line_until_its_time() {
    check("+1 +2 +3 ok ! retry ! +4 t99 t100", "[1] [2 3] [2' 3]");
    check("+1 retry ! t100 retry ! t200 t300 retry !", "[1] [1'] [1']");
    check("+1 retry ! t100 retry ! t300 retry ! +2", "[1] [1'] [1'] [2]");
}

#[test]
fn failures_in_a_row_lead_to_quarantine_and_one_trial() {
    check("+1 fail ! +2 ok ! +3 fail !", "[1] [2] [3]");
    check("+1 fail ! +2 fail ! +3 t999 t1000", "[1] [2] quarantine 1000 [3]");
    check(
        "+1 fail ! +2 fail ! +3 +4 t1000 fail ! t2999 t3000",
        "[1] [2] quarantine 1000 [3] quarantine 2000 [4]",
    );
    check(
        "+1 fail ! +2 fail ! +3 +4 t1000 retry ! +5 t1100 ok ! ok ok !",
        "[1] [2] quarantine 1000 [3] [3'] released [4 5]",
    );
    check("+1 fail ! +2 fail ! +3 +4 t1000 ok ! ok !", "[1] [2] quarantine 1000 [3] released [4]");
}
