//! Runs jobs: the first slice here and at once; what a long one needs beyond it is work for somebody else.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_core::job::{HandlerId, Job, Outcome};
use tidegate_core::{Input, Manifest};
use tidegate_host::{Caps, Instance, Now, Step};

/// A handler whose jobs outlived their first slice so often in a row does not start on the short way any more.
const LONG_AFTER: u8 = 4;
/// Fuel a microsecond until it has been measured: a slow board's pace.
const FUEL_PER_US: u64 = 100;

/// What is too long for the short way. At most one piece a handler.
pub enum Work {
    /// When a module is to be loaded and checked.
    Load {
        handler: HandlerId,
        source: Source,
        caps: Caps,
        seed: u64,
    },
    /// When a job of a handler that is usually long is to be run from its beginning.
    Start {
        handler: HandlerId,
        instance: Box<Instance>,
        job: Job,
    },
    /// When a job has outlived its slice.
    Resume {
        handler: HandlerId,
        instance: Box<Instance>,
    },
}

/// What became of a piece of work.
pub enum Done {
    /// When a module has been loaded, or refused with a reason.
    Loaded {
        handler: HandlerId,
        result: Result<Box<Instance>, String>,
    },
    /// When a job has ended.
    Ran {
        handler: HandlerId,
        instance: Box<Instance>,
        outcome: Outcome,
    },
}

/// Where a handler's module is and how it is to run.
#[derive(Clone, Debug)]
pub struct Source {
    pub module_path: PathBuf,
    pub manifest: Arc<Manifest>,
}

struct Slot {
    /// Absent while the instance is away with its work.
    instance: Option<Box<Instance>>,
    /// Jobs in a row that outlived the first slice.
    long: u8,
}

/// The handlers' instances.
pub struct Runner {
    caps: Caps,
    sources: BTreeMap<HandlerId, Source>,
    slots: BTreeMap<HandlerId, Slot>,
    work: VecDeque<Work>,
    slice_us: u64,
    slice_fuel: u64,
    seed: u64,
}

impl Runner {
    pub fn new(caps: Caps, slice_us: u64, seed: u64) -> Runner {
        let (sources, slots, work) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Runner {
            caps,
            sources,
            slots,
            work,
            slice_us,
            slice_fuel: slice_us * FUEL_PER_US,
            seed,
        }
    }

    /// Takes a measurement of this machine's pace.
    pub fn calibrate(&mut self, fuel_per_ms: u64) {
        self.slice_fuel = (fuel_per_ms * self.slice_us / 1000).max(1);
    }

    /// Tells where the module of a handler is that will be checked.
    pub fn add_source(&mut self, handler: HandlerId, source: Source) {
        self.sources.insert(handler, source);
    }

    /// Has a module loaded. Answered by [`Done::Loaded`].
    pub fn check(&mut self, handler: HandlerId) {
        let source = self
            .sources
            .get(&handler)
            .expect("whoever deploys a handler says where its module is");
        let (source, seed) = (source.clone(), self.seed ^ u64::from(handler.0));
        self.work.push_back(Work::Load {
            handler,
            source,
            caps: self.caps,
            seed,
        });
    }

    /// Starts a job. Gives the outcome if it ended in its first slice; otherwise it is work.
    pub fn run(&mut self, job: Job, now: Now) -> Option<Outcome> {
        let handler = job.handler;
        let slot = self
            .slots
            .get_mut(&handler)
            .expect("the core runs only what was checked");
        let mut instance = slot
            .instance
            .take()
            .expect("the core runs one job of a handler at a time");
        if slot.long >= LONG_AFTER {
            self.work.push_back(Work::Start {
                handler,
                instance,
                job,
            });
            return None;
        }
        match instance.start(job, self.slice_fuel, now) {
            Step::Finished(outcome) => {
                slot.long = 0;
                slot.instance = Some(instance);
                Some(outcome)
            }
            Step::Parked => {
                slot.long += 1;
                self.work.push_back(Work::Resume { handler, instance });
                None
            }
        }
    }

    /// The next piece of work for somebody else.
    pub fn poll_work(&mut self) -> Option<Work> {
        self.work.pop_front()
    }

    /// Takes back what has been done; gives the core's part of it.
    pub fn handle_done(&mut self, done: Done) -> Input {
        match done {
            Done::Loaded { handler, result } => {
                let result = result.map(|instance| {
                    self.slots.insert(
                        handler,
                        Slot {
                            instance: Some(instance),
                            long: 0,
                        },
                    );
                });
                Input::Checked { handler, result }
            }
            Done::Ran {
                handler,
                instance,
                outcome,
            } => {
                if let Some(slot) = self.slots.get_mut(&handler) {
                    slot.instance = Some(instance);
                }
                Input::Outcome(outcome)
            }
        }
    }
}

impl Work {
    /// Does the work, or one slice of it. Gives back what is left to do as `Err`.
    pub fn step(self, slice_fuel: u64, now: Now) -> Result<Done, Work> {
        let (handler, instance, step) = match self {
            Work::Load {
                handler,
                source,
                caps,
                seed,
            } => {
                let result = load(&source, &caps, seed).map(Box::new);
                return Ok(Done::Loaded { handler, result });
            }
            Work::Start {
                handler,
                mut instance,
                job,
            } => {
                let step = instance.start(job, slice_fuel, now);
                (handler, instance, step)
            }
            Work::Resume {
                handler,
                mut instance,
            } => {
                let step = instance.resume(slice_fuel, now);
                (handler, instance, step)
            }
        };
        match step {
            Step::Finished(outcome) => Ok(Done::Ran {
                handler,
                instance,
                outcome,
            }),
            Step::Parked => Err(Work::Resume { handler, instance }),
        }
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
    let manifest = Arc::clone(&source.manifest);
    tidegate_host::load(&module, manifest, caps, seed).map_err(|error| error.to_string())
}
