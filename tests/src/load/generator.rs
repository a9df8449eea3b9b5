//! Sends at a fixed rate, whatever comes back; counts and times what does.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::percentile;
use super::telemetry::{SEQ_FIRST, Telemetry, seq_of};
use crate::mqtt::Client;

/// Messages written between two looks at the clock, at most.
const BURST_MAX: u64 = 512;

/// Where to send, and where the answer comes.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// `devices/+/cmd`, or `devices/+/telemetry` to measure a broker alone.
    pub answers: &'static str,
}

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub rate: f64,
    pub seconds: f64,
    /// Sent first at the same rate and not counted in the latency.
    pub warm_seconds: f64,
    pub devices: usize,
    pub connections: usize,
}

impl Default for Load {
    fn default() -> Self {
        Load { rate: 1000.0, seconds: 5.0, warm_seconds: 1.0, devices: 100, connections: 8 }
    }
}

/// What came of it. Times in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    pub rate: f64,
    pub sent: u64,
    pub answered: u64,
    pub lost: u64,
    pub duplicates: u64,
    /// Answers that came after the answer to a later message of the same device.
    pub reordered: u64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    /// How late the generator itself sent: when this is not small, the machine was too busy.
    pub late_p99_us: f64,
    /// From the last send to the last answer.
    pub drain_ms: f64,
}

/// What the receiver hands back at the end.
struct Arrivals {
    /// For each message, nanoseconds since the start; 0 is "never".
    at_ns: Vec<u64>,
    duplicates: u64,
    reordered: u64,
}

/// Runs one load. `mark` is called when the warm-up ends and when the last answer is in, so that
/// the caller can read CPU counters between the two.
///
/// # Errors
/// When a connection fails.
pub fn run(target: &Target, load: &Load, mut mark: impl FnMut()) -> io::Result<Measured> {
    let total = (load.rate * (load.seconds + load.warm_seconds)) as u64;
    let warm = (load.rate * load.warm_seconds) as u64;
    // A run's numbers follow the last run's: an answer that comes too late is not taken for ours.
    static NEXT: AtomicU64 = AtomicU64::new(SEQ_FIRST);
    let first = NEXT.fetch_add(total, Ordering::Relaxed);

    let mut sockets = (0..load.connections)
        .map(|n| open_sender(target.address, &format!("load-{first}-{n}")))
        .collect::<io::Result<Vec<TcpStream>>>()?;
    let mut receiver = Client::connect(target.address, &format!("load-{first}-rx"))?;
    receiver.subscribe(target.answers, 0)?;
    receiver.set_wait(Duration::from_millis(50))?;

    let start = Instant::now() + Duration::from_millis(20);
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let receiver = spawn_receiver(
        receiver,
        start,
        first,
        total,
        load.devices as u64,
        Arc::clone(&count),
        Arc::clone(&stop),
    );

    let mut devices: Vec<Telemetry> =
        (0..load.devices).map(|n| Telemetry::new(&format!("d{n:03}"))).collect();
    let mut buffers = vec![Vec::with_capacity(1 << 16); sockets.len()];
    let mut late = Vec::with_capacity(total as usize);
    let due = |n: u64| Duration::from_nanos((n as f64 * 1e9 / load.rate) as u64);
    let mut sent = 0;
    if warm == 0 {
        mark();
    }
    while sent < total {
        sleep_until(start + due(sent));
        let now = start.elapsed();
        let from = sent;
        while sent < total && sent - from < BURST_MAX && due(sent) <= now {
            let device = (sent % load.devices as u64) as usize;
            devices[device].write(first + sent, &mut buffers[device % sockets.len()]);
            late.push((now - due(sent)).as_nanos() as u64);
            sent += 1;
        }
        for (socket, buffer) in sockets.iter_mut().zip(&mut buffers) {
            if !buffer.is_empty() {
                socket.write_all(buffer)?;
                buffer.clear();
            }
        }
        if from < warm && sent >= warm {
            mark();
        }
    }
    let sent_at = start.elapsed();
    wait_for_answers(&count, total);
    mark();
    stop.store(true, Ordering::Relaxed);
    let arrivals = receiver.join().expect("the receiver does not panic");
    for socket in &sockets {
        // The other side may have closed first.
        socket.shutdown(Shutdown::Both).ok();
    }
    late.sort_unstable();
    let late_p99_us = percentile(&late, 0.99) / 1e3;
    let mut measured = summary(&arrivals, warm, |n| due(n).as_nanos() as u64);
    let last = arrivals.at_ns.iter().max().copied().unwrap_or(0);
    measured.drain_ms = last.saturating_sub(sent_at.as_nanos() as u64) as f64 / 1e6;
    Ok(Measured { rate: load.rate, sent: total, late_p99_us, ..measured })
}

fn open_sender(address: SocketAddr, id: &str) -> io::Result<TcpStream> {
    let stream = Client::connect(address, id)?.stream()?;
    // Overload may hold it up for long: that shows in the latency.
    stream.set_write_timeout(None)?;
    Ok(stream)
}

fn sleep_until(instant: Instant) {
    let left = instant.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}

fn spawn_receiver(
    mut client: Client,
    start: Instant,
    first: u64,
    total: u64,
    devices: u64,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Arrivals> {
    thread::spawn(move || {
        let mut arrivals = Arrivals { at_ns: vec![0; total as usize], duplicates: 0, reordered: 0 };
        let mut latest = vec![0; devices as usize];
        while !stop.load(Ordering::Relaxed) {
            let mut answers = 0;
            let mut now = 0;
            let read = client.read_messages(|_topic, payload| {
                let Some(n) = seq_of(payload).and_then(|seq| seq.checked_sub(first)) else {
                    return;
                };
                let Some(place) = arrivals.at_ns.get_mut(n as usize) else {
                    return;
                };
                if now == 0 {
                    now = start.elapsed().as_nanos() as u64;
                }
                if *place != 0 {
                    arrivals.duplicates += 1;
                    return;
                }
                *place = now;
                answers += 1;
                let latest: &mut u64 = &mut latest[(n % devices) as usize];
                arrivals.reordered += u64::from(n < *latest);
                *latest = n.max(*latest);
            });
            count.fetch_add(answers, Ordering::Relaxed);
            if read.is_err() {
                break;
            }
        }
        arrivals
    })
}

/// Waits until every message is answered, or nothing has come for two seconds.
fn wait_for_answers(count: &AtomicU64, total: u64) {
    let mut last = (count.load(Ordering::Relaxed), Instant::now());
    while last.0 < total && last.1.elapsed() < Duration::from_secs(2) {
        thread::sleep(Duration::from_millis(2));
        let now = count.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
}

fn summary(arrivals: &Arrivals, warm: u64, due_ns: impl Fn(u64) -> u64) -> Measured {
    let answered = arrivals.at_ns.iter().filter(|at| **at != 0).count() as u64;
    let mut waits: Vec<u64> = (warm..)
        .zip(arrivals.at_ns.iter().skip(warm as usize))
        .filter(|(_, at)| **at != 0)
        .map(|(n, at)| at.saturating_sub(due_ns(n)))
        .collect();
    waits.sort_unstable();
    let us = |part| percentile(&waits, part) / 1e3;
    Measured {
        answered,
        lost: arrivals.at_ns.len() as u64 - answered,
        duplicates: arrivals.duplicates,
        reordered: arrivals.reordered,
        p50_us: us(0.5),
        p90_us: us(0.9),
        p99_us: us(0.99),
        p999_us: us(0.999),
        max_us: us(1.0),
        ..Measured::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_ones_are_counted_and_latency_runs_from_the_intended_time() {
        let arrivals =
            Arrivals { at_ns: vec![9_000, 0, 25_000, 37_000], duplicates: 0, reordered: 0 };
        let measured = summary(&arrivals, 1, |n| n * 10_000);
        assert_eq!((measured.answered, measured.lost), (3, 1));
        assert_eq!((measured.p50_us, measured.max_us), (5.0, 7.0));
    }
}
