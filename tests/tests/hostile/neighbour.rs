//! The handler beside the hostile ones: an echo at 100 messages a second, watched for loss and
//! for the longest wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mqtt::Client;

const PERIOD: Duration = Duration::from_millis(10);

/// The handler that must not notice.
pub fn handler() -> Handler {
    handlers::echo("neighbour", "near/in", "near/out", 0)
}

/// What the neighbour's device heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub sent: usize,
    pub lost: usize,
    /// From a message's sending to its reaction.
    pub longest: Duration,
}

/// The neighbour's device: sends and listens until it is stopped.
#[derive(Debug)]
pub struct Neighbour {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    sender: JoinHandle<Vec<Instant>>,
    listener: JoinHandle<Vec<Option<Instant>>>,
}

impl Neighbour {
    /// Starts to send, once every 10 ms.
    pub fn start(address: SocketAddr) -> Neighbour {
        let mut out = Client::connect(address, "near-out").expect("the daemon lives");
        let mut back = Client::connect(address, "near-back").expect("the daemon lives");
        back.subscribe("near/out", 0).expect("the front door answers");
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let sender = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut sent: Vec<Instant> = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.len().to_string();
                    sent.push(Instant::now());
                    out.publish("near/in", number.as_bytes()).expect("the daemon lives");
                    thread::sleep(PERIOD);
                }
                sent
            })
        };
        let listener = {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                let mut heard: Vec<Option<Instant>> = Vec::new();
                let mut quiet_since = Instant::now();
                // After the stop, the last answers may still be on their way.
                while !stop.load(Ordering::Relaxed)
                    || quiet_since.elapsed() < Duration::from_millis(500)
                {
                    let wait = Duration::from_millis(50);
                    let Some(message) = back.message(wait).expect("the daemon lives") else {
                        continue;
                    };
                    quiet_since = Instant::now();
                    let number = std::str::from_utf8(&message.payload).expect("our own text");
                    let number: usize = number.parse().expect("our own number");
                    heard.resize(heard.len().max(number + 1), None);
                    heard[number] = Some(quiet_since);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                heard
            })
        };
        Neighbour { stop, answered, sender, listener }
    }

    /// Waits until this many messages were answered; at most ten seconds.
    pub fn wait_for(&self, answers: usize) {
        let end = Instant::now() + Duration::from_secs(10);
        while self.answered.load(Ordering::Relaxed) < answers && Instant::now() < end {
            thread::sleep(PERIOD);
        }
    }

    /// Stops and counts.
    pub fn stop(self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the neighbour could send");
        let mut heard = self.listener.join().expect("the neighbour could listen");
        heard.resize(sent.len(), None);
        let waits = sent
            .iter()
            .zip(&heard)
            .filter_map(|(at, heard)| Some(heard.as_ref()?.duration_since(*at)));
        Heard {
            sent: sent.len(),
            lost: heard.iter().filter(|heard| heard.is_none()).count(),
            longest: waits.max().unwrap_or(Duration::MAX),
        }
    }
}
