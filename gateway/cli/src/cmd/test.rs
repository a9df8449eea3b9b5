//! `tidegate test`: a handler's golden events, tried as a gateway will.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tidegate_config::read_handler;
use tidegate_host::{GoldenCase, GoldenExpect, check_golden, load};
use tidegate_release::golden::{Case, Expect};

use super::Command;
use super::try_event::{granted_streams, pins};
use crate::args::Args;
use crate::board;
use crate::failure::Failure;
use crate::push::golden_file;

pub const COMMAND: Command = Command {
    name: "test",
    usage: "test [DIR] [--board BOARD] [--json]",
    about: "try a handler's golden events, as gateways do before it runs",
    help: "\
Runs the module of the handler in DIR (default: here) over the events in its golden.json, on a fresh instance with
empty state, one after the other, and compares what it publishes and sends, to the byte. `tidegate push` sends them
along: a gateway on which one comes out otherwise refuses the handler.

golden.json is a list of events and what must come of each, in order:
  [ { \"topic\": \"devices/a/telemetry\", \"payload\": \"{\\\"temp\\\": 71.3}\",
      \"expect\": [ { \"publish\": { \"topic\": \"devices/a/cmd\", \"payload\": \"{\\\"fan\\\":\\\"on\\\"}\" } } ] },
    { \"topic\": \"devices/a/telemetry\", \"payload_json\": { \"temp\": 20 }, \"expect\": [] },
    { \"topic\": \"devices/a/telemetry\", \"payload\": \"no json\", \"expect\": [ \"fails\" ] } ]
A record is { \"send\": { \"stream\": \"alerts\", \"payload\": \"..\" } }, a pin that is set
{ \"pin\": { \"name\": \"relay1\", \"on\": true } }. Pins are those of the board, or where it has
none those that handler.toml names; they are off, but for one that causes the event.

Options:
  --board BOARD    the board whose limits count: a name or a file (default: dev)
  --json           a JSON object for each event and nothing else

Exit status 1 when something else comes of an event.
",
    run,
};

#[derive(Serialize)]
struct Shown<'a> {
    event: usize,
    topic: &'a str,
    ok: bool,
    fuel: Option<u64>,
    why: Option<&'a str>,
}

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], &["board"])?;
    let dir = Path::new(args.word_or_none()?.unwrap_or("."));
    let board = board::read(args.option("board"))?;
    let handler = read_handler(dir, &board)?;
    let golden = golden_file::read(dir)?.ok_or_else(|| {
        Failure::data(format!(
            "{} is not there; write down some events and what must come of them, as `tidegate test --help` shows",
            dir.join(golden_file::FILE).display()
        ))
    })?;
    let path = &handler.module_path;
    let module = std::fs::read(path)
        .map_err(|error| Failure::data(format!("{} cannot be read: {error}", path.display())))?;
    let manifest = Arc::new(handler.manifest);
    let streams = Arc::new(granted_streams(&manifest)?);
    let pins = pins(&board, &manifest);
    let mut instance = load(&module, manifest, &board.host.caps, 0)
        .map_err(|error| Failure::data(format!("{}: {error}", path.display())))?;
    instance.set_streams(streams);
    instance.set_pins(pins);
    let mut failed = 0;
    for (number, case) in golden.cases.iter().enumerate() {
        let result = check_golden(&mut instance, number, &as_tried(case));
        failed += usize::from(result.is_err());
        tell(number + 1, case, &result, args.has("json"));
    }
    if failed > 0 {
        let count = golden.cases.len();
        return Err(Failure::failed(format!(
            "{failed} of {count} golden events came out otherwise; mend the handler, or {} when it is meant",
            dir.join(golden_file::FILE).display()
        )));
    }
    Ok(())
}

fn tell(event: usize, case: &Case, result: &Result<u64, String>, json: bool) {
    if json {
        let shown = Shown {
            event,
            topic: &case.topic,
            ok: result.is_ok(),
            fuel: result.as_ref().ok().copied(),
            why: result.as_ref().err().map(String::as_str),
        };
        println!("{}", serde_json::to_string(&shown).expect("texts and numbers are JSON"));
        return;
    }
    match result {
        Ok(fuel) => println!("ok      {event}  {}  ({fuel} fuel)", case.topic),
        Err(why) => println!("FAILED  {event}  {}: {why}", case.topic),
    }
}

fn as_tried(case: &Case) -> GoldenCase<'_> {
    let expect = case.expect.iter().map(|expect| match expect {
        Expect::Publish { topic, payload } => GoldenExpect::Publish { topic, payload },
        Expect::Send { stream, payload } => GoldenExpect::Send { stream: stream.as_str(), payload },
        Expect::Pin { name, on } => GoldenExpect::Pin { name: name.as_str(), on: *on },
        Expect::Nothing => GoldenExpect::Nothing,
        Expect::Fails => GoldenExpect::Fails,
    });
    GoldenCase { topic: &case.topic, payload: &case.payload, expect: expect.collect() }
}
