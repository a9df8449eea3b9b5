//! Runs jobs: the first slice here and at once, the rest of a long one in a runner thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_core::Manifest;
use tidegate_core::job::{HandlerId, Job, Outcome};
use tidegate_host::{Caps, Instance, Now, Step};

use crate::threads::{Threads, Work};

/// A job that outlived its first slice so often in a row does not start on the short way any more.
const LONG_AFTER: u8 = 4;

/// What came back from a thread.
#[derive(Debug)]
pub enum Done {
    /// When a module has been loaded, or refused with a reason.
    Loaded { handler: HandlerId, result: Result<Box<Instance>, String> },
    /// When a parked job has ended.
    Ran { handler: HandlerId, instance: Box<Instance>, outcome: Outcome },
}

/// Where a handler's module is and how it is to run.
#[derive(Clone, Debug)]
pub struct Source {
    pub module_path: PathBuf,
    pub manifest: Arc<Manifest>,
}

#[derive(Debug)]
struct Slot {
    /// Absent while the instance is away in a thread.
    instance: Option<Box<Instance>>,
    /// Jobs in a row that outlived the first slice.
    long: u8,
}

/// The handlers' instances and the threads that long jobs go to.
#[derive(Debug)]
pub struct Runner {
    caps: Caps,
    sources: BTreeMap<HandlerId, Source>,
    slots: BTreeMap<HandlerId, Slot>,
    threads: Threads,
    seed: u64,
}

impl Runner {
    pub fn new(caps: Caps, threads: Threads, seed: u64) -> Runner {
        Runner { caps, sources: BTreeMap::new(), slots: BTreeMap::new(), threads, seed }
    }

    /// Tells where the module of a handler is that will be checked.
    pub fn add_source(&mut self, handler: HandlerId, source: Source) {
        self.sources.insert(handler, source);
    }

    /// Loads a module in a thread. Answered by [`Done::Loaded`].
    pub fn check(&mut self, handler: HandlerId) -> Result<(), String> {
        let source = self.sources.get(&handler).ok_or("it has no module to load")?;
        let (caps, seed) = (self.caps, self.seed ^ u64::from(handler.0));
        self.threads.send(Work::Load { handler, source: source.clone(), caps, seed });
        Ok(())
    }

    /// Starts a job. Gives the outcome if it ended in its first slice; otherwise a thread has it.
    pub fn run(&mut self, job: Job, now: Now) -> Option<Outcome> {
        let handler = job.handler;
        let slot = self.slots.get_mut(&handler).expect("the core runs only what was checked");
        let mut instance = slot.instance.take().expect("the core runs one job of a handler at a time");
        if slot.long >= LONG_AFTER {
            self.threads.send(Work::Start { handler, instance, job });
            return None;
        }
        match instance.start(job, self.threads.slice_fuel(), now) {
            Step::Finished(outcome) => {
                slot.long = 0;
                slot.instance = Some(instance);
                Some(outcome)
            }
            Step::Parked => {
                slot.long += 1;
                self.threads.send(Work::Resume { handler, instance });
                None
            }
        }
    }

    /// Takes back what a thread has finished; gives the core's part of it.
    pub fn take_back(&mut self, done: Done) -> tidegate_core::Input {
        use tidegate_core::Input;
        match done {
            Done::Loaded { handler, result: Ok(instance) } => {
                self.slots.insert(handler, Slot { instance: Some(instance), long: 0 });
                Input::Checked { handler, result: Ok(()) }
            }
            Done::Loaded { handler, result: Err(reason) } => Input::Checked { handler, result: Err(reason) },
            Done::Ran { handler, instance, outcome } => {
                if let Some(slot) = self.slots.get_mut(&handler) {
                    slot.instance = Some(instance);
                }
                Input::Outcome(outcome)
            }
        }
    }

    /// Waits for what the threads have finished.
    pub fn threads(&mut self) -> &mut Threads {
        &mut self.threads
    }
}
