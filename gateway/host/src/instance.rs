//! One deployed version of a handler: its code, its guest, its image, its state.

use std::sync::Arc;

use tidegate_core::pins::Pins;
use tidegate_core::stream::Streams;

use crate::guest::Guest;
use crate::image::Image;
use crate::inbox::Inbox;
use crate::live::{Live, Recipe};
use crate::run::Run;
use crate::state::Table;

/// What a module is, for `tidegate build` and for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFacts {
    pub module_bytes: usize,
    pub code_bytes: usize,
    /// Functions, imported ones included.
    pub functions: usize,
    /// Memory as declared.
    pub memory_initial_kib: u64,
    pub memory_max_kib: Option<u64>,
    /// Memory when an event starts, rounded up.
    pub memory_kib: u64,
    /// Whether memory ends where the module's static data does; see `tidegate_abi::export::HEAP_BASE`.
    pub memory_is_tight: bool,
    /// Host functions it uses.
    pub imports: Vec<&'static str>,
    pub exports: Vec<String>,
    pub inbox_bytes: usize,
    /// Mutable globals that are restored.
    pub globals_restored: usize,
    /// Bytes of memory that are not zero when an event starts.
    pub image_bytes: usize,
    /// What `tidegate_init` and `tidegate_inbox` used.
    pub init_fuel: u64,
    pub reset: Reset,
}

/// How an event's traces are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// By restoring memory and globals.
    Image,
    /// By making a new instance and running `tidegate_init` again: the module uses something that
    /// cannot be restored.
    FreshInstance { because: &'static str },
}

/// One deployed version of a handler. Runs one job at a time; may move between threads at any time.
pub struct Instance {
    pub(crate) recipe: Recipe,
    pub(crate) guest: Place,
    /// Whether an event has left traces that the next one must not see.
    pub(crate) dirty: bool,
    pub(crate) image: Image,
    pub(crate) inbox: Inbox,
    facts: ModuleFacts,
    pub(crate) run: Option<Run>,
}

/// Where the guest's data is.
pub(crate) enum Place {
    /// In an instance, ready for an event.
    Live(Box<Live>),
    /// Kept while there is no instance.
    Resting(Box<Guest>),
    /// Only while one becomes the other.
    Moving,
}

impl Instance {
    pub(crate) fn new(
        recipe: Recipe,
        live: Live,
        image: Image,
        inbox: Inbox,
        facts: ModuleFacts,
    ) -> Instance {
        let guest = Place::Live(Box::new(live));
        Instance { recipe, guest, dirty: false, image, inbox, facts, run: None }
    }

    /// What the module is.
    pub fn facts(&self) -> &ModuleFacts {
        &self.facts
    }

    /// The handler's name.
    pub fn name(&self) -> &str {
        &self.data().manifest.name
    }

    /// The handler's state as of its last event.
    pub fn state(&self) -> &Table {
        &self.data().table
    }

    /// Puts another state in the place of this one: what an earlier version of the handler left. Not
    /// while a job is parked.
    pub fn set_state(&mut self, table: Table) {
        assert!(self.run.is_none(), "the state belongs to the parked job");
        self.data_mut().table = table;
    }

    /// Takes the state out, for the version of the handler that comes next. Not while a job is parked.
    pub fn take_state(&mut self) -> Table {
        assert!(self.run.is_none(), "the state belongs to the parked job");
        std::mem::take(&mut self.data_mut().table)
    }

    /// Tells which streams are configured: `send` finds no others.
    pub fn set_streams(&mut self, streams: Arc<Streams>) {
        self.data_mut().streams = streams;
    }

    /// Tells which pins the board has: `gpio` finds no others.
    pub fn set_pins(&mut self, pins: Arc<Pins>) {
        self.data_mut().pins = pins;
    }

    pub(crate) fn pins(&self) -> &Pins {
        &self.data().pins
    }

    /// Whether a job is parked here.
    pub fn is_parked(&self) -> bool {
        self.run.is_some()
    }

    /// Removes the last event's traces now, so that the next event need not wait for it. For when
    /// there is time; does nothing while a job is parked.
    pub fn tidy(&mut self) {
        if self.dirty && self.run.is_none() {
            self.dirty = !self.reset();
        }
    }

    /// Gives up the guest's memory until the next event, which then pays for a new instance. For
    /// handlers that have nothing to do. With `isolation = "instance"` it forgets what it knew, so it
    /// does nothing then, nor while a job is parked.
    pub fn rest(&mut self) {
        let lives_on =
            self.data().manifest.isolation == tidegate_core::manifest::Isolation::Instance;
        if self.run.is_none() && !lives_on {
            self.let_go();
            self.dirty = true;
        }
    }

    pub(crate) fn data(&self) -> &Guest {
        match &self.guest {
            Place::Live(live) => live.store.data(),
            Place::Resting(guest) => guest,
            Place::Moving => unreachable!("nobody sees an instance in between"),
        }
    }

    pub(crate) fn data_mut(&mut self) -> &mut Guest {
        match &mut self.guest {
            Place::Live(live) => live.store.data_mut(),
            Place::Resting(guest) => guest,
            Place::Moving => unreachable!("nobody sees an instance in between"),
        }
    }

    /// Makes the guest what it was after `tidegate_init`. `false`: it did not work, for want of memory.
    pub(crate) fn reset(&mut self) -> bool {
        let restorable = self.facts.reset == Reset::Image;
        if restorable
            && let Place::Live(live) = &mut self.guest
            && live.fits(&self.image)
        {
            return live.restore(&self.image);
        }
        self.let_go();
        let Place::Resting(guest) = std::mem::replace(&mut self.guest, Place::Moving) else {
            unreachable!("it has just been let go");
        };
        let mut live = match self.recipe.make(*guest) {
            Ok(live) => Box::new(live),
            Err(failed) => {
                self.guest = Place::Resting(Box::new(failed.1));
                return false;
            }
        };
        let done = if restorable {
            live.restore(&self.image)
        } else {
            live.init(self.recipe.init_fuel).is_ok_and(|inbox| inbox == self.inbox)
                && live.fits(&self.image)
        };
        self.guest = Place::Live(live);
        done
    }

    fn let_go(&mut self) {
        self.guest = match std::mem::replace(&mut self.guest, Place::Moving) {
            Place::Live(live) => {
                let mut guest = live.store.into_data();
                guest.memory = None;
                Place::Resting(Box::new(guest))
            }
            resting => resting,
        };
    }
}
