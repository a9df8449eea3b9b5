//! Clients that publish as fast as they are acked, or at a pace, all in one thread: fifty threads would take the
//! processor from what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tidegate_tests::mqtt::{self, Connect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::words::Problem;

/// CONNACK and PUBACK both have so many bytes, and nothing else comes to who has not subscribed.
const ACK_BYTES: usize = 4;
/// No ack for so long: the other side has stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// Which mark stands before and after a message's number.
const FENCE: char = '#';
const DIGITS: usize = 10;

/// What to publish.
#[derive(Clone, Copy, Debug)]
pub struct Feed {
    pub address: SocketAddr,
    pub clients: u64,
    pub qos: u8,
    /// Messages of one client that are not acked, at most.
    pub window: u64,
    /// The topic of message `n`.
    pub topic: fn(u64) -> String,
    pub payload_bytes: usize,
    /// The number of the first message, and how many there are; client `c` sends each whose number leaves `c`.
    pub first: u64,
    pub total: u64,
    /// Messages a second of all clients together; None: as fast as the acks come.
    pub rate: Option<f64>,
}

/// A feed under way.
#[derive(Debug)]
pub struct Feeding {
    acked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), String>>,
}

impl Feed {
    /// 50 clients of QoS 1 with one message under way each, which end when they are stopped.
    pub fn new(address: SocketAddr, topic: fn(u64) -> String) -> Feed {
        Feed {
            address,
            clients: 50,
            qos: 1,
            window: 1,
            topic,
            payload_bytes: 200,
            first: 0,
            total: u64::MAX / 2,
            rate: None,
        }
    }

    pub fn start(self) -> Feeding {
        let (acked, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ends) = (Arc::clone(&acked), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            self.run(&count, &ends).map_err(|error| format!("a client of the feed: {error}"))
        });
        Feeding { acked, stop, thread }
    }

    fn run(self, acked: &Arc<AtomicU64>, stop: &Arc<AtomicBool>) -> Result<(), Problem> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let set = LocalSet::new();
        set.block_on(&runtime, async {
            let clients: Vec<_> = (0..self.clients)
                .map(|client| {
                    let (acked, stop) = (Arc::clone(acked), Arc::clone(stop));
                    tokio::task::spawn_local(async move {
                        let sent = match self.rate {
                            None => self.as_acked(client, &acked, &stop).await,
                            Some(rate) => self.at_pace(client, rate, &acked, &stop).await,
                        };
                        sent.map_err(|error| error.to_string())
                    })
                })
                .collect();
            for client in clients {
                client.await??;
            }
            Ok(())
        })
    }

    async fn connect(&self, client: u64) -> Result<TcpStream, Problem> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let id = format!("feed-{}-{client}", self.first);
        stream.write_all(&mqtt::connect(&Connect { id: &id, ..Connect::default() })).await?;
        let mut answer = [0; ACK_BYTES];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await??;
        if answer != [0x20, 2, 0, 0] {
            return Err(format!("refused: {answer:?}").into());
        }
        Ok(stream)
    }

    /// Appends message `at` of this client; false when there is none.
    fn write(&self, client: u64, at: u64, out: &mut Vec<u8>) -> bool {
        let n = at * self.clients + client;
        if n >= self.total {
            return false;
        }
        let n = self.first + n;
        let id = (at % 65_535 + 1) as u16;
        mqtt::publish(out, &(self.topic)(n), &payload(n, self.payload_bytes), self.qos, id, false);
        true
    }

    /// Keeps the window full.
    async fn as_acked(
        &self,
        client: u64,
        acked: &AtomicU64,
        stop: &AtomicBool,
    ) -> Result<(), Problem> {
        let mut stream = self.connect(client).await?;
        let (mut sent, mut done, mut part) = (0, 0, 0);
        let (mut out, mut buffer) = (Vec::new(), [0; 1024]);
        loop {
            out.clear();
            while !stop.load(Ordering::Relaxed)
                && sent - done < self.window
                && self.write(client, sent, &mut out)
            {
                sent += 1;
            }
            if sent == done {
                return Ok(());
            }
            stream.write_all(&out).await?;
            part += match timeout(PATIENCE, stream.read(&mut buffer)).await? {
                Ok(0) => return Err("the connection was closed".into()),
                read => read?,
            };
            let acks = (part / ACK_BYTES) as u64;
            part %= ACK_BYTES;
            done += acks;
            acked.fetch_add(acks, Ordering::Relaxed);
        }
    }

    /// Sends at its share of the rate, whatever is acked; counts what is sent when nothing is acked.
    async fn at_pace(
        &self,
        client: u64,
        rate: f64,
        acked: &AtomicU64,
        stop: &AtomicBool,
    ) -> Result<(), Problem> {
        let mut stream = self.connect(client).await?;
        // One after the other, not all at once.
        let begin = Instant::now() + Duration::from_secs_f64(client as f64 / rate);
        let mut ticks = interval_at(begin, Duration::from_secs_f64(self.clients as f64 / rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut out, mut buffer) = (Vec::new(), [0; 1024]);
        let (mut sent, mut part) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            out.clear();
            self.write(client, sent, &mut out);
            sent += 1;
            stream.write_all(&out).await?;
            if self.qos == 0 {
                acked.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            match stream.try_read(&mut buffer) {
                Ok(0) => return Err("the connection was closed".into()),
                Ok(read) => {
                    part += read;
                    acked.fetch_add((part / ACK_BYTES) as u64, Ordering::Relaxed);
                    part %= ACK_BYTES;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Feeding {
    /// How many are acked so far; with QoS 0 how many are sent.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Sends no more, waits for the acks of what is under way, and says how many there were.
    pub fn stop(self) -> Result<u64, Problem> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until all are acked.
    pub fn join(self) -> Result<u64, Problem> {
        self.thread.join().expect("a feed does not panic")?;
        Ok(self.acked.load(Ordering::Relaxed))
    }
}

/// So many bytes of JSON with the number of the message.
fn payload(n: u64, bytes: usize) -> Vec<u8> {
    let head = format!("{{\"n\":\"{FENCE}{n:0DIGITS$}{FENCE}\",\"pad\":\"");
    let fill = bytes.saturating_sub(head.len() + 2);
    let mut payload = head.into_bytes();
    payload.resize(payload.len() + fill, b'x');
    payload.extend_from_slice(b"\"}");
    payload
}

/// The number of the message, wherever it stands among other bytes.
pub fn number_in(bytes: &[u8]) -> Option<u64> {
    let fence = FENCE as u8;
    let words = bytes.windows(DIGITS + 2);
    words
        .filter(|word| word[0] == fence && word[DIGITS + 1] == fence)
        .find_map(|word| std::str::from_utf8(&word[1..=DIGITS]).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_length_and_its_number() {
        let message = payload(123, 200);
        assert_eq!(message.len(), 200);
        let wrapped = [b"## seq 17 ".as_slice(), &message, b"##"].concat();
        assert_eq!(number_in(&wrapped), Some(123));
        assert_eq!(number_in(b"#00000x0123#"), None);
        let json: serde_json::Value = serde_json::from_slice(&message).expect("valid JSON");
        assert_eq!(json["n"], "#0000000123#");
    }

    #[test]
    fn every_message_belongs_to_one_client() {
        let topic = |n: u64| n.to_string();
        let feed = Feed { clients: 3, total: 7, ..Feed::new(([127, 0, 0, 1], 1).into(), topic) };
        let mut numbers = Vec::new();
        for client in 0..3 {
            let mut out = Vec::new();
            for at in (0..).take_while(|at| {
                out.clear();
                feed.write(client, *at, &mut out)
            }) {
                numbers.push(at * 3 + client);
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..7).collect::<Vec<u64>>());
    }
}
