//! The pin driver: one thread that owns the board's GPIO lines, so that a slow chip (an expander on a bus) holds up
//! nothing. Without pins there is no thread.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tidegate_config::Pin;
use tidegate_core::Input;
use tidegate_core::pins::{PINS_MAX, PinWrite};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::clock::Clock;

mod bank;
mod folder;
mod kernel;
#[cfg(test)]
mod tests;

use bank::Bank;

/// Ioctls and short texts.
const STACK_BYTES: usize = 256 * 1024;
/// Writes that wait for the thread; beyond it only the newest of each pin does.
const WRITES_MAX: usize = 256;
/// Shortest time between two looks at the inputs: a line that chatters wakes nobody more often.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Between two looks at inputs that nobody tells of.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// One GPIO line that is ours. Levels are of the pin: on is on, whichever way round it is wired.
pub(crate) trait Line: Send {
    fn read(&mut self) -> Result<bool, String>;

    fn set(&mut self, on: bool) -> Result<(), String>;

    /// What tells of a change. None: it has to be read from time to time.
    fn file(&self) -> Option<std::os::fd::BorrowedFd<'_>>;
}

/// Opens the line of a pin; an output is to be as the flag says from then on.
pub(crate) type Open = Box<dyn FnMut(&Pin, bool) -> Result<Box<dyn Line>, String> + Send>;

/// The thread's front.
#[derive(Debug)]
pub struct PinDriver {
    shared: Arc<Shared>,
    said: mpsc::Receiver<Input>,
}

#[derive(Debug)]
struct Shared {
    writes: Mutex<VecDeque<PinWrite>>,
    wake: OwnedFd,
}

impl PinDriver {
    /// Starts the thread, if the board has pins. What cannot be used is told, and tried again.
    pub fn start(pins: &BTreeMap<String, Pin>, clock: Clock) -> Option<PinDriver> {
        if pins.is_empty() {
            return None;
        }
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = match eventfd(0, flags) {
            Ok(wake) => wake,
            Err(error) => {
                warn!(%error, "no pin can be used: the system has no room for another file");
                return None;
            }
        };
        let shared = Arc::new(Shared { writes: Mutex::default(), wake });
        let (say, said) = mpsc::channel(PINS_MAX);
        let thread = Thread {
            shared: Arc::clone(&shared),
            bank: Bank::new(pins, Box::new(open)),
            say,
            clock,
        };
        thread::Builder::new()
            .name("pins".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || thread.run())
            .expect("a system that cannot start a thread cannot run a gateway");
        Some(PinDriver { shared, said })
    }

    /// Sets pins, in order.
    pub fn send(&self, writes: impl Iterator<Item = PinWrite>) {
        let mut writes = writes.peekable();
        if writes.peek().is_none() {
            return;
        }
        let mut waiting = self.shared.writes();
        waiting.extend(writes);
        if waiting.len() > WRITES_MAX {
            keep_newest(&mut waiting);
        }
        drop(waiting);
        self.shared.ring();
    }

    /// What the thread has seen, if it has.
    pub fn poll_said(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        self.said.poll_recv(context)
    }
}

/// A chip that is a path is a folder; others are the kernel's.
fn open(pin: &Pin, on: bool) -> Result<Box<dyn Line>, String> {
    if pin.chip.starts_with('/') { folder::open(pin, on) } else { kernel::open(pin, on) }
}

/// The thread is far behind: what a pin was to be meanwhile does not matter any more.
fn keep_newest(writes: &mut VecDeque<PinWrite>) {
    let mut seen = BTreeSet::new();
    let newest: VecDeque<PinWrite> =
        writes.iter().rev().filter(|write| seen.insert(write.pin)).copied().collect();
    *writes = newest.into_iter().rev().collect();
}

impl Shared {
    fn writes(&self) -> MutexGuard<'_, VecDeque<PinWrite>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // It fails only when it has rung so often that it is sure to be heard.
        if let Err(error) = rustix::io::write(&self.wake, &1u64.to_ne_bytes()) {
            debug!(%error, "the pins' bell");
        }
    }
}

struct Thread {
    shared: Arc<Shared>,
    bank: Bank,
    say: mpsc::Sender<Input>,
    clock: Clock,
}

impl Thread {
    /// Until the hub is gone.
    fn run(mut self) {
        loop {
            let round = Instant::now();
            let now = self.clock.timestamp();
            let writes = std::mem::take(&mut *self.shared.writes());
            for write in writes {
                self.bank.set(now, write);
            }
            self.bank.handle_timeout(now);
            self.bank.look(now);
            let at = self.clock.wall();
            while let Some((pin, level)) = self.bank.poll_seen() {
                if self.say.blocking_send(Input::Pin { pin, level, at }).is_err() {
                    return;
                }
            }
            self.wait();
            thread::sleep(LOOK_EVERY.saturating_sub(round.elapsed()));
        }
    }

    /// Until a pin is to be set, an input has changed, or it is time for the next try.
    fn wait(&self) {
        let now = self.clock.timestamp();
        let retry = self.bank.poll_timeout().map(|at| at.since(now));
        let look = self.bank.has_quiet().then_some(POLL_EVERY);
        let wait = [retry, look].into_iter().flatten().min().map(|wait| Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: wait.subsec_nanos().into(),
        });
        let wake = self.shared.wake.as_fd();
        let files = std::iter::once(wake).chain(self.bank.files());
        let mut files: Vec<PollFd<'_>> =
            files.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)).collect();
        if let Err(error) = poll(&mut files, wait.as_ref()) {
            debug!(%error, "waiting for pins");
        }
        let mut rung = [0; 8];
        if let Err(error) = rustix::io::read(wake, &mut rung)
            && error != rustix::io::Errno::AGAIN
        {
            debug!(%error, "the pins' bell");
        }
    }
}
