//! Power cuts while several devices send and upstream comes and goes: after every cut the daemon starts, and what it
//! acked is upstream, once.

use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_tests::daemon::{Daemon, Local};
use tidegate_tests::fleet::{Fleet, Judge, Sent, counts, handlers, is_drained, no_ack};
use tidegate_tests::ports;
use tidegate_tests::power_cut::{Cut, Disk, Image, Log, Op, Replay, cuts, every_cut, header_cuts};
use tidegate_tests::programs::Placement;
use tidegate_tests::upstream::{Books, Mood, Upstream};

/// From the start on a disk until everything is upstream, on a busy machine; what is given up after the start is
/// announced after some seconds more.
const DRAIN_MAX: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// Daemons that run at the same time.
const LANES: usize = 4;
const DEVICES: usize = 8;
/// After so many that are wrong no more cuts are made.
const WRONG_MAX: usize = 20;

/// What happened until the plug was pulled.
struct Past {
    log: Log,
    sent: Vec<Sent>,
    /// What had come upstream.
    books: Books,
    /// How often the daemon ended by itself, because of calls that failed.
    ends: u32,
    /// More of `gateway.toml`.
    more: &'static str,
}

/// Runs the daemon under load, recorded, over a kill and a stop, and kills it. Upstream is away at first, then there,
/// away and there again.
fn record(messages: u64, window: usize, fault: Option<&str>) -> Past {
    let upstream = Upstream::start(Mood::Away);
    let (mut daemon, recorder) = Daemon::spawn_faulty(&handlers(), &upstream.config(), fault);
    let recorder = Arc::new(recorder);
    let marks = Arc::clone(&recorder);
    upstream.note_marks(move || marks.mark());
    if fault.is_none() {
        daemon.wait_until_ready(&handlers());
    }
    let (mut sent, mut ends) = (Vec::new(), 0);
    for (name, mood) in
        [("a", Mood::Away), ("b", Mood::Takes), ("c", Mood::Away), ("d", Mood::Takes)]
    {
        // Starts and stops are times to lose power, too.
        match name {
            "b" => daemon.process.kill(),
            "d" => assert!(daemon.process.terminate(PATIENCE).is_some_and(|end| end.success())),
            _ => {}
        }
        if !daemon.process.is_running() {
            recorder.heal();
            daemon.start_again_recorded(&recorder);
            daemon.wait_until_ready(&handlers());
        }
        let before = upstream.look(|books| books.records.len());
        upstream.set(mood);
        if mood == Mood::Takes {
            // It is back in the middle of what waits; the others go on sending meanwhile.
            assert!(upstream.wait_until(PATIENCE, |books| books.records.len() > before));
        }
        let broken = Mutex::new(Vec::new());
        let fleet = Fleet {
            address: daemon.address,
            devices: DEVICES,
            window,
            messages: messages / 4,
            payload_bytes: 60,
            mark: &|| recorder.mark(),
            on_ack: &no_ack,
            stop: &AtomicBool::new(false),
            broken: &broken,
            name,
        };
        let before = ends;
        sent.extend(thread::scope(|scope| {
            let load = scope.spawn(|| fleet.run());
            while !load.is_finished() {
                // As whoever looks after it does.
                if !daemon.process.is_running() {
                    ends += 1;
                    recorder.heal();
                    daemon.start_again_recorded(&recorder);
                }
                thread::sleep(LOOK_EVERY);
            }
            load.join().expect("no device panics")
        }));
        let broken = broken.into_inner().expect("no device panicked");
        assert!(broken.is_empty() || ends > before || fault.is_some() && name == "a", "{broken:?}");
    }
    daemon.process.kill();
    // What is still on its way to it came too late.
    upstream.set(Mood::Away);
    let books = upstream.books();
    assert_eq!(books.wrong, [""; 0]);
    Past { log: recorder.log(), sent, books, ends, more: "" }
}

/// The smallest quota: seven segments.
const SMALL: &str = "\n[store]\nquota_mb = 32\n";

/// Runs the daemon until its journal has been full for some time: segments are used again, and records given up.
fn record_full() -> Past {
    let upstream = Upstream::start(Mood::Away);
    let more = upstream.config() + SMALL;
    let (mut daemon, recorder) = Daemon::spawn_recorded(&handlers(), &more);
    daemon.wait_until_ready(&handlers());
    let broken = Mutex::new(Vec::new());
    let fleet = Fleet {
        address: daemon.address,
        devices: DEVICES,
        window: 4,
        messages: 1000,
        payload_bytes: 7000,
        mark: &|| recorder.mark(),
        on_ack: &no_ack,
        stop: &AtomicBool::new(false),
        broken: &broken,
        name: "full",
    };
    let sent = fleet.run();
    daemon.process.kill();
    assert_eq!(broken.into_inner().expect("no device panicked"), [""; 0]);
    Past { log: recorder.log(), sent, books: Books::default(), ends: 0, more: SMALL }
}

/// What the cuts have shown.
#[derive(Debug, Default)]
struct Shown {
    cuts: usize,
    /// Records that came again after the cut.
    duplicates: u64,
    /// Cuts after which something was announced as lost.
    with_losses: usize,
    first_losses: Option<String>,
    slowest: Duration,
    wrong: Vec<(Cut, Vec<String>)>,
}

/// A daemon that is started on one disk after the other.
struct Lane {
    daemon: Daemon,
    upstream: Upstream,
}

impl Lane {
    fn new(more: &str) -> Lane {
        let upstream = Upstream::start(Mood::Takes);
        let local = Local::Listen(ports::free());
        let more = upstream.config() + more;
        let mut daemon = Daemon::spawn_with(&local, &handlers(), &Placement::default(), &more);
        daemon.process.kill();
        Lane { daemon, upstream }
    }

    /// What is wrong after a cut; and the books, which begin with what had come before.
    fn after(&mut self, past: &Past, cut: &Cut, image: &Image) -> (Vec<String>, Books) {
        let upto = |mark: u64| past.log.holds(mark, cut.at);
        let data = self.daemon.data();
        fs::remove_dir_all(&data).expect("it is ours");
        fs::create_dir(&data).expect("it is ours");
        image.write_to(&data);
        self.upstream.begin(Mood::Takes);
        self.daemon.start_again();
        self.daemon.wait_until_ready(&handlers());
        let end = Instant::now() + DRAIN_MAX;
        let found = loop {
            let is_done = is_drained(&data).unwrap_or(false);
            let mut books = Books::default();
            books.take_all(&past.books, |arrival| upto(arrival.mark));
            if is_done || Instant::now() > end {
                let after = self.upstream.books();
                books.take_all(&after, |_| true);
                books.wrong.extend(after.wrong);
                let wrong = self.judge(past, &books, &upto);
                // What it has to announce may be on its way to the disk.
                if wrong.is_empty() || Instant::now() > end {
                    break (wrong, books);
                }
            }
            thread::sleep(LOOK_EVERY);
        };
        self.daemon.process.kill();
        found
    }

    fn judge(&self, past: &Past, books: &Books, upto: &dyn Fn(u64) -> bool) -> Vec<String> {
        match counts(self.daemon.address, DEVICES) {
            Ok(counts) => Judge { sent: &past.sent, books, counts: &counts, upto }.judge(),
            Err(error) => vec![format!("it does not count: {error}")],
        }
    }
}

/// Starts a daemon on the disk after each of the cuts.
fn show(past: &Past, cuts: impl Iterator<Item = Cut>) -> Shown {
    let (put, take) = sync_channel::<(Cut, Image)>(LANES);
    let (take, shown) = (Mutex::new(take), Mutex::new(Shown::default()));
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| run_lane(past, &take, &shown));
        }
        let mut replay = Replay::new(&past.log, Disk::new());
        for cut in cuts {
            // Enough has been seen, and each wrong one takes long.
            if shown.lock().expect("no lane panicked").wrong.len() >= WRONG_MAX {
                break;
            }
            let image = replay.image(&cut);
            put.send((cut, image)).expect("a lane takes it");
        }
        drop(put);
    });
    shown.into_inner().expect("no lane panicked")
}

fn run_lane(past: &Past, take: &Mutex<Receiver<(Cut, Image)>>, shown: &Mutex<Shown>) {
    let mut lane = Lane::new(past.more);
    loop {
        let next = take.lock().expect("no lane panicked").recv();
        let Ok((cut, image)) = next else { return };
        let begun = Instant::now();
        let (wrong, books) = lane.after(past, &cut, &image);
        let mut shown = shown.lock().expect("no lane panicked");
        shown.cuts += 1;
        shown.duplicates += books.duplicates;
        shown.with_losses += usize::from(!books.losses.is_empty());
        shown.slowest = shown.slowest.max(begun.elapsed());
        if shown.first_losses.is_none() && !books.losses.is_empty() {
            let text = format!("{cut:?}: {:?}\n{}", books.losses, lane.daemon.process.text());
            eprintln!("with losses: {text}");
            shown.first_losses = Some(text);
        }
        if !wrong.is_empty() {
            eprintln!("{cut:?}: {wrong:#?}\n{}", lane.daemon.process.text());
            shown.wrong.push((cut, wrong));
        }
        if shown.cuts.is_multiple_of(1000) {
            eprintln!("{} cuts, {} of them wrong", shown.cuts, shown.wrong.len());
        }
    }
}

fn check(past: &Past, cuts: impl Iterator<Item = Cut>) {
    let cuts_with_losses = checked(past, cuts);
    // Nothing was given up, and a power cut is no damage.
    assert!(cuts_with_losses == 0, "{cuts_with_losses} cuts were taken for damage, see above");
}

/// Returns how many of the cuts had losses.
fn checked(past: &Past, cuts: impl Iterator<Item = Cut>) -> usize {
    let begun = Instant::now();
    let shown = show(past, cuts);
    let is_sync = |op: &Op| matches!(op, Op::SyncDone { .. });
    println!(
        "{} cuts of a recording of {} operations ({} syncs, {} acks, {} records upstream before): {} duplicates, \
         {} with losses, {} wrong; {:.1} s, the slowest {:.1} s",
        shown.cuts,
        past.log.records().len(),
        past.log.records().iter().filter(|record| is_sync(&record.op)).count(),
        past.sent.iter().filter(|sent| sent.acked.is_some()).count(),
        past.books.records.len(),
        shown.duplicates,
        shown.with_losses,
        shown.wrong.len(),
        begun.elapsed().as_secs_f32(),
        shown.slowest.as_secs_f32(),
    );
    let first = shown.wrong.first();
    assert!(first.is_none(), "{} cuts lost or doubled something: {first:#?}", shown.wrong.len());
    shown.with_losses
}

/// Calls that fail in the daemon's first life.
const FAULTS: [&str; 8] = [
    "sync:3:5",
    "sync:6-9:5",
    "sync:12:5",
    "sync:20-21:5",
    "write:3:28",
    "write:80-84:28",
    "write:100:28",
    "write:110-112:5",
];

/// While calls fail nothing is acked that is not durable: what a failed sync was for is gone, whatever the page cache
/// says. Afterwards everything goes on.
#[test]
fn calls_that_fail_cost_nothing_that_was_acked() {
    let mut failed = 0;
    for fault in FAULTS {
        let past = record(60, 4, Some(fault));
        let is_bad = |op: &Op| matches!(op, Op::SyncDone { is_good: false, .. });
        failed += past.log.records().iter().filter(|record| is_bad(&record.op)).count();
        println!("{fault}:");
        assert_eq!(past.ends, 0, "{fault}: it ended by itself");
        check(&past, cuts(&past.log, 24, 7));
    }
    assert!(failed > 4, "{failed} syncs failed");
}

/// How many cuts: `POWER_CUTS`, or so many.
fn cuts_wanted() -> usize {
    let text = std::env::var("POWER_CUTS").unwrap_or_else(|_| "500".to_owned());
    text.parse().expect("POWER_CUTS is a number")
}

#[test]
fn what_was_acked_is_upstream_after_every_cut() {
    let past = record(120, 4, None);
    let records = past.books.records.len();
    assert!(records > 100, "{records} records came upstream before");
    let wanted = cuts_wanted();
    check(&past, cuts(&past.log, wanted, 3));
}

/// Cuts of a full journal: `POWER_CUTS_FULL`, or so many.
fn full_cuts_wanted() -> usize {
    let text = std::env::var("POWER_CUTS_FULL").unwrap_or_else(|_| "40".to_owned());
    text.parse().expect("POWER_CUTS_FULL is a number")
}

/// What is given up to make room is announced, record by record, wherever the power goes; and nothing else is lost.
#[test]
fn what_a_full_journal_gives_up_is_counted_after_every_cut() {
    let past = record_full();
    let half = past.log.records().len() / 2;
    let late = cuts(&past.log, 2 * full_cuts_wanted(), 13).filter(|cut| cut.at > half);
    let with_losses = checked(&past, late);
    assert!(with_losses > full_cuts_wanted() / 4, "{with_losses} cuts had losses");
}

/// Until a segment has its header, a disk can look like one that has lost everything.
#[test]
fn a_segment_that_was_not_begun_is_no_damage() {
    let past = record(20, 4, None);
    let chosen: Vec<Cut> = header_cuts(&past.log, 40, 11).collect();
    assert!(chosen.len() >= 200, "{} cuts around a header", chosen.len());
    check(&past, chosen.into_iter());
}

/// Messages of a device for at least 2,000 operations.
const EVERY: u64 = 1000;

/// Takes many minutes: by command, with `POWER_CUTS_EVERY=1`.
#[test]
fn every_operation_is_a_good_one_to_lose_power() {
    if std::env::var_os("POWER_CUTS_EVERY").is_none() {
        println!("left out: POWER_CUTS_EVERY=1 runs it");
        return;
    }
    let past = record(EVERY, 1, None);
    let operations = past.log.records().len();
    assert!(operations >= 2000, "{operations} operations were recorded");
    check(&past, every_cut(&past.log, 5));
}
