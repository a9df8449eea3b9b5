//! What one event costs: event in, `ev_num`, EWMA in state (get and set), publish, reset. Prints JSON
//! lines; ratios hold within one run.
//!
//! `cargo run --release -p tidegate-host --example cycle [ROUNDS [GUEST]]`

use std::sync::Arc;
use std::time::Instant;

use tidegate_core::Message;
use tidegate_core::job::{Event, HandlerId, Job, JobId, Verdict};
use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, Manifest, React};
use tidegate_core::message::QoS;
use tidegate_core::time::WallTime;
use tidegate_core::topic::{Filter, Topic};
use tidegate_host::{Caps, Instance, Now, Step, calibrate, load};

const HEAD: &str = r#"
    (import "tidegate1" "ev_num" (func $ev_num (param i32 i32 i32) (result i32)))
    (import "tidegate1" "publish" (func $publish (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "state_get" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "state_set" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (func (export "tidegate_inbox") (result i64) (i64.const 0x40000000400))
    (data (i32.const 16) "temp") (data (i32.const 32) "devices/7/cmd")
    (data (i32.const 64) "{\"fan\":\"on\",\"ewma\":63.2,\"seq\":17}")
    (global $stack (mut i32) (i32.const 8192))
"#;

/// What each guest does; the first is the whole cycle.
const GUESTS: &[(&str, u32, &str)] = &[
    (
        "cycle",
        1,
        "(local $ewma f64)
        (drop (call $ev_num (i32.const 16) (i32.const 4) (i32.const 4096)))
        (local.set $ewma (f64.load (i32.const 4096)))
        (if (i32.eq (call $get (i32.const 1108) (i32.const 8) (i32.const 4104) (i32.const 8) (i32.const 0)) (i32.const 8))
            (then (local.set $ewma (f64.add (f64.mul (f64.const 0.2) (local.get $ewma))
                (f64.mul (f64.const 0.8) (f64.load (i32.const 4104)))))))
        (f64.store (i32.const 4104) (local.get $ewma))
        (drop (call $set (i32.const 1108) (i32.const 8) (i32.const 4104) (i32.const 8) (i32.const 0)))
        (drop (call $publish (i32.const 32) (i32.const 13) (i32.const 64) (i32.const 33) (i32.const 0)))",
    ),
    ("nothing", 1, ""),
    ("nothing, 128 KiB", 2, ""),
    ("nothing, 1 MiB", 16, ""),
    ("fresh instance", 1, "(drop (memory.grow (i32.const 1)))"),
    ("ev_num", 1, "(drop (call $ev_num (i32.const 16) (i32.const 4) (i32.const 4096)))"),
    ("publish", 1, "(drop (call $publish (i32.const 32) (i32.const 13) (i32.const 64) (i32.const 33) (i32.const 0)))"),
    (
        "state get and set",
        1,
        "(drop (call $get (i32.const 1108) (i32.const 8) (i32.const 4104) (i32.const 8) (i32.const 0)))
        (drop (call $set (i32.const 1108) (i32.const 8) (i32.const 4104) (i32.const 8) (i32.const 0)))",
    ),
];

const PAYLOAD: &str = r#"{"device":"thermo-0007","seq":17,"ts":1700000000123,"unit":"C","rssi":-67,"battery":3.61,"fw":"1.4.2","loc":{"floor":2,"room":"b12"},"flags":["a","b"],"temp":71.3,"hum":43.75,"ok":true,"note":"-"}"#;

fn instance(pages: u32, body: &str, isolation: Isolation) -> Instance {
    let text = format!(
        r#"(module {HEAD} (memory (export "memory") {pages})
        (func (export "on_event") (param $len i32) (result i32) {body} (i32.const 0)))"#
    );
    let manifest = Manifest {
        name: "cycle".to_owned(),
        version: "1".to_owned(),
        triggers: vec![Filter::new("devices/+/telemetry").expect("a filter")],
        limits: HandlerLimits {
            fuel: 1_000_000,
            memory_kib: 2048,
            deadline_ms: 1000,
            publishes: 8,
        },
        grants: Grants {
            publish: vec![Filter::new("devices/+/cmd").expect("a filter")],
            ..Grants::default()
        },
        isolation,
        react: React::Now,
        config: Default::default(),
    };
    let module = wat::parse_str(text).expect("good text");
    let caps = Caps { memory_kib_max: 2048, deadline_ms_max: 1000, ..Caps::DEV };
    load(&module, Arc::new(manifest), &caps, 1).expect("it loads")
}

/// Nanoseconds for one event of `instance`, the best of several runs.
fn measure(instance: &mut Instance, rounds: u64) -> u64 {
    let events: Vec<Event> = (0..8u64)
        .map(|device| {
            let message = Message {
                topic: Topic::new("devices/7/telemetry").expect("a topic"),
                payload: PAYLOAD.as_bytes().into(),
                qos: QoS::AtMostOnce,
                retain: false,
                dup: false,
                source: format!("device{device:02}").into(),
                at: WallTime::default(),
                hops: 0,
                mark: None,
            };
            Event {
                id: device,
                message: Arc::new(message),
                ticket: None,
                attempt: 0,
                first: false,
                invoke: None,
            }
        })
        .collect();
    let mut best = u64::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for round in 0..rounds {
            let job = Job {
                id: JobId(round),
                handler: HandlerId(0),
                events: vec![events[round as usize % events.len()].clone()],
                pins: Default::default(),
            };
            match instance.start(job, 1_000_000, Now::default()) {
                Step::Finished(outcome) => assert_eq!(outcome.events[0].verdict, Verdict::Done),
                Step::Parked => unreachable!("the slice is large enough"),
            }
        }
        best = best.min(start.elapsed().as_nanos() as u64 / rounds);
    }
    best
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let clock = Instant::now();
    let fuel_per_ms = calibrate(|| clock.elapsed().as_micros() as u64);
    println!("{{\"fuel_per_ms\":{fuel_per_ms},\"calibrate_us\":{}}}", clock.elapsed().as_micros());
    let mut whole = 0;
    let only = std::env::args().nth(2);
    for (name, pages, body) in GUESTS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let reset = measure(&mut instance(*pages, body, Isolation::Event), rounds);
        let kept = measure(&mut instance(*pages, body, Isolation::Instance), rounds);
        whole = whole.max(if *name == "cycle" { reset } else { 0 });
        let share = reset as f64 / whole as f64;
        println!(
            "{{\"guest\":\"{name}\",\"ns\":{reset},\"ns_without_reset\":{kept},\"of_cycle\":{share:.2}}}"
        );
    }
    let (_, pages, body) = GUESTS[0];
    let before = rss_kib();
    let resting: Vec<Instance> = (0..100)
        .map(|_| {
            let mut instance = instance(pages, body, Isolation::Event);
            instance.rest();
            instance
        })
        .collect();
    println!("{{\"instances\":100,\"resting\":true,\"rss_kib\":{}}}", rss_kib() - before);
    drop(resting);
    let before = rss_kib();
    let mut many: Vec<Instance> =
        (0..100).map(|_| instance(pages, body, Isolation::Event)).collect();
    many.iter_mut().for_each(|instance| assert!(measure(instance, 1) > 0));
    println!("{{\"instances\":100,\"resting\":false,\"rss_kib\":{}}}", rss_kib() - before);
}
