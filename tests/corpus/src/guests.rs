//! Handlers, and what they make of the events: outcomes and fuel.

use std::fmt::Write as _;
use std::sync::Arc;

use tidegate_core::job::{Event, EventOutcome, HandlerId, Job, JobId};
use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, Manifest, React};
use tidegate_core::pins::Levels;
use tidegate_core::record::StreamId;
use tidegate_core::stream::{Stream, Streams, WhenFull};
use tidegate_core::time::WallTime;
use tidegate_core::topic::Filter;
use tidegate_host::{Caps, Instance, Now, Step, load};

use crate::{DIFFERS, Lines, events};

macro_rules! guest {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")))
    };
}

const GUESTS: [(&str, &[u8]); 7] = [
    guest!("bits"),
    guest!("echo"),
    guest!("ends"),
    guest!("nan"),
    guest!("numbers"),
    guest!("state"),
    guest!("words"),
];

/// Out of all events, in order: which handler, which event, what came of it.
pub type Outcomes = Vec<(&'static str, Event, EventOutcome)>;

pub fn streams() -> Arc<Streams> {
    let stream = Stream {
        id: StreamId::of("raw"),
        name: "raw".to_owned(),
        priority: 3,
        ttl_s: 0,
        when_full: WhenFull::DropOldest,
    };
    Arc::new(Streams::new(vec![stream], Vec::new()).expect("one name"))
}

/// Runs every event through every handler; a line for the outcomes of each, and one for their fuel.
pub fn all(lines: &mut Lines) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for (name, module) in GUESTS {
        let mut instance = instance(name, module);
        let (mut seen, mut fuel) = (String::new(), String::new());
        for event in events::all() {
            let outcome = run(&mut instance, event.clone());
            writeln!(fuel, "{}", outcome.fuel_used).expect("a text has room");
            writeln!(seen, "{outcome:?}").expect("a text has room");
            if name != "nan" {
                outcomes.push((name, event, outcome));
            }
        }
        let folder = if name == "nan" { DIFFERS } else { "handler/" };
        lines.add(&format!("{folder}{name}"), seen);
        lines.add(&format!("fuel/{name}"), fuel);
    }
    outcomes
}

fn instance(name: &str, module: &[u8]) -> Instance {
    let manifest = Manifest {
        name: name.to_owned(),
        version: "1".to_owned(),
        triggers: vec![Filter::new("devices/+/telemetry").expect("a filter")],
        limits: HandlerLimits { fuel: 100_000, memory_kib: 64, deadline_ms: 100, publishes: 4 },
        grants: Grants {
            publish: vec![Filter::new("devices/+/cmd").expect("a filter")],
            send: vec!["raw".to_owned()],
            gpio: Vec::new(),
        },
        isolation: Isolation::Event,
        react: React::Now,
        config: [("limit".to_owned(), "60".to_owned())].into(),
    };
    let loaded = load(module, Arc::new(manifest), &Caps::DEV, 1);
    let mut instance = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
    instance.set_streams(streams());
    instance
}

/// In slices as long as the event may take: its fuel ends it. Time stands at the event.
fn run(instance: &mut Instance, event: Event) -> EventOutcome {
    let wall =
        WallTime { unix_us: event.message.at.unix_us + 9, quality: event.message.at.quality };
    let now = Now { mono_us: event.id * 1_500_000, wall };
    let job = Job {
        id: JobId(event.id),
        handler: HandlerId(1),
        events: vec![event],
        pins: Levels::default(),
    };
    let Step::Finished(mut outcome) = instance.start(job, u64::MAX, now) else {
        panic!("it was to end in one slice");
    };
    instance.tidy();
    outcome.events.pop().expect("one event ran")
}
