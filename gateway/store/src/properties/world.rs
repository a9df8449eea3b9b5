//! A store on the model disk and the model shelf beside the model of what it must hold, and seeded steps for both.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_core::commit::Told;
use tidegate_core::record::{LossReason, Place, StreamId};
use tidegate_core::store::{Evict, Evicted, Fetch};
use tidegate_core::stream::{Stream, Streams, WhenFull};
use tidegate_journal::{Faults, ModelDisk};

use super::core::{Core, Fate, PRIORITIES, STREAMS};
use crate::{ModelShelf, Settings, ShelfFaults, Store};

/// Sent and not acked, at most.
const WINDOW: usize = 16;

pub type Checked = Result<(), String>;

/// One seeded run.
pub struct World {
    pub random: ModelDisk,
    pub store: Option<Store<ModelDisk, ModelShelf>>,
    pub settings: Settings,
    pub core: Core,
    pub faults: (Faults, ShelfFaults),
    /// Where each priority goes on.
    from: [Place; 8],
    /// The shelf as it was some time ago.
    old_rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// It takes more than it sends.
    is_busy: bool,
    /// An eviction was tried since the last look at what is there.
    pub may_vanish: bool,
    /// How often what happened, so that a run that tests nothing is seen.
    pub tally: BTreeMap<&'static str, u64>,
}

fn settings(random: &mut ModelDisk) -> Settings {
    let stream = |name: &str, when_full| Stream {
        id: StreamId::of(name),
        name: name.into(),
        priority: 0,
        ttl_s: 0,
        when_full,
    };
    let sparse = WhenFull::Downsample { keep_raw_s: 20, then_every_s: 10 };
    let streams = vec![
        stream(STREAMS[0], WhenFull::DropOldest),
        stream(STREAMS[1], WhenFull::DropOldest),
        stream(STREAMS[2], WhenFull::DropNewest),
        stream(STREAMS[3], sparse),
    ];
    let streams = Streams::new(streams, Vec::new()).expect("names of their own");
    Settings {
        journal: tidegate_journal::Settings {
            segment_bytes: 16 * 1024,
            quota_bytes: (5 + random.below(6)) * 16 * 1024,
            pending_bytes_max: 8 * 1024,
            quarantine_bytes_max: 64 * 1024,
            verify_at_open: random.below(2) == 0,
        },
        streams: Arc::new(streams),
        seen_max: 8,
        memtable_bytes_max: 4 * 1024,
        checkpoint_bytes: 8 * 1024,
        export_bytes: 20 * 1024,
        fetch_scan_bytes_max: 4 * 1024,
    }
}

impl World {
    pub fn new(seed: u64, faults: Faults, shelf_faults: ShelfFaults) -> World {
        let mut random = ModelDisk::new(seed ^ 0x5eed);
        let settings = settings(&mut random);
        let mut disk = ModelDisk::new(seed);
        disk.faults = faults;
        let mut shelf = ModelShelf::new(seed, disk.power());
        shelf.faults = shelf_faults;
        let (store, opened) = Store::open(disk, shelf, settings.clone(), 1).expect("a new store");
        let mut core = Core::new();
        core.boot = opened.restored.boot;
        World {
            random,
            store: Some(store),
            settings,
            core,
            faults: (faults, shelf_faults),
            from: [Place::default(); 8],
            old_rows: BTreeMap::new(),
            is_busy: seed.is_multiple_of(3),
            may_vanish: false,
            tally: BTreeMap::new(),
        }
    }

    pub fn store(&mut self) -> &mut Store<ModelDisk, ModelShelf> {
        self.store.as_mut().expect("it is open between steps")
    }

    pub fn disk(&mut self) -> &mut ModelDisk {
        self.store().journal().disk()
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// One step, chosen by the seed.
    pub fn step(&mut self) -> Checked {
        // Some gateways are offline most of the time, and full.
        if self.is_busy && self.random.below(3) > 0 {
            for _ in 0..4 {
                self.take()?;
                if self.disk().is_down() {
                    return self.reopen(true);
                }
            }
        }
        match self.random.below(100) {
            0..=44 => self.take(),
            45..=64 => self.commit(),
            65..=78 => self.fetch(),
            79..=83 => self.deliver(),
            84..=88 => self.checkpoint(),
            89..=90 => {
                self.store().rest();
                Ok(())
            }
            91 => self.evict(),
            92..=93 => self.look(),
            94 => self.reopen(false),
            _ => {
                let cut_at = self.disk().operations() + 1 + self.random.below(12);
                self.disk().faults.cut_at.get_or_insert(cut_at);
                Ok(())
            }
        }?;
        if self.disk().is_down() { self.reopen(true) } else { Ok(()) }
    }

    pub fn take(&mut self) -> Checked {
        if self.store().is_full(0) {
            return self.evict();
        }
        let tells: Vec<Told> = self
            .store()
            .ledger()
            .iter()
            .filter(|line| line.count > line.told)
            .map(|line| Told { stream: line.stream, reason: line.reason, count: line.count })
            .collect();
        let mut random = std::mem::replace(&mut self.random, ModelDisk::new(0));
        let commit = self.core.make(&mut random, &tells);
        self.random = random;
        self.count("commits");
        self.store().take(commit).map_err(|error| format!("take: {error}"))
    }

    pub fn commit(&mut self) -> Checked {
        let result = self.store().commit();
        self.take_evicted()?;
        match result {
            Ok(committed) => self.core.committed(&committed),
            // No news: it is tried again.
            Err(_) => Ok(()),
        }
    }

    /// Takes an eviction that came true late.
    fn take_evicted(&mut self) -> Checked {
        match self.store().poll_evicted() {
            Some(evicted) => {
                self.count("late evictions");
                self.may_vanish = true;
                self.evicted(&evicted)
            }
            None => Ok(()),
        }
    }

    fn checkpoint(&mut self) -> Checked {
        if self.store().wants_checkpoint() || self.random.below(4) == 0 {
            // What it did not do, the journal keeps.
            if self.store().checkpoint().is_ok() {
                self.count("checkpoints");
            }
        }
        Ok(())
    }

    /// Asks for the next records of some priority; they are on their way then.
    fn fetch(&mut self) -> Checked {
        let priority = PRIORITIES[self.random.below(4) as usize];
        let at = usize::from(priority);
        if self.random.below(20) == 0 {
            self.from[at] = Place::default();
        }
        let until = (self.random.below(3) == 0).then(|| {
            let ahead = self.random.below(20);
            Place { frame: self.from[at].frame + ahead, index: self.random.below(3) as u16 }
        });
        let bytes_max = self.random.below(900) as usize;
        let fetch = Fetch { priority, from: self.from[at], until, bytes_max };
        let fetched = self.store().fetch(&fetch);
        if fetched.from != fetch.from || fetched.next < fetch.from {
            return Err(format!("{fetch:?} gave {fetched:?}"));
        }
        let mut found = Vec::new();
        for (place, record) in &fetched.records {
            let made = self.core.records.get_mut(&record.seq);
            let Some(made) = made.filter(|made| *made.record == **record) else {
                return Err(format!("fetched {record:?}, which nobody made"));
            };
            if made.fate == Fate::Evicted {
                return Err(format!("{} was evicted and has come back", record.seq));
            }
            if until.is_some_and(|until| *place >= until) || *place < fetch.from {
                return Err(format!("{place:?} was not asked for: {fetch:?}"));
            }
            made.place = Some(*place);
            found.push(record.seq);
        }
        let passed = |made: &&super::core::Made| {
            made.record.priority == priority
                && made.fate == Fate::Waiting
                && made.place.is_some_and(|place| fetch.from <= place && place < fetched.next)
        };
        if let Some(made) =
            self.core.records.values().filter(passed).find(|made| !found.contains(&made.record.seq))
        {
            let seq = made.record.seq;
            return Err(format!(
                "{seq} at {:?} was passed over: {fetch:?} {:?}",
                made.place, fetched.next
            ));
        }
        let is_waiting = |seq: &u64| self.core.records[seq].fate == Fate::Waiting;
        let sent: Vec<u64> = found.into_iter().filter(is_waiting).collect();
        let window = WINDOW.saturating_sub(self.core.under_way.len());
        self.core.under_way.extend(sent.into_iter().take(window));
        self.from[at] = fetched.next;
        Ok(())
    }

    /// Upstream acks some of what is on its way.
    fn deliver(&mut self) -> Checked {
        for _ in 0..self.random.below(20) {
            let at = self.random.below(self.core.under_way.len() as u64) as usize;
            let Some(seq) = self.core.under_way.iter().nth(at).copied() else {
                break;
            };
            self.core.under_way.remove(&seq);
            if let Some(made) = self.core.records.get_mut(&seq)
                && made.fate == Fate::Waiting
            {
                made.fate = Fate::Delivered;
                self.count("delivered");
            }
        }
        Ok(())
    }

    pub fn evict(&mut self) -> Checked {
        self.commit()?;
        if self.core.steps.iter().any(|step| !step.is_reported) {
            return Ok(());
        }
        let under_way = self.core.under_way.iter().copied().collect();
        let evict = Evict { progress: self.core.progress(), under_way };
        self.may_vanish = true;
        match self.store().evict(&evict) {
            Ok(evicted) => {
                self.count("evictions");
                self.evicted(&evicted)?;
                if evicted.up_to == 0 {
                    self.count("futile evictions");
                    return Ok(());
                }
            }
            Err(_) => {
                self.take_evicted()?;
                self.count("failed evictions");
            }
        }
        if self.disk().is_down() { Ok(()) } else { self.look() }
    }

    fn evicted(&mut self, evicted: &Evicted) -> Checked {
        if evicted.up_to == 0 {
            return Ok(());
        }
        self.core.evictions += u64::from(!evicted.losses.is_empty());
        // Whoever was there is somewhere behind, or nowhere.
        for made in self.core.records.values_mut() {
            if made.place.is_some_and(|place| place.frame <= evicted.up_to) {
                made.place = None;
            }
        }
        if let Some(from) = evicted.carried_from {
            self.core.roaming_from = self.core.roaming_from.min(from);
        }
        self.from = [Place::default(); 8];
        Ok(())
    }

    /// Ends the process, or the power, and starts again; the shelf may be lost on the way.
    pub fn reopen(&mut self, is_cut: bool) -> Checked {
        if !is_cut && self.random.below(2) == 0 {
            self.commit()?;
            self.store().stop().ok();
        }
        let (mut disk, mut shelf) =
            self.store.take().expect("it is open between steps").into_parts();
        disk.faults.cut_at = None;
        if is_cut || disk.is_down() {
            disk.cut();
            self.count("cuts");
        }
        match self.random.below(10) {
            0 => {
                shelf.lose();
                self.count("shelves lost");
            }
            1 => {
                shelf.faults.is_broken = true;
                self.count("shelves broken");
            }
            2 => {
                shelf.damage();
                self.count("shelves damaged");
            }
            3 => {
                self.age(&mut shelf);
                self.count("shelves aged");
            }
            _ => {}
        }
        if self.random.below(2) == 0 {
            self.old_rows = shelf.rows().clone();
        }
        let new_epoch = 1 + self.random.below(1 << 40);
        let opened = Store::open(disk, shelf, self.settings.clone(), new_epoch);
        let (store, opened) = opened.map_err(|error| format!("open: {error}"))?;
        self.store = Some(store);
        self.from = [Place::default(); 8];
        let checked = self.check_start(&opened);
        self.store().shelf().faults.write_error_one_in = self.faults.1.write_error_one_in;
        checked
    }

    /// Lets the shelf forget what it was told, all of it since some time or a row of it.
    fn age(&mut self, shelf: &mut ModelShelf) {
        let mut rows = shelf.rows().clone();
        let at = self.random.below(rows.len() as u64) as usize;
        let Some(key) = rows.keys().nth(at).cloned() else {
            return;
        };
        match (self.random.below(3), self.old_rows.get(&key)) {
            (0, _) => rows = self.old_rows.clone(),
            (1, Some(old)) => {
                rows.insert(key, old.clone());
            }
            (..) => {
                rows.remove(&key);
            }
        }
        shelf.replace(rows);
    }

    /// The ledger's count of what evictions gave up, by stream.
    pub fn evicted_count(&mut self, stream: StreamId) -> (u64, u64) {
        let reasons = [
            LossReason::DroppedOldest,
            LossReason::Downsampled,
            LossReason::NoStream,
            LossReason::NoRoom,
        ];
        let ledger = crate::store::lines(self.store().journal().ledger());
        let lines =
            ledger.iter().filter(|line| line.stream == stream && reasons.contains(&line.reason));
        lines.fold((0, 0), |sum, line| (sum.0 + line.count, sum.1 + line.bytes))
    }
}
