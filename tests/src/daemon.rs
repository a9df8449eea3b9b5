//! A real `tidegated` for one test or one measurement.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::handlers::Handler;
use crate::ports;
use crate::power_cut::Recorder;
use crate::process::{Line, Process};
use crate::programs::{self, Placement};
use crate::scratch::Scratch;

/// On which side the messages come in.
#[derive(Clone, Debug)]
pub enum Local {
    /// The embedded front door at this address.
    Listen(SocketAddr),
    /// An existing broker at this address.
    Broker(SocketAddr),
}

/// A running daemon with its folder. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    /// Where clients go: the front door, or the broker that the daemon uses.
    pub address: SocketAddr,
    pub process: Process,
    pub scratch: Scratch,
}

/// How long a daemon may take to come up with every handler loaded, on a busy two-core machine.
pub const START_MAX: Duration = Duration::from_secs(20);
/// What the log may lag behind what its readers have seen elsewhere, on a busy machine.
const SAID_MAX: Duration = Duration::from_secs(10);

impl Daemon {
    /// Starts one with its own front door, and waits until every handler is loaded or refused.
    pub fn start(handlers: &[Handler]) -> Daemon {
        let local = Local::Listen(ports::free());
        let daemon = Daemon::spawn(&local, handlers, &Placement::default());
        daemon.wait_until_ready(handlers);
        daemon
    }

    /// Starts one behind the broker at `address`, and waits until every handler is loaded and the
    /// broker has the subscriptions.
    pub fn start_behind(address: SocketAddr, handlers: &[Handler]) -> Daemon {
        let daemon = Daemon::spawn(&Local::Broker(address), handlers, &Placement::default());
        daemon.wait_until_ready(handlers);
        daemon
    }

    /// Starts one and waits for nothing.
    pub fn spawn(local: &Local, handlers: &[Handler], placement: &Placement) -> Daemon {
        Daemon::spawn_with(local, handlers, placement, "")
    }

    /// The same with more text in `gateway.toml`.
    pub fn spawn_with(
        local: &Local,
        handlers: &[Handler],
        placement: &Placement,
        more: &str,
    ) -> Daemon {
        let (scratch, config) = folder(local, handlers, more);
        let process = launch(&config, placement, None);
        let (Local::Listen(address) | Local::Broker(address)) = local;
        Daemon { address: *address, process, scratch }
    }

    /// Starts one with its own front door whose every change of its data folder is recorded.
    pub fn spawn_recorded(handlers: &[Handler], more: &str) -> (Daemon, Recorder) {
        Daemon::spawn_faulty(handlers, more, None)
    }

    /// The same with calls that fail; see [`Recorder::with_fault`].
    pub fn spawn_faulty(
        handlers: &[Handler],
        more: &str,
        fault: Option<&str>,
    ) -> (Daemon, Recorder) {
        let address = ports::free();
        let (scratch, config) = folder(&Local::Listen(address), handlers, more);
        let mut recorder =
            Recorder::new(&scratch.path().join("data"), &scratch.path().join("recorded"));
        if let Some(fault) = fault {
            recorder = recorder.with_fault(fault);
        }
        let process = launch(&config, &Placement::default(), Some(&recorder));
        (Daemon { address, process, scratch }, recorder)
    }

    /// As [`Daemon::start_again`], recorded too, behind what was recorded before.
    pub fn start_again_recorded(&mut self, recorder: &Recorder) {
        let config = self.scratch.path().join("gateway.toml");
        self.process = launch(&config, &Placement::default(), Some(recorder));
    }

    /// Starts another one in the same folder, after this one has ended in whatever way.
    pub fn start_again(&mut self) {
        let config = self.scratch.path().join("gateway.toml");
        self.process = launch(&config, &Placement::default(), None);
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Waits until every handler is loaded or refused.
    pub fn wait_until_ready(&self, handlers: &[Handler]) {
        assert!(
            ports::wait_for_listener(self.address, START_MAX),
            "nobody listens at {}",
            self.address
        );
        for handler in handlers {
            let words = [&field(&handler.name), "handler "];
            let found = self.process.wait_for_line(&words, START_MAX);
            assert!(found.is_some(), "no word about handler {}", handler.name);
        }
    }

    /// Whether the daemon has said that this handler takes messages.
    pub fn is_active(&self, handler: &str) -> bool {
        self.said(&["handler is active", &field(handler)])
    }

    /// Why the daemon refused this handler, if it did.
    pub fn refusal(&self, handler: &str) -> Option<String> {
        let words = ["handler cannot run here", &field(handler)];
        self.process.wait_for_line(&words, Duration::ZERO).map(|line| line.text)
    }

    /// Waits for the next failed event of this handler, `seen` such lines being known already.
    pub fn failure(&self, handler: &str, seen: usize, wait: Duration) -> Option<Line> {
        let words = ["event failed", &field(handler)];
        self.process.wait_for_lines(&words, seen + 1, wait).into_iter().nth(seen)
    }

    /// Asks the daemon for its counters; those that it does not name are 0.
    pub fn counters(&mut self) -> BTreeMap<String, u64> {
        let words = ["counters "];
        let seen = self.process.wait_for_lines(&words, 1, Duration::ZERO).len();
        self.process.signal(Signal::USR1);
        let lines = self.process.wait_for_lines(&words, seen + 1, START_MAX);
        let line = lines.get(seen).expect("SIGUSR1 makes it tell its counters");
        counters_in(&line.text)
    }

    /// Waits for a line of the daemon's that holds all these words, an earlier one among them.
    pub fn comes_to_say(&self, words: &[&str]) -> bool {
        self.process.wait_for_line(words, SAID_MAX).is_some()
    }

    /// Whether one of the daemon's lines so far holds all these words.
    pub fn said(&self, words: &[&str]) -> bool {
        self.process.wait_for_line(words, Duration::ZERO).is_some()
    }
}

/// A folder with the handlers and `gateway.toml`.
fn folder(local: &Local, handlers: &[Handler], more: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::new("daemon");
    let folders: Vec<PathBuf> = handlers.iter().map(|handler| handler.write(&scratch)).collect();
    let config = write_config(&scratch, local, &folders, more);
    (scratch, config)
}

fn launch(config: &Path, placement: &Placement, recorder: Option<&Recorder>) -> Process {
    let mut command = placement.command(programs::tidegated());
    if let Some(recorder) = recorder {
        recorder.watch(&mut command);
    }
    Process::start("tidegated", command.arg("--config").arg(config))
}

/// The `name=number` words of a line.
pub fn counters_in(line: &str) -> BTreeMap<String, u64> {
    line.split_whitespace()
        .filter_map(|word| {
            let (name, number) = word.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        })
        .collect()
}

/// A handler's name as it stands in the daemon's lines.
pub fn field(handler: &str) -> String {
    format!("handler=\"{handler}\"")
}

/// Writes `gateway.toml` with a fresh data folder, and `more` at its end.
pub fn write_config(scratch: &Scratch, local: &Local, handlers: &[PathBuf], more: &str) -> PathBuf {
    let data = scratch.path().join("data");
    std::fs::create_dir_all(&data).expect("a scratch folder can be made");
    let local = match local {
        Local::Listen(address) => format!("listen = \"{address}\""),
        Local::Broker(address) => format!("broker = \"mqtt://{address}\""),
    };
    let mut text = format!(
        "[gateway]\nid = \"gw-01\"\ndata_dir = \"{}\"\nboard = \"dev\"\nrestarts_max = 0\n\n[local]\n{local}\n",
        data.display()
    );
    for folder in handlers {
        write!(text, "\n[[handler]]\npath = \"{}\"\n", folder.display())
            .expect("a String takes all");
    }
    text.push_str(more);
    scratch.write("gateway.toml", text)
}

/// `tidegated check --config`, or another subcommand.
pub fn tidegated(arguments: &[&str], config: &Path) -> Command {
    let mut command = Command::new(programs::tidegated());
    command.args(arguments).arg("--config").arg(config);
    command
}
