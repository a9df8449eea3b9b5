//! Pins: what wakes a handler, what its jobs read, and when what it sets leaves.

use super::*;
use crate::commit::CommitId;
use crate::job::{Invoke, Write};
use crate::pins::{Pin, PinId, PinWrite};
use crate::store::Committed;

const BUTTON: PinId = PinId(0);
const RELAY: PinId = PinId(1);

fn bench(react: React) -> Bench {
    let mut bench = Bench::new(Limits::DEV, LocalSide::FrontDoor);
    let pin = |name: &str, is_output| Pin { name: name.into(), is_output };
    let pins = Pins::new([pin("relay1", true), pin("button1", false)].into());
    bench.gateway.set_pins(Arc::new(pins.expect("two pins")));
    let mut manifest = Manifest::clone(&manifest("pump", "$pin/button1"));
    manifest.triggers.push(Filter::new("in").expect("a filter"));
    manifest.react = react;
    let (handler, manifest) = (HandlerId(1), Arc::new(manifest));
    bench.gateway.handle_input(bench.now, Input::Deploy { handler, manifest });
    assert_eq!(bench.effects(), "check1");
    assert_eq!(bench.run("h1ok"), "sub:in", "no broker is asked for a pin");
    bench
}

impl Bench {
    fn see(&mut self, pin: PinId, level: Option<bool>) -> String {
        let at = WallTime { unix_us: 7, ..WallTime::default() };
        self.gateway.handle_input(self.now, Input::Pin { pin, level, at });
        self.effects()
    }

    /// Ends the job: its only event has set the relay.
    fn set(&mut self, on: bool, outcome: EventOutcome) -> String {
        let job = self.jobs.remove(&HandlerId(1)).expect("a job runs");
        let outcome = EventOutcome { pins: [PinWrite { pin: RELAY, on }].into(), ..outcome };
        let events = [outcome].into();
        self.gateway.handle_input(self.now, Input::Outcome(Outcome { job, events }));
        self.effects()
    }

    fn effects(&mut self) -> String {
        let mut seen = Vec::new();
        while let Some(effect) = self.gateway.poll_effect() {
            match effect {
                Effect::Commit(_) => seen.push("commit".to_string()),
                effect => seen.extend(self.write_down(effect)),
            }
        }
        seen.join(" ")
    }

    fn level(&self, pin: PinId) -> Option<bool> {
        self.jobs[&HandlerId(1)].pins.get(pin)
    }
}

#[test]
fn a_pin_that_changes_wakes_who_waits_for_it() {
    let mut bench = bench(React::Now);
    assert_eq!(bench.see(BUTTON, Some(false)), "", "the first level is no event");
    assert_eq!(bench.see(BUTTON, Some(false)), "");
    assert_eq!(bench.see(BUTTON, Some(true)), "run1x1");
    let event = &bench.jobs[&HandlerId(1)].events[0];
    let message = &event.message;
    assert_eq!((message.topic.as_str(), &*message.payload), ("$pin/button1", &b"1"[..]));
    assert_eq!((&*message.source, message.at.unix_us), ("button1", 7));
    assert_eq!(bench.level(BUTTON), Some(true), "the job reads what woke it");
    assert_eq!(bench.run("1ok"), "");
    assert_eq!(bench.see(BUTTON, None), "", "a pin that is gone wakes nobody");
    assert_eq!(bench.see(BUTTON, Some(false)), "", "nor one that is back");
    assert_eq!(bench.see(PinId(40), Some(false)), "", "nor one that the board has not");
    assert_eq!(bench.see(PinId(40), Some(true)), "");
}

#[test]
fn nobody_but_a_pin_speaks_for_it() {
    let mut bench = bench(React::Now);
    assert_eq!(bench.run("$pin/button1 $pin/button1!5"), "ack5");
}

#[test]
fn a_reaction_leaves_when_the_event_ends_and_later_jobs_read_it() {
    let mut bench = bench(React::Now);
    assert_eq!(bench.run("in"), "run1x1");
    assert_eq!(bench.level(RELAY), None, "no driver has seen it");
    assert_eq!(bench.set(true, EventOutcome::default()), "pin1=1");
    assert_eq!(bench.see(RELAY, Some(false)), "", "it was seen before it was set");
    assert_eq!(bench.run("in"), "run1x1");
    assert_eq!(bench.level(RELAY), Some(true));
    assert_eq!(bench.set(false, EventOutcome::default()), "pin1=0");
}

#[test]
fn a_durable_reaction_waits_for_its_commit() {
    let mut bench = bench(React::Durable);
    assert_eq!(bench.see(RELAY, Some(false)), "");
    assert_eq!(bench.run("in"), "run1x1");
    let write = Write { key: (*b"k").into(), value: Some((*b"v").into()), ttl_s: 0 };
    let outcome = EventOutcome { writes: [write].into(), version: 1, ..EventOutcome::default() };
    assert_eq!(bench.set(true, outcome), "commit", "the relay waits");
    bench.gateway.handle_input(
        bench.now,
        Input::Message { message: message("in", QoS::AtMostOnce), ack: None },
    );
    assert_eq!(bench.effects(), "run1x1");
    assert_eq!(bench.level(RELAY), Some(true), "the next job reads what is to be");
    let committed = Committed { up_to: CommitId(1), ..Committed::default() };
    bench.gateway.handle_input(bench.now, Input::Committed(committed));
    assert_eq!(bench.effects(), "pin1=1");
}

#[test]
fn what_a_dry_event_sets_is_told_and_not_done() {
    let mut bench = bench(React::Now);
    assert_eq!(bench.run("in"), "run1x1");
    let mut job = bench.jobs.remove(&HandlerId(1)).expect("a job runs");
    job.events[0].invoke = Some(Invoke { nonce: [0; 16], is_dry: true });
    bench.jobs.insert(HandlerId(1), job);
    assert_eq!(bench.set(true, EventOutcome::default()), "");
}
