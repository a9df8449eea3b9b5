//! Fuel in slices: the same outcome whatever the slice, and no slice much longer than it was given.

use tidegate_core::job::{EventOutcome, Failure, Outcome, Verdict};
use tidegate_host::{Caps, Instance, Step};

use crate::guest::*;

/// Runs a job in slices of `slice` and counts them.
fn sliced(instance: &mut Instance, count: u64, slice: u64) -> (Vec<EventOutcome>, u64) {
    let mut slices = 1;
    let mut step = instance.start(job(events(count)), slice, now());
    loop {
        match step {
            Step::Finished(Outcome { events, job }) => {
                assert_eq!(job.events.len() as u64, count);
                return (events, slices);
            }
            Step::Parked => {
                assert!(instance.is_parked());
                slices += 1;
                step = instance.resume(slice, now());
            }
        }
    }
}

/// Everything an outcome holds, as text.
fn shown(instance: &mut Instance, count: u64, slice: u64) -> String {
    format!("{:?} {:?}", sliced(instance, count, slice).0, instance.state())
}

/// Some of everything: arithmetic, memory, bulk instructions, host calls that cost more than a slice,
/// traps, retries, ends of fuel; which of them follows from the event's id.
const MIXTURE: &str = r#"
    (func $work (param $n i32) (result i32) (local $i i32)
        (loop $again
            (i32.store (i32.and (i32.mul (local.get $i) (i32.const 4)) (i32.const 0x7ffc))
                (i32.add (local.get $i) (i32.load (i32.const 40000))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $i))
    (func (export "on_event") (param $len i32) (result i32) (local $id i32)
        (local.set $id (i32.load (i32.const 1040)))
        (drop (call $ev_num (i32.const 64) (i32.const 4) (i32.const 40000)))
        (drop (call $random (i32.const 32768) (i32.const 5000)))
        (drop (call $state_add (i32.const 16) (i32.const 3) (i64.const 1) (i32.const 40008)))
        (drop (call $state_set (i32.const 32) (i32.const 5) (i32.const 32768) (i32.const 3000) (i32.const 9)))
        (call $log (i32.const 3) (i32.const 16) (i32.const 3))
        (memory.fill (i32.const 20000) (i32.const 7) (i32.const 9000))
        (drop (call $work (i32.mul (local.get $id) (i32.const 50))))
        (if (i32.eq (i32.rem_u (local.get $id) (i32.const 5)) (i32.const 4)) (then unreachable))
        (if (i32.eq (i32.rem_u (local.get $id) (i32.const 7)) (i32.const 6)) (then (loop $l (br $l))))
        (drop (memory.grow (i32.const 1)))
        (drop (call $publish (i32.const 48) (i32.const 13) (i32.const 32768) (i32.const 1000) (i32.const 1)))
        (i32.const 0))
"#;

#[test]
fn what_comes_out_does_not_depend_on_the_slice() {
    let mut few = manifest();
    few.limits.fuel = 20_000;
    let guest = module(MIXTURE);
    let fresh = || loaded_as(&guest, few.clone(), &Caps::DEV);
    let whole = shown(&mut fresh(), 14, u64::MAX);
    assert!(whole.contains("OutOfFuel") && whole.contains("unreachable") && whole.contains("Done"));
    for slice in
        [1, 2, 3, 7, 10, 31, 64, 100, 333, 1_000, 1_024, 5_000, 19_999, 20_000, 20_001, 300_000]
    {
        assert_eq!(shown(&mut fresh(), 14, slice), whole, "slices of {slice}");
    }
}

#[test]
fn every_limit_of_fuel_gives_the_same_with_every_slice() {
    let guest = module(MIXTURE);
    for fuel in (100..6_000).step_by(97) {
        let mut little = manifest();
        little.limits.fuel = fuel;
        let fresh = || loaded_as(&guest, little.clone(), &Caps::DEV);
        let whole = shown(&mut fresh(), 2, u64::MAX);
        for slice in [1, 50, 1_000] {
            assert_eq!(shown(&mut fresh(), 2, slice), whole, "fuel {fuel}, slices of {slice}");
        }
        let used = sliced(&mut fresh(), 2, 9).0;
        assert!(used.iter().all(|outcome| outcome.fuel_used <= fuel));
    }
}

#[test]
fn a_batch_is_parked_between_events() {
    let mut instance = loaded(&handler("(i32.const 0)"));
    let (outcomes, slices) = sliced(&mut instance, 20, 1);
    assert_eq!(outcomes.len(), 20);
    assert!(slices >= 20, "{slices}");
    let work = "(local $i i32) (loop $again (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 10000)))) (i32.const 0)";
    let mut instance = loaded(&handler(work));
    let one = sliced(&mut instance, 1, u64::MAX).0[0].fuel_used;
    let (_, slices) = sliced(&mut instance, 32, one);
    assert!(slices >= 32, "{slices}");
}

#[test]
fn no_event_starts_in_a_slice_that_is_used_up() {
    // The host call takes more than the slice, and no guest instruction follows that would notice.
    let body = "(drop (call $random (i32.const 0) (i32.const 65536)))
        (i32.sub (i32.const -1000) (i32.wrap_i64 (call $now_us (i32.const 2))))";
    let mut instance = loaded(&handler(body));
    assert!(matches!(instance.start(job(events(2)), 1000, now_at(1)), Step::Parked));
    let outcome = instance.resume(100_000, now_at(2)).finished();
    let verdicts: Vec<_> = outcome.events.into_iter().map(|event| event.verdict).collect();
    let returned = |code| Verdict::Failed(Failure::Returned(code));
    assert_eq!(verdicts, [returned(-1001), returned(-1002)]);
}

#[test]
fn a_deadline_is_seen_when_a_slice_ends() {
    let mut instance = loaded(&handler("(loop $l (br $l)) (i32.const 0)"));
    assert!(matches!(instance.start(job(events(1)), 1000, now_at(7_000)), Step::Parked));
    assert!(matches!(instance.resume(1000, now_at(107_000)), Step::Parked), "to the millisecond");
    let Step::Finished(outcome) = instance.resume(1000, now_at(107_001)) else {
        panic!("it has taken too long");
    };
    assert_eq!(outcome.events[0].verdict, Verdict::Failed(Failure::Deadline));
    assert!(outcome.events[0].fuel_used >= 1_000);
    assert_eq!(instance.start(job(vec![]), 1, now_at(0)).finished().events.len(), 0);
}

#[test]
fn each_event_has_its_own_deadline() {
    let work = "(local $i i32) (loop $again (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 1000)))) (i32.const 0)";
    let mut instance = loaded(&handler(work));
    let mut at = 0;
    let mut step = instance.start(job(events(8)), 3_000, now_at(at));
    while matches!(step, Step::Parked) {
        at += 40_000;
        step = instance.resume(3_000, now_at(at));
    }
    let outcome = step.finished();
    assert!(at > 300_000);
    assert!(outcome.events.iter().all(|event| event.verdict == Verdict::Done), "{outcome:?}");
}

#[test]
fn a_retry_ends_the_job() {
    let body = "(drop (call $state_add (i32.const 16) (i32.const 3) (i64.const 1) (i32.const 8192)))
        (if (result i32) (i32.eq (i32.load (i32.const 1040)) (i32.const 3)) (then (i32.const -11)) (else (i32.const 1)))";
    for slice in [1, u64::MAX] {
        let mut instance = loaded(&handler(body));
        let (outcomes, _) = sliced(&mut instance, 5, slice);
        let verdicts: Vec<_> = outcomes.iter().map(|outcome| outcome.verdict.clone()).collect();
        assert_eq!(verdicts, [Verdict::Done, Verdict::Done, Verdict::Retry]);
        assert!(outcomes[2].writes.is_empty());
        assert_eq!(*instance.state().get(b"key").expect("counted").1.bytes, 2i64.to_le_bytes());
        assert!(!instance.is_parked());
    }
}

#[test]
fn a_parked_instance_moves_between_threads() {
    let guest = module(MIXTURE);
    let mut instance = loaded(&guest);
    let mut step = instance.start(job(events(3)), 500, now());
    while let Step::Parked = step {
        (instance, step) = std::thread::spawn(move || {
            let step = instance.resume(500, now());
            (instance, step)
        })
        .join()
        .expect("it does not panic");
    }
    assert_eq!(step.finished().events.len(), 3);
}

trait Finished {
    fn finished(self) -> Outcome;
}

impl Finished for Step {
    #[track_caller]
    fn finished(self) -> Outcome {
        match self {
            Step::Finished(outcome) => outcome,
            Step::Parked => panic!("it is parked"),
        }
    }
}
