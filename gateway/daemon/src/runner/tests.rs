use tidegate_core::Manifest;
use tidegate_core::commit::{Change, StateChange, Value};
use tidegate_core::job::{Event, JobId, Verdict};
use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, React};
use tidegate_core::message::{Message, QoS};
use tidegate_core::record::StreamId;
use tidegate_core::release::CheckId;
use tidegate_core::stream::{Stream, WhenFull};
use tidegate_core::time::WallTime;
use tidegate_core::topic::Topic;

use super::*;

/// Counts its events under the key "n" and sends a record to "alerts".
const COUNTER: &str = r#"(module
    (import "tidegate1" "state_add" (func $add (param i32 i32 i64 i32) (result i32)))
    (import "tidegate1" "send" (func $send (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "n") (data (i32.const 32) "alerts")
    (func (export "tidegate_inbox") (result i64) (i64.const 0x40000000400))
    (func (export "on_event") (param i32) (result i32)
        (drop (call $add (i32.const 16) (i32.const 1) (i64.const 1) (i32.const 4096)))
        (call $send (i32.const 32) (i32.const 6) (i32.const 4096) (i32.const 8) (i32.const -1) (i32.const 0))))"#;

fn manifest(name: &str) -> Arc<Manifest> {
    Arc::new(Manifest {
        name: name.to_owned(),
        version: "1".to_owned(),
        triggers: Vec::new(),
        limits: HandlerLimits { fuel: 100_000, memory_kib: 64, deadline_ms: 50, publishes: 0 },
        grants: Grants {
            publish: Vec::new(),
            send: vec!["alerts".to_owned()],
            ..Grants::default()
        },
        isolation: Isolation::Event,
        react: React::Now,
        config: BTreeMap::new(),
    })
}

fn streams() -> Arc<Streams> {
    let alerts = Stream {
        id: StreamId::of("alerts"),
        name: "alerts".to_owned(),
        priority: 7,
        ttl_s: 0,
        when_full: WhenFull::DropOldest,
    };
    Arc::new(Streams::new(vec![alerts], Vec::new()).expect("one stream has a number of its own"))
}

fn job(handler: HandlerId) -> Job {
    let message = Message {
        topic: Topic::new("t").expect("a topic"),
        payload: Arc::default(),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: "device".into(),
        at: WallTime::default(),
        hops: 0,
        mark: None,
    };
    let event = Event {
        id: 1,
        message: Arc::new(message),
        ticket: None,
        attempt: 0,
        first: true,
        invoke: None,
    };
    Job { id: JobId(1), handler, events: vec![event], pins: Default::default() }
}

/// Loads a handler and runs one event; what it counted to, and the version after it.
fn counted(
    runner: &mut Runner,
    handler: HandlerId,
    name: &str,
    module_path: PathBuf,
) -> (i64, u64) {
    runner.add_module(name, module_path);
    runner.check(handler, CheckId(1), Version::Configured(manifest(name)));
    let Ok(done) = runner.poll_work().expect("a module to load").step(1, Now::default()) else {
        panic!("loading is one step");
    };
    let Input::Checked { result, .. } = runner.handle_done(done) else {
        panic!("a load is answered with what was found");
    };
    result.expect("a good module");
    runner.switch(handler, name.into());
    let outcome = runner.run(job(handler), Now::default()).expect("a short event");
    let event = &outcome.events[0];
    assert_eq!((&event.verdict, event.sends.len()), (&Verdict::Done, 1));
    let count = <[u8; 8]>::try_from(&*event.sends[0].payload).expect("eight bytes");
    (i64::from_le_bytes(count), event.version)
}

#[test]
fn a_handler_starts_with_the_state_that_was_restored() {
    let path = std::env::temp_dir().join(format!("tidegated-counter-{}.wasm", std::process::id()));
    std::fs::write(&path, wat::parse_str(COUNTER).expect("good text")).expect("a writable folder");
    let mut runner = Runner::new(Caps::DEV, streams(), 75, 1);
    let bytes: Arc<[u8]> = Arc::from(41i64.to_le_bytes());
    let value = Value { bytes, version: 3, expires_us: None };
    let key: Arc<[u8]> = Arc::from(*b"n");
    let changes = vec![Change { key, value: Some(value) }];
    runner.restore(StateChange { handler: "counter".into(), version: 7, changes });
    assert_eq!(counted(&mut runner, HandlerId(0), "other", path.clone()), (1, 1));
    assert_eq!(counted(&mut runner, HandlerId(1), "counter", path.clone()), (42, 8));
    // Another version of it, and one that was gone meanwhile, go on where it was.
    assert_eq!(counted(&mut runner, HandlerId(1), "counter", path.clone()), (43, 9));
    runner.rest(HandlerId(1));
    assert_eq!(counted(&mut runner, HandlerId(1), "counter", path.clone()), (44, 10));
    std::fs::remove_file(path).expect("it was written above");
}

/// A load may end when another version is wanted already: what was asked for last is switched to, whichever came first.
#[test]
fn what_was_asked_for_last_is_switched_to() {
    let path = std::env::temp_dir().join(format!("tidegated-two-{}.wasm", std::process::id()));
    std::fs::write(&path, wat::parse_str(COUNTER).expect("good text")).expect("a writable folder");
    for order in [[0, 1], [1, 0]] {
        let mut runner = Runner::new(Caps::DEV, streams(), 75, 1);
        for (name, check) in [("one", 1), ("two", 2)] {
            runner.add_module(name, path.clone());
            runner.check(HandlerId(1), CheckId(check), Version::Configured(manifest(name)));
        }
        let mut work: Vec<_> = std::iter::from_fn(|| runner.poll_work()).map(Some).collect();
        for at in order {
            let work = work[at].take().expect("two loads");
            let Ok(done) = work.step(1, Now::default()) else {
                panic!("loading is one step");
            };
            runner.handle_done(done);
        }
        runner.switch(HandlerId(1), "h".into());
        let running = runner.slots[&HandlerId(1)].instance.as_ref().map(|one| one.name());
        assert_eq!(running, Some("two"));
        assert!(runner.checked.is_empty(), "what is not wanted is let go");
    }
    std::fs::remove_file(path).expect("it was written above");
}
