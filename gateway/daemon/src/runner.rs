//! Runs jobs: the first slice here and at once; what a long one needs beyond it is work for somebody else.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_core::Input;
use tidegate_core::commit::StateChange;
use tidegate_core::job::{HandlerId, Job, Outcome};
use tidegate_core::pins::Pins;
use tidegate_core::planted::{Bug, planted};
use tidegate_core::release::{CheckId, Digest, Migration, Version};
use tidegate_core::stream::Streams;
use tidegate_host::{Caps, Instance, Now, Step, Table};

use crate::release_desk::{Drive, Files, RealDrive};

mod load;
mod migration;

pub use load::Load;

/// A handler with so many events in a row that outlived a slice does not start on the short way any more,
/// until a whole job of it would have fitted.
const LONG_AFTER: u8 = 4;
/// Slices that one turn may take before what was done so far goes out: about a millisecond.
const TURN_SLICES: u64 = 13;
/// Fuel a microsecond until it has been measured: a slow board's pace.
const FUEL_PER_US: u64 = 100;

/// What is too long for the short way. At most one piece a handler.
pub enum Work {
    /// When a module is to be loaded and checked.
    Load(Box<Load>),
    /// When a job of a handler that is usually long is to be run from its beginning.
    Start { handler: HandlerId, instance: Box<Instance>, job: Job },
    /// When a version is to migrate the copy of a state that it has.
    Migrate { handler: HandlerId, instance: Box<Instance>, migration: Migration },
    /// When a job has outlived its slice.
    Resume { handler: HandlerId, instance: Box<Instance> },
}

/// What became of a piece of work.
pub enum Done {
    /// When a module has been loaded, or refused with a reason.
    Loaded { handler: HandlerId, check: CheckId, result: Result<Box<Instance>, String> },
    /// When a copy of a state has been migrated, or not.
    Migrated {
        handler: HandlerId,
        instance: Box<Instance>,
        migration: Migration,
        result: Result<(), String>,
    },
    /// When a job has ended.
    Ran { handler: HandlerId, instance: Box<Instance>, outcome: Outcome },
}

struct Slot {
    /// Absent while the instance is away with its work.
    instance: Option<Box<Instance>>,
    /// Where its state stays behind.
    table: Arc<str>,
    /// Jobs in a row with an event that outlived a slice.
    long: u8,
}

/// The handlers' instances.
pub struct Runner {
    caps: Caps,
    /// What `send` finds.
    streams: Arc<Streams>,
    /// What `gpio` finds.
    pins: Arc<Pins>,
    /// State that no instance has, by table: it was there when the daemon started, or stayed behind.
    restored: BTreeMap<Arc<str>, Table>,
    /// Modules of the configuration's handlers, by name.
    modules: BTreeMap<String, PathBuf>,
    /// Where the modules of pushed ones are, by digest.
    files: Files,
    /// Each handler's last check. What an earlier one has loaded is let go.
    checks: BTreeMap<HandlerId, CheckId>,
    /// Loaded, and not switched to yet.
    checked: BTreeMap<HandlerId, Box<Instance>>,
    slots: BTreeMap<HandlerId, Slot>,
    work: VecDeque<Work>,
    /// Handlers whose job is many events, none of them long: it goes on here, after the others.
    again: VecDeque<HandlerId>,
    /// Handlers with traces of an event to remove when there is time.
    untidy: Vec<HandlerId>,
    /// Fuel that jobs have used here.
    spent: u64,
    slice_us: u64,
    slice_fuel: u64,
    seed: u64,
}

impl Runner {
    pub fn new(caps: Caps, streams: Arc<Streams>, slice_us: u64, seed: u64) -> Runner {
        Runner {
            caps,
            streams,
            pins: Arc::default(),
            restored: BTreeMap::new(),
            modules: BTreeMap::new(),
            files: Files::at(Path::new("")),
            checks: BTreeMap::new(),
            checked: BTreeMap::new(),
            slots: BTreeMap::new(),
            work: VecDeque::new(),
            again: VecDeque::new(),
            untidy: Vec::new(),
            spent: 0,
            slice_us,
            slice_fuel: slice_us * FUEL_PER_US,
            seed,
        }
    }

    /// Begins a turn; gives its end.
    pub fn begin_turn(&self) -> u64 {
        self.spent + TURN_SLICES * self.slice_fuel
    }

    /// Whether the turn that [`Runner::begin_turn`] began has taken long enough.
    pub fn is_over(&self, end: u64) -> bool {
        self.spent >= end
    }

    /// Takes a measurement of this machine's pace.
    pub fn calibrate(&mut self, fuel_per_ms: u64) {
        self.slice_fuel = (fuel_per_ms * self.slice_us / 1000).max(1);
    }

    /// Tells where the module of a handler of the configuration is.
    pub fn add_module(&mut self, handler: &str, path: PathBuf) {
        self.modules.insert(handler.to_owned(), path);
    }

    /// Tells where the modules of pushed handlers are.
    pub fn set_files(&mut self, files: Files) {
        self.files = files;
    }

    /// Tells which pins the board has.
    pub fn set_pins(&mut self, pins: Arc<Pins>) {
        self.pins = pins;
    }

    /// Brings back the state of a handler: it starts with it, whenever it is loaded.
    pub fn restore(&mut self, state: StateChange) {
        let entries =
            state.changes.into_iter().filter_map(|change| Some((change.key, change.value?)));
        let table = Table::restore(state.version, entries);
        self.restored.insert(state.handler, table);
    }

    /// Has a module loaded. Answered by [`Done::Loaded`].
    pub fn check(&mut self, handler: HandlerId, check: CheckId, version: Version) {
        self.checks.insert(handler, check);
        self.checked.remove(&handler);
        let blob = |digest: Digest| self.files.blobs().join(digest.to_string());
        let (drive, module_path, golden_path): (Arc<dyn Drive>, _, _) = match &version {
            Version::Configured(manifest) => {
                let path = self.modules.get(&manifest.name);
                let path = path.expect("whoever deploys a handler says where its module is");
                (Arc::new(RealDrive), path.clone(), None)
            }
            Version::Pushed(release) => {
                let golden = release.golden.map(blob);
                (Arc::clone(self.files.drive()), blob(release.module), golden)
            }
        };
        let (streams, pins) = (Arc::clone(&self.streams), Arc::clone(&self.pins));
        let caps = self.caps;
        let seed = self.seed ^ u64::from(handler.0);
        let load = Load {
            handler,
            check,
            version,
            module_path,
            golden_path,
            drive,
            streams,
            pins,
            caps,
            seed,
        };
        self.work.push_back(Work::Load(Box::new(load)));
    }

    /// From the next job on, what was loaded last runs, with the state in `table`. Not while a job of this handler runs.
    pub fn switch(&mut self, handler: HandlerId, table: Arc<str>) {
        let mut instance =
            self.checked.remove(&handler).expect("the core switches to what was checked");
        self.rest(handler);
        if let Some(state) = self.restored.remove(&table) {
            instance.set_state(state);
        }
        self.slots.insert(handler, Slot { instance: Some(instance), table, long: 0 });
    }

    /// Lets a handler's instance go; its state stays. Not while a job of it runs.
    pub fn rest(&mut self, handler: HandlerId) {
        if let Some(slot) = self.slots.remove(&handler) {
            let mut instance = slot.instance.expect("no job of it runs");
            self.restored.insert(slot.table, instance.take_state());
        }
    }

    /// Starts a job. Gives the outcome if it ended in its first slice; otherwise it is work, or goes on
    /// in [`Runner::run_on`].
    pub fn run(&mut self, job: Job, now: Now) -> Option<Outcome> {
        let handler = job.handler;
        let slot = self.slots.get_mut(&handler).expect("the core runs only what was checked");
        let mut instance =
            slot.instance.take().expect("the core runs one job of a handler at a time");
        if slot.long >= LONG_AFTER {
            self.work.push_back(Work::Start { handler, instance, job });
            return None;
        }
        let step = instance.start(job, self.slice_fuel, now);
        self.stepped(handler, instance, step)
    }

    /// Goes on with the next job that is many short events.
    pub fn run_on(&mut self, now: Now) -> Option<Outcome> {
        let handler = self.again.pop_front()?;
        let slot = self.slots.get_mut(&handler).expect("it runs");
        let mut instance = slot.instance.take().expect("it waits here");
        let step = instance.resume(self.slice_fuel, now);
        self.stepped(handler, instance, step)
    }

    /// Whether [`Runner::run_on`] has something to do.
    pub fn is_waiting(&self) -> bool {
        !self.again.is_empty()
    }

    fn stepped(
        &mut self,
        handler: HandlerId,
        instance: Box<Instance>,
        step: Step,
    ) -> Option<Outcome> {
        let slot = self.slots.get_mut(&handler).expect("it runs");
        match step {
            Step::Finished(outcome) => {
                self.spent += outcome.events.iter().map(|event| event.fuel_used).sum::<u64>();
                slot.long = 0;
                slot.instance = Some(instance);
                self.untidy.push(handler);
                Some(outcome)
            }
            Step::Parked if instance.is_between_events() => {
                self.spent += self.slice_fuel;
                slot.instance = Some(instance);
                self.again.push_back(handler);
                None
            }
            Step::Parked => {
                self.spent += self.slice_fuel;
                slot.long = slot.long.saturating_add(1);
                self.work.push_back(Work::Resume { handler, instance });
                None
            }
        }
    }

    /// Removes the traces of finished events, now that their reactions are on their way.
    pub fn tidy(&mut self) {
        for handler in self.untidy.drain(..) {
            if let Some(instance) =
                self.slots.get_mut(&handler).and_then(|slot| slot.instance.as_mut())
            {
                instance.tidy();
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
            Done::Loaded { handler, check, result } => {
                let is_last =
                    self.checks.get(&handler) == Some(&check) || planted(Bug::LateLoadRuns);
                let result = result.map(|instance| {
                    if is_last {
                        self.checked.insert(handler, instance);
                    }
                });
                Input::Checked { handler, check, result }
            }
            Done::Migrated { handler, mut instance, migration, result } => {
                let check = migration.check;
                if self.checks.get(&handler) != Some(&check) {
                    let result = Err("another version is wanted meanwhile".to_owned());
                    return Input::Migrated { handler, check, result };
                }
                let result = result.map(|()| self.migrated(&mut instance, &migration));
                self.checked.insert(handler, instance);
                Input::Migrated { handler, check, result }
            }
            Done::Ran { handler, instance, outcome } => {
                if let Some(slot) = self.slots.get_mut(&handler) {
                    slot.instance = Some(instance);
                    if outcome.events.iter().all(|event| event.fuel_used <= self.slice_fuel) {
                        slot.long = 0;
                    }
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
            Work::Load(load) => {
                let result = load.run().map(Box::new);
                let (handler, check) = (load.handler, load.check);
                return Ok(Done::Loaded { handler, check, result });
            }
            Work::Migrate { handler, mut instance, migration } => {
                let result = tidegate_host::migrate(&mut instance, &migration.from, now);
                return Ok(Done::Migrated { handler, instance, migration, result });
            }
            Work::Start { handler, mut instance, job } => {
                let step = instance.start(job, slice_fuel, now);
                (handler, instance, step)
            }
            Work::Resume { handler, mut instance } => {
                let step = instance.resume(slice_fuel, now);
                (handler, instance, step)
            }
        };
        match step {
            Step::Finished(outcome) => Ok(Done::Ran { handler, instance, outcome }),
            Step::Parked => Err(Work::Resume { handler, instance }),
        }
    }
}

#[cfg(test)]
mod tests;
