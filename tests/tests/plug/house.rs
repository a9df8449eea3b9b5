//! A daemon with an upstream and a fleet.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::fleet::{Fleet, Judge, Sent, counts, handlers, is_drained, no_ack, no_mark};
use tidegate_tests::handlers::Handler;
use tidegate_tests::mqtt::Client;
use tidegate_tests::ports;
use tidegate_tests::power_cut::Recorder;
use tidegate_tests::programs::Placement;
use tidegate_tests::upstream::{Mood, Upstream};

pub const PATIENCE: Duration = Duration::from_secs(10);
/// Until everything that waits is upstream, on a busy machine.
pub const DRAIN_MAX: Duration = Duration::from_secs(60);
pub const DEVICES: usize = 8;
const LOOK_EVERY: Duration = Duration::from_millis(10);
const TRY_EVERY: Duration = Duration::from_millis(2);

pub struct House {
    pub daemon: Daemon,
    pub upstream: Upstream,
    pub stop: AtomicBool,
    /// How connections of devices ended.
    pub broken: Mutex<Vec<String>>,
}

impl House {
    pub fn start(mood: Mood) -> House {
        House::start_with(mood, &[], "")
    }

    /// With more handlers than the fleet's, and more lines for `[uplink]`.
    pub fn start_with(mood: Mood, more_handlers: &[Handler], more: &str) -> House {
        House::begin(Upstream::start(mood), more_handlers, more, "3.1.1")
    }

    /// With an upstream that speaks this version of MQTT.
    pub fn start_on(mood: Mood, version: &str) -> House {
        House::begin(Upstream::start(mood), &[], "", version)
    }

    fn begin(upstream: Upstream, more_handlers: &[Handler], more: &str, version: &str) -> House {
        let local = Local::Listen(ports::free());
        let handlers = [&handlers()[..], more_handlers].concat();
        let config = upstream.config().replace("\"3.1.1\"", &format!("\"{version}\""));
        let more = config.replace("[uplink]\n", &format!("[uplink]\n{more}\n"));
        let daemon = Daemon::spawn_with(&local, &handlers, &Placement::default(), &more);
        daemon.wait_until_ready(&handlers);
        let (stop, broken) = (AtomicBool::new(false), Mutex::default());
        House { daemon, upstream, stop, broken }
    }

    /// Recorded, with calls that fail while the recorder is ill; it is well at first.
    pub fn start_faulty(mood: Mood, fault: &str) -> (House, Recorder) {
        let upstream = Upstream::start(mood);
        let handlers = handlers();
        let (mut daemon, recorder) =
            Daemon::spawn_faulty(&handlers, &upstream.config(), Some(fault));
        daemon.process.kill();
        recorder.heal();
        daemon.start_again_recorded(&recorder);
        daemon.wait_until_ready(&handlers);
        let (stop, broken) = (AtomicBool::new(false), Mutex::default());
        (House { daemon, upstream, stop, broken }, recorder)
    }

    pub fn start_again(&mut self) {
        self.daemon.start_again();
        self.daemon.wait_until_ready(&handlers());
    }

    /// The devices. They go on until `stop`, or have sent so many each.
    pub fn fleet<'a>(&'a self, name: &'a str, messages: u64) -> Fleet<'a> {
        Fleet {
            address: self.daemon.address,
            devices: DEVICES,
            window: 4,
            messages,
            payload_bytes: 100,
            mark: &no_mark,
            on_ack: &no_ack,
            stop: &self.stop,
            broken: &self.broken,
            name,
        }
    }

    /// Waits until nothing is left for upstream.
    pub fn wait_until_drained(&self) {
        let end = Instant::now() + DRAIN_MAX;
        while !is_drained(&self.daemon.data()).unwrap_or(false) {
            assert!(Instant::now() < end, "it does not drain: {}", self.daemon.process.text());
            thread::sleep(LOOK_EVERY);
        }
    }

    /// What is wrong once everything has gone upstream.
    pub fn judge(&self, sent: &[Sent]) -> Vec<String> {
        let end = Instant::now() + DRAIN_MAX;
        loop {
            let is_late = Instant::now() > end;
            if is_late || is_drained(&self.daemon.data()).unwrap_or(false) {
                let counts = counts(self.daemon.address, DEVICES).expect("the handlers answer");
                let books = self.upstream.books();
                let wrong = Judge { sent, books: &books, counts: &counts, upto: &|_| true }.judge();
                if wrong.is_empty() || is_late {
                    return wrong;
                }
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Asks the echo until it answers; how long after `since` that was.
pub fn first_reaction(address: std::net::SocketAddr, since: Instant) -> Duration {
    while since.elapsed() < PATIENCE {
        if react(address, since).unwrap_or(false) {
            return since.elapsed();
        }
        thread::sleep(TRY_EVERY);
    }
    panic!("no reaction within {PATIENCE:?}");
}

fn react(address: std::net::SocketAddr, since: Instant) -> std::io::Result<bool> {
    let mut client = Client::connect(address, "first")?;
    client.subscribe("ready/out", 0)?;
    while since.elapsed() < PATIENCE {
        client.publish("ready/in", b"ready?")?;
        if client.message(TRY_EVERY * 5)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
