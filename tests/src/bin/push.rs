//! `push`: how long a push takes on a local gateway, what it writes, and what a swap costs those whose messages come
//! meanwhile. JSON lines; every figure with how it was obtained.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::handlers::{self, Handler};
use tidegate_tests::mqtt::{self, Client};
use tidegate_tests::ports;
use tidegate_tests::procfs;
use tidegate_tests::programs::Placement;
use tidegate_tests::pusher::{Fleet, Pusher, gateway};
use tidegate_tests::scratch::Scratch;

const HELP: &str = "\
Usage: push [--rounds N] [--seconds S] [--rate R]

Pushes modules of 3 KB and 200 KB into tidegated, N times each, and swaps versions under R messages a second.
";
const GATEWAY: &str = "gw-01";

struct Asked {
    rounds: usize,
    seconds: u64,
    rate: u64,
}

fn main() -> ExitCode {
    let mut asked = Asked { rounds: 20, seconds: 12, rate: 2_000 };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = args.next().and_then(|text| text.parse::<u64>().ok());
        match (&arg[..], number) {
            ("--rounds", Some(rounds)) => asked.rounds = rounds.max(1) as usize,
            ("--seconds", Some(seconds)) => asked.seconds = seconds.max(4),
            ("--rate", Some(rate)) => asked.rate = rate.max(1),
            _ => {
                eprint!("{HELP}");
                return ExitCode::from(64);
            }
        }
    }
    let mut bench = Bench::start();
    bench.push("warm-up", 3_000);
    for bytes in [3_000, 200_000] {
        bench.measure(bytes, asked.rounds);
    }
    bench.swap(&asked);
    ExitCode::SUCCESS
}

struct Bench {
    daemon: Daemon,
    fleet: Fleet,
    pusher: Pusher,
    seq: u64,
    _trust: Scratch,
}

/// An echo whose module has about so many bytes, and no two alike.
fn echo(bytes: usize, seq: u64) -> Handler {
    let mut handler = handlers::echo("p", "in", "out", 0);
    let len = bytes.saturating_sub(handler.module.len()).max(16);
    let mut noise = seq | 1;
    let section = (0..len).map(|_| {
        noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (noise >> 56) as u8
    });
    handler.module = handlers::with_section(&handler.module, "p", section);
    handler
}

impl Bench {
    fn start() -> Bench {
        let fleet = Fleet::new(1);
        let trust = Scratch::new("trust");
        trust.write("trust", fleet.trust());
        let more = format!("\n[trust]\nfile = {:?}\n", trust.path().join("trust"));
        let address = ports::free();
        let daemon = Daemon::spawn_with(&Local::Listen(address), &[], &Placement::default(), &more);
        daemon.wait_until_ready(&[]);
        let pusher = Pusher::connect(address, GATEWAY);
        Bench { daemon, fleet, pusher, seq: 0, _trust: trust }
    }

    /// Time from the last byte's way to the switch, and bytes handed to the disk.
    fn push(&mut self, version: &str, bytes: usize) -> (Duration, u64) {
        self.seq += 1;
        let handler = echo(bytes, self.seq);
        let order = self.fleet.order(&handler, version, self.seq, gateway(GATEWAY));
        let envelope = self.fleet.sign(&order);
        let before = self.written();
        self.pusher.push(&order, &envelope, &[&handler.module]);
        let begun = Instant::now();
        self.pusher.wait_for(version, "probation");
        let took = begun.elapsed();
        // Probation is over, and what is written behind it, too.
        self.pusher.wait_for(version, "active");
        thread::sleep(Duration::from_millis(50));
        (took, self.written() - before)
    }

    fn written(&self) -> u64 {
        procfs::written(self.daemon.process.pid()).expect("the daemon runs").call_bytes
    }

    fn measure(&mut self, bytes: usize, rounds: usize) {
        let mut took = Vec::new();
        let mut written = Vec::new();
        for round in 0..rounds {
            let (time, bytes) = self.push(&format!("{bytes}-{round}"), bytes);
            took.push(time.as_secs_f64() * 1000.0);
            written.push(bytes as f64);
        }
        let (took, written) = (Spread::of(took), Spread::of(written));
        println!(
            "{{\"what\":\"push\",\"module_bytes\":{bytes},\"rounds\":{rounds},\"ms_to_switched\":{{\"min\":{:.1},\"median\":{:.1},\"max\":{:.1}}},\
             \"written_bytes_per_module_byte\":{:.2},\"how\":\"front door, from the last publish to the signed answer `probation`, syncs of this disk \
             included; bytes given to write() and its like\"}}",
            took.min,
            took.median,
            took.max,
            written.median / bytes as f64
        );
    }

    /// Swaps every two seconds under load, and compares the second around a swap with the others.
    fn swap(&mut self, asked: &Asked) {
        let address = self.daemon.address;
        let (rate, seconds) = (asked.rate, asked.seconds);
        let begun = Instant::now();
        let receiver = thread::spawn(move || receive(address, begun, rate * seconds));
        // It must have subscribed.
        thread::sleep(Duration::from_millis(200));
        let sender = thread::spawn(move || send(address, begun, rate, rate * seconds));
        let mut swaps = Vec::new();
        let mut number = 0;
        while begun.elapsed() + Duration::from_secs(3) < Duration::from_secs(seconds) {
            thread::sleep(Duration::from_secs(2));
            number += 1;
            self.push(&format!("swap-{number}"), 3_000);
            swaps.push(begun.elapsed());
        }
        sender.join().expect("the sender ends");
        let seen = receiver.join().expect("the receiver ends");
        report(&seen, &swaps, rate, rate * seconds);
    }
}

/// What came back: number, when (since the beginning), and after how long.
type Seen = Vec<(u64, Duration, Duration)>;

fn send(address: SocketAddr, begun: Instant, rate: u64, count: u64) {
    let mut client = Client::connect(address, "sender").expect("a broker");
    let first = begun.elapsed();
    for number in 0..count {
        let due = first + Duration::from_nanos(number * 1_000_000_000 / rate);
        if let Some(wait) = due.checked_sub(begun.elapsed()) {
            thread::sleep(wait);
        }
        let now = begun.elapsed().as_nanos() as u64;
        let payload = [number.to_le_bytes(), now.to_le_bytes()].concat();
        let mut bytes = Vec::new();
        mqtt::publish(&mut bytes, "in", &payload, 0, 0, false);
        client.send(&bytes).expect("a connection");
    }
}

fn receive(address: SocketAddr, begun: Instant, count: u64) -> Seen {
    let mut client = Client::connect(address, "receiver").expect("a broker");
    client.subscribe("out", 0).expect("a subscription");
    let mut seen = Seen::new();
    while (seen.len() as u64) < count
        && let Ok(Some(message)) = client.message(Duration::from_secs(2))
    {
        let now = begun.elapsed();
        let word = |at: usize| {
            let bytes = message.payload.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.expect("our own payload"))
        };
        seen.push((word(0), now, now.saturating_sub(Duration::from_nanos(word(8)))));
    }
    seen
}

fn report(seen: &Seen, swaps: &[Duration], rate: u64, sent: u64) {
    let out_of_order = seen.windows(2).filter(|pair| pair[1].0 <= pair[0].0).count();
    let mut numbers: Vec<u64> = seen.iter().map(|(number, ..)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let doubled = seen.len() - numbers.len();
    let lost = sent - numbers.len() as u64;
    let half = Duration::from_millis(500);
    let is_near = |at: &Duration| swaps.iter().any(|swap| at.abs_diff(*swap) < half);
    let p99 = |near: bool| {
        let times = seen.iter().filter(|(_, at, _)| is_near(at) == near);
        let mut times: Vec<u128> = times.map(|(.., took)| took.as_micros()).collect();
        times.sort_unstable();
        times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(0)
    };
    let (around, else_) = (p99(true), p99(false));
    println!(
        "{{\"what\":\"swap\",\"rate_per_s\":{rate},\"messages\":{sent},\"swaps\":{},\"lost\":{lost},\"doubled\":{doubled},\"out_of_order\":{out_of_order},\
         \"p99_us_around\":{around},\"p99_us_else\":{else_},\"ratio\":{:.2},\"how\":\"device to front door to handler to device, QoS 0; the second around each \
         swap against all others of the same run\"}}",
        swaps.len(),
        around as f64 / else_.max(1) as f64
    );
}

struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values[(values.len() - 1) * part / 2];
        Spread { min: at(0), median: at(1), max: at(2) }
    }
}
