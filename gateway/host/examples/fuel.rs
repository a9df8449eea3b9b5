//! Whether fuel follows time: handlers that do nothing but one dear thing until their fuel is gone.
//! Prints nanoseconds a unit of fuel, and how that compares with plain computing.
//!
//! `cargo run --release -p tidegate-host --example fuel [LOOP]`

use std::sync::Arc;
use std::time::Instant;

use tidegate_core::Message;
use tidegate_core::job::{Event, HandlerId, Job, JobId, Outcome};
use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, Manifest, React};
use tidegate_core::message::QoS;
use tidegate_core::time::WallTime;
use tidegate_core::topic::{Filter, Topic};
use tidegate_host::{Caps, Now, Step, load};

const HEAD: &str = r#"
    (import "tidegate1" "ev_read" (func $ev_read (param i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "ev_num" (func $ev_num (param i32 i32 i32) (result i32)))
    (import "tidegate1" "ev_str" (func $ev_str (param i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "publish" (func $publish (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "log" (func $log (param i32 i32 i32)))
    (import "tidegate1" "state_get" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "state_set" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "state_list" (func $list (param i32 i32 i64 i32 i32 i32) (result i32)))
    (import "tidegate1" "random" (func $random (param i32 i32) (result i32)))
    (import "tidegate1" "config_get" (func $config_get (param i32 i32 i32 i32) (result i32)))
    (func (export "tidegate_inbox") (result i64) (i64.const 0x40000000400))
    (memory (export "memory") 2) (table $t 1 funcref)
    (data (i32.const 16) "temp") (data (i32.const 32) "devices/7/cmd") (data (i32.const 64) "last")
    (data (i32.const 80) "num")
"#;

const LOOPS: &[(&str, &str)] = &[
    ("computing", "(local.set $i (i32.mul (i32.add (local.get $i) (i32.const 1)) (i32.const 3)))"),
    ("memory.fill", "(memory.fill (i32.const 0) (i32.const 1) (i32.const 131072))"),
    ("memory.grow", "(drop (memory.grow (i32.const 1)))"),
    ("table.grow", "(drop (table.grow $t (ref.null func) (i32.const 1)))"),
    ("ev_num", "(drop (call $ev_num (i32.const 16) (i32.const 4) (i32.const 4096)))"),
    ("ev_num, a long number", "(drop (call $ev_num (i32.const 80) (i32.const 3) (i32.const 4096)))"),
    ("ev_str, escaped", "(drop (call $ev_str (i32.const 64) (i32.const 4) (i32.const 4096) (i32.const 1)))"),
    ("ev_read", "(drop (call $ev_read (i32.const 1) (i32.const 0) (i32.const 4096) (i32.const 60000)))"),
    ("random", "(drop (call $random (i32.const 0) (i32.const 131072)))"),
    ("config_get", "(drop (call $config_get (i32.const 0) (i32.const 131072) (i32.const 0) (i32.const 0)))"),
    ("log", "(call $log (i32.const 1) (i32.const 0) (i32.const 512))"),
    ("publish", "(drop (call $publish (i32.const 32) (i32.const 13) (i32.const 0) (i32.const 60000) (i32.const 0)))"),
    ("publish, a topic too long", "(drop (call $publish (i32.const 131072) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))"),
    ("publish, a huge topic", "(drop (call $publish (i32.const 65536) (i32.const 65535) (i32.const 0) (i32.const 0) (i32.const 0)))"),
    ("state_get", "(drop (call $get (i32.const 16) (i32.const 4) (i32.const 4096) (i32.const 8) (i32.const 0)))"),
    ("state_set, one key", "(drop (call $set (i32.const 16) (i32.const 4) (i32.const 4096) (i32.const 16384) (i32.const 0)))"),
    (
        "state_set, many keys",
        "(local.set $i (i32.add (local.get $i) (i32.const 40503))) (i32.store (i32.const 4096) (local.get $i))
        (drop (call $set (i32.const 4096) (i32.const 4) (i32.const 4096) (i32.const 0) (i32.const 0)))",
    ),
    ("state_list", "(drop (call $list (i32.const 16) (i32.const 0) (i64.const 4000) (i32.const 4096) (i32.const 60000) (i32.const 8)))"),
];

const FUEL: u64 = 2_000_000;

fn main() {
    let escaped = "\\u00e9".repeat(5_000);
    let number = "1234567890".repeat(2_000);
    let payload = format!(
        "{{\"temp\":1,\"a\":[{}1],\"num\":{number},\"last\":\"{escaped}\"}}",
        "1,".repeat(9_000)
    );
    let message = Message {
        topic: Topic::new("devices/7/telemetry").expect("a topic"),
        payload: payload.as_bytes().into(),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: "device".into(),
        at: WallTime::default(),
        hops: 0,
        mark: None,
    };
    let message = Arc::new(message);
    let manifest = Arc::new(Manifest {
        name: "fuel".to_owned(),
        version: "1".to_owned(),
        triggers: vec![Filter::new("#").expect("a filter")],
        limits: HandlerLimits {
            fuel: FUEL,
            memory_kib: 4096,
            deadline_ms: 1000,
            publishes: 1_000_000,
        },
        grants: Grants {
            publish: vec![Filter::new("devices/+/cmd").expect("a filter")],
            ..Grants::default()
        },
        isolation: Isolation::Event,
        react: React::Now,
        config: Default::default(),
    });
    let caps = Caps {
        fuel_max: FUEL,
        memory_kib_max: 4096,
        deadline_ms_max: 1000,
        effects_bytes_max: 64 << 20,
        ..Caps::DEV
    };
    let mut plain = 0.0;
    let only = std::env::args().nth(1);
    for (name, body) in LOOPS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let text = format!(
            r#"(module {HEAD} (func (export "on_event") (param $len i32) (result i32) (local $i i32)
            (if (i32.lt_u (i32.load (i32.const 1040)) (i32.const 2)) (then
                (loop $fill (local.set $i (i32.add (local.get $i) (i32.const 1))) (i32.store (i32.const 4096) (local.get $i))
                    (drop (call $set (i32.const 4096) (i32.const 4) (i32.const 4096) (i32.const 8) (i32.const 0)))
                    (br_if $fill (i32.lt_u (local.get $i) (i32.const 200))))
                (return (i32.const 0))))
            (memory.fill (i32.const 65536) (i32.const 47) (i32.const 65536))
            (loop $l {body} (br $l)) (i32.const 0)))"#
        );
        let module = wat::parse_str(text).expect("good text");
        let mut instance = load(&module, Arc::clone(&manifest), &caps, 1).expect("it loads");
        let mut best = f64::MAX;
        for id in 0..6 {
            let event = Event {
                id,
                message: Arc::clone(&message),
                ticket: None,
                attempt: 0,
                first: false,
                invoke: None,
            };
            let job = Job {
                id: JobId(id),
                handler: HandlerId(0),
                events: vec![event],
                pins: Default::default(),
            };
            let start = Instant::now();
            let step = instance.start(job, FUEL * 2, Now::default());
            let took = start.elapsed().as_nanos() as f64;
            let Step::Finished(Outcome { events, .. }) = step else {
                unreachable!("the slice is large enough");
            };
            if id >= 2 {
                best = best.min(took / events[0].fuel_used as f64);
            }
            instance.tidy();
        }
        plain = if *name == "computing" { best } else { plain };
        println!(
            "{{\"loop\":\"{name}\",\"ns_per_fuel\":{best:.2},\"of_computing\":{:.1}}}",
            best / plain
        );
    }
}
