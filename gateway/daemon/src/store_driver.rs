//! The store driver: one thread that gathers commits, makes them durable together, and reads records back.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tidegate_core::Input;
use tidegate_journal::Disk;
use tidegate_store::{Shelf, Store};
use tokio::sync::{mpsc as replies, oneshot};
use tracing::{debug, error, warn};

use crate::clock::Clock;
use crate::hub::ToStore;
use crate::store_desk::StoreDesk;

/// Between two tries to write, when the disk refuses.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How long nothing must have come before the store does what can wait: it must not delay a commit.
const REST_AFTER: Duration = Duration::from_millis(200);
/// Between two looks at whether the thread has ended.
const CLOSE_STEP: Duration = Duration::from_millis(1);
/// The thread holds no deep structures.
const STACK_BYTES: usize = 1024 * 1024;

/// What the thread is told.
#[derive(Debug)]
enum Told {
    Do(ToStore),
    /// Somebody asks how full the journal is.
    Look(oneshot::Sender<Fill>),
    Stop,
}

/// How full the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub used_bytes: u64,
    pub quota_bytes: u64,
}

/// Asks the thread how full the journal is.
#[derive(Clone, Debug)]
pub struct Lookout {
    to: Sender<Told>,
}

impl Lookout {
    /// The answer comes when the thread has done what it is doing. None: it has stopped.
    pub async fn fill(&self) -> Option<Fill> {
        let (say, said) = oneshot::channel();
        self.to.send(Told::Look(say)).ok()?;
        said.await.ok()
    }
}

/// The thread's front.
#[derive(Debug)]
pub struct StoreDriver {
    to: Sender<Told>,
    said: replies::UnboundedReceiver<Input>,
}

/// Closes the store at the end.
#[derive(Debug)]
pub struct Closer {
    to: Sender<Told>,
    thread: JoinHandle<()>,
}

impl StoreDriver {
    /// `commit_ms`: the longest wait for company in a group commit.
    pub fn start<D, S>(store: Store<D, S>, commit_ms: u32, clock: Clock) -> (StoreDriver, Closer)
    where
        D: Disk + Send + 'static,
        S: Shelf + Send + 'static,
    {
        let (to, told) = mpsc::channel();
        // Bounded by what is asked: one answer each, and commits are bounded by the core.
        let (say, said) = replies::unbounded_channel();
        let patience = Duration::from_millis(u64::from(commit_ms));
        let work = Work {
            desk: StoreDesk::new(store),
            told,
            say,
            patience,
            clock,
            last_gathered: 0,
            last_took: Duration::ZERO,
            last_end: Instant::now(),
            retry: None,
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || work.run())
            .expect("a system that cannot start a thread cannot run a gateway");
        let closer = Closer { to: to.clone(), thread };
        (StoreDriver { to, said }, closer)
    }

    pub fn lookout(&self) -> Lookout {
        Lookout { to: self.to.clone() }
    }

    pub fn send(&self, what: ToStore) {
        if self.to.send(Told::Do(what)).is_err() {
            debug!("the store has stopped");
        }
    }

    /// What the store has to say, if it has.
    pub fn poll_said(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        self.said.poll_recv(context)
    }
}

impl Closer {
    /// Writes what can be written, so that the next start is a clean one. Gives up when the disk takes longer.
    pub fn close(self, patience: Duration) {
        if self.to.send(Told::Stop).is_err() {
            return;
        }
        let end = Instant::now() + patience;
        while !self.thread.is_finished() {
            if Instant::now() >= end {
                warn!("the store was not closed in time; the next start takes a little longer");
                return;
            }
            thread::sleep(CLOSE_STEP);
        }
    }
}

/// What the thread works with.
struct Work<D: Disk, S: Shelf> {
    desk: StoreDesk<D, S>,
    told: Receiver<Told>,
    say: replies::UnboundedSender<Input>,
    patience: Duration,
    clock: Clock,
    /// How many commits the last sync had, and how long it took.
    last_gathered: usize,
    last_took: Duration,
    last_end: Instant,
    retry: Option<Duration>,
}

impl<D: Disk, S: Shelf> Work<D, S> {
    fn run(mut self) {
        let mut rests = true;
        loop {
            let told = match self.wait(rests) {
                Ok(told) => told,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if self.retry.is_some() => {
                    self.commit();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    rests = self.desk.store().rest();
                    continue;
                }
            };
            rests = true;
            if !self.take(told) || !self.gather() {
                break;
            }
            self.commit();
        }
        self.commit();
        if let Err(error) = self.desk.store().stop() {
            error!(%error, "the store was not closed cleanly; the next start takes a little longer");
        }
    }

    /// Waits for something to do. With nothing left to tidy it waits for ever: an idle gateway sleeps.
    fn wait(&self, rests: bool) -> Result<Told, RecvTimeoutError> {
        match self.retry {
            Some(wait) => self.told.recv_timeout(wait),
            None if rests => self.told.recv_timeout(REST_AFTER),
            None => self.told.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Takes what else is there, and waits a little for company when it is likely to come. False when it is to stop.
    fn gather(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            let told = match self.told.try_recv() {
                Ok(told) => told,
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => {
                    let Some(wait) = self.company(begun) else {
                        return true;
                    };
                    match self.told.recv_timeout(wait) {
                        Ok(told) => told,
                        Err(RecvTimeoutError::Timeout) => return true,
                        Err(RecvTimeoutError::Disconnected) => return false,
                    }
                }
            };
            if !self.take(told) {
                return false;
            }
        }
    }

    /// How long to wait for more commits. Whoever was acked by the last sync is about to send again, so a batch as
    /// large as the last one is likely; but nobody waits longer than that sync took. After a pause: not at all.
    fn company(&self, begun: Instant) -> Option<Duration> {
        let gathered = self.desk.gathered();
        if gathered == 0 || gathered >= self.last_gathered || self.retry.is_some() {
            return None;
        }
        let now = Instant::now();
        if now.duration_since(self.last_end) > self.patience {
            return None;
        }
        let most = self.patience.min(self.last_took);
        most.checked_sub(now.duration_since(begun)).filter(|wait| !wait.is_zero())
    }

    /// Takes one thing to do. False when it is to stop.
    fn take(&mut self, told: Told) -> bool {
        match told {
            Told::Stop => return false,
            Told::Do(what) => {
                // What is known of wall time goes with a commit now and then: the floor of the next start.
                if let Some(floor_us) = self.clock.next_floor() {
                    self.desk.store().know_time(floor_us);
                }
                self.desk.take(what);
            }
            Told::Look(say) => {
                let store = self.desk.store();
                let (used_bytes, quota_bytes) = (store.used_bytes(), store.quota_bytes());
                if say.send(Fill { used_bytes, quota_bytes }).is_err() {
                    debug!("who asked for the journal's size has gone");
                }
            }
        }
        self.say();
        true
    }

    fn commit(&mut self) {
        let begun = Instant::now();
        let count = self.desk.commit();
        if self.desk.is_failing() {
            let wait = self.retry.map_or(RETRY_MIN, |wait| (wait * 2).min(RETRY_MAX));
            self.retry = Some(wait);
        } else {
            self.retry = None;
        }
        if count > 0 {
            self.last_end = Instant::now();
            self.last_took = self.last_end.duration_since(begun);
            self.last_gathered = count;
        }
        self.say();
    }

    fn say(&mut self) {
        while let Some(input) = self.desk.poll_said() {
            if self.say.send(input).is_err() {
                debug!("the hub has stopped; what the store has done is forgotten");
            }
        }
    }
}
