//! `tidegated`: reads the command line and the configuration, then runs the gateway on one thread.

use std::process::ExitCode;

use tidegated::args::{self, Args};
use tidegated::logging;
use tidegated::provision::{self, Provisioned};
use tracing::Level;

/// The command line is wrong (sysexits.h, EX_USAGE).
const USAGE: u8 = 64;
/// A system call failed (EX_OSERR).
const OSERR: u8 = 71;
/// The configuration is wrong (EX_CONFIG).
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)) {
        Ok(Args::Help) => {
            print!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Args::Version) => {
            println!("{}", args::version());
            ExitCode::SUCCESS
        }
        Ok(Args::Check { config, json }) => check(&config, json),
        Ok(Args::StateShelf { dir, cache_mb }) => match tidegated::serve_shelf(&dir, cache_mb) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // The daemon reads it.
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Ok(Args::Provision(job)) => match provision::provision(&job) {
            Ok(done) => said(&done),
            Err(error) => {
                eprintln!("tidegated: {} cannot be written: {error}", job.report.display());
                ExitCode::from(OSERR)
            }
        },
        Ok(Args::Tell { report, config }) => match provision::tell(&report, &config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("tidegated: how provisioning went is not said: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(Args::Run { config, level }) => run(&config, level),
        Err(problem) => {
            eprintln!("tidegated: {problem}\nTry `tidegated --help`.");
            ExitCode::from(USAGE)
        }
    }
}

/// For the console: a person who flashed a card looks there first.
fn said(done: &Provisioned) -> ExitCode {
    match done {
        Provisioned::Taken(id) => println!("tidegate: this is {id}, as the boot partition says"),
        Provisioned::AsBefore(id) => println!("tidegate: this is {id}"),
        Provisioned::Wrong { id, problems } => {
            eprintln!("tidegate: the boot partition cannot be followed; this is {id}");
            for problem in problems {
                eprintln!("  {problem}");
            }
            return ExitCode::from(CONFIG);
        }
    }
    ExitCode::SUCCESS
}

fn check(config: &std::path::Path, json: bool) -> ExitCode {
    let settings = match tidegate_config::read_gateway(config) {
        Ok(settings) => settings,
        Err(problems) => return refuse(&problems),
    };
    if json {
        println!("{}", tidegate_config::explain_json(&settings));
    } else {
        print!("{}", tidegate_config::explain(&settings));
    }
    for warning in &settings.warnings {
        eprintln!("warning: {warning}");
    }
    let broken = settings.broken();
    if broken.0.is_empty() { ExitCode::SUCCESS } else { refuse(&broken) }
}

fn refuse(problems: &tidegate_config::Problems) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(CONFIG)
}

fn run(config: &std::path::Path, level: Level) -> ExitCode {
    let settings = match tidegate_config::read_gateway(config) {
        Ok(settings) => settings,
        Err(problems) => return refuse(&problems),
    };
    logging::start(level.into());
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a system without epoll cannot run a gateway");
    let local = tokio::task::LocalSet::new();
    match local.block_on(&runtime, tidegated::run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegated: {error:#}");
            ExitCode::from(OSERR)
        }
    }
}
