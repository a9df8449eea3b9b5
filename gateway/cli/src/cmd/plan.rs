//! `tidegate plan`: what a deployment costs in journal, flash, memory and time, before it is built.

use serde::{Serialize, Serializer};
use tidegate_config::Board;

use super::Command;
use crate::args::Args;
use crate::board;
use crate::failure::Failure;

mod asked;
mod constants;
mod flash;
mod journal;
mod memory;
mod shown;
mod used;

use asked::Asked;
use constants::Constant;
use flash::{Commits, Flash};
use journal::{Drain, Journal};
use memory::Memory;
use used::Used;

pub const COMMAND: Command = Command {
    name: "plan",
    usage: "plan --board B --rate R --bytes N ...",
    about: "reckon journal, flash wear, memory and drain time",
    help: "\
Reckons what a deployment costs: the journal that an outage fills, the bytes that reach the flash in a
day and the years until the board's write budget is used up, memory, and the time to drain. It says
which constants it used, what they are and where they come from; nothing is read or written.

Options:
  --board BOARD       a name or a file
  --rate R            messages a second from all devices together
  --bytes N           bytes of one record's payload, and of its topic if it is forwarded as it is
  --records R         records a second, when handlers send fewer or more than --rate (default: --rate)
  --outage T          how long the link is away: 90s, 30m, 6h, 2d (default: 6h)
  --handlers N        handlers (default: 1)
  --state-keys K      keys of state that all of them keep; each message changes one (default: 0)
  --state-bytes B     bytes of one value (default: 16)
  --qos 0|1           what devices publish with (default: 0). With 0, state waits up to --lazy-ms; with 1
                      it is durable before the ack. State of a handler that sends a record with each
                      message is committed with the record: plan that as 1
  --lazy-ms MS        store.lazy_ms of gateway.toml (default: 2000)
  --quota-mb MB       store.quota_mb of gateway.toml (default: 256)
  --sync-ms MS        how long a sync takes on the board's disk: records that come meanwhile share a write
  --link-rate R       records a second that the link takes, or uplink.rate_per_s
  --json              one JSON object
",
    run,
};

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], asked::OPTIONS)?;
    if let Some(word) = args.word_or_none()? {
        return Err(Failure::usage(format!("`{word}` is not wanted here")));
    }
    let name = args.option("board").ok_or_else(|| {
        Failure::usage(format!("--board is missing; built in: {}", board::names().join(", ")))
    })?;
    let board = board::read(Some(name))?;
    let plan = Plan::of(Asked::read(&args, &board)?, &board);
    if args.has("json") {
        println!("{}", serde_json::to_string(&plan).expect("numbers and texts are JSON"));
    } else {
        print!("{}", plan.describe());
    }
    Ok(())
}

/// All that a deployment costs.
#[derive(Debug, Serialize)]
struct Plan {
    board: String,
    asked: Asked,
    journal: Journal,
    drain: Drain,
    flash: Flash,
    memory: Memory,
    /// Where the measured ones of the constants were measured.
    measured_on: &'static str,
    constants: Vec<&'static Constant>,
}

impl Plan {
    fn of(asked: Asked, board: &Board) -> Plan {
        let mut used = Used::default();
        let commits = Commits::of(&asked, &mut used);
        let journal = Journal::of(&asked, &commits, &mut used);
        let drain = Drain::of(&asked, &journal, &mut used);
        let flash = Flash::of(&asked, board, &commits, &mut used);
        let memory = Memory::of(&asked, board, &mut used);
        Plan {
            board: board.name.clone(),
            asked,
            journal,
            drain,
            flash,
            memory,
            measured_on: constants::MACHINE,
            constants: used.all().to_vec(),
        }
    }
}

/// A figure of which nobody needs what is behind the point.
fn whole<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(value.round() as u64)
}

#[cfg(test)]
mod tests;
