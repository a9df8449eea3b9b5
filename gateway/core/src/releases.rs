//! Releases: from an order that was found good to a handler that runs, and back when it does not keep its word.
//!
//! ```text
//! order ─> load (module, golden events) ─> migrate a copy of the state, if it must
//!       ─> record (ratchet, pointers) ─durable─> switch ─> probation ─> active
//!              └─ bad ─> record ─durable─> rejected                                  └─ broken ─> load the one before
//! ```
//! A row is durable before the line is switched. While a line changes hands it stands still, and nothing in it is lost.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::job::{HandlerId, Invoke};
use crate::message::Message;
use crate::release::{Answer, CheckId, Decision, Migration, Refusal, Settled, Stage, Version};
use crate::time::Timestamp;

mod boot;
mod entry;
mod invokes;
mod migration;
mod orders;
mod probation;
pub mod row;
mod starts;
mod tell;
mod trial;

pub use boot::{Configured, STARTS};
use entry::{Doing, Entry, Order, Rejected, Then, Why};
pub use invokes::INVOKES;
use starts::Starts;
use trial::Trial;
pub use trial::{Judged, Spread, told};

/// The registry's rows stand among the handlers' state, under a name that no handler can have.
pub const REGISTRY: &str = "tidegate/registry";
/// Pushed handlers are numbered from here on; those of the configuration are below.
const PUSHED_IDS: u16 = 0x8000;
/// Starts that a release on probation may take; one more, and it is taken back.
const TRIES_MAX: u8 = 3;
/// Between two reports of all handlers that somebody asked for.
const ASKED_MS: u64 = 1_000;

/// What the machine asks of the gateway.
#[derive(Debug)]
pub enum Ask {
    /// A line that waits until its handler is switched to.
    Place {
        handler: HandlerId,
        version: Version,
    },
    /// Load and try it. Answered by [`Releases::handle_checked`].
    Load {
        handler: HandlerId,
        check: CheckId,
        version: Version,
    },
    /// Make a row durable. Answered by [`Releases::handle_recorded`].
    Record {
        key: Arc<str>,
        row: Vec<u8>,
        version: u64,
    },
    /// Nothing more runs in this line.
    Hold {
        handler: HandlerId,
    },
    /// The line goes on as it was.
    GoOn {
        handler: HandlerId,
    },
    /// When nothing runs in the line any more, migrate a copy of its state. Answered by [`Releases::handle_migrated`].
    Migrate {
        handler: HandlerId,
        migration: Migration,
    },
    /// Between two messages, let this run from now on, with this state. Answered by [`Releases::handle_switched`].
    Switch {
        handler: HandlerId,
        version: Version,
        table: Arc<str>,
        on_trial: bool,
    },
    /// The line need not go one by one any more.
    Passed {
        handler: HandlerId,
    },
    Undeploy {
        handler: HandlerId,
    },
    /// Put this event into the line.
    Invoke {
        handler: HandlerId,
        message: Message,
        invoke: Invoke,
    },
    /// The figures are still to be filled in.
    Answer {
        handler: Option<HandlerId>,
        answer: Answer,
        /// It was not said before.
        is_news: bool,
    },
    Note(Decision),
    Settle(Settled),
}

/// All handlers' releases.
#[derive(Debug, Default)]
pub struct Releases {
    names: BTreeMap<Arc<str>, Entry>,
    ids: BTreeMap<HandlerId, Arc<str>>,
    /// Lines on probation: looked at after every job, and mostly empty.
    trials: BTreeMap<HandlerId, Trial>,
    asks: VecDeque<Ask>,
    /// Modules that were to be loaded so far.
    checks: u64,
    /// Rows written so far, and the state version of the registry.
    version: u64,
    /// How many of them are durable.
    durable: u64,
    failures_max: u16,
    /// No handler was started: the daemon restarted too often.
    safe: bool,
    asked_at: Option<Timestamp>,
    /// Events that wait until their order is durable: the row's number, the handler, what it is.
    invokes: VecDeque<(u64, HandlerId, Message, Invoke)>,
    /// This start, while it is counted.
    starts: Option<Starts>,
}

impl Releases {
    pub fn new(failures_max: u16) -> Releases {
        Releases { failures_max, ..Releases::default() }
    }

    pub fn poll(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    pub fn is_safe_mode(&self) -> bool {
        self.safe
    }

    fn entry_mut(&mut self, handler: HandlerId) -> Option<(Arc<str>, &mut Entry)> {
        let name = self.ids.get(&handler)?;
        Some((Arc::clone(name), self.names.get_mut(name)?))
    }

    /// The handler of that name; one that is new gets a number.
    fn id_of(&mut self, name: &Arc<str>) -> HandlerId {
        if let Some(entry) = self.names.get(name) {
            return entry.id;
        }
        let pushed = self.ids.range(HandlerId(PUSHED_IDS)..).next_back();
        let id = pushed.map_or(HandlerId(PUSHED_IDS), |(id, _)| HandlerId(id.0.saturating_add(1)));
        self.insert(Arc::clone(name), id);
        id
    }

    fn insert(&mut self, name: Arc<str>, id: HandlerId) {
        self.ids.insert(id, Arc::clone(&name));
        self.names.insert(name, Entry::new(id));
    }

    /// Makes the entry's row durable; gives the number that will be told when it is.
    fn record(&mut self, name: &Arc<str>) -> u64 {
        self.version += 1;
        if let Some(entry) = self.names.get_mut(name)
            && let Some(row) = &entry.row
        {
            entry.recorded = self.version;
            let (key, row) = (Arc::clone(name), row.encode());
            self.asks.push_back(Ask::Record { key, row, version: self.version });
        }
        self.version
    }

    fn load(&mut self, name: &Arc<str>, version: Version, why: Why) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        self.checks += 1;
        let check = CheckId(self.checks);
        entry.doing = Doing::Loading { check, version: version.clone(), why };
        self.asks.push_back(Ask::Load { handler: entry.id, check, version });
    }

    /// A module has been loaded and tried. What was to be loaded before something else was is of no interest any more.
    pub fn handle_checked(&mut self, handler: HandlerId, id: CheckId, result: Result<(), String>) {
        let Some((name, entry)) = self.entry_mut(handler) else {
            return;
        };
        let (version, why) = match core::mem::replace(&mut entry.doing, Doing::Nothing) {
            Doing::Loading { check, version, why } if check == id => (version, why),
            other => {
                entry.doing = other;
                return;
            }
        };
        match (result, why) {
            (Ok(()), Why::Offered) => self.migrate_offered(&name, id, version),
            (Ok(()), why) => self.switch(&name, version, why),
            (Err(reason), Why::Offered) => {
                self.reject(&name, &version, Refusal::new("does-not-load", reason));
            }
            (Err(reason), Why::Started { .. }) => {
                let refusal = Refusal::new("does-not-load", reason);
                self.take_back(&name, Some(version), refusal, None);
            }
            (Err(reason), Why::TakenBack { broken, mut refusal, last }) => {
                refusal.text += "; and the one before it does not load: ";
                refusal.text += &reason;
                let why = Why::TakenBack { broken, refusal, last };
                self.next_fallback(&name, &version, why);
            }
        }
    }

    /// Rows up to this one are durable.
    pub fn handle_recorded(&mut self, version: u64) {
        self.durable = version;
        self.run_recorded(version);
        while let Some((name, then)) = self.take_recorded(version) {
            self.handle_then(&name, then);
        }
        let names: Vec<_> = self.names.keys().cloned().collect();
        names.iter().for_each(|name| self.tell_settled(name));
    }

    fn take_recorded(&mut self, version: u64) -> Option<(Arc<str>, Then)> {
        let mut entries = self.names.iter_mut();
        entries.find_map(|(name, entry)| Some((Arc::clone(name), entry.take_recorded(version)?)))
    }

    fn handle_then(&mut self, name: &Arc<str>, then: Then) {
        match then {
            Then::Switch(version) => self.switch(name, version, Why::Offered),
            Then::Load(version) => self.load(name, version, Why::Started { on_trial: true }),
            Then::Reject(Rejected { release, version, refusal }) => {
                let (handler, code) = (Arc::clone(name), refusal.code.clone());
                self.note(Decision::Refused { handler, digest: release.1, code });
                self.say(name, Some(release), version, Stage::Rejected(refusal));
                self.settle(name);
            }
            Then::Remove => {
                let Some(entry) = self.names.get_mut(name) else {
                    return;
                };
                entry.running = None;
                self.asks.push_back(Ask::Undeploy { handler: entry.id });
                let release = entry.row.as_ref().map(|row| row.highest);
                let rank = release.map(|(rank, _)| rank).unwrap_or_default();
                self.note(Decision::Removed { handler: Arc::clone(name), rank });
                self.say(name, release, String::new(), Stage::Removed);
                self.settle(name);
            }
        }
    }

    fn switch(&mut self, name: &Arc<str>, version: Version, why: Why) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        let on_trial = match &why {
            Why::Offered => true,
            Why::Started { on_trial } => *on_trial,
            Why::TakenBack { .. } => false,
        };
        entry.doing = Doing::Switching { version: version.clone(), why };
        let table = entry.table_name(name);
        self.asks.push_back(Ask::Switch { handler: entry.id, version, table, on_trial });
    }

    /// The line runs what it was switched to.
    pub fn handle_switched(&mut self, now: Timestamp, handler: HandlerId) {
        let Some((name, entry)) = self.entry_mut(handler) else {
            return;
        };
        let Doing::Switching { version, why } =
            core::mem::replace(&mut entry.doing, Doing::Nothing)
        else {
            return;
        };
        entry.running = Some(version.clone());
        entry.table = entry.row.as_ref().map_or(0, |row| row.tables.0);
        self.trials.remove(&handler);
        let on_trial = matches!(&why, Why::Offered | Why::Started { on_trial: true });
        if let (Version::Pushed(release), Why::Offered) = (&version, &why) {
            let (handler, digest) = (Arc::clone(&name), release.digest);
            self.note(Decision::Activated { handler, digest });
        }
        match (&version, why) {
            (Version::Pushed(release), _) if on_trial => {
                let trial = Trial::new(release.probation, now);
                let stage = Stage::Probation {
                    events_left: trial.events_left(),
                    events_of: release.probation.events,
                    left_ms: trial.left_ms(now),
                };
                self.trials.insert(handler, trial);
                self.say_of(&name, &version, stage);
            }
            (_, Why::TakenBack { broken, refusal, last }) => {
                self.note_taken_back(&name, &broken, version.digest(), &refusal);
                let (release, version) =
                    ((broken.rank, broken.digest), broken.manifest.version.clone());
                self.say(&name, Some(release), version, Stage::RolledBack { refusal, last });
            }
            (_, Why::Offered | Why::Started { .. }) => {
                self.say_of(&name, &version, Stage::Active);
            }
        }
        self.settle(&name);
    }
}
