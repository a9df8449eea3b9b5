//! `many`: one push to very many gateways through one real broker, half of them away meanwhile.

use std::process::ExitCode;
use std::time::Duration;

use tidegate_tests::handlers;
use tidegate_tests::many::converge;

const HELP: &str = "\
Usage: many [--gateways N] [--wait S]

Starts N daemons (1000), half of them after one `tidegate push` to their group, below one mosquitto. Every one must
say, signed, that it runs the handler. Prints one JSON line. Needs 5 MB of memory and of disk for each (TMPDIR).
";

fn main() -> ExitCode {
    let (mut gateways, mut wait_s) = (1000_usize, 600_u64);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let number = args.next().and_then(|text| text.parse::<u32>().ok());
        match (&arg[..], number) {
            ("--gateways", Some(count @ 2..=9999)) => gateways = count as usize,
            ("--wait", Some(seconds @ 1..)) => wait_s = u64::from(seconds),
            ("-h" | "--help", _) => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprint!("{HELP}");
                return ExitCode::from(64);
            }
        }
    }
    let handler = handlers::echo("echo", "in", "out", 0);
    match converge(gateways, &handler, Duration::from_secs(wait_s)) {
        Ok(report) => {
            println!(
                "{{\"gateways\":{},\"at_push\":{},\"push_ms\":{},\"returned_ms\":{},\"active\":{}}}",
                report.gateways,
                report.at_push,
                report.push.as_millis(),
                report.returned.as_millis(),
                report.active
            );
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("many: {why}");
            ExitCode::FAILURE
        }
    }
}
