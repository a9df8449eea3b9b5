use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;

use alloc::string::String;

use super::*;
use crate::job::{EventOutcome, Failure, Job, Outcome, Publish, Verdict};
use crate::manifest::{Grants, HandlerLimits, Isolation, Manifest, React};
use crate::message::{AckTo, QoS, SourceId};
use crate::release::CheckId;
use crate::time::WallTime;
use crate::topic::{Filter, Topic};

mod durable;
mod pins;
mod releases;

fn manifest(name: &str, trigger: &str) -> Arc<Manifest> {
    Arc::new(Manifest {
        name: name.into(),
        version: "1".into(),
        triggers: [Filter::new(trigger).expect("a good filter")].into(),
        limits: HandlerLimits { fuel: 1, memory_kib: 64, deadline_ms: 1, publishes: 1 },
        grants: Grants::default(),
        isolation: Isolation::Event,
        react: React::Now,
        config: BTreeMap::new(),
    })
}

fn message(topic: &str, qos: QoS) -> Message {
    Message {
        topic: Topic::new(topic).expect("a good topic"),
        payload: Arc::from(&b"x"[..]),
        qos,
        retain: false,
        dup: false,
        source: Arc::from("device"),
        at: WallTime::default(),
        hops: 0,
        mark: None,
    }
}

/// A gateway and the jobs it has given out.
struct Bench {
    gateway: Gateway,
    now: Timestamp,
    jobs: BTreeMap<HandlerId, Job>,
    checks: BTreeMap<HandlerId, CheckId>,
}

impl Bench {
    fn new(limits: Limits, side: LocalSide) -> Bench {
        Bench {
            gateway: Gateway::new(limits, side, Durability::default(), 7),
            now: Timestamp(0),
            jobs: BTreeMap::new(),
            checks: BTreeMap::new(),
        }
    }

    /// Runs a script and writes down the effects.
    ///
    /// `h1=a/+` deploys, `h1ok`/`h1bad` checks; `a/b` a QoS 0 message, `a/b!5` a QoS 1 one that packet 5 acks;
    /// `1ok`/`1fail`/`1retry` ends the next event of handler 1's job, `1>c/d` with a publish; `t100` time;
    /// `up`/`down`; `gone` the device's connection.
    fn run(&mut self, script: &str) -> String {
        let mut seen = Vec::new();
        for word in script.split_whitespace() {
            self.step(word);
            while let Some(effect) = self.gateway.poll_effect() {
                seen.extend(self.write_down(effect));
            }
        }
        seen.join(" ")
    }

    fn step(&mut self, word: &str) {
        let input = |bench: &mut Bench, input| bench.gateway.handle_input(bench.now, input);
        let first = word.chars().next().expect("a word");
        if let Some((handler, trigger)) =
            word.strip_prefix('h').and_then(|rest| rest.split_once('='))
        {
            let id = HandlerId(handler.parse().expect("a number"));
            input(self, Input::Deploy { handler: id, manifest: manifest(handler, trigger) });
        } else if let Some(rest) = word.strip_prefix('h') {
            let (handler, how) = rest.split_at(1);
            let handler = HandlerId(handler.parse().expect("a number"));
            let result = if how == "ok" { Ok(()) } else { Err("bad".to_string()) };
            let check = self.checks[&handler];
            input(self, Input::Checked { handler, check, result });
        } else if let Some(ms) = word.strip_prefix('t') {
            self.now = Timestamp(ms.parse().expect("a time"));
            self.gateway.handle_timeout(self.now);
        } else if word == "up" {
            input(self, Input::LocalUp { session_present: false });
        } else if word == "down" {
            input(self, Input::LocalDown { reason: "gone".into() });
        } else if word == "gone" {
            input(self, Input::SourceGone { source: SourceId(1) });
        } else if first.is_ascii_digit() {
            self.end(HandlerId(first as u16 - b'0' as u16), &word[1..]);
        } else {
            let (topic, packet) = word.split_once('!').map_or((word, None), |(t, p)| (t, Some(p)));
            let ack = packet.map(|packet| AckTo {
                source: SourceId(1),
                packet_id: packet.parse().expect("a packet id"),
            });
            let qos = if ack.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            input(self, Input::Message { message: message(topic, qos), ack });
        }
    }

    /// Ends the job of a handler: each of its events the same way, a retry at the first.
    fn end(&mut self, handler: HandlerId, how: &str) {
        let job = self.jobs.remove(&handler).expect("a running job");
        let count = if how == "retry" { 1 } else { job.events.len() };
        let events = (0..count)
            .map(|_| match how {
                "ok" => EventOutcome::default(),
                "retry" => EventOutcome { verdict: Verdict::Retry, ..EventOutcome::default() },
                "fail" => {
                    let verdict = Verdict::Failed(Failure::Trap("unreachable"));
                    EventOutcome { verdict, ..EventOutcome::default() }
                }
                topic => EventOutcome {
                    publishes: [Publish {
                        topic: Topic::new(topic.trim_start_matches(['>', '!'])).expect("a topic"),
                        payload: Arc::from(&b"x"[..]),
                        qos: if topic.starts_with('!') {
                            QoS::AtLeastOnce
                        } else {
                            QoS::AtMostOnce
                        },
                        retain: false,
                    }]
                    .into(),
                    ..EventOutcome::default()
                },
            })
            .collect();
        self.gateway.handle_input(self.now, Input::Outcome(Outcome { job, events }));
    }

    fn write_down(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Check { handler, check, version: _ } => {
                self.checks.insert(handler, check);
                format!("check{}", handler.0)
            }
            Effect::Run(job) => {
                let text = format!("run{}x{}", job.handler.0, job.events.len());
                self.jobs.insert(job.handler, job);
                text
            }
            Effect::Publish(message) => format!("pub:{}", message.topic),
            Effect::Ack(to) => format!("ack{}", to.packet_id),
            Effect::Subscribe { filter, .. } => format!("sub:{filter}"),
            Effect::Pause(source) => format!("pause{}", source.0),
            Effect::HangUp(source) => format!("hangup{}", source.0),
            Effect::Resume(source) => format!("resume{}", source.0),
            Effect::ConnectLocal => "connect".to_string(),
            Effect::Report(Report::Dropped { reason, total }) => {
                format!("{}:{total}", reason.name())
            }
            Effect::Report(Report::HandlerRejected { .. }) => "rejected".to_string(),
            Effect::Report(Report::HandlerQuarantined { wait_ms, .. }) => {
                format!("quarantine:{wait_ms}")
            }
            Effect::Report(Report::HandlerReleased { .. }) => "released".to_string(),
            Effect::Report(_)
            | Effect::Migrate { .. }
            | Effect::Switch { .. }
            | Effect::Undeploy { .. } => return None,
            Effect::Examine { .. }
            | Effect::Sign { .. }
            | Effect::Keep(_)
            | Effect::SignReport(_)
            | Effect::Unretain
            | Effect::Note(_)
            | Effect::Settle(_)
            | Effect::ListenUpstream(_)
            | Effect::TellUpstream(_) => unreachable!("releases.rs has the tests of these"),
            Effect::SetPin(write) => format!("pin{}={}", write.pin.0, u8::from(write.on)),
            Effect::Commit(_)
            | Effect::Fetch(_)
            | Effect::Evict(_)
            | Effect::ConnectUplink
            | Effect::DropUplink
            | Effect::Send(_) => unreachable!("durable.rs has the tests of these"),
        })
    }
}

#[track_caller]
fn check_with(limits: Limits, side: LocalSide, script: &str, expect: &str) -> Bench {
    let mut bench = Bench::new(limits, side);
    assert_eq!(bench.run(script), expect, "{script}");
    bench
}

#[track_caller]
fn check(script: &str, expect: &str) {
    let limits = Limits { failures_max: 2, ..Limits::DEV };
    let mut bench = check_with(limits, LocalSide::FrontDoor, script, expect);
    // Whatever happened: once every job has ended well, nothing is left inside.
    for _ in 0..100 {
        let jobs: Vec<HandlerId> = bench.jobs.keys().copied().collect();
        for handler in jobs {
            bench.end(handler, "ok");
        }
        while let Some(effect) = bench.gateway.poll_effect() {
            bench.write_down(effect);
        }
        bench.now = bench.gateway.poll_timeout().unwrap_or(bench.now);
        bench.gateway.handle_timeout(bench.now);
    }
    if !script.contains('=') || script.contains("ok") {
        assert_eq!(bench.gateway.messages(), 0, "left inside after {script}");
    }
}

#[test]
fn acks_when_the_last_handler_is_done() {
    check("a/b!1", "ack1");
    check("h1=a/+ h1ok a/b a/b!5 1ok 1ok", "check1 sub:a/+ run1x1 run1x1 ack5");
    check(
        "h1=a/+ h1ok h2=a/b h2ok a/b!5 1ok 2ok",
        "check1 sub:a/+ check2 sub:a/b run1x1 run2x1 ack5",
    );
    check(
        "h1=a/+ h1ok h2=a/b h2ok a/b!5 2ok 1ok",
        "check1 sub:a/+ check2 sub:a/b run1x1 run2x1 ack5",
    );
}

#[test]
fn a_retry_keeps_the_ack_back_and_a_failure_does_not() {
    check("h1=a h1ok a!5 1retry t99 t100 1ok", "check1 sub:a run1x1 run1x1 ack5");
    check("h1=a h1ok a!5 1fail", "check1 sub:a run1x1 ack5");
}

#[test]
fn a_source_that_is_gone_gets_no_ack() {
    check("h1=a h1ok a!5 gone 1ok", "check1 sub:a run1x1");
}

#[test]
fn messages_wait_while_the_module_is_checked() {
    check("h1=a a!5 h1ok 1ok", "check1 sub:a run1x1 ack5");
    check("h1=a a!5 h1bad a!6", "check1 ack5 rejected ack6");
}

#[test]
fn quarantine_fails_what_waits_and_lets_one_try() {
    check(
        "h1=a h1ok a!1 a!2 a!3 a!4 1fail 1fail a!5 t1000 a!6 a!7 1ok 1ok",
        "check1 sub:a run1x1 ack1 run1x1 ack2 quarantine:1000 ack3 ack4 ack5 run1x1 ack6 released run1x1 ack7",
    );
}

#[test]
fn a_reaction_goes_out_before_the_ack_and_wakes_other_handlers() {
    check(
        "h1=a h1ok h2=b h2ok a!5 1>b 2>c",
        "check1 sub:a check2 sub:b run1x1 pub:b ack5 run2x1 pub:c",
    );
}

#[test]
fn a_loop_ends() {
    let limits = Limits { hops_max: 2, ..Limits::DEV };
    let script = "h1=a h1ok a 1>a 1>a";
    check_with(
        limits,
        LocalSide::FrontDoor,
        script,
        "check1 sub:a run1x1 pub:a run1x1 pub:a loop:1",
    );
    let script = "h1=a h1ok t0 up a 1>a a 1>a a";
    check_with(
        limits,
        LocalSide::Broker,
        script,
        "check1 connect sub:a run1x1 pub:a run1x1 pub:a loop:1",
    );
}

#[test]
fn qos_0_is_dropped_at_a_full_line_and_leaves_room_for_others() {
    let limits = Limits { messages_max: 6, line_messages_max: 100, ..Limits::DEV };
    // One runs, the line takes as many as are free; the other handler still gets in.
    check_with(
        limits,
        LocalSide::FrontDoor,
        "h1=a h1ok h2=b h2ok a a a a a a b b",
        "check1 sub:a check2 sub:b run1x1 line-full:1 line-full:2 run2x1",
    );
}

#[test]
fn a_source_is_paused_at_a_full_line_and_goes_on_at_half() {
    let limits = Limits { line_messages_max: 2, batch_messages_max: 1, ..Limits::DEV };
    check_with(
        limits,
        LocalSide::FrontDoor,
        "h1=a h1ok a!1 a!2 a!3 1ok",
        "check1 sub:a run1x1 pause1 ack1 run1x1 resume1",
    );
}

#[test]
fn a_source_that_comes_again_and_again_with_as_much_is_hung_up_on() {
    let limits = Limits { messages_max: 2, batch_messages_max: 1, ..Limits::DEV };
    check_with(
        limits,
        LocalSide::FrontDoor,
        "h1=a h1ok a!1 a!2 a!3 gone a!1 a!2 a!3 gone a!1 a!2 a!3 a!4 gone 1ok a!1",
        "check1 sub:a run1x1 pause1 pause1 pause1 hangup1 overdrawn:1 hangup1 overdrawn:2 run1x1 pause1",
    );
}

#[test]
fn a_foreign_broker_is_tried_again_and_told_of_every_trigger() {
    check_with(
        Limits::DEV,
        LocalSide::Broker,
        "t0 h1=a h1ok down t200 up a 1!b down h2=c h2ok up",
        "connect check1 connect sub:a run1x1 pub:b check2 sub:a sub:c",
    );
    check_with(
        Limits::DEV,
        LocalSide::Broker,
        "t0 up h1=a h1ok a a down 1!b 1>b up",
        "connect check1 sub:a run1x1 run1x1 local-down:1 sub:a pub:b",
    );
}

#[test]
fn limits_on_handlers_and_filters_refuse() {
    let limits = Limits { handlers_max: 1, ..Limits::DEV };
    check_with(limits, LocalSide::FrontDoor, "h1=a h2=b b!1", "check1 rejected ack1");
    let limits = Limits { filters_max: 1, ..Limits::DEV };
    check_with(limits, LocalSide::FrontDoor, "h1=a h2=b b!1", "check1 rejected ack1");
}

#[test]
fn a_message_that_is_too_large_is_acked_and_dropped() {
    let limits = Limits { message_bytes_max: 4, ..Limits::DEV };
    check_with(
        limits,
        LocalSide::Broker,
        "t0 up h1=a/# h1ok a/bcd!7 a/b!8",
        "connect check1 sub:a/# too-large:1 ack7 run1x1",
    );
}
