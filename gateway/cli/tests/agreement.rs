//! What a handler is told natively, by the SDK's test harness, is what the gateway's host tells it.

use std::cell::RefCell;
use std::sync::Arc;

use tidegate_core::Manifest;
use tidegate_core::job::{Event, HandlerId, Job, JobId, LogLine};
use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, React};
use tidegate_core::message::{Message, QoS};
use tidegate_core::time::WallTime;
use tidegate_core::topic::{Filter, Topic};
use tidegate_host::{Caps, Now, Step, load};
use tidegate_sdk::testing::Harness;
use tidegate_sdk::{Error, Result};

/// What a field is: the number's bits or the code of the error, and the same for the string.
#[derive(Debug, PartialEq)]
struct Answers {
    number: std::result::Result<u64, i32>,
    text: std::result::Result<Vec<u8>, i32>,
}

thread_local! {
    static PATH: RefCell<String> = const { RefCell::new(String::new()) };
    static ANSWERS: RefCell<Option<Answers>> = const { RefCell::new(None) };
}

/// Asks the SDK, natively.
fn native(payload: &[u8], path: &str) -> Answers {
    fn handler(event: &tidegate_sdk::Event<'_>) -> Result {
        let path = PATH.take();
        let number = event.num(&path).map(f64::to_bits).map_err(Error::code);
        let text =
            event.str::<256>(&path).map(|text| text.as_bytes().to_vec()).map_err(Error::code);
        ANSWERS.set(Some(Answers { number, text }));
        Ok(())
    }
    PATH.set(path.to_owned());
    Harness::new(handler).send("t", payload);
    ANSWERS.take().expect("the handler ran")
}

/// Asks the host, through a module that logs what it is told.
fn hosted(payload: &[u8], path: &str) -> Answers {
    let escaped: String = path.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let len = path.len();
    // 1024: the path; 2048: the number's code and bits; 2064: the string's code, and the string.
    let module = wat::parse_str(format!(
        r#"(module
            (import "tidegate1" "ev_num" (func $num (param i32 i32 i32) (result i32)))
            (import "tidegate1" "ev_str" (func $str (param i32 i32 i32 i32) (result i32)))
            (import "tidegate1" "state_set" (func $set (param i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 1024) "{escaped}")
            (data (i32.const 4000) "k")
            (func (export "tidegate_inbox") (result i64) (i64.const 0x20000000000))
            (func (export "on_event") (param i32) (result i32)
                (i32.store (i32.const 2048) (call $num (i32.const 1024) (i32.const {len}) (i32.const 2056)))
                (i32.store (i32.const 2064)
                    (call $str (i32.const 1024) (i32.const {len}) (i32.const 2068) (i32.const 256)))
                (call $set (i32.const 4000) (i32.const 1) (i32.const 2048) (i32.const 276) (i32.const 0))))"#
    ))
    .expect("a module");
    let mut instance = load(&module, Arc::new(manifest()), &Caps::DEV, 0).expect("it loads");
    let message = Message {
        topic: Topic::new("t").expect("a topic"),
        payload: payload.into(),
        qos: QoS::AtMostOnce,
        retain: false,
        dup: false,
        source: "test".into(),
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
    let job =
        Job { id: JobId(1), handler: HandlerId(0), events: vec![event], pins: Default::default() };
    let Step::Finished(outcome) = instance.start(job, u64::MAX, Now::default()) else {
        panic!("it parked");
    };
    let logs: &[LogLine] = &outcome.events[0].logs;
    let write = outcome.events[0].writes.first();
    let told = write.and_then(|write| write.value.clone());
    let told = told.unwrap_or_else(|| panic!("{:?} {logs:?}", outcome.events[0].verdict));
    let code = |at: usize| i32::from_le_bytes(told[at..at + 4].try_into().expect("4 bytes"));
    let bits = u64::from_le_bytes(told[8..16].try_into().expect("8 bytes"));
    Answers {
        number: if code(0) < 0 { Err(code(0)) } else { Ok(bits) },
        text: match code(16) {
            code if code < 0 => Err(code),
            len if len > 256 => Err(Error::TooLarge.code()),
            len => Ok(told[20..20 + len as usize].to_vec()),
        },
    }
}

fn manifest() -> Manifest {
    Manifest {
        name: "agreement".into(),
        version: "1".into(),
        triggers: vec![Filter::new("t").expect("a filter")],
        limits: HandlerLimits { fuel: 10_000_000, memory_kib: 64, deadline_ms: 100, publishes: 0 },
        grants: Grants::default(),
        isolation: Isolation::Event,
        react: React::Now,
        config: [].into(),
    }
}

const PAYLOADS: &[&str] = &[
    "",
    "null",
    "17",
    "\"text\"",
    "not json",
    "{}",
    "{\"a\":1}x",
    "{\"a\":01}",
    "{\"a\":1,}",
    "[1,2,[3,{\"a\":4}]]",
    r#"{"a":{"b":[10,{"c":"d"}]},"a":{"b":[-0.0,1e3]}}"#,
    r#"{"a":1e999,"b":-1e-999,"c":123456789012345678901234567890,"d":0.1}"#,
    r#"{"a":"\u00e9\n\ud83d\ude00\"\\\/","b":"é","":"empty","a.b":1}"#,
    r#"{"\u0061":"escaped key","b":"\ud800"}"#,
    r#"{"a":true,"b":null,"c":[],"d":{}}"#,
    " {\t\"a\" :\r\n [ 0 , 1 ] } ",
    "\u{feff}{\"a\":1}",
    "{\"a\":\"\u{1}\"}",
    "{\"a\":\"\u{7f}\"}",
];

const PATHS: &[&str] = &[
    "", "a", "b", "c", "d", "a.b", "a.b.0", "a.b.1", "a.b.1.c", "a.0", "a.00", "0", "2.1.a", "a.",
    ".a", ".", "a.-1", "é",
];

#[test]
fn json_is_read_alike() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(257));
    let more = [deep(64), deep(65), deep(1000), long];
    for payload in PAYLOADS.iter().copied().chain(more.iter().map(String::as_str)) {
        for path in PATHS.iter().copied().chain(["x".repeat(257).as_str()]) {
            let (native, hosted) =
                (native(payload.as_bytes(), path), hosted(payload.as_bytes(), path));
            assert_eq!(native, hosted, "{path:?} in {}", &payload[..payload.len().min(80)]);
        }
    }
    let (native, hosted) = (native(b"{\"a\":\"\xff\"}", "a"), hosted(b"{\"a\":\"\xff\"}", "a"));
    assert_eq!(native, hosted);
    assert_eq!(native.number, Err(Error::Argument.code()));
}
