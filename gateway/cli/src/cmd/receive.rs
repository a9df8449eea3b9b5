//! `tidegate receive`: the reference receiver of what gateways send upstream.
//!
//! In reading order: `receiver` (the loop), `session` (MQTT), `account` (what has been seen, and what is missing),
//! `output` (the lines), `mark` (what survives a restart).

mod account;
mod mark;
mod output;
mod receiver;
mod session;

use std::path::PathBuf;
use std::time::Duration;

use tidegate_config::Protocol;

use super::Command;
use crate::args::Args;
use crate::broker;
use crate::failure::Failure;
use mark::Mark;
use output::Output;
use receiver::{Receiver, Summary};
use session::Target;

pub const COMMAND: Command = Command {
    name: "receive",
    usage: "receive --broker URL [--to FILE]",
    about: "take what gateways send upstream, each record once",
    help: "\
Subscribes at the broker that gateways send to, and writes every record as one line of JSON. Drops what it
has seen by (gateway, epoch, seq), notices what is missing, and holds that against what gateways announce as
lost. A message is acked when its line is on the disk, so this can be killed at any time: started again, it
goes on where it was, and FILE has every record once.

Options:
  --broker URL         mqtt://HOST:PORT or mqtts://HOST:PORT
  --topic FILTER       what to subscribe to; may be given more than once (default: #)
  --to FILE            where the lines go; - is standard output (default: -)
  --state FILE         what has been seen (default: FILE.mark; none with standard output)
  --client-id ID       the broker keeps messages for this name while we are away
                       (default: tidegate-receive)
  --protocol V         5 or 3.1.1 (default: 5); records in the raw format need 5
  --username U         and --password-file F
  --ca F               whom to trust with mqtts, in PEM
  --cert F --key F     who we are, if the broker asks
  --from-start         of a gateway that turns up, miss what came before its first record too; otherwise it
                       may have sent that before we were there
  --once-idle S        end when nothing has come for S seconds
  --json               the summary as JSON

The summary goes to standard output, or to standard error when the lines go to standard output. What gateways
say in their streams `losses` and `dead-letters` is written as lines too. To rotate FILE: end this, rename FILE,
start this again.

Exit status 1 when the broker cannot be reached, or, with --once-idle, when records are missing that no gateway
has announced as lost.
",
    run,
};

const OPTIONS: [&str; 12] = [
    "broker",
    "topic",
    "to",
    "state",
    "client-id",
    "protocol",
    "username",
    "password-file",
    "ca",
    "cert",
    "key",
    "once-idle",
];

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["from-start", "json"], &OPTIONS)?;
    if let Some(word) = args.word_or_none()? {
        return Err(Failure::usage(format!("`{word}` is not wanted here")));
    }
    let target = target(&args)?;
    let once_idle = once_idle(&args)?;
    let to = args.option("to").filter(|to| *to != "-").map(PathBuf::from);
    let state = args.option("state").map(PathBuf::from).or_else(|| {
        let mut beside = to.clone()?.into_os_string();
        beside.push(".mark");
        Some(PathBuf::from(beside))
    });
    let to_stdout = to.is_none();
    let mut mark = Mark::open(state, args.has("from-start"))?;
    let output = match to {
        None => Output::stdout(),
        Some(path) => Output::file(&path, &mut mark)?,
    };
    let summary = Receiver::new(output, mark, once_idle).run(target)?;
    tell(&summary, args.has("json"), to_stdout);
    if once_idle.is_some() && summary.unexplained > 0 {
        return Err(Failure::failed(format!(
            "{} records are missing, and no gateway has announced them as lost",
            summary.unexplained
        )));
    }
    Ok(())
}

fn tell(summary: &Summary, json: bool, to_stdout: bool) {
    let text = if json {
        serde_json::to_string(summary).expect("numbers are JSON")
    } else {
        let Summary { received, duplicates, missing, announced, unexplained, foreign, gateways } =
            summary;
        format!(
            "{received} records of {gateways} gateways, {duplicates} duplicates dropped; {missing} missing, \
             {announced} announced as lost, {unexplained} unexplained; {foreign} messages that are no records"
        )
    };
    if to_stdout {
        eprintln!("{text}");
    } else {
        println!("{text}");
    }
}

fn target(args: &Args) -> Result<Target, Failure> {
    let url = broker::url(args)?;
    let topics: Vec<String> = match &args.options("topic")[..] {
        [] => vec!["#".to_owned()],
        topics => topics.iter().map(|topic| (*topic).to_owned()).collect(),
    };
    for topic in &topics {
        tidegate_core::topic::Filter::new(topic)
            .map_err(|error| Failure::usage(format!("--topic {topic:?}: it {error}")))?;
    }
    let protocol = match args.option("protocol") {
        None | Some("5") => Protocol::V5,
        Some("3.1.1") => Protocol::V311,
        Some(other) => {
            return Err(Failure::usage(format!("--protocol {other}: use 5 or 3.1.1")));
        }
    };
    let client_id = args.option("client-id").unwrap_or("tidegate-receive").to_owned();
    if client_id.is_empty() {
        return Err(Failure::usage("--client-id is empty; the broker keeps messages by that name"));
    }
    let tls = broker::tls(url.tls, args, "key")?;
    Ok(Target { url, topics, protocol, client_id, login: broker::login(args)?, tls })
}

fn once_idle(args: &Args) -> Result<Option<Duration>, Failure> {
    let Some(text) = args.option("once-idle") else {
        return Ok(None);
    };
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(Failure::usage(format!("--once-idle {text}: use 1 to 86400 seconds"))),
    }
}
