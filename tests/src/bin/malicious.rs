//! `malicious`: a broker that means harm, case after case, seed after seed, against the real daemon.
//!
//! Ends with status 1 and the case's name when one got through.

use std::process::ExitCode;

use tidegate_tests::malicious::{Bench, cases};

const HELP: &str = "\
Usage: malicious [--seeds N] [--first SEED] [--quiet]

Starts tidegated behind a broker that replays, changes, withholds, floods and forges. After each case the good
handler must still react, and nothing else may run. Prints each case, and what the gateway's memory grew by.
";

fn main() -> ExitCode {
    let (mut seeds, mut first, mut quiet) = (1, 1, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok());
        match (&arg[..], &mut seeds, &mut first) {
            ("--quiet", _, _) => quiet = true,
            ("--seeds", seeds, _) => match number() {
                Some(count) => *seeds = count,
                None => return usage(),
            },
            ("--first", _, first) => match number() {
                Some(seed) => *first = seed,
                None => return usage(),
            },
            ("-h" | "--help", _, _) => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            _ => return usage(),
        }
    }
    println!("{} cases, {seeds} seeds", cases().count());
    for seed in first..first + seeds {
        let mut bench = Bench::start(seed);
        bench.run(|case| {
            if !quiet {
                println!("seed {seed}: {}", case.name);
            }
        });
        let report = bench.report;
        println!(
            "seed {seed}: {} cases, {} messages, {} refusals answered, {} connections, memory grew by {} KiB: 0 accepted",
            report.cases, report.messages, report.refusals, report.connections, report.grown_kib
        );
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(64)
}
