//! Mutates the files of valid journals and looks at what `open` makes of them. Seeded, and blind: it does not know which
//! code it reaches, so it is as good as its mutations.
//!
//!     cargo run --profile quick -p tidegate-journal --example fuzz_recovery -- --seconds 60 --seed 1
//!     cargo run --profile quick -p tidegate-journal --example fuzz_recovery -- --only SEED
//!
//! After every mutation: no panic, no start longer than [`START_MAX`]; no frame that was not appended, none twice;
//! what is appended next gets a seq of its own and is there after another start, beside all that was there after the
//! first. As long as no header was replaced by another valid one, every frame whose bytes and header are unchanged is
//! kept, but for what may be a torn tail; see [`History::must_keep`].
//!
//! Exit status: 0 nothing was wrong; 1 something was, and its seed is printed; 64 the command line is wrong.

#[path = "fuzz_recovery/history.rs"]
mod history;
#[path = "fuzz_recovery/mutation.rs"]
mod mutation;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use history::{Files, History, files, payload, read};
use mutation::{Mutation, mutate};
use tidegate_journal::{Journal, ModelDisk};

/// A start on files of some hundred KiB.
const START_MAX: Duration = Duration::from_secs(5);
/// Whoever takes longer than this is stuck.
const STUCK_S: u64 = 30;

/// What was done, so that a run that tests nothing is seen.
#[derive(Debug, Default)]
struct Tally {
    cases: u64,
    mutations: BTreeMap<Mutation, u64>,
    frames: u64,
    /// Frames that had to be kept, and those that were kept beside them.
    due: u64,
    more: u64,
    gaps: u64,
    headers_restored: u64,
    files_lost: u64,
    slowest: Duration,
}

fn check(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut random = ModelDisk::new(seed ^ 0xf022);
    let (mut disk, history) = History::make(seed, &mut random);
    let before = files(&mut disk);
    let (mut is_honest, mut done) = (true, Vec::new());
    for _ in 0..1 + random.below(4) {
        let (kind, is_header_kept) = mutate(&mut disk, &history.snapshots, &mut random);
        *tally.mutations.entry(kind).or_default() += 1;
        is_honest &= is_header_kept;
        done.push(kind);
    }
    let after = files(&mut disk);
    let begun = Instant::now();
    let mut journal = Journal::open(disk, history.settings.clone(), 99)
        .map_err(|error| format!("it does not open: {error}"))?;
    let found = read(&mut journal)?;
    tally.slowest = tally.slowest.max(begun.elapsed());
    if begun.elapsed() > START_MAX {
        return Err(format!("a start took {:?}", begun.elapsed()));
    }
    let recovery = journal.recovery().clone();
    let there = history.known(&found)?;
    let due = if is_honest { history.must_keep(&before, &after) } else { Vec::new() };
    if let Some(id) = due.iter().find(|id| !there.contains_key(id)) {
        let seq = history.live[id];
        return Err(format!(
            "frame {id} (seq {seq}) is unchanged and gone after {done:?}: {recovery:?}"
        ));
    }
    tally.cases += 1;
    tally.frames += history.live.len() as u64;
    tally.due += due.len() as u64;
    let is_old = |id: &&u64| history.live.contains_key(id);
    tally.more += (there.keys().filter(is_old).count() - due.len()) as u64;
    tally.gaps += recovery.gaps_total;
    tally.headers_restored += recovery.headers_restored;
    tally.files_lost += recovery.files_lost;
    go_on(journal, &history, &found)
        .map_err(|wrong| format!("{wrong}\nafter {done:?} and {recovery:?}"))
}

/// What comes after such a start: a frame more, and a start that finds the same and that one.
fn go_on(
    mut journal: Journal<ModelDisk>,
    history: &History,
    found: &Files<(u64, u8)>,
) -> Result<(), String> {
    let id = history.next_id;
    let mut rounds = 0;
    let seq = loop {
        match journal.append(1 + (id % 5) as u8, &payload(id, history.seed)) {
            Ok(seq) => break seq,
            // Damage may have filled it with what nobody may forget.
            Err(_) if rounds < 32 => {
                rounds += 1;
                let last = journal.last_seq();
                journal.forget(last);
                journal.commit().map_err(|error| format!("a good disk refuses: {error}"))?;
            }
            Err(error) => return Err(format!("it takes nothing any more: {error}")),
        }
    };
    if let Some((other, _)) = found.values().find(|(other, _)| *other >= seq) {
        return Err(format!("seq {seq} is given, and {other} is there"));
    }
    journal.commit().map_err(|error| format!("a good disk refuses: {error}"))?;
    let forgotten = journal.forgotten_seq();
    let mut disk = journal.into_disk();
    disk.cut();
    let mut journal = Journal::open(disk, history.settings.clone(), 98)
        .map_err(|error| format!("it does not open again: {error}"))?;
    let mut again = read(&mut journal)?;
    if again.remove(&payload(id, history.seed)).map(|(seq, _)| seq) != Some(seq) {
        return Err(format!("what was committed as {seq} is gone: {:?}", journal.recovery()));
    }
    let is_kept = |(payload, place): (&Vec<u8>, &(u64, u8))| {
        place.0 <= forgotten || again.get(payload) == Some(place)
    };
    match found.iter().find(|entry| !is_kept(*entry)) {
        None => Ok(()),
        Some((_, (seq, _))) => Err(format!(
            "seq {seq} was there, and is not after the next start: {:?}",
            journal.recovery()
        )),
    }
}

struct Args {
    seconds: u64,
    seed: u64,
    is_only: bool,
}

fn args() -> Result<Args, String> {
    let mut args = Args { seconds: 60, seed: 1, is_only: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next().and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| format!("{word} needs a number"))?;
        match word.as_str() {
            "--seconds" => args.seconds = number,
            "--seed" => args.seed = number,
            "--only" => (args.seed, args.is_only) = (number, true),
            _ => return Err(format!("{word}: there are --seconds, --seed and --only")),
        }
    }
    Ok(args)
}

/// Ends the program when one case does not end.
fn watch(now: &'static AtomicU64) {
    std::thread::spawn(move || {
        let mut last = now.load(Ordering::Relaxed);
        loop {
            std::thread::sleep(Duration::from_secs(STUCK_S));
            let seed = now.load(Ordering::Relaxed);
            if seed == last {
                println!("seed {seed} does not end. Again: --only {seed}");
                std::process::exit(1);
            }
            last = seed;
        }
    });
}

static NOW: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("fuzz_recovery: {problem}");
            return ExitCode::from(64);
        }
    };
    watch(&NOW);
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut seed = args.seed;
    loop {
        NOW.store(seed, Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(|| check(seed, &mut tally)));
        let result = result.unwrap_or_else(|_| Err("a panic, above".to_owned()));
        if let Err(wrong) = result {
            println!("seed {seed}: {wrong}\nAgain: --only {seed}");
            return ExitCode::FAILURE;
        }
        seed += 1;
        if args.is_only || begun.elapsed() > Duration::from_secs(args.seconds) {
            break;
        }
    }
    println!("{tally:?}");
    println!("{} seeds from {} on, nothing wrong", tally.cases, args.seed);
    ExitCode::SUCCESS
}
