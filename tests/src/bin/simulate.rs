//! Runs the simulation for many virtual hours, on every core, and says what it has seen.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tidegate_tests::simulation::{Folders, Stats, Violation, every_cut, run, run_pushing};

const HELP: &str = "\
simulate: the gateway under simulated devices, disks, links, power cuts and time

Usage:
  cargo run --release -p tidegate-tests --bin simulate -- --hours N [--seed S] [--steps K]
  cargo run --release -p tidegate-tests --bin simulate -- --only SEED [--steps K]

Options:
  --hours N     seeds are run until so many virtual hours have passed (default 1000)
  --seed S      the first seed (default 1)
  --steps K     random steps of one seed (default 3000)
  --only SEED   one seed, as it was
  --pushing     somebody pushes meanwhile: good releases, bad ones, old ones and forged ones
  --pushes      instead: the scripted pushes, with a cut at every single operation

Exit status: 0 every promise held; 1 one did not, and its seed is printed; 64 the command line is wrong.
";
const HOUR_MS: u64 = 3_600_000;

/// What the command line asks for.
struct Args {
    hours: u64,
    seed: u64,
    steps: u64,
    only: bool,
    pushes: bool,
    pushing: bool,
}

fn parse() -> Result<Option<Args>, String> {
    let mut args =
        Args { hours: 1000, seed: 1, steps: 3000, only: false, pushes: false, pushing: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--pushes" {
            args.pushes = true;
            continue;
        }
        if word == "--pushing" {
            args.pushing = true;
            continue;
        }
        if word == "--help" || word == "-h" {
            return Ok(None);
        }
        let text = words.next().ok_or_else(|| format!("{word} needs a number"))?;
        let number = text.parse().map_err(|_| format!("{word} {text}: not a number"))?;
        match word.as_str() {
            "--hours" => args.hours = number,
            "--seed" => args.seed = number,
            "--steps" => args.steps = number,
            "--only" => (args.seed, args.only) = (number, true),
            _ => return Err(format!("`{word}` is not an option here")),
        }
    }
    Ok(Some(args))
}

fn main() -> ExitCode {
    let args = match parse() {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("simulate: {problem}\nTry --help.");
            return ExitCode::from(64);
        }
    };
    let folders = Folders::write();
    let start = Instant::now();
    if args.pushes {
        return match every_cut(&folders) {
            Ok(tried) => {
                println!("{tried:?}, in {:.1} s", start.elapsed().as_secs_f64());
                ExitCode::SUCCESS
            }
            Err(violation) => {
                println!("{violation}");
                ExitCode::FAILURE
            }
        };
    }
    let run = if args.pushing { run_pushing } else { run };
    let next = AtomicU64::new(args.seed);
    let done = Mutex::new((Stats::default(), 0_u64, None::<Violation>));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if args.only && seed != args.seed {
                        return;
                    }
                    let result = run(&folders, seed, args.steps);
                    let mut done = done.lock().expect("nobody panics with it");
                    let (all, seeds, violation) = &mut *done;
                    match result {
                        Ok(stats) => {
                            all.add(&stats);
                            *seeds += 1;
                        }
                        Err(found) => *violation = violation.take().or(Some(found)),
                    }
                    if violation.is_some() || all.virtual_ms >= args.hours * HOUR_MS {
                        return;
                    }
                }
            });
        }
    });
    let (all, seeds, violation) = done.into_inner().expect("nobody panics with it");
    let hours = all.virtual_ms as f64 / HOUR_MS as f64;
    let seconds = start.elapsed().as_secs_f64();
    println!("seeds {seeds}, virtual hours {hours:.0}, {:.0} hours a second", hours / seconds);
    for (name, count) in all.named() {
        println!("  {name:<14} {count}");
    }
    match violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("{violation}");
            println!("again: simulate --only {} --steps {}", violation.seed, args.steps);
            ExitCode::FAILURE
        }
    }
}
