//! The benchmark. Prints one JSON object a line, and tables for people on standard error.
//! `tests/BENCHMARKS.md` says what each figure means, and what came out.
//!
//! ```text
//! bench reaction      reaction time, CPU, memory, start: four ways from device to device, one run
//! bench throughput    the highest rate held without loss, one core for the daemon
//! bench store         what lasting costs: flash, memory, acks, reactions beside commits, records that wait
//! ```

mod arguments;
mod echo_door;
mod footprint;
mod goals;
mod host_cost;
mod native;
mod place;
mod reaction;
mod store;
mod systems;
mod table;
mod throughput;
mod words;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use tidegate_tests::{handlers, programs};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("bench: {problem}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    if arguments.markdown {
        words::give_stdout_to_tables();
    }
    let result = match &arguments.command {
        Command::Help => {
            println!("{}", arguments::USAGE);
            Ok(())
        }
        // Started by the benchmark itself, as the handler to compare with.
        Command::Native { broker } => native::run(*broker),
        Command::EchoDoor { listen } => echo_door::run(*listen),
        Command::Throughput => throughput::run(&arguments),
        Command::Store => store::run(&arguments),
        Command::Reaction => run_reaction(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything in one run: builds first, then measures from the quickest part to the slowest.
fn run_reaction(arguments: &Arguments) -> Result<(), words::Problem> {
    let overheat = handlers::overheat();
    let daemon = programs::tidegated();
    let placement = place::settle(arguments)?;
    place::introduce(arguments);
    let mut goals = Vec::new();
    if arguments.wants("reaction") {
        let samples = reaction::measure(arguments, &placement)?;
        reaction::tabulate(&samples, arguments);
        goals.extend(reaction::compare(&samples));
    }
    if arguments.wants("memory") {
        goals.extend(footprint::memory(&overheat, &placement)?);
        goals.extend(footprint::binary(daemon)?);
    }
    if arguments.wants("start") {
        goals.extend(footprint::start(&overheat, &placement)?);
    }
    if arguments.wants("host") {
        goals.extend(host_cost::measure(&overheat)?);
    }
    goals::report(&goals, place::words(arguments), arguments.markdown);
    Ok(())
}
