//! Opening: which files are segments, in which order, what is in them, where to go on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::disk::Disk;
use crate::error::Error;
use crate::frame::{self, BATCH, KIND_MARK};
use crate::header::Header;
use crate::journal::{Counters, Journal};
use crate::mark::Mark;
use crate::planted::{Bug, planted};
use crate::quarantine::Quarantine;
use crate::recovery::{Gap, Recovery};
use crate::scan::Hole;
use crate::segments::Segment;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::survey::{Survey, Tally, survey};

impl<D: Disk> Journal<D> {
    /// Opens the journal on a disk, or begins one with `new_epoch`, which must be a new random number each time.
    /// No content makes it fail; see [`Recovery`] for the rules. Nothing is written to a disk that is as
    /// it should be, but the last write, once more and with a sync: what a killed process wrote may be read
    /// back and yet not be durable.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn open(mut disk: D, settings: Settings, new_epoch: u64) -> Result<Journal<D>, Error> {
        let settings = settings.rounded();
        let names = disk.list().map_err(Error::io("list", "the folder"))?;
        let mut recovery = Recovery::default();
        let quarantine = Quarantine::new(&mut disk, &names, settings.quarantine_bytes_max);
        let shelf = Shelf::sort(&mut disk, &settings, &names, &mut recovery);
        recovery.is_created = shelf.is_empty();
        let mut journal = Journal {
            disk,
            epoch: shelf.epoch.unwrap_or(new_epoch),
            segments: shelf.segments,
            free: shelf.free,
            next_slot: shelf.next_slot,
            last_generation: shelf.last_generation,
            torn_slots: BTreeSet::new(),
            active: None,
            write_at: 0,
            kept: None,
            pending: Vec::new(),
            next_seq: 1,
            durable_seq: 0,
            mark: Mark::default(),
            marks: VecDeque::new(),
            attempt: 0,
            carried_bytes: 0,
            counters: Counters::default(),
            recovery,
            settings,
        };
        journal.mark.forgotten = shelf.forgotten;
        journal.recover(&shelf.headers, &shelf.bare, quarantine);
        Ok(journal)
    }

    fn recover(
        &mut self,
        headers: &BTreeMap<u32, (Header, bool)>,
        bare: &[(u32, u64)],
        mut quarantine: Quarantine,
    ) {
        let forgotten = self.mark.forgotten;
        for (slot, len) in bare {
            self.set_aside(*slot, *len, &mut quarantine);
        }
        // What counts is in the newest header that is whole, and in the segments from there on.
        let (newest, claimed) = self.choose_newest().unzip();
        let claimed = claimed.flatten();
        let limit = newest.unwrap_or(u32::MAX);
        let known = headers.range(..=limit).next_back();
        let from = known.map_or(0, |(generation, _)| *generation);
        let mut tally = match known {
            Some((_, (header, _))) => Tally::new(header.mark.clone(), header.first_seq),
            None => Tally::default(),
        };
        let generations: Vec<u32> = self.segments.keys().copied().collect();
        let mut holes = Vec::new();
        let mut taken_back = None;
        for generation in generations {
            let is_needed = generation >= from;
            if !is_needed && !self.settings.verify_at_open {
                continue;
            }
            let is_newest = Some(generation) == newest;
            let before = if is_needed { tally.clone() } else { Tally::default() };
            let (survey, more) = self.read_segment(generation, before.clone(), is_newest);
            holes.extend(more.into_iter().map(|hole| (generation, hole)));
            if is_needed {
                tally = survey.tally.clone();
            }
            if is_newest {
                let is_whole = headers.get(&generation).is_some_and(|(_, is_first)| *is_first);
                if !self.settle(generation, &survey, is_whole, claimed) {
                    taken_back = Some(self.take_back(generation, &survey, before, claimed));
                }
            }
        }
        tally.close();
        self.mark = match taken_back {
            None => tally.mark,
            Some(mark) => Mark { abandoned: tally.mark.abandoned, ..mark },
        };
        // What a header knows is true, also where its segment does not count.
        self.mark.forgotten = self.mark.forgotten.max(forgotten);
        if self.next_seq <= self.mark.forgotten {
            // The end of the log is lost. Frames of one segment are dense, so it cannot go on there.
            self.next_seq = self.mark.forgotten + 1;
            self.active = None;
        }
        if self.pending.is_empty() {
            self.durable_seq = self.next_seq - 1;
        }
        let first = self.segments.values().next().map(|segment| segment.first_seq);
        let wanted = self.mark.forgotten + 1;
        if let Some((first, generation)) = first.zip(self.segments.keys().next().copied())
            && first > wanted
        {
            let hole = Hole { at: 0, end: 0, first_seq: wanted, last_seq: first - 1 };
            holes.insert(0, (generation, hole));
        }
        for (generation, hole) in holes {
            self.report(generation, hole, &mut quarantine);
        }
        self.release();
        self.recovery.quarantined_bytes = quarantine.bytes;
        if self.recovery.is_tail_pending {
            // Tried at once; what does not succeed stays pending.
            self.recovery.is_tail_pending = self.commit().is_err();
        }
        self.recovery.segments = self.segments.len() as u64;
        self.recovery.first_seq = self.mark.forgotten + 1;
        self.recovery.last_seq = self.next_seq - 1;
    }

    /// The segment in which the log ends. A write that failed, or that a start has taken back, goes into a fresh
    /// segment with the seqs that it has. Until it is durable there, the older copy may be the only one:
    /// the newest segment does not count when one before it reaches further.
    ///
    /// Also the first seq that such a one claims: from there on everything is written anew, or its claim would stand
    /// when it is no longer the newest.
    fn choose_newest(&mut self) -> Option<(u32, Option<u64>)> {
        let (newest, segment) = self.segments.last_key_value()?;
        let (newest, first_seq) = (*newest, segment.first_seq);
        let (reach, is_one_write) = self.reach(newest);
        let mut best = (reach, newest);
        if is_one_write {
            let earlier: Vec<(u32, u64)> = self
                .segments
                .range(..newest)
                .rev()
                .map(|(generation, segment)| (*generation, segment.first_seq))
                .collect();
            for (generation, first) in earlier {
                let (reach, _) = self.reach(generation);
                if reach > best.0 {
                    best = (reach, generation);
                }
                if first < first_seq {
                    break;
                }
            }
        }
        let newest = best.1;
        let end_seq = |segment: &Segment| segment.end_seq;
        let is_needless = |(generation, segment): &(&u32, &Segment)| {
            **generation > newest
                || (**generation < newest && end_seq(segment) == segment.first_seq)
        };
        let claims = self.segments.range(newest + 1..);
        let claimed = claims.map(|(_, segment)| segment.first_seq).min();
        let needless: Vec<u32> =
            self.segments.iter().filter(is_needless).map(|(generation, _)| *generation).collect();
        for generation in needless {
            if let Some(segment) = self.segments.remove(&generation) {
                self.torn_slots.insert(segment.slot);
                self.free.push_back((segment.slot, segment.file_len));
            }
        }
        Some((newest, claimed))
    }

    /// One beyond the last seq of a segment that is good without a hole, and whether it was written once at most.
    fn reach(&mut self, generation: u32) -> (u64, bool) {
        let segment = self.segments.get(&generation).expect("it is listed");
        let mut scanner = segment.scanner(generation);
        scanner.seq_end = u64::MAX;
        let start_at = segment.start_at;
        let survey = survey(&mut self.disk, &mut scanner, Tally::default(), true);
        (survey.next_seq, survey.last_batch_at.is_none_or(|at| at == start_at))
    }

    /// A file that is no segment is used again; when there is something in it, not without a copy.
    fn set_aside(&mut self, slot: u32, len: u64, quarantine: &mut Quarantine) {
        let name = crate::segments::name(slot);
        let mut window = crate::window::Window::new(name.clone(), len);
        let mut at = 0;
        while at < len {
            let part = (len - at).min(4096) as usize;
            let bytes = window.get(&mut self.disk, at, part);
            if bytes.is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)) {
                self.recovery.files_lost += 1;
                quarantine.copy(&mut self.disk, &name, &format!("slot{slot:08}"), at, len);
                return;
            }
            at += part as u64;
        }
    }

    /// Reads one segment; what is missing at its end is a hole, too.
    pub(crate) fn read_segment(
        &mut self,
        generation: u32,
        tally: Tally,
        is_newest: bool,
    ) -> (Survey, Vec<Hole>) {
        let segment = self.segments.get(&generation).expect("it is listed");
        let mut scanner = segment.scanner(generation);
        if is_newest {
            scanner.seq_end = u64::MAX;
        }
        let (wanted_end, file_end) = (segment.end_seq, segment.end_at);
        let mut survey = survey(&mut self.disk, &mut scanner, tally, is_newest);
        let mut holes = std::mem::take(&mut survey.holes);
        if !is_newest && survey.next_seq < wanted_end {
            let last_seq = wanted_end - 1;
            let (at, first_seq) = (survey.end_at, survey.next_seq);
            holes.push(Hole { at, end: file_end, first_seq, last_seq });
        }
        self.recovery.segments_read += 1;
        self.recovery.frames += survey.frames;
        self.recovery.blocks_unreadable += survey.unreadable;
        let segment = self.segments.get_mut(&generation).expect("it is listed");
        segment.is_verified = true;
        (survey, holes)
    }

    /// Decides where the log ends and whether it goes on there; `false` when the last write is not durable.
    fn settle(
        &mut self,
        generation: u32,
        survey: &Survey,
        is_whole: bool,
        claimed: Option<u64>,
    ) -> bool {
        let new_len = u64::from(self.settings.segment_bytes);
        let segment = self.segments.get_mut(&generation).expect("it is listed");
        segment.end_seq = survey.next_seq;
        segment.end_at = survey.end_at;
        let can_go_on = is_whole && segment.file_len == new_len && !survey.is_exhausted;
        self.next_seq = survey.next_seq;
        self.write_at = survey.end_at;
        self.recovery.torn_frames = survey.torn_frames;
        if claimed.is_some() {
            return false;
        }
        if survey.next_seq == segment.first_seq {
            // Whether its header is durable nobody knows: it is begun again.
            let slot = (segment.slot, segment.file_len);
            self.segments.remove(&generation);
            self.torn_slots.insert(slot.0);
            self.free.push_front(slot);
            return true;
        }
        let name = segment.name();
        let start = survey.last_batch_at.unwrap_or(segment.start_at);
        if !planted(Bug::TrustPageCache) && self.rewrite(&name, start, survey).is_err() {
            return false;
        }
        self.active = can_go_on.then_some(generation);
        true
    }

    /// Writes the last write again, as it is, and zeros over what is left of a torn one: otherwise its frames
    /// could continue a later write that is torn at the right place.
    fn rewrite(&mut self, name: &str, start: u64, survey: &Survey) -> Result<(), Error> {
        const PIECE: u64 = 64 * 1024;
        let mut buffer = Vec::new();
        let mut at = start;
        let end = survey.end_at.max(survey.torn_end_at);
        while at < end {
            // Pieces end where the zeros begin.
            let until = if at < survey.end_at { survey.end_at } else { end };
            let len = (until - at).min(PIECE) as usize;
            buffer.clear();
            buffer.resize(len, 0);
            if at < survey.end_at {
                self.disk.read_at(name, at, &mut buffer).map_err(Error::io("read", name))?;
            }
            self.disk.write_at(name, at, &buffer).map_err(Error::io("write", name))?;
            self.counters.bytes_written += len as u64;
            at += len as u64;
        }
        self.sync(name)
    }

    /// The last write cannot be made durable where it is: it waits for a commit, with the seqs that it has.
    /// Returns the mark that is in force before it.
    fn take_back(
        &mut self,
        generation: u32,
        survey: &Survey,
        before: Tally,
        claimed: Option<u64>,
    ) -> Mark {
        let segment = self.segments.get_mut(&generation).expect("it is listed");
        let start = survey.last_batch_at.unwrap_or(segment.start_at);
        let mut scanner = segment.scanner(generation);
        match claimed {
            Some(seq) => scanner.seq_end = seq,
            None => scanner.window.extend(start),
        }
        let kept = crate::survey::survey(&mut self.disk, &mut scanner, before, false);
        let mut scanner = segment.scanner(generation);
        segment.end_seq = kept.next_seq;
        segment.end_at = kept.end_at;
        self.durable_seq = kept.next_seq - 1;
        let mut expect = kept.next_seq;
        while let Some(found) = scanner.next(&mut self.disk) {
            let seq = found.head.seq;
            if seq < expect {
                continue;
            }
            // Seqs are dense; a mark that says nothing stands for a frame that is lost.
            for lost in expect..seq {
                frame::push(&mut self.pending, KIND_MARK, lost, &[]);
            }
            expect = seq + 1;
            let kind = found.head.kind & !BATCH;
            let payload = scanner.payload(&mut self.disk, &found);
            frame::push(&mut self.pending, kind, seq, &[payload]);
            if kind == KIND_MARK
                && let Some(mark) = Mark::decode(payload)
            {
                if mark.attempt != 0 {
                    self.attempt = mark.attempt;
                }
                self.marks.push_back((seq, mark));
            }
        }
        self.recovery.is_tail_pending = true;
        self.kept = Some(generation);
        kept.tally.mark
    }

    /// Adds a hole to the report and a copy of it to the quarantine.
    pub(crate) fn report(&mut self, generation: u32, hole: Hole, quarantine: &mut Quarantine) {
        if hole.last_seq <= self.mark.forgotten {
            return;
        }
        let name = self.segments.get(&generation).map(Segment::name);
        let is_new = match name {
            Some(name) if hole.end > hole.at => {
                let label = format!("{generation:010}");
                quarantine.copy(&mut self.disk, &name, &label, hole.at, hole.end)
            }
            _ => true,
        };
        self.recovery.add(Gap {
            first_seq: hole.first_seq.max(self.mark.forgotten + 1),
            last_seq: hole.last_seq,
            generation,
            at: hole.at,
            len: hole.end - hole.at,
            is_new,
        });
    }
}
