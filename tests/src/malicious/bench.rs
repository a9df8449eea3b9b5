//! A daemon behind the malicious broker, and what must still be true after each case.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidegate_release::answer::{self, Answer, Heard, Stage};
use tidegate_release::chunks::split;
use tidegate_release::hash::digest_of;
use tidegate_release::keys::{PublicKey, parse_public};
use tidegate_release::manifest::Order;
use tidegate_release::topics::ControlTopic;

use super::broker::Broker;
use super::{Case, cases};
use crate::daemon::{Daemon, Local};
use crate::handlers::{self, Handler};
use crate::procfs;
use crate::programs::Placement;
use crate::pusher::{Fleet, gateway};
use crate::scratch::Scratch;

pub const GATEWAY: &str = "gw-01";
/// Longer than the gateway's longest wait before it connects again.
const PATIENCE: Duration = Duration::from_secs(40);
/// Control messages that are examined at once: beyond it the gateway drops, and the case would prove nothing.
const AT_ONCE: usize = 12;

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub cases: u32,
    pub messages: u64,
    pub refusals: u64,
    pub connections: u32,
    /// Memory that the daemon grew by, from after the first case to the end.
    pub grown_kib: i64,
}

/// A gateway with one good handler, and the broker.
pub struct Bench {
    pub fleet: Fleet,
    pub stranger: Fleet,
    pub broker: Broker,
    /// What runs: order, envelope and module.
    pub good: (Order, Vec<u8>),
    /// Another handler's order. It is answered about that handler, and nothing else is.
    fence: Vec<u8>,
    /// What must never run.
    pub evil: Handler,
    pub random: u64,
    daemon: Daemon,
    key: Option<PublicKey>,
    counter: u64,
    pending: usize,
    pub report: Report,
    /// The last true answer about the good handler.
    pub heard: Option<Answer>,
    _trust: Scratch,
}

fn says(word: &str) -> Handler {
    let module = handlers::guest_with(
        &format!("(data (i32.const 16) \"out\") (data (i32.const 32) \"{word}\")"),
        "(call $publish (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 4) (i32.const 0))",
    );
    Handler::new("p", "in", module).may_publish("out")
}

impl Bench {
    /// Starts the daemon and gives it the good handler, seq 5.
    pub fn start(seed: u64) -> Bench {
        let fleet = Fleet::new(1);
        let trust = Scratch::new("trust");
        trust.write("trust", fleet.trust());
        let more = format!("\n[trust]\nfile = {:?}\n", trust.path().join("trust"));
        let broker = Broker::open();
        let local = Local::Broker(broker.address());
        let daemon = Daemon::spawn_with(&local, &[], &Placement::default(), &more);
        let good = says("good");
        let order = fleet.order(&good, "good", 5, gateway(GATEWAY));
        let envelope = fleet.sign(&order);
        let fence = Handler::new("fence", "fence-in", handlers::guest("(i32.const 0)"));
        let fence_order = fleet.order(&fence, "fence", 1, gateway(GATEWAY));
        let fence_envelope = fleet.sign(&fence_order);
        let mut bench = Bench {
            fence: fence_envelope,
            fleet,
            stranger: Fleet::new(99),
            broker,
            good: (order, envelope),
            evil: says("evil"),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            daemon,
            key: None,
            counter: 0,
            pending: 0,
            report: Report::default(),
            heard: None,
            _trust: trust,
        };
        bench.wait_for_key();
        bench.send_good();
        let module = good.module;
        bench.send_blob(&module);
        bench.wait(|answer| matches!(answer.stage, Stage::Probation { .. }));
        bench.send_fence();
        bench.send_blob(&fence.module);
        bench.wait(|answer| {
            answer.handler.as_str() == "fence" && matches!(answer.stage, Stage::Probation { .. })
        });
        for _ in 0..3 {
            bench.react();
        }
        // Both have passed: nothing is said about either that nobody asked for.
        bench.wait(|answer| answer.handler.as_str() == "p" && answer.stage == Stage::Active);
        bench.wait(|answer| answer.handler.as_str() == "fence" && answer.stage == Stage::Active);
        bench
    }

    /// Runs every case; what must hold is looked at after each.
    pub fn run(&mut self, mut told: impl FnMut(&Case)) {
        let mut before = None;
        for case in cases() {
            (case.run)(self);
            self.fence();
            self.look(case.name);
            self.report.cases += 1;
            before.get_or_insert_with(|| self.rss_kib());
            told(case);
        }
        self.report.grown_kib = self.rss_kib() - before.unwrap_or_default();
        self.report.connections = self.broker.connections;
    }

    fn rss_kib(&self) -> i64 {
        {
            let memory = procfs::memory(self.daemon.process.pid()).expect("the daemon runs");
            memory.rss_kb as i64
        }
    }

    /// The same numbers for the same seed: xorshift64* (Vigna 2016).
    pub fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }

    pub fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    /// Sends a control message. Every few, waits until all are examined.
    pub fn send(&mut self, topic: &str, payload: &[u8]) {
        let retain = self.below(2) == 0;
        self.broker.send(topic, payload, retain);
        self.report.messages += 1;
        self.pending += 1;
        if self.pending >= AT_ONCE {
            self.fence();
        }
    }

    /// Sends an envelope where releases for the good handler's name go.
    pub fn send_release(&mut self, envelope: &[u8]) {
        self.send(&release_topic(), envelope);
    }

    /// Sends an order with its module, as whoever pushes would.
    pub fn send_all(&mut self, envelope: &[u8]) {
        self.send_release(envelope);
        let module = self.evil.module.clone();
        self.send_blob(&module);
    }

    pub fn send_blob(&mut self, blob: &[u8]) {
        let digest = digest_of(blob);
        for (n, chunk) in (0..).zip(split(blob)) {
            self.send(&ControlTopic::Blob { digest, n }.to_string(), chunk);
        }
    }

    fn send_good(&mut self) {
        let envelope = self.good.1.clone();
        self.broker.send(&release_topic(), &envelope, false);
    }

    /// An order of the fleet's for the evil handler that would be good.
    pub fn evil_order(&self, seq: u64) -> Order {
        self.fleet.order(&self.evil, "evil", seq, gateway(GATEWAY))
    }

    fn send_fence(&mut self) {
        let envelope = self.fence.clone();
        self.broker.send(&format!("tidegate/1/{GATEWAY}/release/fence"), &envelope, false);
    }

    /// Waits until everything before has been examined.
    pub fn fence(&mut self) {
        self.pending = 0;
        self.send_fence();
        self.wait(|answer| answer.handler.as_str() == "fence");
    }

    /// Hears the gateway out.
    pub fn drain(&mut self) {
        while let Some(received) = self.broker.next(Duration::from_millis(100)) {
            self.take_answer(&received.topic, &received.payload);
        }
    }

    /// What must hold, whatever came.
    fn look(&mut self, case: &str) {
        assert!(self.daemon.process.is_running(), "{case}: the daemon has ended");
        let reaction = self.react();
        assert_eq!(reaction, b"good", "{case}: another version runs");
        let evil = self.heard.as_ref().is_some_and(|a| a.version.as_deref() == Some("evil"));
        assert!(!evil, "{case}: {:?}", self.heard);
    }

    /// One event, and what the handler makes of it.
    fn react(&mut self) -> Vec<u8> {
        self.broker.send("in", b"x", false);
        let end = Instant::now() + PATIENCE;
        while let Some(received) = self.broker.next(end.saturating_duration_since(Instant::now())) {
            if received.topic == "out" {
                return received.payload;
            }
            self.take_answer(&received.topic, &received.payload);
        }
        panic!("no reaction within {PATIENCE:?}");
    }

    fn wait_for_key(&mut self) {
        let end = Instant::now() + PATIENCE;
        while let Some(received) = self.broker.next(end.saturating_duration_since(Instant::now())) {
            if received.topic == format!("tidegate/1/{GATEWAY}/key") {
                let text = String::from_utf8(received.payload).expect("a text");
                self.key = Some(parse_public(&text).expect("a public key"));
                return;
            }
        }
        panic!("the gateway does not say which key is its own");
    }

    fn wait(&mut self, fits: impl Fn(&Answer) -> bool) {
        let end = Instant::now() + PATIENCE;
        while let Some(received) = self.broker.next(end.saturating_duration_since(Instant::now())) {
            if let Some(answer) = self.take_answer(&received.topic, &received.payload)
                && fits(&answer)
            {
                return;
            }
        }
        panic!("no answer fits; the last one is {:?}", self.heard);
    }

    fn take_answer(&mut self, topic: &str, payload: &[u8]) -> Option<Answer> {
        if !topic.contains("/handler/") {
            return None;
        }
        let key = self.key.expect("it is known before the first answer");
        let Heard::New(answer) = answer::verify(payload, &key, self.counter) else {
            panic!("the gateway sends an answer that is none, on {topic}");
        };
        self.counter = answer.counter;
        let version = answer.version.as_deref();
        let runs = matches!(answer.stage, Stage::Probation { .. } | Stage::Active);
        assert!(!(runs && version == Some("evil")), "evil runs: {answer:?}");
        self.report.refusals += u64::from(matches!(answer.stage, Stage::Rejected { .. }));
        if topic.ends_with("/p") {
            self.heard = Some(answer.clone());
        }
        Some(answer)
    }

    /// Counts by what the gateway dropped and refused, from its own mouth.
    pub fn counters(&mut self) -> BTreeMap<String, u64> {
        self.daemon.counters()
    }
}

/// Where releases for the good handler's name go.
pub fn release_topic() -> String {
    format!("tidegate/1/{GATEWAY}/release/p")
}
