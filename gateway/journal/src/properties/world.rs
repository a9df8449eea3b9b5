//! A journal on the model disk beside a model of what it must hold, and seeded steps for both.

mod losses;

use std::collections::BTreeMap;

use crate::{Cursor, Error, Evicted, Fate, Journal, ModelDisk, Settings};

/// Streams and reasons that the steps use.
const STREAM: u16 = 7;
const REASON: u8 = 3;
/// For losses that no eviction counts.
const OTHER_REASON: u8 = 4;

/// What the model knows of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    /// Appended; nobody was told that it is durable.
    Pending,
    /// Reported as durable: must be there.
    Durable,
    /// The journal may forget it at any time.
    Forgotten,
    /// An eviction that ended dropped it: must not come back.
    Dropped,
    /// An eviction that failed wanted to drop it: it and the ledger change together.
    Doubtful,
    /// The caller's next frame found it gone; checked where it was found.
    Gone,
}

/// One seeded run.
pub struct World {
    pub seed: u64,
    random: ModelDisk,
    journal: Option<Journal<ModelDisk>>,
    settings: Settings,
    epoch: u64,
    /// By the number that each payload starts with. Numbers rise with every append.
    facts: BTreeMap<u64, (u64, Fact)>,
    next_id: u64,
    /// The ledger's count before and after the eviction that is in doubt.
    lost: (u64, u64),
    /// How many were lost otherwise, and the seq that says so; the first is durable.
    lost_otherwise: Vec<(u64, u64)>,
    /// The disk lies: what it holds may have gaps, nothing else.
    pub may_lose: bool,
}

type Checked = Result<(), String>;

impl World {
    pub fn new(seed: u64) -> World {
        let mut random = ModelDisk::new(seed ^ 0x5eed);
        let segments = 5 + random.below(4);
        let settings = Settings {
            segment_bytes: 16 * 1024,
            quota_bytes: segments * 16 * 1024,
            pending_bytes_max: 20 * 1024,
            quarantine_bytes_max: 64 * 1024,
            verify_at_open: random.below(2) == 0,
        };
        let journal = Journal::open(ModelDisk::new(seed), settings.clone(), 1).ok();
        World {
            seed,
            random,
            journal,
            settings,
            epoch: 1,
            facts: BTreeMap::new(),
            next_id: 0,
            lost: (0, 0),
            lost_otherwise: vec![(0, 0)],
            may_lose: false,
        }
    }

    pub fn disk(&mut self) -> &mut ModelDisk {
        self.journal.as_mut().expect("it is open between steps").disk()
    }

    fn journal(&mut self) -> &mut Journal<ModelDisk> {
        self.journal.as_mut().expect("it is open between steps")
    }

    pub fn payload(id: u64, seed: u64) -> Vec<u8> {
        let mut mix = ModelDisk::new(id.wrapping_mul(31) ^ seed);
        let len = match mix.below(20) {
            // Frames of one length, so that what is stale lies where something new may be looked for.
            _ if seed.is_multiple_of(4) => 100,
            0 => 0,
            1..=12 => mix.below(250),
            13..=18 => mix.below(900),
            _ => mix.below(1900),
        };
        let mut payload = id.to_le_bytes().to_vec();
        payload.extend((0..len).map(|_| mix.below(256) as u8));
        payload
    }

    /// One step, chosen by the seed.
    pub fn step(&mut self) -> Checked {
        match self.random.below(100) {
            0..=59 => self.append(),
            60..=84 => self.commit(),
            85..=88 => self.forget(),
            89 => match self.random.below(3) {
                0 => self.tell(),
                _ => self.lose(),
            },
            90..=91 => self.evict(),
            92..=93 => self.check_read(),
            94 => self.reopen(false),
            95 => {
                // A commit will try for itself.
                self.journal().prepare().ok();
                Ok(())
            }
            96 => self.journal().verify_next().map(|_| ()).map_err(|error| error.to_string()),
            _ => {
                let cut_at = self.disk().operations() + 1 + self.random.below(9);
                self.disk().faults.cut_at.get_or_insert(cut_at);
                Ok(())
            }
        }?;
        if self.disk().is_down() { self.reopen(true) } else { Ok(()) }
    }

    pub fn append(&mut self) -> Checked {
        let id = self.next_id;
        let payload = World::payload(id, self.seed);
        let kind = 1 + (id % 5) as u8;
        match self.journal().append(kind, &payload) {
            Ok(seq) => {
                self.next_id += 1;
                self.facts.insert(id, (seq, Fact::Pending));
                Ok(())
            }
            Err(Error::Full { .. }) => self.evict(),
            Err(Error::Pending { .. }) => self.commit(),
            Err(error) => Err(format!("append: {error}")),
        }
    }

    pub fn commit(&mut self) -> Checked {
        // An error is no news: what counts is what the journal says is durable.
        let told = self.journal().commit().ok();
        let durable = self.journal().durable_seq();
        if told.is_some_and(|told| told != durable) {
            return Err("commit and durable_seq differ".into());
        }
        self.know_durable(durable);
        Ok(())
    }

    fn know_durable(&mut self, durable: u64) {
        for (seq, fact) in self.facts.values_mut() {
            if *fact == Fact::Pending && *seq <= durable {
                *fact = Fact::Durable;
            }
        }
        while self.lost_otherwise.get(1).is_some_and(|(_, seq)| *seq <= durable) {
            self.lost_otherwise.remove(0);
        }
    }

    fn forget(&mut self) -> Checked {
        let last = self.journal().last_seq();
        let first = self.journal().forgotten_seq();
        let up_to = first + self.random.below(last - first + 1) * self.random.below(3) / 3;
        self.journal().forget(up_to);
        let forgotten = self.journal().forgotten_seq();
        for (seq, fact) in self.facts.values_mut() {
            if *seq <= forgotten && *fact == Fact::Durable {
                *fact = Fact::Forgotten;
            }
        }
        Ok(())
    }

    /// Evicts, with fates drawn by the seed.
    fn evict(&mut self) -> Checked {
        let before = self.ledger_count();
        let mut random = ModelDisk::new(self.seed ^ self.next_id);
        let keep = random.below(5);
        let (mut carried, mut dropped) = (Vec::new(), Vec::new());
        let journal = self.journal.as_mut().expect("it is open between steps");
        let result = journal.evict(|frame, judge| {
            let id = id_of(frame.payload);
            let room = judge.room_bytes() > frame.payload.len() as u64 + 33;
            if room && random.below(5) < keep {
                carried.push(id);
                return Fate::Carry;
            }
            dropped.push(id);
            judge.lose(STREAM, REASON, id, frame.payload.len() as u64);
            Fate::Drop
        });
        let durable = self.journal().durable_seq();
        self.know_durable(durable);
        match result {
            Ok(Evicted { up_to: 0, .. }) => Ok(()),
            Ok(_) => {
                for id in &dropped {
                    self.set(*id, Fact::Dropped);
                }
                let found = self.read()?;
                for id in &carried {
                    let (Some(fact), Some(seq)) = (self.facts.get_mut(id), found.get(id)) else {
                        return Err(format!("{id} was carried and is gone"));
                    };
                    fact.0 = *seq;
                }
                let after = self.ledger_count();
                if after != before + dropped.len() as u64
                    && before == self.lost.0
                    && self.lost.0 == self.lost.1
                {
                    return Err(format!("lost {} of {before}, ledger says {after}", dropped.len()));
                }
                self.lost = (after, after);
                Ok(())
            }
            Err(_) => {
                for id in &dropped {
                    if self.facts.get(id).is_some_and(|(_, fact)| *fact != Fact::Forgotten) {
                        self.set(*id, Fact::Doubtful);
                    }
                }
                for id in &carried {
                    if let Some((seq, _)) = self.facts.get_mut(id) {
                        *seq = u64::MAX;
                    }
                }
                self.lost = (before, before + dropped.len() as u64);
                // An eviction in doubt is looked at before anything else happens.
                self.reopen(true)
            }
        }
    }

    fn set(&mut self, id: u64, fact: Fact) {
        if let Some(known) = self.facts.get_mut(&id) {
            known.1 = fact;
        }
    }

    fn ledger_count(&mut self) -> u64 {
        self.journal().ledger().get(STREAM, REASON).map_or(0, |loss| loss.count)
    }

    /// Ends the process, or the power, and starts again; the start may be cut, too.
    pub fn reopen(&mut self, is_cut: bool) -> Checked {
        let mut disk = self.journal.take().expect("it is open between steps").into_disk();
        disk.faults.cut_at = None;
        if is_cut {
            disk.cut();
        }
        if self.random.below(3) == 0 {
            disk.faults.cut_at = Some(disk.operations() + 1 + self.random.below(4));
            let copy = disk.clone();
            disk = match Journal::open(disk, self.settings.clone(), 2) {
                Ok(journal) => journal.into_disk(),
                // The power went before anything was changed.
                Err(_) => copy,
            };
            disk.cut();
        }
        let journal = Journal::open(disk, self.settings.clone(), 3);
        self.journal = Some(journal.map_err(|error| format!("open: {error}"))?);
        if !self.may_lose && self.journal().recovery().is_damaged() {
            return Err(format!("damage that nobody did: {:?}", self.journal().recovery()));
        }
        let is_durable = |(_, fact): &(u64, Fact)| *fact == Fact::Durable;
        let must_hold = !self.may_lose && self.facts.values().any(is_durable);
        let epoch = self.journal().epoch();
        if must_hold && epoch != self.epoch {
            return Err("the epoch has changed".into());
        }
        self.epoch = epoch;
        self.check_start()
    }

    /// What a start finds must be what the model says; the model then takes it up.
    fn check_start(&mut self) -> Checked {
        if self.journal().recovery().is_tail_pending {
            self.commit()?;
            if self.journal().pending_bytes() > 0 {
                // Not readable yet. Seqs beyond it are given out again.
                let last = self.journal().last_seq();
                for (seq, fact) in self.facts.values_mut() {
                    if *fact == Fact::Pending && *seq > last {
                        *fact = Fact::Gone;
                    }
                }
                return Ok(());
            }
        }
        let found = self.read()?;
        let count = self.ledger_count();
        let is_after = count == self.lost.1;
        if !self.may_lose && !is_after && count != self.lost.0 {
            return Err(format!("the ledger says {count}, not {:?}", self.lost));
        }
        let mut is_cut_off = false;
        let durable = self.journal().durable_seq();
        for (id, (seq, fact)) in &mut self.facts {
            let place = found.get(id);
            let wrong = match (*fact, place) {
                (Fact::Durable, None) => Some("was durable and is gone"),
                (Fact::Dropped | Fact::Gone, Some(_)) => Some("has come back"),
                (Fact::Doubtful, None) if !is_after => Some("was dropped, but not counted"),
                (Fact::Doubtful, Some(_)) if is_after => Some("was counted, but not dropped"),
                (Fact::Pending, Some(_)) if is_cut_off => Some("has outlived one before it"),
                _ => None,
            };
            if let Some(wrong) = wrong
                && !self.may_lose
            {
                return Err(format!("{id} (seq {seq}) {wrong}"));
            }
            is_cut_off |= *fact == Fact::Pending && place.is_none();
            *fact = match (*fact, place) {
                (Fact::Forgotten, _) => Fact::Forgotten,
                (_, Some(_)) => Fact::Durable,
                (Fact::Dropped, None) => Fact::Dropped,
                (_, None) => Fact::Gone,
            };
            if let Some(place) = place {
                *seq = *place;
                if *place > durable {
                    return Err(format!("{id} was read before it is durable"));
                }
            }
        }
        self.lost = (count, count);
        self.check_lost()?;
        // Ids whose frames were never written are given again to nobody.
        Ok(())
    }

    pub fn check_read(&mut self) -> Checked {
        let found = self.read()?;
        let durable = self.journal().durable_seq();
        for (id, (seq, fact)) in &self.facts {
            // A start may have taken back what it could not make durable again.
            if *fact == Fact::Durable && *seq > durable {
                continue;
            }
            let is_there = found.contains_key(id);
            let wrong = match fact {
                Fact::Durable => !is_there,
                Fact::Pending | Fact::Dropped | Fact::Gone => is_there,
                // Forgotten is not gone: a start may bring it back.
                Fact::Doubtful | Fact::Forgotten => false,
            };
            if wrong && !self.may_lose {
                return Err(format!("{id} (seq {seq}) is {fact:?}, read: {is_there}"));
            }
        }
        Ok(())
    }

    /// Reads everything: ids and seqs. Payloads must be whole, seqs rise, nothing comes twice.
    pub fn read(&mut self) -> Result<BTreeMap<u64, u64>, String> {
        let (seed, may_lose) = (self.seed, self.may_lose);
        let journal = self.journal();
        let mut cursor = Cursor::from(0);
        let mut found = BTreeMap::new();
        let (mut last_seq, mut last_id) = (0, None);
        while let Some(frame) = cursor.next(journal).map_err(|error| error.to_string())? {
            let id = id_of(frame.payload);
            if frame.payload != World::payload(id, seed) || frame.kind != 1 + (id % 5) as u8 {
                return Err(format!("seq {} is not what was appended", frame.seq));
            }
            if frame.seq <= last_seq || frame.origin > frame.seq {
                return Err(format!("seq {} after {last_seq}", frame.seq));
            }
            let is_first = frame.origin == frame.seq && !may_lose;
            if is_first && last_id.replace(id).is_some_and(|last| id <= last) {
                return Err(format!("{id} is out of order"));
            }
            last_seq = frame.seq;
            if found.insert(id, frame.seq).is_some() && !may_lose {
                return Err(format!("{id} comes twice"));
            }
        }
        Ok(found)
    }
}

fn id_of(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(u64::MAX, |id| u64::from_le_bytes(*id))
}
