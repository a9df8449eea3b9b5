//! The runner threads: load modules, and give every long job one slice after the other in turn.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use tokio::sync::mpsc;
use tracing::debug;

use crate::clock::Clock;
use crate::runner::{Done, Work};

/// A slice in a thread: nobody but other long jobs waits for it, and a switch costs some microseconds.
const SLICE_US: u64 = 500;
/// Runner threads yield to the short way: the hub keeps the default niceness of 0.
const NICENESS: i32 = 5;
/// The interpreter keeps the guest's stack on the heap; this is for the interpreter itself and the loader.
const STACK_BYTES: usize = 512 * 1024;

/// What a thread has to say.
pub enum Said {
    Done(Done),
    /// Once, before the first work is done.
    Pace {
        fuel_per_ms: u64,
    },
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    fuel_per_ms: OnceLock<u64>,
    said: mpsc::Sender<Said>,
    clock: Clock,
}

#[derive(Default)]
struct Queue {
    /// At most one entry a handler.
    work: VecDeque<Work>,
    idle: usize,
    started: usize,
}

/// The threads' front. Threads start when there is work for them.
pub struct Threads {
    shared: Arc<Shared>,
    threads_max: usize,
    said: mpsc::Receiver<Said>,
}

impl Threads {
    /// `handlers_max` bounds what can be under way: a handler has one job or one load at a time.
    pub fn new(threads_max: usize, handlers_max: usize, clock: Clock) -> Threads {
        let (sender, said) = mpsc::channel(handlers_max + 1);
        let shared = Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            fuel_per_ms: OnceLock::new(),
            said: sender,
            clock,
        };
        Threads { shared: Arc::new(shared), threads_max: threads_max.max(1), said }
    }

    pub fn send(&self, work: Work) {
        let mut queue = self.shared.lock();
        queue.work.push_back(work);
        if queue.work.len() > queue.idle && queue.started < self.threads_max {
            queue.started += 1;
            let shared = Arc::clone(&self.shared);
            thread::Builder::new()
                .name(format!("runner-{}", queue.started))
                .stack_size(STACK_BYTES)
                .spawn(move || shared.work())
                .expect("a system that cannot start a thread cannot run a gateway");
        } else {
            self.shared.wake.notify_one();
        }
    }

    /// What a thread has to say, if one has.
    pub fn poll_said(&mut self, context: &mut Context<'_>) -> Poll<Option<Said>> {
        self.said.poll_recv(context)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A thread that panicked has ended the process already, but for tests.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one thread.
    fn work(&self) {
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            debug!(%error, "a runner thread keeps its priority");
        }
        let slice_fuel = self.pace() * SLICE_US / 1000;
        let mut queue = self.lock();
        loop {
            queue = match queue.work.pop_front() {
                Some(work) => {
                    drop(queue);
                    let stepped = work.step(slice_fuel, self.clock.now());
                    match stepped {
                        Ok(done) => {
                            self.say(Said::Done(done));
                            self.lock()
                        }
                        Err(rest) => {
                            let mut queue = self.lock();
                            queue.work.push_back(rest);
                            queue
                        }
                    }
                }
                None => {
                    queue.idle += 1;
                    queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    queue.idle -= 1;
                    queue
                }
            };
        }
    }

    /// Fuel a millisecond on this machine, measured once.
    fn pace(&self) -> u64 {
        *self.fuel_per_ms.get_or_init(|| {
            let fuel_per_ms = tidegate_host::calibrate(|| self.clock.now().mono_us);
            debug!(fuel_per_ms, "measured");
            self.say(Said::Pace { fuel_per_ms });
            fuel_per_ms
        })
    }

    fn say(&self, said: Said) {
        if self.said.blocking_send(said).is_err() {
            debug!("the hub has stopped; what a thread has done is forgotten");
        }
    }
}
