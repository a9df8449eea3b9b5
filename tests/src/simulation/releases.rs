//! Releases for the simulated gateway: good ones, and bad ones of every kind.

use tidegate_release::chunks::split;
use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use tidegate_release::golden::{Case, Expect, Golden};
use tidegate_release::hash::{Digest, digest_of};
use tidegate_release::keys::Domain;
use tidegate_release::manifest::{Order, Probation, Target, What};
use tidegate_release::topics::ControlTopic;

use super::random::Random;
use super::world::DEVICES;
use crate::handlers::{Handler, INBOX, guest_with};
use crate::pusher::{Fleet, SHORT, gateway, name, with_golden};

/// The simulated gateway, its group, and the one handler that is pushed.
pub const GATEWAY: &str = "gw-01";
pub const GROUP: &str = "some";
pub const PUSHED: &str = "pushed";
/// Where it reacts: behind this comes its version.
pub const OUT: &str = "out/pushed/";
/// Events of a slow one's probation: its time is judged at the end.
pub const SLOW_EVENTS: u64 = 2;
/// Longer than any seed lasts: time alone lets nothing pass.
const FOR_EVER_MS: u64 = 1 << 40;
/// Modules of each kind, with bytes of their own.
const VARIANTS: usize = 3;
const RECORD: u32 = 16 * 1024;

/// What a release is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Good,
    /// When it is good, and takes over the state of the one before: see [`TAKEN`].
    Takes,
    Traps,
    Slow,
    Leaks,
    /// When its golden events expect something else.
    Lies,
    /// When its module is none.
    Broken,
    /// When it is an order to remove the handler.
    Removal,
}

/// What migrating adds to each count.
pub const TAKEN: i64 = 1_000_000;

impl Kind {
    pub fn is_good(self) -> bool {
        self.events_max().is_none()
    }

    pub fn choose(random: &mut Random) -> Kind {
        use Kind::{Broken, Good, Leaks, Lies, Removal, Slow, Traps};
        *random.pick(&[Good, Good, Good, Good, Good, Traps, Slow, Leaks, Lies, Broken, Removal])
    }

    /// Events that it may end well before it is taken back; none for what never passes one.
    pub fn events_max(self) -> Option<u64> {
        match self {
            Kind::Good | Kind::Takes => None,
            Kind::Traps | Kind::Lies | Kind::Broken | Kind::Removal => Some(0),
            Kind::Slow => Some(SLOW_EVENTS),
            Kind::Leaks => Some(1),
        }
    }
}

impl Release {
    /// All that is published for it.
    pub fn messages(&self) -> Vec<(String, Vec<u8>)> {
        let mut messages = vec![(self.topic.clone(), self.envelope.clone())];
        for blob in &self.blobs {
            let digest = digest_of(blob);
            let chunks = (0..).zip(split(blob));
            messages.extend(
                chunks.map(|(n, chunk)| {
                    (ControlTopic::Blob { digest, n }.to_string(), chunk.to_vec())
                }),
            );
        }
        messages
    }
}

/// One order, signed, with what it needs.
#[derive(Clone, Debug)]
pub struct Release {
    pub kind: Kind,
    pub seq: u64,
    pub digest: Digest,
    pub topic: String,
    pub envelope: Vec<u8>,
    pub blobs: Vec<Vec<u8>>,
}

/// Modules, made once for many runs.
#[derive(Debug)]
pub struct Modules {
    good: Vec<Vec<u8>>,
    takes: Vec<Vec<u8>>,
    traps: Vec<Vec<u8>>,
    slow: Vec<Vec<u8>>,
    leaks: Vec<Vec<u8>>,
}

impl Modules {
    pub fn make() -> Modules {
        let variants = |more: &str| -> Vec<Vec<u8>> {
            let module = module(more);
            // The last of them takes two chunks.
            let noise = |at: usize| if at + 1 == VARIANTS { 100_000 } else { 8 + at };
            (0..VARIANTS).map(|at| with_noise(&module, noise(at))).collect()
        };
        let slow = "(local.set $k (i64.const 20000))
            (loop $again
              (local.set $k (i64.sub (local.get $k) (i64.const 1)))
              (br_if $again (i64.ne (local.get $k) (i64.const 0))))";
        Modules {
            good: variants(""),
            takes: variants(&migrates()),
            traps: variants("(unreachable)"),
            slow: variants(slow),
            leaks: variants("(drop (memory.grow (i32.const 1)))"),
        }
    }

    fn of(&self, kind: Kind, random: &mut Random) -> Vec<u8> {
        let choices = match kind {
            Kind::Good | Kind::Lies | Kind::Removal => &self.good,
            Kind::Takes => &self.takes,
            Kind::Traps => &self.traps,
            Kind::Slow => &self.slow,
            Kind::Leaks => &self.leaks,
            Kind::Broken => return b"\0asm\x01\0\0\0no".to_vec(),
        };
        // The large ones are rare: they are slow to hash.
        let at = if random.chance(1, 12) { VARIANTS - 1 } else { random.below(2) as usize };
        choices[at].clone()
    }

    /// An order of this kind, signed by `fleet`, for `target`.
    pub fn order(
        &self,
        fleet: &Fleet,
        kind: Kind,
        (seq, before): (u64, Option<u64>),
        target: Target,
        random: &mut Random,
    ) -> Release {
        let topic = format!("tidegate/1/{target}/release/{PUSHED}");
        if kind == Kind::Removal {
            let envelope = fleet.sign(&fleet.order_of(PUSHED, seq, target, What::Remove));
            let digest = digest(&envelope);
            return Release { kind, seq, digest, topic, envelope, blobs: Vec::new() };
        }
        let module = self.of(kind, random);
        let handler = Handler { deadline_ms: 60_000, ..Handler::new(PUSHED, "in/+", module) };
        let handler = handler.may_publish("out/pushed/+").may_send(PUSHED);
        let version = version(seq);
        let mut order = fleet.order(&handler, &version, seq, target);
        let probation = probation(kind, random);
        if let What::Install(install) = &mut order.what {
            install.settings.insert("v".to_owned(), version.clone());
            install.probation = probation;
            install.migrate_from = before.filter(|_| kind == Kind::Takes).map(self::version);
        }
        let mut blobs = vec![handler.module];
        if kind == Kind::Lies || random.chance(1, 4) {
            blobs.push(golden(&mut order, kind, &version));
        }
        let envelope = fleet.sign(&order);
        let digest = digest(&envelope);
        Release { kind, seq, digest, topic, envelope, blobs }
    }
}

/// The release's name.
fn digest(envelope: &[u8]) -> Digest {
    let envelope = Envelope::decode(envelope, ENVELOPE_BYTES_MAX).expect("it was just sealed");
    envelope.digest(Domain::Release)
}

/// Four digits.
pub fn version(seq: u64) -> String {
    format!("{seq:04}")
}

fn probation(kind: Kind, random: &mut Random) -> Probation {
    let bounds = Probation { p99_us_max: 200, memory_kib_max: 128, ..SHORT };
    match kind {
        Kind::Good | Kind::Takes | Kind::Lies | Kind::Broken | Kind::Removal => {
            Probation { events: 1 + random.below(4), uptime_ms: 500, ..bounds }
        }
        Kind::Slow => Probation { events: SLOW_EVENTS, uptime_ms: FOR_EVER_MS, ..bounds },
        Kind::Traps | Kind::Leaks => {
            Probation { events: 1 + random.below(4), uptime_ms: FOR_EVER_MS, ..bounds }
        }
    }
}

fn golden(order: &mut Order, kind: Kind, version: &str) -> Vec<u8> {
    let expect = match kind {
        Kind::Lies => Expect::Publish { topic: format!("{OUT}{version}"), payload: b"no".to_vec() },
        Kind::Traps => Expect::Fails,
        Kind::Good | Kind::Takes | Kind::Slow | Kind::Leaks | Kind::Broken | Kind::Removal => {
            Expect::Publish { topic: format!("{OUT}{version}"), payload: b"p:0:0".to_vec() }
        }
    };
    let case = Case { topic: "in/0".to_owned(), payload: b"p:0:0".to_vec(), expect: vec![expect] };
    with_golden(order, &Golden { cases: vec![case] })
}

/// Every target that is this gateway.
pub fn target(random: &mut Random) -> Target {
    if random.chance(1, 3) { Target::Group(name(GROUP)) } else { gateway(GATEWAY) }
}

/// Publishes each payload on the topic of its version, counts it under the device's topic, and sends those that are
/// to be sent, with the count and the version.
fn module(more: &str) -> Vec<u8> {
    let (topic, topic_len) = (INBOX + 32, INBOX + 36);
    let (payload, payload_len) = (INBOX + 64, INBOX + 68);
    let is = |kind: u8| format!("(i32.eq (local.get $j) (i32.const {kind}))");
    let body = format!(
        "(local.set $i (i32.add (i32.const {INBOX}) (i32.load (i32.const {payload}))))
         (local.set $j (i32.load8_u (local.get $i)))
         (drop (call $config_get (i32.const 40) (i32.const 1) (i32.const 27) (i32.const 4)))
         {more}
         (drop (call $publish (i32.const 16) (i32.const 15) (local.get $i) (i32.load (i32.const {payload_len})) (i32.const 0)))
         (drop (call $state_add (i32.add (i32.const {INBOX}) (i32.load (i32.const {topic}))) (i32.load (i32.const {topic_len}))
                                (i64.const 1) (i32.const 8)))
         (if (i32.or {s} (i32.or {r} {l}))
           (then
             (memory.copy (i32.const {RECORD}) (local.get $i) (i32.load (i32.const {payload_len})))
             (local.set $j (i32.add (i32.const {RECORD}) (i32.load (i32.const {payload_len}))))
             (i32.store8 (local.get $j) (i32.const 0))
             (i64.store offset=1 (local.get $j) (i64.load (i32.const 8)))
             (i32.store offset=9 (local.get $j) (i32.load (i32.const 27)))
             (drop (call $send (i32.const 48) (i32.const 6) (i32.const {RECORD})
                               (i32.add (i32.load (i32.const {payload_len})) (i32.const 13)) (i32.const -1) (i32.const 0)))))
         (i32.const 0)",
        s = is(b's'),
        r = is(b'r'),
        l = is(b'l'),
    );
    let data = format!(
        "(data (i32.const 16) \"{OUT}0000\") (data (i32.const 40) \"v\") (data (i32.const 48) \"{PUSHED}\")
         (data (i32.const 80) \"in/0in/1in/2in/3\")"
    );
    guest_with(&data, &body)
}

/// What [`module`] does first when it is to migrate: the devices' counts grow.
fn migrates() -> String {
    let topic = INBOX + 32;
    let add = |at: u32| {
        format!(
            "(drop (call $state_add (i32.const {at}) (i32.const 4) (i64.const {TAKEN}) (i32.const 8)))"
        )
    };
    let adds: String = (1..DEVICES as u32).map(|device| add(80 + 4 * device)).collect();
    format!(
        "(if (i32.eq (i32.load8_u (i32.add (i32.const {INBOX}) (i32.load (i32.const {topic})))) (i32.const 36))
           (then {adds} (return (i32.const 0))))"
    )
}

/// The module with a custom section of so many bytes.
fn with_noise(module: &[u8], bytes: usize) -> Vec<u8> {
    let section = (0..bytes).map(|at| (at * 7 + bytes) as u8);
    crate::handlers::with_section(module, "n", section)
}
