//! An uplink without a gateway: the test asks it and hears what it says, as the hub would.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidegate_config::{BrokerSettings, Protocol, UplinkSettings, read_gateway};
use tidegate_core::Input;
use tidegate_core::record::{Record, Refusal, Sending, Stamp, StreamId};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_envelope::Identity;
use tidegate_tests::scratch::Scratch;
use tidegated::hub::ToUplink;
use tidegated::uplink::Uplink;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How long the driver may take for anything that is not about its own time limits.
pub const PATIENCE: Duration = Duration::from_secs(10);
pub const EPOCH: u64 = 0xabc;

/// What a person writes, up to the streams.
const STREAMS: &str = r#"
[[stream]]
name = "alerts"
topic = "{gateway}/alerts"
[[stream]]
name = "words"
topic = "{gateway}/words"
format = "json"
[[stream]]
name = "raw"
topic = "{gateway}/raw/{topic}"
format = "raw"
[[forward]]
from = "devices/#"
stream = "raw"
"#;

/// The settings of a gateway `gw-1` whose broker is at `address`.
pub fn settings(address: SocketAddr) -> UplinkSettings {
    let scratch = Scratch::new("uplink");
    let file = scratch.write(
        "gateway.toml",
        format!(
            "[gateway]\nid = \"gw-1\"\ndata_dir = \".\"\nboard = \"dev\"\n\
             [uplink]\nbroker = \"mqtt://{address}\"\ninsecure = true\n{STREAMS}"
        ),
    );
    read_gateway(&file).unwrap().uplink.unwrap()
}

/// The same in MQTT 3.1.1, which has no raw format.
pub fn settings_v311(address: SocketAddr) -> UplinkSettings {
    let mut settings = settings(address);
    settings.protocol = Protocol::V311;
    settings
}

pub fn broker(settings: &mut UplinkSettings) -> &mut BrokerSettings {
    &mut settings.broker
}

/// What the driver has said about records, in order, and when it said something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Up,
    Down(String),
    Delivered(u64),
    Refused(u64, Refusal),
}

pub struct Bench {
    uplink: Uplink,
    runtime: Runtime,
}

impl Bench {
    pub fn new(settings: UplinkSettings) -> Bench {
        let ntp = WallTime { unix_us: now_us(), quality: ClockQuality::Ntp };
        Bench::with_clock(settings, move || ntp)
    }

    pub fn with_clock(
        settings: UplinkSettings,
        wall: impl Fn() -> WallTime + Send + Sync + 'static,
    ) -> Bench {
        let identity = Identity { gateway: "gw-1".to_owned(), epoch: EPOCH };
        let uplink = Uplink::start(settings, identity, wall).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Bench { uplink, runtime }
    }

    pub fn ask(&self, asked: ToUplink) {
        self.uplink.send(std::iter::once(asked));
    }

    pub fn send(&self, records: impl IntoIterator<Item = Sending>) {
        self.uplink.send(records.into_iter().map(ToUplink::Send));
    }

    /// What it says next, if it says something in time.
    pub fn hear_within(&mut self, wait: Duration) -> Option<Told> {
        let uplink = &mut self.uplink;
        let said = async { timeout(wait, poll_fn(|context| uplink.poll_said(context))).await };
        Some(told(self.runtime.block_on(said).ok()?))
    }

    /// What it has said already and was not heard yet.
    fn hear_now(&mut self) -> Option<Told> {
        match self.uplink.poll_said(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(said) => Some(told(said)),
            Poll::Pending => None,
        }
    }

    #[track_caller]
    pub fn hear(&mut self) -> Told {
        self.hear_within(PATIENCE).expect("the uplink says something")
    }

    #[track_caller]
    pub fn expect(&mut self, told: Told) {
        assert_eq!(self.hear(), told);
    }

    /// Asks for a connection and gets one.
    #[track_caller]
    pub fn connect(&mut self) {
        self.ask(ToUplink::Connect);
        self.expect(Told::Up);
    }

    /// Asks for a connection and gets none; returns why.
    #[track_caller]
    pub fn connect_in_vain(&mut self) -> String {
        self.ask(ToUplink::Connect);
        self.expect_down()
    }

    #[track_caller]
    pub fn expect_down(&mut self) -> String {
        match self.hear() {
            Told::Down(reason) => reason,
            other => panic!("{other:?} instead of the connection's end"),
        }
    }

    /// Sends every record within a window, as the core does, until each is delivered. Returns the seqs in the
    /// order of delivery, or those and the reason when the connection ended.
    pub fn drain(
        &mut self,
        window: usize,
        records: impl IntoIterator<Item = Sending>,
    ) -> Result<Vec<u64>, (Vec<u64>, String)> {
        let mut records = records.into_iter();
        let mut delivered = Vec::new();
        let mut under_way = 0;
        loop {
            let next: Vec<Sending> = records.by_ref().take(window - under_way).collect();
            under_way += next.len();
            self.send(next);
            if under_way == 0 {
                return Ok(delivered);
            }
            // All that was said together, so that what is sent goes together too.
            let mut told = self.hear_within(PATIENCE);
            while let Some(next) = told {
                match next {
                    Told::Delivered(seq) => delivered.push(seq),
                    Told::Down(reason) => return Err((delivered, reason)),
                    other => panic!("{other:?} after {}", delivered.len()),
                }
                under_way -= 1;
                told = self.hear_now();
            }
        }
    }
}

fn told(said: Option<Input>) -> Told {
    match said.expect("the thread lives") {
        Input::UplinkUp => Told::Up,
        Input::UplinkDown { reason } => Told::Down(reason),
        Input::Delivered { seq } => Told::Delivered(seq),
        Input::Refused { seq, refusal } => Told::Refused(seq, refusal),
        other => panic!("the uplink says {other:?}"),
    }
}

pub fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// A record of `stream`, forwarded from `topic` if there is one.
pub fn record(seq: u64, stream: &str, topic: Option<&str>, payload: &[u8]) -> Sending {
    let at = WallTime { unix_us: 1_790_000_000_000_000, quality: ClockQuality::Floor };
    let record = Record {
        seq,
        stream: StreamId::of(stream),
        priority: 0,
        ttl_s: 0,
        stamp: Stamp { boot: 1, mono_ms: seq, wall: at },
        topic: topic.map(Arc::from),
        payload: Arc::from(payload),
    };
    Sending { record: Arc::new(record), at, historical: false }
}

/// Plain records of the stream `alerts`, 200 bytes each.
pub fn alerts(seqs: impl IntoIterator<Item = u64>) -> impl Iterator<Item = Sending> {
    seqs.into_iter().map(|seq| record(seq, "alerts", None, &[b'x'; 200]))
}

/// How often each seq is there.
pub fn counted(seqs: impl IntoIterator<Item = u64>) -> BTreeMap<u64, usize> {
    let mut all = BTreeMap::new();
    for seq in seqs {
        *all.entry(seq).or_default() += 1;
    }
    all
}
