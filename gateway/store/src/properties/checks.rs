//! What must hold: after a start, and whenever someone looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_core::commit::{Progress, Seen, StateChange};
use tidegate_core::record::{LossReason, Place, Record, StreamId};
use tidegate_core::store::Fetch;

use super::core::{Fate, PRIORITIES, STREAMS, State};
use super::world::{Checked, World};
use crate::Opened;

impl World {
    /// Every record that is there, by seq.
    fn read(&mut self) -> Result<BTreeMap<u64, (Place, Arc<Record>)>, String> {
        let mut found = BTreeMap::new();
        for priority in PRIORITIES {
            let mut from = Place::default();
            loop {
                let bytes_max = 1 + self.random.below(5000) as usize;
                let fetched = self.store().fetch(&Fetch { priority, from, until: None, bytes_max });
                let mut last = from;
                for (place, record) in fetched.records {
                    if place < last || place >= fetched.next || record.priority != priority {
                        return Err(format!("{place:?} in {from:?} to {:?}", fetched.next));
                    }
                    last = place;
                    let seq = record.seq;
                    if let Some((other, _)) = found.insert(seq, (place, record)) {
                        return Err(format!("{seq} stands at {other:?} and at {place:?}"));
                    }
                }
                if fetched.is_end {
                    break;
                }
                if fetched.next <= from {
                    return Err(format!("a fetch stays at {from:?}"));
                }
                from = fetched.next;
            }
        }
        Ok(found)
    }

    /// Looks at everything that is durable: what waits is there, and what is not was given up by an eviction and
    /// counted.
    pub fn look(&mut self) -> Checked {
        self.commit()?;
        if self.disk().is_down() {
            return Ok(());
        }
        let found = self.read()?;
        self.check_found(&found)
    }

    fn check_found(&mut self, found: &BTreeMap<u64, (Place, Arc<Record>)>) -> Checked {
        for (seq, (_, record)) in found {
            match self.core.records.get(seq) {
                Some(made) if *made.record == **record && made.fate != Fate::Evicted => {}
                Some(made) => return Err(format!("found {record:?}, made was {made:?}")),
                None => return Err(format!("{seq} was never made, or is gone")),
            }
        }
        let reported = self.core.steps.iter().take_while(|step| step.is_reported).last();
        let reported = reported.map_or(0, |step| step.number);
        for (seq, made) in &mut self.core.records {
            match found.get(seq) {
                Some((place, _)) => made.place = Some(*place),
                None if made.fate != Fate::Waiting || made.commit > reported => {}
                None if self.core.under_way.contains(seq) => {
                    return Err(format!("{seq} is on its way and gone"));
                }
                None if made.record.stream == StreamId::of("newest") => {
                    return Err(format!("{seq} was given up, and its stream says drop-newest"));
                }
                None if self.may_vanish => {
                    made.fate = Fate::Evicted;
                    made.place = None;
                    *self.tally.entry("evicted").or_default() += 1;
                    self.core.evictions += 1;
                }
                None => return Err(format!("{seq} is gone: {made:?}")),
            }
        }
        self.may_vanish = false;
        // Everybody's place is known again.
        self.core.roaming_from = u64::MAX;
        for name in STREAMS {
            let stream = StreamId::of(name);
            let is_evicted = |made: &&super::core::Made| {
                made.fate == Fate::Evicted && made.record.stream == stream
            };
            let lost = self.core.records.values().filter(is_evicted);
            let lost =
                lost.fold((0, 0), |sum, made| (sum.0 + 1, sum.1 + made.record.bytes() as u64));
            let counted = self.evicted_count(stream);
            if lost != counted {
                return Err(format!("{name}: {lost:?} were evicted, the ledger says {counted:?}"));
            }
        }
        Ok(())
    }

    /// What a start finds must be what the model says; the model then takes it up.
    pub fn check_start(&mut self, opened: &Opened) -> Checked {
        let is_pending = self.store().journal().recovery().is_tail_pending;
        if is_pending {
            // What is only pending cannot be fetched; a disk that has recovered takes it.
            let faults = self.disk().faults;
            self.disk().faults = Default::default();
            let done = self.store().commit();
            self.disk().faults = faults;
            done.map_err(|error| format!("a good disk refuses: {error}"))?;
            self.count_pending();
        }
        let found = self.read()?;
        let survivors = self.survivors(&found, &opened.tables)?;
        self.core.cut(survivors);
        let state = tables(&opened.tables);
        if state != self.core.state() {
            return Err(format!("state is {state:?}, not {:?}", self.core.state()));
        }
        self.check_next_seq(opened)?;
        self.check_ledger()?;
        self.check_found(&found)?;
        self.check_restored(opened, &found)?;
        self.core.boot = opened.restored.boot;
        self.core.next_seq = opened.restored.next_seq;
        self.core.known = self.store().journal().durable_seq();
        Ok(())
    }

    fn count_pending(&mut self) {
        *self.tally.entry("tails pending").or_default() += 1;
    }

    /// How many commits are there: all that were reported, and some of the others.
    fn survivors(
        &mut self,
        found: &BTreeMap<u64, (Place, Arc<Record>)>,
        tables: &[StateChange],
    ) -> Result<usize, String> {
        let mark = tables.iter().find(|state| &*state.handler == "mark");
        let mark = mark.and_then(|state| state.changes.first()).and_then(|c| c.value.as_ref());
        let mark = mark.and_then(|value| value.bytes.first_chunk().copied());
        let by_state = mark.map_or(0, u64::from_le_bytes);
        let made = |seq: &u64| self.core.records.get(seq).map_or(0, |made| made.commit);
        let by_records = found.keys().map(made).max().unwrap_or(0);
        let reported = self.core.steps.iter().take_while(|step| step.is_reported).count();
        let last = by_state.max(by_records);
        let there = self.core.steps.iter().take_while(|step| step.number <= last).count();
        Ok(reported.max(there))
    }

    /// Losses and what was told of them, as the surviving commits say.
    fn check_ledger(&mut self) -> Checked {
        let mut expect: BTreeMap<(StreamId, u8), (u64, u64)> = BTreeMap::new();
        for lost in self.core.steps.iter().flat_map(|step| &step.commit.losses) {
            let line = expect.entry((lost.stream, lost.reason as u8)).or_default();
            *line = (line.0 + 1, line.1 + lost.bytes);
        }
        let ledger = self.store().ledger();
        for line in &ledger {
            let told = self.core.told.get(&(line.stream, line.reason)).copied().unwrap_or(0);
            if line.told != told {
                return Err(format!("{line:?}: told was {told}"));
            }
            if [4, 5].contains(&(line.reason as u8)) {
                let counted = (line.count, line.bytes);
                let expect = expect.remove(&(line.stream, line.reason as u8));
                if expect != Some(counted) {
                    return Err(format!("{line:?}, but the commits say {expect:?}"));
                }
            }
            let is_jump = line.reason == LossReason::Damaged && self.core.has_jumped;
            if line.stream == StreamId(u16::MAX) && !is_jump {
                return Err(format!("nobody knows whose these were: {line:?}"));
            }
        }
        if expect.is_empty() { Ok(()) } else { Err(format!("not counted: {expect:?}")) }
    }

    /// No seq is given twice, and none is left out without a reason.
    fn check_next_seq(&mut self, opened: &Opened) -> Checked {
        let restored = &opened.restored;
        let given = self.core.records.keys().next_back().copied().unwrap_or(0);
        let recovery = &opened.found.recovery;
        if recovery.is_damaged() {
            return Err(format!("damage that nobody did: {recovery:?}"));
        }
        let may_jump = self.core.has_jumped;
        self.core.has_jumped |= restored.next_seq > given + 100;
        if restored.next_seq <= given || restored.next_seq > given + 100 && !may_jump {
            return Err(format!(
                "the next seq is {}, given was {given}: {recovery:?}",
                restored.next_seq
            ));
        }
        Ok(())
    }

    fn check_restored(
        &mut self,
        opened: &Opened,
        found: &BTreeMap<u64, (Place, Arc<Record>)>,
    ) -> Checked {
        let restored = &opened.restored;
        for (seq, (place, record)) in found {
            let waits = self.core.records[seq].fate == Fate::Waiting;
            let is_pending = place.frame > restored.last_frame;
            if waits && !is_pending && restored.progress.is_settled(record.priority, *place) {
                return Err(format!("{seq} at {place:?} waits, but {:?}", restored.progress));
            }
        }
        let last_boot = self.core.steps.iter().map(|step| step.boot).max().unwrap_or(0);
        if restored.boot <= last_boot {
            return Err(format!("boot {} after {last_boot}", restored.boot));
        }
        let seen: Vec<Seen> =
            self.core.steps.iter().flat_map(|step| &step.commit.seen).copied().collect();
        let seen = &seen[seen.len().saturating_sub(self.settings.seen_max)..];
        if restored.seen != seen {
            return Err(format!("seen are {:?}, not {seen:?}", restored.seen));
        }
        let clocks: BTreeMap<u32, i64> = self
            .core
            .steps
            .iter()
            .flat_map(|step| &step.commit.clocks)
            .map(|clock| (clock.boot, clock.start_unix_us))
            .collect();
        if !restored.clocks.iter().map(|clock| (clock.boot, clock.start_unix_us)).eq(clocks.clone())
        {
            return Err(format!("clocks are {:?}, not {clocks:?}", restored.clocks));
        }
        self.check_waiting(&restored.progress)
    }

    /// What waits, by stream: as of the last progress, and what was committed after it.
    fn check_waiting(&mut self, progress: &Progress) -> Checked {
        // Between an eviction and the next progress, what waits is an estimate.
        let last = self.core.steps.iter().rfind(|step| step.commit.progress.is_some());
        if last.map_or(0, |step| step.evictions) != self.core.evictions {
            return Ok(());
        }
        let mut expect: BTreeMap<StreamId, (u64, u64, u64)> = BTreeMap::new();
        for step in &self.core.steps {
            for record in &step.commit.records {
                let line = expect.entry(record.stream).or_default();
                *line = (line.0 + 1, line.1 + record.bytes() as u64, line.2);
            }
            if let Some(progress) = &step.commit.progress {
                expect = progress
                    .waiting
                    .iter()
                    .map(|line| (line.stream, (line.records, line.bytes, line.delivered)))
                    .collect();
            }
        }
        let waiting: BTreeMap<_, _> = progress
            .waiting
            .iter()
            .map(|line| (line.stream, (line.records, line.bytes, line.delivered)))
            .collect();
        let some = |lines: BTreeMap<StreamId, (u64, u64, u64)>| -> Vec<_> {
            lines.into_iter().filter(|(_, line)| *line != (0, 0, 0)).collect()
        };
        let (waiting, expect) = (some(waiting), some(expect));
        if waiting == expect { Ok(()) } else { Err(format!("{waiting:?} wait, not {expect:?}")) }
    }
}

fn tables(tables: &[StateChange]) -> State {
    let table = |state: &StateChange| {
        let values = state
            .changes
            .iter()
            .filter_map(|change| Some((Arc::clone(&change.key), change.value.clone()?)));
        (Arc::clone(&state.handler), (state.version, values.collect()))
    };
    tables.iter().map(table).collect()
}
