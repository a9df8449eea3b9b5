//! Which files are segments of this journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::disk::Disk;
use crate::frame::{self, HEAD_BYTES, Head};
use crate::header::{BLOCK, DATA_START, Header, Look, MAGIC, TAIL_BYTES};
use crate::recovery::Recovery;
use crate::scan::Scanner;
use crate::segments::{self, Segment, UNFINISHED};
use crate::settings::Settings;
use crate::window::Window;

/// Generations that are tried on a segment without a header, the newest first.
const GUESSES_MAX: usize = 64;
/// Added to the name of a segment that is there twice.
const DOUBLE: &str = ".double";
/// Bytes hashed for it.
const GUESS_BYTES_MAX: usize = 32 << 20;

/// Files, sorted.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// The epoch that most segments have; of two, the newest segment's.
    pub epoch: Option<u64>,
    pub segments: BTreeMap<u32, Segment>,
    /// Headers that are whole, and whether that was in their first place.
    pub headers: BTreeMap<u32, (Header, bool)>,
    pub free: VecDeque<(u32, u64)>,
    /// Those of the free ones in which something was expected.
    pub bare: Vec<(u32, u64)>,
    pub next_slot: u32,
    pub last_generation: u32,
    /// The most that any whole header says is forgotten, whatever became of its segment.
    pub forgotten: u64,
}

/// A file with a header that counts, and whether that is the first copy.
type Whole = (File, Header, bool);

struct File {
    slot: u32,
    len: u64,
    /// Where no frame can stand any more.
    end_at: u64,
}

impl Shelf {
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.free.is_empty()
    }

    /// Looks at every file. Slots of files that are not ours stay taken.
    pub fn sort(
        disk: &mut impl Disk,
        settings: &Settings,
        names: &[String],
        recovery: &mut Recovery,
    ) -> Shelf {
        let mut shelf = Shelf::default();
        let mut whole = Vec::new();
        let mut bare = Vec::new();
        let mut begun = Vec::new();
        let mut seen = Vec::new();
        let mut names: Vec<&String> = names.iter().collect();
        names.sort();
        for name in names {
            let unfinished = name.strip_suffix(UNFINISHED).and_then(segments::slot);
            if unfinished.is_some() {
                // Left over from a cut while it was made; if it stays, it is made again and replaced.
                disk.remove(name).ok();
            }
            let Some(slot) = segments::slot(name) else {
                continue;
            };
            shelf.next_slot = shelf.next_slot.max(slot + 1);
            let len = disk.len(name).unwrap_or(0);
            let new_len = u64::from(settings.segment_bytes);
            let first = look_at(disk, name, 0, len);
            let tail = look_at_tail(disk, name, len);
            for look in [&first, &tail] {
                if let Look::Header(header) = look {
                    // Also what was begun in vain has used up its generation.
                    shelf.last_generation = shelf.last_generation.max(header.generation);
                    seen.push((header.epoch, header.mark.forgotten));
                }
            }
            let has_tail = len == new_len || matches!(tail, Look::Header(_));
            let end_at = if has_tail { len.saturating_sub(TAIL_BYTES) } else { len };
            let file = File { slot, len, end_at };
            let has_whole_tail = matches!(tail, Look::Header(_));
            let (look, is_first) = match first {
                Look::Damaged => (believe(disk, &file, tail), false),
                Look::Header(_) | Look::OtherVersion => (first, true),
            };
            match look {
                Look::Header(header) => whole.push((file, header, is_first)),
                Look::Damaged if is_begun(disk, &file, has_whole_tail) => begun.push(file),
                Look::Damaged => bare.push(file),
                Look::OtherVersion => recovery.files_foreign += 1,
            }
        }
        shelf.choose_epoch(&whole);
        let sorted = whole.len();
        let ours = seen.into_iter().filter(|(epoch, _)| Some(*epoch) == shelf.epoch);
        shelf.forgotten = ours.map(|(_, forgotten)| forgotten).max().unwrap_or(0);
        shelf.free.extend(begun.into_iter().map(|file| (file.slot, file.len)));
        whole.retain(|(_, header, _)| Some(header.epoch) == shelf.epoch);
        let ours = whole.len();
        let whole = single(disk, whole);
        recovery.files_foreign += (sorted - whole.len()) as u64;
        if whole.len() < ours {
            // Without it they are found again.
            disk.sync_dir().ok();
        }
        for (file, header, is_first) in whole {
            recovery.headers_restored += u64::from(!is_first);
            recovery.files_resized += u64::from(file.len != u64::from(settings.segment_bytes));
            let first_seq = header.first_seq;
            shelf.put(header.generation, &file, DATA_START, first_seq);
            shelf.headers.insert(header.generation, (header, is_first));
        }
        for file in bare {
            shelf.guess(disk, file, recovery);
        }
        shelf.bound();
        shelf
    }

    fn choose_epoch(&mut self, whole: &[Whole]) {
        let mut votes: BTreeMap<u64, (usize, u32)> = BTreeMap::new();
        for (_, header, _) in whole {
            let vote = votes.entry(header.epoch).or_default();
            vote.0 += 1;
            vote.1 = vote.1.max(header.generation);
        }
        let best = votes.into_iter().max_by_key(|(_, vote)| *vote);
        self.epoch = best.map(|(epoch, _)| epoch);
    }

    fn put(&mut self, generation: u32, file: &File, start_at: u64, first_seq: u64) {
        self.last_generation = self.last_generation.max(generation);
        let segment = Segment {
            slot: file.slot,
            file_len: file.len,
            first_seq,
            end_seq: first_seq,
            start_at,
            end_at: file.end_at.max(start_at),
            is_verified: false,
        };
        self.segments.insert(generation, segment);
    }

    /// A file without a header: its frames still say which generation they are of.
    fn guess(&mut self, disk: &mut impl Disk, file: File, recovery: &mut Recovery) {
        let known: BTreeSet<u32> = self.segments.keys().copied().collect();
        let newest = known.last().copied().unwrap_or(GUESSES_MAX as u32 - 1);
        let guesses: Vec<u32> = (1..=newest + 1)
            .rev()
            .filter(|generation| !known.contains(generation))
            .take(GUESSES_MAX)
            .collect();
        match first_frame(disk, &file, &guesses) {
            Some((generation, at, seq)) => {
                recovery.headers_restored += 1;
                self.put(generation, &file, at, seq);
            }
            None => {
                // Zeros first: what is in it may be of a generation that comes again.
                self.free.push_back((file.slot, 0));
                self.bare.push((file.slot, file.len));
            }
        }
    }

    /// Every segment ends where the next begins.
    fn bound(&mut self) {
        let mut end_seq = None;
        for segment in self.segments.values_mut().rev() {
            // A later segment begins where the one before was given up, or beyond it; what a damaged
            // order says is cut down to rising seqs.
            let end = end_seq.unwrap_or(segment.first_seq);
            segment.end_seq = end.max(segment.first_seq);
            end_seq = Some(segment.first_seq.min(end_seq.unwrap_or(u64::MAX)));
        }
    }
}

/// Of two files of one generation the one with more good frames counts. The other gets another name, or it would count
/// as soon as that one is used again, and what it claims is out of date by then.
fn single(disk: &mut impl Disk, whole: Vec<Whole>) -> Vec<Whole> {
    let mut best: BTreeMap<u32, Whole> = BTreeMap::new();
    for next in whole {
        let generation = next.1.generation;
        let Some(known) = best.remove(&generation) else {
            best.insert(generation, next);
            continue;
        };
        let is_better = frames_in(disk, &next) > frames_in(disk, &known);
        let (kept, other) = if is_better { (next, known) } else { (known, next) };
        let name = segments::name(other.0.slot);
        // A disk that refuses has it there again next time.
        disk.rename(&name, &format!("{name}{DOUBLE}")).ok();
        best.insert(generation, kept);
    }
    best.into_values().collect()
}

fn frames_in(disk: &mut impl Disk, (file, header, _): &Whole) -> usize {
    let window = Window::new(segments::name(file.slot), file.end_at);
    let (generation, first_seq) = (header.generation, header.first_seq);
    let mut scanner = Scanner::new(window, generation, DATA_START, first_seq, u64::MAX);
    std::iter::from_fn(|| scanner.next(disk)).count()
}

/// A second copy counts if frames of its generation are there. Alone, it may be left over from a segment that
/// was begun in vain, and what that claims is long out of date.
fn believe(disk: &mut impl Disk, file: &File, tail: Look) -> Look {
    match tail {
        Look::Header(header) if first_frame(disk, file, &[header.generation]).is_none() => {
            Look::Damaged
        }
        Look::Header(_) | Look::OtherVersion | Look::Damaged => tail,
    }
}

/// Whether a file without a header that counts is a segment that was begun in vain; see `Journal::write_header`. What
/// it held before was not needed any more. `has_whole_tail`: its second copy is whole, and none of its frames is there.
fn is_begun(disk: &mut impl Disk, file: &File, has_whole_tail: bool) -> bool {
    let mut window = Window::new(segments::name(file.slot), file.len);
    let is_started = window.get(disk, 0, MAGIC.len()).is_some_and(|bytes| bytes == MAGIC);
    if has_whole_tail {
        return is_started;
    }
    // Without frames, the first copy is there before any of the second.
    let end = if is_started { file.end_at } else { file.len };
    let mut at = DATA_START;
    if file.len <= at {
        return false;
    }
    while at < end {
        let part = (end - at).min(BLOCK) as usize;
        if !window.get(disk, at, part).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0)) {
            return false;
        }
        at += part as u64;
    }
    window.unreadable == 0
}

fn look_at_tail(disk: &mut impl Disk, name: &str, len: u64) -> Look {
    match len.checked_sub(TAIL_BYTES) {
        Some(at) if at >= DATA_START => look_at(disk, name, at, len),
        _ => Look::Damaged,
    }
}

fn look_at(disk: &mut impl Disk, name: &str, at: u64, len: u64) -> Look {
    let mut block = vec![0; (len - at).min(BLOCK) as usize];
    match disk.read_at(name, at, &mut block) {
        Ok(count) => Header::look(&block[..count]),
        Err(_) => Look::Damaged,
    }
}

/// The first good frame of any of these generations: generation, place and seq.
fn first_frame(disk: &mut impl Disk, file: &File, guesses: &[u32]) -> Option<(u32, u64, u64)> {
    let mut window = Window::new(segments::name(file.slot), file.end_at);
    let mut left = GUESS_BYTES_MAX;
    let mut at = DATA_START;
    loop {
        let bytes = window.get(disk, at, HEAD_BYTES)?;
        if let Some(head) = Head::parse(bytes)
            && at + head.total() as u64 <= file.end_at
        {
            let cost = head.total() * guesses.len();
            left = left.checked_sub(cost)?;
            let frame = window.get(disk, at, head.total())?;
            let fits = |guess: &&u32| frame::checksum(frame, **guess) == head.crc;
            if let Some(generation) = guesses.iter().find(fits) {
                return Some((*generation, at, head.seq));
            }
        }
        at += 1;
    }
}
