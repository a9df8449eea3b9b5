//! The gateway and its store: what dies when the power goes, and comes back from the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_broker::Broker;
use tidegate_core::job::HandlerId;
use tidegate_core::limits::{CommitLimits, OutboxLimits};
use tidegate_core::release::{RegisteredHandler, RowPhase};
use tidegate_core::stream::Streams;
use tidegate_core::{Durability, Gateway, Input, Limits, LocalSide, Timestamp};
use tidegate_journal::{ModelDisk, Settings as JournalSettings};
use tidegate_store::{ModelShelf, Settings as StoreSettings, Store};
use tidegated::hub::{Hub, Local, ToStore};
use tidegated::release_opening;
use tidegated::runner::{Runner, Work};
use tidegated::store_desk::StoreDesk;

use super::disks::{Disks, Shared};
use super::handlers::{self, CAPS, Folders, NAMES};
use super::random::Random;
use super::release_side::ReleaseSide;
use super::world::DEVICES;
use crate::pusher::Fleet;

/// Small, so that every limit is reached often.
pub const LIMITS: Limits = Limits {
    messages_max: 64,
    messages_bytes_max: 2048,
    line_messages_max: 24,
    failures_max: 2,
    batch_messages_max: 4,
    quarantine_min_ms: 50,
    quarantine_max_ms: 400,
    ..Limits::DEV
};
const COMMITS: CommitLimits =
    CommitLimits { lazy_ms: 300, held_bytes_max: 2048, commit_bytes_max: 512, ..CommitLimits::DEV };
pub const OUTBOX: OutboxLimits = OutboxLimits {
    window: 4,
    lane_bytes_max: 512,
    fetch_bytes: 256,
    ack_timeout_ms: 2_000,
    progress_ms: 400,
    announce_ms: 200,
    dead_letters_per_s: 1_000_000,
    dead_letters_burst: 1_000_000,
    ..OutboxLimits::DEV
};
/// A dead letter with a message of the devices in it is no longer.
const LETTER_BYTES_MAX: usize = 128;
/// Beyond `held_bytes_max`: what jobs that had begun bring on top, and the dead letters of every handler's line when
/// all are quarantined at once.
pub const BEHIND_BYTES_MAX: usize = COMMITS.held_bytes_max
    + NAMES.len() * (LIMITS.line_messages_max + DEVICES * RECEIVE_MAX as usize) * LETTER_BYTES_MAX;
pub const RECEIVE_MAX: u16 = 8;
/// The pace that probations reckon with; as much in a slice as without it.
const FUEL_PER_MS: u64 = 100_000;

/// Small segments, so that all of it turns over often.
fn settings(quota_bytes: u64, streams: Arc<Streams>) -> StoreSettings {
    let journal = JournalSettings { segment_bytes: 16 * 1024, quota_bytes, ..Default::default() };
    StoreSettings {
        journal,
        streams,
        seen_max: COMMITS.seen_max,
        memtable_bytes_max: 1024,
        checkpoint_bytes: 24 * 1024,
        export_bytes: 48 * 1024,
        fetch_scan_bytes_max: 4096,
    }
}

/// One run of the gateway, from power on to power off.
pub struct House {
    pub hub: Hub,
    pub work: Vec<Work>,
    desk: StoreDesk<Shared<ModelDisk>, Shared<ModelShelf>>,
    disks: Disks,
    todo: VecDeque<ToStore>,
    releases: Option<ReleaseSide>,
    /// The highest order in the registry at the start.
    pub highest: u64,
    /// The newest release that had passed by then, or the order that removed the handler.
    pub settled: u64,
}

fn settled_of(handler: &RegisteredHandler) -> u64 {
    let running = handler.running.as_ref().map_or(0, |release| release.rank.seq);
    let previous = handler.previous.as_ref().map_or(0, |release| release.rank.seq);
    match handler.row.phase {
        RowPhase::Removed => handler.row.highest.0.seq,
        RowPhase::Probation => previous,
        RowPhase::None | RowPhase::Active | RowPhase::Rejected => running.max(previous),
    }
}

impl House {
    /// Starts a gateway on these disks.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start(
        folders: &Folders,
        disks: &Disks,
        quota_bytes: u64,
        seed: u64,
        pusher: Option<&Fleet>,
    ) -> Result<House, String> {
        let streams = Arc::new(handlers::streams(pusher.is_some()));
        let settings = settings(quota_bytes, Arc::clone(&streams));
        let (journal, shelf) = (disks.journal.clone(), disks.shelf.clone());
        let (store, opened) =
            Store::open(journal, shelf, settings, seed).map_err(|error| error.to_string())?;
        let mut runner = Runner::new(CAPS, Arc::clone(&streams), 75, seed);
        let mut tables = opened.tables;
        let registry = release_opening::take_registry(&mut tables);
        let opened_releases = pusher.map(|fleet| ReleaseSide::open(disks, fleet, registry));
        tables.into_iter().for_each(|state| runner.restore(state));
        let mut deployed = Vec::new();
        for (number, (module_path, manifest)) in folders.iter().enumerate() {
            let handler = HandlerId(number as u16);
            runner.add_module(&manifest.name, module_path);
            deployed.push(Input::Deploy { handler, manifest });
        }
        let limits =
            tidegate_broker::Limits { receive_max: RECEIVE_MAX, ..tidegate_broker::Limits::DEV };
        let durability = Durability { commits: COMMITS, outbox: OUTBOX, streams, has_uplink: true };
        let gateway = Gateway::new(LIMITS, LocalSide::FrontDoor, durability, seed);
        let mut hub = Hub::new(gateway, Local::FrontDoor(Box::new(Broker::new(limits))), runner);
        hub.handle_input(Timestamp(0), Input::Restored(opened.restored));
        let (mut highest, mut settled) = (0, 0);
        let releases = opened_releases.map(|(side, registered)| {
            hub.runner().set_files(side.files.clone());
            hub.calibrate(Timestamp(0), FUEL_PER_MS);
            let ranks = registered.handlers.iter().map(|handler| handler.row.highest.0.seq);
            highest = ranks.max().unwrap_or(0);
            settled = registered.handlers.iter().map(settled_of).max().unwrap_or(0);
            hub.handle_input(Timestamp(0), Input::Registered(registered));
            side
        });
        for input in deployed {
            hub.handle_input(Timestamp(0), input);
        }
        let (work, todo, desk) = (Vec::new(), VecDeque::new(), StoreDesk::new(store));
        Ok(House { hub, work, desk, disks: disks.clone(), todo, releases, highest, settled })
    }

    /// The store does a piece of its work. False when the power went meanwhile.
    pub fn store_step(&mut self, now: Timestamp, random: &mut Random) -> bool {
        self.gather();
        for _ in 0..random.below(4) {
            let Some(what) = self.todo.pop_front() else {
                break;
            };
            self.desk.take(what);
        }
        if random.chance(1, 2) {
            self.desk.commit();
        }
        if random.chance(1, 10) {
            self.desk.store().rest();
        }
        while let Some(said) = self.desk.poll_said() {
            self.hub.handle_input(now, said);
        }
        !self.disks.journal.lend().is_down()
    }

    /// Takes what the hub has for the store.
    pub fn gather(&mut self) {
        while let Some(what) = self.hub.poll_store() {
            self.todo.push_back(what);
        }
        if let Some(side) = &mut self.releases {
            while let Some(what) = self.hub.poll_releases() {
                side.todo.push_back(what);
            }
        }
    }

    /// The release desk does one thing. False when the power went meanwhile.
    pub fn release_step(&mut self, now: Timestamp) -> bool {
        self.gather();
        if let Some(side) = &mut self.releases {
            side.step(now);
            while let Some(said) = side.desk.poll_said() {
                self.hub.handle_input(now, said);
            }
        }
        !self.disks.journal.lend().is_down()
    }

    /// Whether the release desk has nothing to do.
    pub fn is_examined(&self) -> bool {
        self.releases.as_ref().is_none_or(|side| side.is_resumed && side.todo.is_empty())
    }

    /// Bytes of records that the store has not been able to look at.
    pub fn behind_bytes(&self) -> usize {
        let commits = self.todo.iter().map(|what| match what {
            ToStore::Commit(commit) => commit.records.iter().map(|record| record.bytes()).sum(),
            ToStore::Fetch(_) | ToStore::Evict(_) => 0,
        });
        commits.sum()
    }

    /// Lets the store do a piece of what it does when idle; whether that was all.
    pub fn rest(&mut self) -> bool {
        !self.desk.store().rest()
    }

    /// Whether the store has nothing to do.
    pub fn is_stored(&mut self) -> bool {
        self.todo.is_empty() && self.desk.gathered() == 0
    }
}
