//! `tidegate try`: runs a handler's module over messages, in the host that the gateway runs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tidegate_config::{Board, read_manifest};
use tidegate_core::job::{Event, EventOutcome, HandlerId, Job, JobId, Verdict};
use tidegate_core::manifest::Manifest;
use tidegate_core::message::{Message, QoS};
use tidegate_core::pins::{Levels, PIN_TOPICS, Pin, Pins};
use tidegate_core::record::StreamId;
use tidegate_core::stream::{Stream, Streams, WhenFull};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_core::topic::Topic;
use tidegate_host::{Instance, Now, Step, load};

use super::Command;
use crate::args::Args;
use crate::board;
use crate::failure::Failure;
use crate::shown::Shown;

pub const COMMAND: Command = Command {
    name: "try",
    usage: "try DIR [--topic T --payload P] [--json]",
    about: "run a handler over messages, here",
    help: "\
Runs the module of the handler in DIR over one message, or over lines `topic payload` from standard
input, so that `mosquitto_sub -v -t '#' | tidegate try DIR` works. Prints every effect as JSON, with
the fuel and time of each event. State lives from line to line; nothing is published or sent anywhere.
Every stream that handler.toml grants counts as one of the gateway's. Pins are those of the
board, or where it has none those that handler.toml names; they are off at the start, and `--topic '$pin/button1'
--payload 1` is what one that changes sends.

Options:
  --topic T        the message's topic
  --payload P      its payload (default: empty)
  --source S       who sent it (default: try)
  --board BOARD    the board whose limits count: a name or a file (default: dev)
  --json           one JSON object for each event and nothing else

Exit status 1 when an event failed or asked for a retry.
",
    run,
};

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], &["topic", "payload", "source", "board"])?;
    let dir = Path::new(args.word("the handler's folder")?);
    let mut bench = Bench::new(dir, args.option("board"), args.option("source").unwrap_or("try"))?;
    let json = args.has("json");
    match (args.option("topic"), args.option("payload")) {
        (Some(topic), payload) => bench.one(topic, payload.unwrap_or("").as_bytes(), json)?,
        (None, Some(_)) => return Err(Failure::usage("--payload needs --topic")),
        (None, None) => bench.lines(io::stdin().lock(), json)?,
    }
    bench.verdict()
}

/// A loaded handler and what became of its events so far.
struct Bench {
    instance: Instance,
    streams: Arc<Streams>,
    pins: Arc<Pins>,
    /// As the events so far have left them.
    levels: Levels,
    manifest: Arc<Manifest>,
    source: Arc<str>,
    started: Instant,
    events: u64,
    bad: u64,
}

impl Bench {
    fn new(dir: &Path, board: Option<&str>, source: &str) -> Result<Bench, Failure> {
        let board = board::read(board)?;
        let handler = read_manifest(dir, &board)?;
        let path = handler.module_path;
        let module = fs::read(&path).map_err(|error| {
            let next = format!("run `tidegate build {}`", dir.display());
            Failure::data(format!("{} cannot be read ({error}); {next}", path.display()))
        })?;
        let manifest = Arc::new(handler.manifest);
        let streams = Arc::new(granted_streams(&manifest)?);
        let mut instance = load(&module, Arc::clone(&manifest), &board.host.caps, 0)
            .map_err(|error| Failure::data(format!("{}: {error}", path.display())))?;
        instance.set_streams(Arc::clone(&streams));
        let pins = pins(&board, &manifest);
        instance.set_pins(Arc::clone(&pins));
        let levels = pins.all_off();
        let (started, source) = (Instant::now(), source.into());
        Ok(Bench { instance, streams, pins, levels, manifest, source, started, events: 0, bad: 0 })
    }

    /// One message that was named on the command line: it must wake the handler.
    fn one(&mut self, topic: &str, payload: &[u8], json: bool) -> Result<(), Failure> {
        let topic = Topic::new(topic)
            .map_err(|error| Failure::usage(format!("--topic {topic:?}: it {error}")))?;
        if !self.wakes(&topic) {
            let triggers: Vec<&str> =
                self.manifest.triggers.iter().map(|filter| filter.as_str()).collect();
            return Err(Failure::failed(format!(
                "{topic} does not wake {}; its triggers: {}",
                self.manifest.name,
                triggers.join(" ")
            )));
        }
        self.event(topic, payload, json)
    }

    /// Lines `topic payload`. Those that would not wake the handler are passed over, as in the gateway.
    fn lines(&mut self, input: impl BufRead, json: bool) -> Result<(), Failure> {
        for (index, line) in input.split(b'\n').enumerate() {
            let line = line.map_err(|error| {
                Failure::failed(format!("standard input cannot be read: {error}"))
            })?;
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if line.is_empty() {
                continue;
            }
            let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
            let (topic, payload) = (&line[..end], line.get(end + 1..).unwrap_or_default());
            let bad = |what: String| {
                Failure::data(format!("line {} of standard input: {what}", index + 1))
            };
            let topic =
                std::str::from_utf8(topic).map_err(|_| bad("the topic is no UTF-8".to_owned()))?;
            let topic =
                Topic::new(topic).map_err(|error| bad(format!("the topic {topic:?} {error}")))?;
            if self.wakes(&topic) {
                self.event(topic, payload, json)?;
            }
        }
        Ok(())
    }

    fn wakes(&self, topic: &Topic) -> bool {
        self.manifest.triggers.iter().any(|filter| filter.matches(topic.as_str()))
    }

    fn event(&mut self, topic: Topic, payload: &[u8], json: bool) -> Result<(), Failure> {
        self.events += 1;
        if let Some((pin, on)) = self.pins.of_event(topic.as_str(), payload) {
            self.levels.set(pin, Some(on));
        }
        let message = Message {
            topic,
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            source: Arc::clone(&self.source),
            at: wall(),
            hops: 0,
            mark: None,
        };
        let first = self.events == 1;
        let event = Event {
            id: self.events,
            message: Arc::new(message),
            ticket: None,
            attempt: 0,
            first,
            invoke: None,
        };
        let (id, handler) = (JobId(self.events), HandlerId(0));
        let job = Job { id, handler, events: vec![event], pins: self.levels };
        let before = Instant::now();
        let (event, outcome) = self.finish(job);
        let took = before.elapsed();
        outcome.pins.iter().for_each(|write| self.levels.set(write.pin, Some(write.on)));
        self.instance.tidy();
        if outcome.verdict != Verdict::Done {
            self.bad += 1;
        }
        let shown = Shown::new(&event, &outcome, (&self.streams, &self.pins), took);
        let text = if json { shown.line() } else { shown.describe() };
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Failure::failed("nobody reads the output"))
            }
            Err(error) => {
                Err(Failure::failed(format!("standard output cannot be written: {error}")))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Runs a job of one event to its end, in slices as the gateway does, so that its deadline counts.
    fn finish(&mut self, job: Job) -> (Event, EventOutcome) {
        const SLICE_FUEL: u64 = 100_000;
        let mut step = self.instance.start(job, SLICE_FUEL, self.now());
        loop {
            match step {
                Step::Finished(mut outcome) => {
                    let event =
                        outcome.job.events.pop().expect("the job comes back with its event");
                    return (
                        event,
                        outcome.events.pop().expect("an event that ran has an outcome"),
                    );
                }
                Step::Parked => step = self.instance.resume(SLICE_FUEL, self.now()),
            }
        }
    }

    fn now(&self) -> Now {
        let mono_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { mono_us, wall: wall() }
    }

    fn verdict(&self) -> Result<(), Failure> {
        match (self.events, self.bad) {
            (0, _) => Err(Failure::failed("no message woke the handler")),
            (_, 0) => Ok(()),
            (events, bad) => {
                Err(Failure::failed(format!("{bad} of {events} events did not end well")))
            }
        }
    }
}

/// The board's pins. Where it has none, such as a laptop, those that the manifest names: what wakes the handler is an
/// input, what it may use besides an output.
pub(super) fn pins(board: &Board, manifest: &Manifest) -> Arc<Pins> {
    let on_board = board.pin_names();
    if !on_board.is_empty() {
        return on_board;
    }
    let triggers = manifest.triggers.iter();
    let inputs: BTreeSet<&str> =
        triggers.filter_map(|filter| filter.as_str().strip_prefix(PIN_TOPICS)).collect();
    let granted = manifest.grants.gpio.iter().map(String::as_str);
    let names: BTreeSet<&str> = granted.chain(inputs.iter().copied()).collect();
    let pin = |name: &str| Pin { name: name.to_owned(), is_output: !inputs.contains(name) };
    // More than there may be are none: no board has them.
    Arc::new(Pins::new(names.into_iter().map(pin).collect()).unwrap_or_default())
}

/// Every stream that the manifest grants, as if the gateway had it.
pub(super) fn granted_streams(manifest: &Manifest) -> Result<Streams, Failure> {
    let names: BTreeSet<&String> = manifest.grants.send.iter().collect();
    let stream = |name: &String| Stream {
        id: StreamId::of(name),
        name: name.clone(),
        priority: 0,
        ttl_s: 0,
        when_full: WhenFull::DropOldest,
    };
    Streams::new(names.into_iter().map(stream).collect(), Vec::new()).ok_or_else(|| {
        Failure::data(
            "two streams in grants.send share a number; no gateway can have both: rename one",
        )
    })
}

fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime {
        unix_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        quality: ClockQuality::Ntp,
    }
}
