//! The handlers of the simulated gateway. What a message does to them is its first byte.

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_core::manifest::{Grants, HandlerLimits, Isolation, Manifest, React};
use tidegate_core::record::StreamId;
use tidegate_core::stream::{Stream, Streams, WhenFull};
use tidegate_core::topic::Filter;
use tidegate_host::Caps;

use crate::handlers::{Handler, INBOX, guest_with};
use crate::scratch::Scratch;

use super::releases::{Modules, PUSHED};

/// Kinds of messages: plain, sends upstream, asks for one retry, takes longer than a slice, fails, traps.
pub const KINDS: &[u8] = b"ppppppssssrlex";

/// Whether an event of this kind sends a record. Every event that succeeds counts in its handler's state.
pub fn sends(kind: u8) -> bool {
    matches!(kind, b's' | b'r' | b'l')
}

/// Whether an event of this kind ends with a reaction.
pub fn reacts(kind: u8) -> bool {
    !matches!(kind, b'e' | b'x')
}

/// Two handlers that see the same messages; each publishes what it got on its own topic, counts it under the
/// device's topic, and sends it with the count to its own stream.
pub const NAMES: [&str; 2] = ["first", "second"];

/// The stream of each of [`NAMES`], its priority, and what happens to it when there is no room.
pub const STREAMS: [(&str, u8, WhenFull); 2] =
    [("alerts", 7, WhenFull::DropOldest), ("bulk", 0, WhenFull::DropOldest)];

/// All streams: those of the handlers, of the pushed one, and the gateway's own.
pub fn streams(with_pushed: bool) -> Streams {
    let own = [("losses", 7, WhenFull::DropNewest), ("dead-letters", 0, WhenFull::DropOldest)];
    let pushed = with_pushed.then_some((PUSHED, 3, WhenFull::DropOldest));
    let streams =
        STREAMS.into_iter().chain(own).chain(pushed).map(|(name, priority, when_full)| Stream {
            id: StreamId::of(name),
            name: name.to_owned(),
            priority,
            ttl_s: 0,
            when_full,
        });
    Streams::new(streams.collect(), Vec::new()).expect("no two alike")
}

/// The topic where the handler `name` reacts.
pub fn topic(name: &str) -> String {
    format!("out/{name}")
}

/// The stream of a handler.
fn stream_of(name: &str) -> &'static str {
    let at = NAMES.iter().position(|known| *known == name).expect("one of the two");
    STREAMS[at].0
}

/// Where a guest builds its records.
const RECORD: u32 = 16 * 1024;

/// The handlers' folders, written once for many runs.
pub struct Folders {
    modules: Vec<PathBuf>,
    /// Of handlers that are pushed.
    pub pushed: Modules,
    _scratch: Scratch,
}

impl Folders {
    pub fn write() -> Folders {
        let scratch = Scratch::new("simulation");
        let modules = NAMES.iter().map(|name| module(name, &scratch)).collect();
        Folders { modules, pushed: Modules::make(), _scratch: scratch }
    }

    /// The module's file and the manifest of each of [`NAMES`].
    pub fn iter(&self) -> impl Iterator<Item = (PathBuf, Arc<Manifest>)> {
        NAMES.iter().zip(&self.modules).map(|(name, module)| (module.clone(), manifest(name)))
    }
}

fn module(name: &str, scratch: &Scratch) -> PathBuf {
    let to = topic(name);
    let stream = stream_of(name);
    let body = format!(
        "(local.set $i (i32.add (i32.const {INBOX}) (i32.load (i32.const {payload}))))
         (local.set $j (i32.load8_u (local.get $i)))
         (if (i32.and (i32.eq (local.get $j) (i32.const {r})) (i32.eqz (i32.load16_u (i32.const {attempt}))))
           (then (drop (call $publish (i32.const 16) (i32.const {len}) (i32.const 16) (i32.const 3) (i32.const 0)))
                 (return (i32.const -11))))
         (if (i32.eq (local.get $j) (i32.const {e})) (then (return (i32.const -1))))
         (if (i32.eq (local.get $j) (i32.const {l})) (then
           (local.set $k (i64.const 3000))
           (loop $again
             (local.set $k (i64.sub (local.get $k) (i64.const 1)))
             (br_if $again (i64.ne (local.get $k) (i64.const 0))))))
         (drop (call $publish (i32.const 16) (i32.const {len}) (local.get $i) (i32.load (i32.const {payload_len})) (i32.const 0)))
         (drop (call $state_add (i32.add (i32.const {INBOX}) (i32.load (i32.const {topic}))) (i32.load (i32.const {topic_len}))
                                (i64.const 1) (i32.const 8)))
         (if (i32.or (i32.eq (local.get $j) (i32.const {s})) (i32.or (i32.eq (local.get $j) (i32.const {r})) (i32.eq (local.get $j) (i32.const {l}))))
           (then
             (memory.copy (i32.const {RECORD}) (local.get $i) (i32.load (i32.const {payload_len})))
             (i32.store8 (i32.add (i32.const {RECORD}) (i32.load (i32.const {payload_len}))) (i32.const 0))
             (i64.store (i32.add (i32.const {record_1}) (i32.load (i32.const {payload_len}))) (i64.load (i32.const 8)))
             (drop (call $send (i32.const 48) (i32.const {stream_len}) (i32.const {RECORD})
                               (i32.add (i32.load (i32.const {payload_len})) (i32.const 9)) (i32.const -1) (i32.const 0)))))
         (if (i32.eq (local.get $j) (i32.const {x})) (then unreachable))
         (i32.const 0)",
        record_1 = RECORD + 1,
        stream_len = stream.len(),
        topic = INBOX + 32,
        topic_len = INBOX + 36,
        s = b's',
        payload = INBOX + 64,
        payload_len = INBOX + 68,
        attempt = INBOX + 6,
        len = to.len(),
        r = b'r',
        e = b'e',
        l = b'l',
        x = b'x',
    );
    let data = format!("(data (i32.const 16) \"{to}\") (data (i32.const 48) \"{stream}\")");
    let module = guest_with(&data, &body);
    Handler::new(name, "in/+", module).may_publish(&to).write(scratch).join("module.wasm")
}

fn manifest(name: &str) -> Arc<Manifest> {
    let to = topic(name);
    Arc::new(Manifest {
        name: name.to_owned(),
        version: "1".to_owned(),
        triggers: vec![Filter::new("in/+").expect("a good filter")],
        limits: HandlerLimits {
            fuel: 1_000_000,
            memory_kib: 256,
            deadline_ms: 60_000,
            publishes: 4,
        },
        grants: Grants {
            publish: vec![Filter::new(&to).expect("a good filter")],
            send: vec![stream_of(name).to_owned()],
            gpio: Vec::new(),
        },
        isolation: Isolation::Event,
        react: React::Now,
        config: Default::default(),
    })
}

/// The host's limits in the simulation.
pub const CAPS: Caps = Caps { deadline_ms_max: 60_000, ..Caps::DEV };
