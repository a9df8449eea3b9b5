//! `tidegate outbox`: what waits to go upstream, asked of a running daemon or read from its folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tidegate_config::Settings;

use super::Command;
use crate::args::Args;
use crate::failure::Failure;

mod asking;
mod disk;
mod seen;
mod shown;

use asking::NotAsked;
use seen::Seen;

pub const COMMAND: Command = Command {
    name: "outbox",
    usage: "outbox --data-dir D | --socket S [--json]",
    about: "what waits to go upstream, what went, what was lost",
    help: "\
Shows, for each stream, the records and bytes that wait, how old the oldest is, what upstream has
acked, what was given up and why, and how long what waits takes to go at the pace of the last minute.

A running daemon is asked through the socket in its data folder. When none runs, the folder is read,
and nothing in it is changed. A note says where a number is not exact.

Options:
  --data-dir D     the daemon's gateway.data_dir
  --config FILE    gateway.toml: it names the folder, and the streams when no daemon runs
  --socket S       the socket of a running daemon, control.sock in its data folder
  --json           one JSON object

Exit status 1 when nothing can be read.
",
    run,
};

/// The daemon's socket in its folder.
const SOCKET: &str = "control.sock";

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], &["data-dir", "socket", "config"])?;
    if let Some(word) = args.word_or_none()? {
        return Err(Failure::usage(format!(
            "`{word}` is not wanted here; write --data-dir {word}"
        )));
    }
    let seen = match (args.option("socket"), args.option("data-dir"), args.option("config")) {
        (Some(socket), None, None) => ask(Path::new(socket))?,
        (None, Some(folder), None) => look(Path::new(folder), None)?,
        (None, None, Some(file)) => {
            let settings = tidegate_config::read_gateway(Path::new(file))?;
            look(&settings.data_dir, Some(&settings))?
        }
        (None, None, None) => {
            return Err(Failure::usage("say where: --data-dir, --config or --socket"));
        }
        _ => return Err(Failure::usage("use one of --data-dir, --config and --socket")),
    };
    if args.has("json") {
        println!("{}", serde_json::to_string(&seen).expect("numbers and texts are JSON"));
    } else {
        print!("{}", seen.describe());
    }
    Ok(())
}

/// Asks the daemon behind a socket, and nobody else.
fn ask(socket: &Path) -> Result<Seen, Failure> {
    asking::ask(socket).map_err(|why| match why {
        NotAsked::NoSocket => failed(socket, "there is no such socket; is the daemon running?"),
        NotAsked::NobodyListens => {
            failed(socket, "nobody listens there: the daemon has stopped; use --data-dir")
        }
        NotAsked::Failed(text) => failed(socket, &text),
    })
}

/// Asks the daemon of a folder if it runs, else reads the folder.
fn look(folder: &Path, settings: Option<&Settings>) -> Result<Seen, Failure> {
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(failed(folder, "that is a file; name the folder of gateway.data_dir")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(failed(folder, "there is no such folder; it is gateway.data_dir"));
        }
        Err(error) => return Err(failed(folder, &asking::plain(&error))),
    }
    let socket: PathBuf = folder.join(SOCKET);
    match asking::ask(&socket) {
        Ok(seen) => Ok(seen),
        Err(NotAsked::NoSocket | NotAsked::NobodyListens) => disk::read(folder, settings),
        Err(NotAsked::Failed(text)) => Err(failed(&socket, &text)),
    }
}

fn failed(path: &Path, text: &str) -> Failure {
    Failure::failed(format!("{}: {text}", path.display()))
}
