//! The loop: takes messages, writes what is new, and acks when it is durable. Whatever has come meanwhile shares
//! one sync of the disk.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use serde::Serialize;
use tidegate_envelope::decode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{Instant, timeout_at};

use super::mark::Mark;
use super::output::Output;
use super::session::{Ack, Happened, Message, Session, Target};
use crate::failure::Failure;

/// What one write may hold; then it is made durable.
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH_MESSAGES: usize = 1024;
/// The mark is written when nothing has come for so long.
const MARK_IDLE: Duration = Duration::from_secs(1);
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// For the last acks to leave.
const GOODBYE: Duration = Duration::from_millis(200);

/// What has been received, over all runs with this mark.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub received: u64,
    pub duplicates: u64,
    pub missing: u64,
    pub announced: u64,
    pub unexplained: u64,
    /// Messages that are no records, in this run.
    pub foreign: u64,
    pub gateways: u64,
}

/// Lines that are not written yet, and the acks that wait for that.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    acks: Vec<Ack>,
    messages: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_BYTES || self.messages >= BATCH_MESSAGES
    }
}

/// Everything but the broker.
pub(super) struct Receiver {
    output: Output,
    mark: Mark,
    once_idle: Option<Duration>,
    batch: Batch,
    foreign: u64,
    /// It has been connected at least once.
    was_connected: bool,
    last: Instant,
    progress: Option<Progress>,
}

impl Receiver {
    pub fn new(output: Output, mark: Mark, once_idle: Option<Duration>) -> Receiver {
        let progress = io::stderr().is_terminal().then(Progress::default);
        Receiver {
            output,
            mark,
            once_idle,
            batch: Batch::default(),
            foreign: 0,
            was_connected: false,
            last: Instant::now(),
            progress,
        }
    }

    /// Receives until it is told to stop, or nothing has come for long enough.
    ///
    /// # Errors
    /// When the broker cannot be reached at all, refuses what we ask, or the output does not take the lines.
    pub fn run(mut self, target: Target) -> Result<Summary, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
        let local = LocalSet::new();
        let done = local.block_on(&runtime, self.receive(&target));
        if let Some(progress) = &self.progress {
            progress.clear();
        }
        done?;
        let totals = self.mark.account().totals();
        Ok(Summary {
            received: self.mark.received(),
            duplicates: self.mark.duplicates(),
            missing: totals.missing,
            announced: totals.announced,
            unexplained: totals.unexplained,
            foreign: self.foreign,
            gateways: totals.gateways,
        })
    }

    async fn receive(&mut self, target: &Target) -> Result<(), Failure> {
        let (to, mut happened) = mpsc::unbounded_channel();
        stop_at_signals(&to)?;
        let session = Session::open(target, to);
        self.last = Instant::now();
        loop {
            let stopped = match timeout_at(self.deadline(), happened.recv()).await {
                Ok(Some(first)) => self.take_all(first, &mut happened).await?,
                Ok(None) => true,
                Err(_) => self.handle_timeout()?,
            };
            self.commit(&session).await?;
            if let Some(progress) = &mut self.progress {
                progress.show(Instant::now(), &self.mark);
            }
            if stopped {
                break;
            }
        }
        self.write_mark()?;
        session.close();
        // The listener goes on until the connection is closed.
        let gone =
            async { while !matches!(happened.recv().await, Some(Happened::Lost(_)) | None) {} };
        if timeout_at(Instant::now() + GOODBYE, gone).await.is_err() {
            // What was not acked in time comes again, and is known.
        }
        Ok(())
    }

    /// Takes what has happened, and all that happens meanwhile; true when it is time to stop.
    async fn take_all(
        &mut self,
        first: Happened,
        happened: &mut mpsc::UnboundedReceiver<Happened>,
    ) -> Result<bool, Failure> {
        let mut next = Some(first);
        let mut yielded = false;
        loop {
            match next {
                Some(next) => {
                    yielded = false;
                    if self.handle(next)? {
                        return Ok(true);
                    }
                }
                // The listener may have read more by now.
                None if !yielded => {
                    yielded = true;
                    yield_now().await;
                }
                None => return Ok(false),
            }
            if self.batch.is_full() {
                return Ok(false);
            }
            next = happened.try_recv().ok();
        }
    }

    fn handle(&mut self, happened: Happened) -> Result<bool, Failure> {
        match happened {
            Happened::Message(message) => self.handle_message(message),
            Happened::Subscribed => {
                self.was_connected = true;
                self.last = Instant::now();
            }
            Happened::Refused => {
                return Err(Failure::failed(
                    "the broker refuses what --topic asks for; see its access rules for this client",
                ));
            }
            Happened::Lost(why) if !self.was_connected => {
                return Err(Failure::failed(format!("the broker cannot be reached: {why}")));
            }
            Happened::Lost(why) => self.note(&format!("the broker is gone, trying again: {why}")),
            Happened::Stop => return Ok(true),
        }
        Ok(false)
    }

    fn handle_message(&mut self, message: Message) {
        self.last = Instant::now();
        self.batch.messages += 1;
        self.batch.acks.extend(message.ack);
        match decode(&message.payload, &message.properties) {
            Ok(envelope) => {
                if self.mark.take(&envelope) {
                    self.batch.lines.extend_from_slice(envelope.to_json_line().as_bytes());
                    self.batch.lines.push(b'\n');
                }
            }
            Err(error) => {
                self.foreign += 1;
                if self.foreign == 1 {
                    self.note(&format!("there are messages that are no records: one {error}"));
                }
            }
        }
    }

    /// Makes the batch durable, and acks it.
    async fn commit(&mut self, session: &Session) -> Result<(), Failure> {
        let Batch { lines, acks, .. } = std::mem::take(&mut self.batch);
        if !lines.is_empty() {
            self.output.write(&lines).map_err(|error| {
                Failure::failed(format!("the output takes nothing more: {error}"))
            })?;
        }
        // Where the end of the output cannot be read again, the mark alone says what has been seen.
        let is_due = self.mark.is_due(self.output.bytes());
        if is_due || (!self.output.is_kept() && self.mark.is_stale()) {
            self.write_mark()?;
        }
        for ack in acks {
            session.ack(ack).await;
        }
        Ok(())
    }

    fn write_mark(&mut self) -> Result<(), Failure> {
        if !self.mark.is_stale() {
            return Ok(());
        }
        self.mark
            .write(self.output.bytes())
            .map_err(|error| Failure::failed(format!("the mark cannot be written: {error}")))
    }

    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let mut next = now + Duration::from_secs(3600);
        if let Some(idle) = self.once_idle {
            next = next.min(self.last + idle);
        }
        if self.mark.is_stale() {
            next = next.min(self.last + MARK_IDLE);
        }
        if let Some(progress) = &self.progress {
            next = next.min(progress.next());
        }
        next
    }

    /// True when it is time to stop.
    fn handle_timeout(&mut self) -> Result<bool, Failure> {
        let now = Instant::now();
        if self.last + MARK_IDLE <= now {
            self.write_mark()?;
        }
        Ok(self.once_idle.is_some_and(|idle| self.last + idle <= now))
    }

    fn note(&self, text: &str) {
        if let Some(progress) = &self.progress {
            progress.clear();
        }
        eprintln!("tidegate receive: {text}");
    }
}

/// Sends [`Happened::Stop`] at SIGINT and SIGTERM.
fn stop_at_signals(to: &mpsc::UnboundedSender<Happened>) -> Result<(), Failure> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signal = signal(kind)
            .map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))?;
        let to = to.clone();
        spawn_local(async move {
            signal.recv().await;
            if to.send(Happened::Stop).is_err() {
                // It has stopped already.
            }
        });
    }
    Ok(())
}

/// One line on the terminal that is written over and over.
#[derive(Debug, Default)]
struct Progress {
    shown: Option<(Instant, u64)>,
}

impl Progress {
    fn next(&self) -> Instant {
        self.shown.map_or_else(Instant::now, |(at, _)| at + PROGRESS_EVERY)
    }

    fn show(&mut self, now: Instant, mark: &Mark) {
        if now < self.next() {
            return;
        }
        let received = mark.received();
        let per_s = match self.shown {
            Some((at, before)) => (received - before) as f64 / (now - at).as_secs_f64(),
            None => 0.0,
        };
        self.shown = Some((now, received));
        let totals = mark.account().totals();
        eprint!(
            "\r\x1b[K{received} records, {per_s:.0} a second, {} missing, {} announced as lost",
            totals.missing, totals.announced
        );
        if io::stderr().flush().is_err() {
            // Nobody looks any more.
        }
    }

    fn clear(&self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
