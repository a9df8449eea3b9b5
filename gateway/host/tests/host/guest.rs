//! Guests and jobs for the tests.

use std::sync::Arc;

use tidegate_core::Message;
use tidegate_core::job::{Event, EventOutcome, Failure, HandlerId, Job, JobId, Outcome, Verdict};
use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, Manifest, React};
use tidegate_core::message::QoS;
use tidegate_core::pins::{Levels, Pin, Pins};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_core::topic::{Filter, Topic};
use tidegate_host::{Caps, Instance, LoadError, Now, Step, load};

/// Every import, by its name.
pub const IMPORTS: &str = r#"
    (import "tidegate1" "ev_read" (func $ev_read (param i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "ev_num" (func $ev_num (param i32 i32 i32) (result i32)))
    (import "tidegate1" "ev_str" (func $ev_str (param i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "publish" (func $publish (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "send" (func $send (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "log" (func $log (param i32 i32 i32)))
    (import "tidegate1" "state_get" (func $state_get (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "state_set" (func $state_set (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "state_cas" (func $state_cas (param i32 i32 i64 i32 i32) (result i32)))
    (import "tidegate1" "state_del" (func $state_del (param i32 i32) (result i32)))
    (import "tidegate1" "state_list" (func $state_list (param i32 i32 i64 i32 i32 i32) (result i32)))
    (import "tidegate1" "state_add" (func $state_add (param i32 i32 i64 i32) (result i32)))
    (import "tidegate1" "gpio" (func $gpio (param i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "now_us" (func $now_us (param i32) (result i64)))
    (import "tidegate1" "random" (func $random (param i32 i32) (result i32)))
    (import "tidegate1" "config_get" (func $config_get (param i32 i32 i32 i32) (result i32)))
"#;

/// The inbox at 1024 (512 bytes); words for the tests below it; 4096 and up is free.
pub const WORDS: &str = r#"
    (func (export "tidegate_inbox") (result i64) (i64.const 0x20000000400))
    (data (i32.const 16) "key") (data (i32.const 32) "value") (data (i32.const 48) "devices/7/cmd")
    (data (i32.const 64) "temp") (data (i32.const 80) "a.b.0") (data (i32.const 96) "devices/+/cmd")
    (data (i32.const 112) "$SYS/x") (data (i32.const 128) "tidegate/x") (data (i32.const 144) "other/x")
    (data (i32.const 160) "limit") (data (i32.const 176) "\ff\fe") (data (i32.const 192) "s")
    (data (i32.const 208) "esc") (data (i32.const 224) "line\n\1b[31mred\ff")
    (data (i32.const 256) "relay1") (data (i32.const 272) "button1") (data (i32.const 288) "none")
    (data (i32.const 304) "button2") (data (i32.const 320) "relay2")
"#;

pub const PAYLOAD: &str = r#"{"temp":71.5,"s":"on","esc":"a\u00e9","a":{"b":[7]}}"#;

/// A module with every import, one page of memory, the words, and `rest`.
pub fn module(rest: &str) -> Vec<u8> {
    wasm(&format!(r#"(module {IMPORTS} (memory (export "memory") 1) {WORDS} {rest})"#))
}

/// A module like [`module`] whose `on_event` is `body`.
pub fn handler(body: &str) -> Vec<u8> {
    module(&format!(r#"(func (export "on_event") (param $len i32) (result i32) {body})"#))
}

pub fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

pub fn manifest() -> Manifest {
    Manifest {
        name: "test".to_owned(),
        version: "1".to_owned(),
        triggers: vec![Filter::new("devices/+/telemetry").expect("a filter")],
        limits: HandlerLimits { fuel: 1_000_000, memory_kib: 256, deadline_ms: 100, publishes: 4 },
        grants: Grants {
            publish: vec![Filter::new("devices/+/cmd").expect("a filter")],
            send: vec!["limit".to_owned(), "temp".to_owned()],
            gpio: ["relay1", "button1", "none"].map(str::to_owned).into(),
        },
        isolation: Isolation::Event,
        react: React::Now,
        config: [("limit".to_owned(), "60".to_owned())].into(),
    }
}

pub fn loaded(module: &[u8]) -> Instance {
    loaded_as(module, manifest(), &Caps::DEV)
}

pub fn loaded_as(module: &[u8], manifest: Manifest, caps: &Caps) -> Instance {
    load(module, Arc::new(manifest), caps, 1).unwrap_or_else(|error| panic!("{error}"))
}

pub fn refused(module: &[u8]) -> LoadError {
    match load(module, Arc::new(manifest()), &Caps::DEV, 1) {
        Ok(_) => panic!("it must be refused"),
        Err(error) => error,
    }
}

/// At what time events happen unless a test says otherwise.
pub const AT_US: i64 = 1_700_000_000_000_000;

pub fn now() -> Now {
    now_at(5_000)
}

pub fn now_at(mono_us: u64) -> Now {
    Now { mono_us, wall: WallTime { unix_us: AT_US + 9, quality: ClockQuality::Ntp } }
}

pub fn event(id: u64, payload: impl AsRef<[u8]>, at_us: i64) -> Event {
    let message = Message {
        topic: Topic::new("devices/7/telemetry").expect("a topic"),
        payload: Arc::from(payload.as_ref()),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: "device-7".into(),
        at: WallTime { unix_us: at_us, quality: ClockQuality::Floor },
        hops: 0,
        mark: None,
    };
    Event { id, message: Arc::new(message), ticket: None, attempt: 0, first: false, invoke: None }
}

pub fn events(count: u64) -> Vec<Event> {
    (1..=count).map(|id| event(id, PAYLOAD, AT_US)).collect()
}

pub fn job(events: Vec<Event>) -> Job {
    Job { id: JobId(1), handler: HandlerId(1), events, pins: levels() }
}

/// Two outputs and two inputs; `relay2` and `button2` are not granted.
pub fn pins() -> Arc<Pins> {
    let pin = |name: &str| Pin { name: name.to_owned(), is_output: name.starts_with('r') };
    let pins = Pins::new(["relay1", "relay2", "button1", "button2"].map(pin).into());
    Arc::new(pins.expect("four names"))
}

/// `button1` is on, `relay2` cannot be used, the others are off.
fn levels() -> Levels {
    let pins = pins();
    let mut levels = pins.all_off();
    levels.set(pins.find("button1").expect("there").0, Some(true));
    levels.set(pins.find("relay2").expect("there").0, None);
    levels
}

/// Runs a job in one slice.
pub fn run(instance: &mut Instance, events: Vec<Event>) -> Vec<EventOutcome> {
    let mut step = instance.start(job(events), 1 << 40, now());
    loop {
        match step {
            Step::Finished(Outcome { events, .. }) => return events,
            Step::Parked => step = instance.resume(1 << 40, now()),
        }
    }
}

/// Runs one event.
pub fn once(instance: &mut Instance) -> EventOutcome {
    run(instance, events(1)).pop().expect("one event ran")
}

/// The number that the expression gives, in an event of its own.
#[track_caller]
pub fn check(expression: &str, expect: i32) {
    check_as(expression, manifest(), &Caps::DEV, PAYLOAD.as_bytes(), expect);
}

/// [`check`] with everything else said too. The number comes back as the handler's own error.
#[track_caller]
pub fn check_as(expression: &str, manifest: Manifest, caps: &Caps, payload: &[u8], expect: i32) {
    let module = handler(&format!("(i32.sub (i32.const -1000) {expression})"));
    let mut instance = loaded_as(&module, manifest, caps);
    let outcome = run(&mut instance, vec![event(1, payload, AT_US)]).pop().expect("one event ran");
    match outcome.verdict {
        Verdict::Failed(Failure::Returned(code)) => {
            assert_eq!(-1000 - code, expect, "{expression}")
        }
        verdict => panic!("{expression}: {verdict:?}"),
    }
}
