//! A plain model of what the store must hold, and a small core that makes commits and sends records upstream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_core::commit::{
    BootClock, Change, Commit, CommitId, Lost, Progress, Seen, Span, StateChange, Told, Value,
    Waiting,
};
use tidegate_core::record::{LossReason, Place, Record, Stamp, StreamId};
use tidegate_core::store::Committed;
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_journal::ModelDisk;

/// What became of a record, as far as its maker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It must be there.
    Waiting,
    /// Upstream has it. It may be there or not.
    Delivered,
    /// Given up with this commit, if that becomes durable.
    LostWith(u64),
    /// An eviction gave it up: it must not be there.
    Evicted,
}

#[derive(Clone, Debug)]
pub struct Made {
    pub record: Arc<Record>,
    /// The commit that it came with, by its number in the model.
    pub commit: u64,
    pub index: u16,
    pub fate: Fate,
    /// Where it stands, once that is known.
    pub place: Option<Place>,
}

/// A commit that is or may become durable.
#[derive(Clone, Debug)]
pub struct Step {
    pub number: u64,
    pub boot: u32,
    pub commit: Commit,
    pub is_reported: bool,
    /// Evictions before it was made.
    pub evictions: u64,
}

/// One handler's state.
pub type State = BTreeMap<Arc<str>, (u64, BTreeMap<Arc<[u8]>, Value>)>;

/// The model.
#[derive(Debug)]
pub struct Core {
    pub steps: Vec<Step>,
    pub records: BTreeMap<u64, Made>,
    pub next_seq: u64,
    pub boot: u32,
    /// The last frame that was reported.
    pub known: u64,
    /// Where evictions have carried records whose place is not known again yet.
    pub roaming_from: u64,
    /// Sent and not acked.
    pub under_way: BTreeSet<u64>,
    next_number: u64,
    next_id: u64,
    ids: BTreeMap<CommitId, u64>,
    mono_ms: u64,
    next_seen: u64,
    pub told: BTreeMap<(StreamId, LossReason), u64>,
    /// A start has left out seqs because it could not know which were given.
    pub has_jumped: bool,
    /// Evictions that gave up records.
    pub evictions: u64,
}

/// Streams by how they give way; the last one is not configured.
pub const STREAMS: [&str; 5] = ["oldest", "other", "newest", "sparse", "unknown"];
pub const PRIORITIES: [u8; 4] = [0, 1, 3, 7];
const HANDLERS: [&str; 3] = ["a", "bb", "mark"];

impl Core {
    pub fn new() -> Core {
        Core {
            steps: Vec::new(),
            records: BTreeMap::new(),
            next_seq: 1,
            boot: 1,
            known: 0,
            roaming_from: u64::MAX,
            under_way: BTreeSet::new(),
            next_number: 1,
            next_id: 1,
            ids: BTreeMap::new(),
            mono_ms: 0,
            next_seen: 1,
            told: BTreeMap::new(),
            has_jumped: false,
            evictions: 0,
        }
    }

    /// A commit with a bit of everything.
    pub fn make(&mut self, random: &mut ModelDisk, tells: &[Told]) -> Commit {
        let number = self.next_number;
        self.next_number += 1;
        self.mono_ms += random.below(3000);
        let id = CommitId(self.next_id);
        self.next_id += 1;
        let mut commit = Commit { id, ..Commit::default() };
        let with_records = random.below(3) > 0;
        if with_records {
            self.make_records(random, &mut commit, number);
        }
        if !with_records || random.below(2) == 0 {
            self.make_states(random, &mut commit, number);
        }
        if random.below(5) == 0 {
            self.make_losses(random, &mut commit, number);
        }
        if random.below(6) == 0 {
            for _ in 0..1 + random.below(3) {
                commit.seen.push(Seen(self.next_seen));
                self.next_seen += 1;
            }
        }
        if random.below(15) == 0 {
            let start_unix_us = 1_700_000_000_000_000 + i64::from(self.boot) * 3_600_000_000;
            commit.clocks.push(BootClock { boot: self.boot, start_unix_us });
        }
        if random.below(6) == 0
            && let Some(told) = tells.get(random.below(tells.len() as u64) as usize)
        {
            commit.told.push(*told);
        }
        // Without one that says so, a record that is given up would be given up twice.
        if random.below(4) == 0 || !commit.losses.is_empty() {
            commit.progress = Some(self.progress());
        }
        self.ids.insert(id, number);
        self.steps.push(Step {
            number,
            boot: self.boot,
            commit: commit.clone(),
            is_reported: false,
            evictions: self.evictions,
        });
        commit
    }

    fn make_records(&mut self, random: &mut ModelDisk, commit: &mut Commit, number: u64) {
        for index in 0..1 + random.below(4) as u16 {
            let stream = random.below(20) as usize;
            let stream = STREAMS[[0, 0, 0, 1, 1, 3, 3, 3, 2, 4].get(stream).copied().unwrap_or(0)];
            let seq = self.next_seq;
            self.next_seq += 1;
            self.mono_ms += random.below(300);
            let quality = [ClockQuality::None, ClockQuality::Floor][random.below(2) as usize];
            let unix_us = 1_600_000_000_000_000 + self.mono_ms as i64 * 1000;
            let record = Record {
                seq,
                stream: StreamId::of(stream),
                priority: PRIORITIES[random.below(5).saturating_sub(1) as usize],
                ttl_s: random.below(2) as u32,
                stamp: Stamp {
                    boot: self.boot,
                    mono_ms: self.mono_ms,
                    wall: WallTime { unix_us, quality },
                },
                topic: (random.below(3) == 0).then(|| "a/b".into()),
                payload: vec![seq as u8; random.below(300) as usize].into(),
            };
            let record = Arc::new(record);
            commit.records.push(Arc::clone(&record));
            let fate = Fate::Waiting;
            self.records.insert(seq, Made { record, commit: number, index, fate, place: None });
        }
    }

    fn make_states(&mut self, random: &mut ModelDisk, commit: &mut Commit, number: u64) {
        let state = self.state();
        for handler in HANDLERS {
            let is_mark = handler == "mark";
            if !is_mark && random.below(2) == 0 {
                continue;
            }
            let handler: Arc<str> = handler.into();
            let version = state.get(&handler).map_or(0, |(version, _)| *version) + 1;
            let mut changes = BTreeMap::new();
            for _ in 0..1 + random.below(2) * u64::from(!is_mark) {
                let key: Arc<[u8]> =
                    vec![b'k', random.below(if is_mark { 1 } else { 6 }) as u8].into();
                let mut bytes = number.to_le_bytes().to_vec();
                bytes.resize(8 + random.below(100) as usize, 1);
                let expires_us = (random.below(4) == 0).then_some(number as i64);
                let value = Value { bytes: bytes.into(), version, expires_us };
                changes.insert(key, (is_mark || random.below(5) > 0).then_some(value));
            }
            let change = |(key, value)| Change { key, value };
            let changes = changes.into_iter().map(change).collect();
            commit.states.push(StateChange { handler, version, changes });
        }
    }

    fn make_losses(&mut self, random: &mut ModelDisk, commit: &mut Commit, number: u64) {
        let under_way = self.under_way.clone();
        let can_go = |made: &&mut Made| {
            made.fate == Fate::Waiting
                && made.place.is_some()
                && !under_way.contains(&made.record.seq)
        };
        for made in self.records.values_mut().filter(can_go).take(1 + random.below(3) as usize) {
            made.fate = Fate::LostWith(number);
            commit.losses.push(Lost {
                stream: made.record.stream,
                reason: [LossReason::Expired, LossReason::Refused][random.below(2) as usize],
                seq: made.record.seq,
                bytes: made.record.bytes() as u64,
            });
        }
    }

    /// How far upstream has everything, exactly.
    pub fn progress(&self) -> Progress {
        let mut spans = Vec::new();
        for priority in PRIORITIES {
            let mut known: BTreeMap<Place, bool> = BTreeMap::new();
            let mut is_roaming = false;
            for made in self.records.values().filter(|made| made.record.priority == priority) {
                let waits = made.fate == Fate::Waiting;
                match made.place {
                    Some(place) if place.frame <= self.known => {
                        known.insert(place, waits);
                    }
                    Some(_) => {}
                    None => is_roaming |= waits && self.roaming_from <= self.known,
                }
            }
            let open = is_roaming.then(|| Place::of(self.roaming_from));
            let mut run: Option<Span> = None;
            for (place, waits) in
                known.into_iter().filter(|(at, _)| open.is_none_or(|open| *at < open))
            {
                let end = Some(Place { index: place.index + 1, ..place });
                match (&mut run, waits) {
                    (Some(span), true) => span.until = end,
                    (None, true) => run = Some(Span { priority, from: place, until: end }),
                    (_, false) => spans.extend(run.take()),
                }
            }
            spans.extend(run);
            spans.extend(open.map(|from| Span { priority, from, until: None }));
        }
        Progress { known: self.known, spans, waiting: self.waiting() }
    }

    /// What waits of each stream, of all that was made.
    pub fn waiting(&self) -> Vec<Waiting> {
        let mut lines: BTreeMap<StreamId, Waiting> = BTreeMap::new();
        for made in self.records.values() {
            let stream = made.record.stream;
            let none = Waiting { stream, records: 0, bytes: 0, delivered: 0 };
            let line = lines.entry(stream).or_insert(none);
            match made.fate {
                Fate::Waiting => {
                    line.records += 1;
                    line.bytes += made.record.bytes() as u64;
                }
                Fate::Delivered => line.delivered += 1,
                Fate::LostWith(_) | Fate::Evicted => {}
            }
        }
        lines.into_values().collect()
    }

    /// All state, folded from the first commit on.
    pub fn state(&self) -> State {
        let mut state = State::new();
        for change in self.steps.iter().flat_map(|step| &step.commit.states) {
            let table = state.entry(Arc::clone(&change.handler)).or_default();
            table.0 = change.version;
            for change in &change.changes {
                match &change.value {
                    Some(value) => table.1.insert(Arc::clone(&change.key), value.clone()),
                    None => table.1.remove(&change.key),
                };
            }
        }
        state
    }

    /// Takes what the store has reported.
    pub fn committed(&mut self, committed: &Committed) -> Result<(), String> {
        self.known = self.known.max(committed.last_frame);
        if committed.up_to == CommitId::default() {
            return Ok(());
        }
        let number = *self.ids.get(&committed.up_to).ok_or("no such commit")?;
        for step in self.steps.iter_mut().filter(|step| step.number <= number) {
            step.is_reported = true;
        }
        for (id, frame) in &committed.frames {
            let number = *self.ids.get(id).ok_or("no such commit")?;
            for made in self.records.values_mut().filter(|made| made.commit == number) {
                made.place = Some(Place { frame: *frame, index: made.index });
            }
            self.known = self.known.max(*frame);
        }
        Ok(())
    }

    /// A start has shown which commits survived: the first so many. What came after never happened.
    pub fn cut(&mut self, survivors: usize) {
        let gone: BTreeSet<u64> = self.steps.drain(survivors..).map(|step| step.number).collect();
        self.steps.iter_mut().for_each(|step| step.is_reported = true);
        self.records.retain(|_, made| !gone.contains(&made.commit));
        for made in self.records.values_mut() {
            if let Fate::LostWith(number) = made.fate
                && gone.contains(&number)
            {
                made.fate = Fate::Waiting;
            }
        }
        self.ids.clear();
        self.next_id = 1;
        self.under_way.clear();
        self.roaming_from = u64::MAX;
        self.mono_ms = 0;
        self.told.clear();
        for told in self.steps.iter().flat_map(|step| &step.commit.told) {
            let count = self.told.entry((told.stream, told.reason)).or_default();
            *count = told.count.max(*count);
        }
    }
}
