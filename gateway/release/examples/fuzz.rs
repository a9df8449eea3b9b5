//! Throws changed and random bytes at everything that reads what a broker may send.
//!
//!     cargo run --profile quick -p tidegate-release --example fuzz -- --seconds 30 [--target envelope] [--seed 1]
//!
//! Panics when something does not hold, and says with which seed. Targets: see `tests/release/targets.rs`.

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/release/fixtures.rs"]
mod fixtures;
#[path = "../tests/release/generate.rs"]
mod generate;
#[path = "../tests/release/targets.rs"]
mod targets;

use std::process::exit;
use std::time::{Duration, Instant};

/// Runs of a target behind one seed: so many are to be run again to see a failure.
const RUNS: u32 = 256;

fn main() {
    let (mut seconds, mut seed, mut only) = (10, 1, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        match arg.as_str() {
            "--seconds" => seconds = number(&arg, &value),
            "--seed" => seed = number(&arg, &value),
            "--target" => only = Some(value),
            other => usage(&format!("{other} is no option")),
        }
    }
    let chosen: Vec<_> = targets::ALL
        .into_iter()
        .filter(|(name, _)| only.as_ref().is_none_or(|only| only == name))
        .collect();
    if chosen.is_empty() {
        usage(&format!("there is no target {}", only.unwrap_or_default()));
    }
    let each = Duration::from_secs(seconds) / u32::try_from(chosen.len()).expect("there are few");
    for (name, make) in chosen {
        let begin = Instant::now();
        let mut target = make();
        let mut last = seed;
        while begin.elapsed() < each {
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let mut seeded = fixtures::Seeded::new(last);
                (0..RUNS).for_each(|_| target(&mut seeded));
            }));
            if failed.is_err() {
                eprintln!("{name} does not hold: --target {name} --seed {last}");
                exit(1);
            }
            last += 1;
        }
        println!("{name}: {} runs, seeds {seed} to {}", (last - seed) * u64::from(RUNS), last - 1);
    }
}

fn number(option: &str, value: &str) -> u64 {
    value.parse().unwrap_or_else(|_| usage(&format!("{option} wants a number, not {value:?}")))
}

fn usage(what: &str) -> ! {
    let names = targets::ALL.map(|(name, _)| name).join(", ");
    eprintln!("{what}; use --seconds N, --seed N, --target NAME with one of {names}");
    exit(2)
}
