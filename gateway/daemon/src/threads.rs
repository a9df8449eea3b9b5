//! The runner threads: load modules, and give every long job one slice after the other in turn.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use tidegate_core::job::{HandlerId, Job};
use tidegate_host::{Caps, Instance, Step};
use tokio::sync::mpsc;
use tracing::debug;

use crate::clock::Clock;
use crate::runner::{Done, Source};

/// A slice in a thread is so much longer than the one on the short way: a switch costs 2 us, and
/// nobody but other long jobs waits for it.
const THREAD_SLICE_FACTOR: u64 = 8;
/// Runner threads yield to the short way: the hub keeps the default niceness of 0.
const NICENESS: i32 = 5;
/// The interpreter keeps the guest's stack on the heap; this is for the interpreter itself and the loader.
const STACK_BYTES: usize = 512 * 1024;

/// What a thread can do.
#[derive(Debug)]
pub enum Work {
    Load { handler: HandlerId, source: Source, caps: Caps, seed: u64 },
    Start { handler: HandlerId, instance: Box<Instance>, job: Job },
    Resume { handler: HandlerId, instance: Box<Instance> },
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    slice_fuel: AtomicU64,
    slice_us: u64,
    calibrated: Once,
    done: mpsc::Sender<Done>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Queue {
    /// At most one entry a handler.
    work: VecDeque<Work>,
    idle: usize,
    started: usize,
}

/// The threads' front. Threads start when there is work for them.
#[derive(Debug)]
pub struct Threads {
    shared: Arc<Shared>,
    threads_max: usize,
    done: mpsc::Receiver<Done>,
}

impl Threads {
    /// `handlers_max` bounds what can be under way: a handler has one job or one load at a time.
    pub fn new(threads_max: usize, handlers_max: usize, slice_us: u64, clock: Clock) -> Threads {
        let (sender, done) = mpsc::channel(handlers_max.max(1));
        let shared = Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            // Until the first load has calibrated it: 100 fuel a microsecond, a slow board's pace.
            slice_fuel: AtomicU64::new(slice_us * 100),
            slice_us,
            calibrated: Once::new(),
            done: sender,
            clock,
        };
        Threads { shared: Arc::new(shared), threads_max: threads_max.max(1), done }
    }

    /// Fuel of one slice on the short way.
    pub fn slice_fuel(&self) -> u64 {
        self.shared.slice_fuel.load(Ordering::Relaxed)
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

    /// What has been finished, if anything has.
    pub fn poll_done(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Done>> {
        self.done.poll_recv(context)
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
        let mut queue = self.lock();
        loop {
            queue = match queue.work.pop_front() {
                Some(work) => {
                    drop(queue);
                    self.step(work);
                    self.lock()
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

    fn step(&self, work: Work) {
        let slice = self.slice_fuel.load(Ordering::Relaxed).saturating_mul(THREAD_SLICE_FACTOR);
        match work {
            Work::Load { handler, source, caps, seed } => {
                self.calibrate();
                let result = load(&source, &caps, seed).map(Box::new);
                self.finish(Done::Loaded { handler, result });
            }
            Work::Start { handler, mut instance, job } => {
                let step = instance.start(job, slice, self.clock.now());
                self.stepped(handler, instance, step);
            }
            Work::Resume { handler, mut instance } => {
                let step = instance.resume(slice, self.clock.now());
                self.stepped(handler, instance, step);
            }
        }
    }

    fn stepped(&self, handler: HandlerId, instance: Box<Instance>, step: Step) {
        match step {
            Step::Finished(outcome) => self.finish(Done::Ran { handler, instance, outcome }),
            Step::Parked => self.lock().work.push_back(Work::Resume { handler, instance }),
        }
    }

    fn finish(&self, done: Done) {
        if self.done.blocking_send(done).is_err() {
            debug!("the hub has stopped; a finished job is forgotten");
        }
    }

    /// Measures once how much fuel a slice is on this machine.
    fn calibrate(&self) {
        self.calibrated.call_once(|| {
            let clock = self.clock;
            let fuel_per_ms = tidegate_host::calibrate(|| clock.now().mono_us);
            let slice = (fuel_per_ms * self.slice_us / 1000).max(1);
            self.slice_fuel.store(slice, Ordering::Relaxed);
            debug!(fuel_per_ms, slice, "calibrated");
        });
    }
}

fn load(source: &Source, caps: &Caps, seed: u64) -> Result<Instance, String> {
    let path = &source.module_path;
    let unreadable = |error| format!("cannot read the module {}: {error}", path.display());
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    // Asked before it is read: a module far beyond the limit need not be in memory to be refused.
    if bytes > caps.module_bytes_max as u64 {
        return Err(format!(
            "the module {} has {bytes} bytes; the board allows {} (handler.module_bytes_max)",
            path.display(),
            caps.module_bytes_max
        ));
    }
    let module = std::fs::read(path).map_err(unreadable)?;
    tidegate_host::load(&module, Arc::clone(&source.manifest), caps, seed).map_err(|error| error.to_string())
}
