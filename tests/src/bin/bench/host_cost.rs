//! The cost of one event in the host alone: the example handler's module, called directly.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tidegate_core::job::{Event, HandlerId, Job, JobId, Verdict};
use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, React};
use tidegate_core::message::QoS;
use tidegate_core::time::WallTime;
use tidegate_core::topic::{Filter, Topic};
use tidegate_core::{Manifest, Message};
use tidegate_host::{Caps, Instance, Now, Step, load};
use tidegate_tests::handlers::Handler;
use tidegate_tests::load::{SEQ_FIRST, Telemetry, median};

use crate::goals::Goal;
use crate::words::{Problem, round, say};

const ROUNDS: usize = 15;
const EVENTS: usize = 20_000;

/// Event in, JSON fields read, EWMA in state, publish, memory reset.
pub fn measure(overheat: &Handler) -> Result<Vec<Goal>, Problem> {
    let manifest = Arc::new(manifest(overheat)?);
    let mut instance = load(&overheat.module, manifest, &Caps::DEV, 1)?;
    let events: Vec<Event> = (0..100).map(event).collect::<Result<_, _>>()?;
    let mut one_by_one = Vec::new();
    let mut in_batches = Vec::new();
    for _ in 0..ROUNDS {
        one_by_one.push(round_us(&mut instance, &events, 1)?);
        in_batches.push(round_us(&mut instance, &events, 32)?);
    }
    let single = median(&one_by_one);
    say(&json!({
        "kind": "host", "us_per_event": round(single),
        "us_per_event_in_batches_of_32": round(median(&in_batches)),
        "best_us": round(one_by_one.iter().copied().fold(f64::MAX, f64::min)),
    }));
    Ok(vec![
        Goal::at_most("host alone, one event of overheat", "us", one_by_one, 3.0),
        Goal::open("the same in jobs of 32 events", "us", in_batches),
    ])
}

fn manifest(handler: &Handler) -> Result<Manifest, Problem> {
    let filters = |texts: &[String]| texts.iter().map(|text| Filter::new(text)).collect();
    let (triggers, publish): (Result<_, _>, Result<_, _>) =
        (filters(&handler.triggers), filters(&handler.publish));
    Ok(Manifest {
        name: handler.name.clone(),
        version: "1.0.0".to_owned(),
        triggers: triggers?,
        limits: HandlerLimits {
            fuel: handler.fuel,
            memory_kib: handler.memory_kib,
            deadline_ms: handler.deadline_ms,
            publishes: handler.publishes,
        },
        grants: Grants { publish: publish?, ..Grants::default() },
        isolation: Isolation::Event,
        react: React::Now,
        config: Default::default(),
    })
}

fn event(number: u64) -> Result<Event, Problem> {
    let mut packet = Vec::new();
    Telemetry::new(&format!("d{number:03}")).write(SEQ_FIRST + number, &mut packet);
    let start = packet.iter().position(|byte| *byte == b'{').ok_or("a payload")?;
    let message = Message {
        topic: Topic::new(&format!("devices/d{number:03}/telemetry"))?,
        payload: packet[start..].into(),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: "device".into(),
        at: WallTime::default(),
        hops: 0,
        mark: None,
    };
    Ok(Event {
        id: number,
        message: Arc::new(message),
        ticket: None,
        attempt: 0,
        first: false,
        invoke: None,
    })
}

/// Microseconds for an event over one round, in jobs of `batch` events.
fn round_us(instance: &mut Instance, events: &[Event], batch: usize) -> Result<f64, Problem> {
    let start = Instant::now();
    let mut done = 0;
    while done < EVENTS {
        let events = (0..batch).map(|n| events[(done + n) % events.len()].clone()).collect();
        let job =
            Job { id: JobId(done as u64), handler: HandlerId(0), events, pins: Default::default() };
        match instance.start(job, 100_000_000, Now::default()) {
            Step::Finished(outcome) => {
                let good = outcome
                    .events
                    .iter()
                    .all(|event| event.verdict == Verdict::Done && event.publishes.len() == 1);
                if !good {
                    return Err(format!("an event failed: {:?}", outcome.events).into());
                }
            }
            Step::Parked => return Err("a slice of this size is enough for any event".into()),
        }
        done += batch;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / done as f64)
}
