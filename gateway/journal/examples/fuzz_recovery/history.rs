//! A journal with a past, and what must be left of it.

use std::collections::BTreeMap;

use tidegate_journal::{Cursor, Disk, Error, Fate, Journal, ModelDisk, Settings};

/// By name or by payload.
pub type Files<T> = BTreeMap<Vec<u8>, T>;

const BLOCK: usize = 4096;
const HEAD_BYTES: usize = 17;
/// Of a frame's kind: the first of a write, and one that an eviction carried.
const BATCH: u8 = 0x80;
const CARRIED: u8 = 0x40;
/// The journal's own.
const MARK: u8 = 0x3f;

/// A life with commits, cuts and evictions. Payloads start with a number that is given once.
pub struct History {
    pub seed: u64,
    pub settings: Settings,
    /// The seq at which each number stands.
    pub live: BTreeMap<u64, u64>,
    pub next_id: u64,
    /// The files as they were at some times before.
    pub snapshots: Vec<Files<Vec<u8>>>,
}

/// What was appended under a number.
pub fn payload(id: u64, seed: u64) -> Vec<u8> {
    let mut mix = ModelDisk::new(id.wrapping_mul(31) ^ seed);
    let len = if seed.is_multiple_of(4) { 100 } else { mix.below(700) };
    let mut payload = id.to_le_bytes().to_vec();
    payload.extend((0..len).map(|_| mix.below(256) as u8));
    payload
}

fn id_of(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|id| u64::from_le_bytes(*id))
}

/// Every frame that is there: its seq and kind, by payload.
pub fn read(journal: &mut Journal<ModelDisk>) -> Result<Files<(u64, u8)>, String> {
    let mut cursor = Cursor::from(0);
    let mut found = Files::new();
    let mut last = 0;
    while let Some(frame) = cursor.next(journal).map_err(|error| error.to_string())? {
        if frame.seq <= last {
            return Err(format!("seq {} after {last}", frame.seq));
        }
        last = frame.seq;
        if let Some((other, _)) = found.insert(frame.payload.to_vec(), (frame.seq, frame.kind)) {
            return Err(format!("a frame stands at {other} and at {last}"));
        }
    }
    Ok(found)
}

/// Every file.
pub fn files(disk: &mut ModelDisk) -> Files<Vec<u8>> {
    let mut files = Files::new();
    for name in disk.list().expect("the power is on") {
        let len = disk.len(&name).expect("it is listed");
        let mut bytes = vec![0; len as usize];
        disk.read_at(&name, 0, &mut bytes).expect("a good disk");
        files.insert(name.into_bytes(), bytes);
    }
    files
}

impl History {
    pub fn make(seed: u64, random: &mut ModelDisk) -> (ModelDisk, History) {
        let settings = Settings {
            segment_bytes: 16 * 1024,
            quota_bytes: (5 + random.below(4)) * 16 * 1024,
            pending_bytes_max: 20 * 1024,
            quarantine_bytes_max: 64 * 1024,
            verify_at_open: random.below(4) > 0,
        };
        let open = |disk| Journal::open(disk, settings.clone(), seed | 1).expect("a good disk");
        let mut journal = open(ModelDisk::new(seed));
        let (mut next_id, mut snapshots) = (0, Vec::new());
        for _ in 0..20 + random.below(280) {
            match random.below(100) {
                0..=64 => {
                    let kind = 1 + (next_id % 5) as u8;
                    match journal.append(kind, &payload(next_id, seed)) {
                        Ok(_) => next_id += 1,
                        Err(Error::Full { .. }) => evict(&mut journal, random),
                        Err(_) => drop(journal.commit()),
                    }
                }
                65..=86 => drop(journal.commit()),
                87..=89 => {
                    let (first, last) = (journal.forgotten_seq(), journal.durable_seq());
                    journal.forget(first + random.below(last.saturating_sub(first) + 1) / 3);
                }
                90..=91 => evict(&mut journal, random),
                92..=94 => snapshots.push(files(journal.disk())),
                95..=96 => journal.lose(7, 4, next_id, 1),
                97 => {
                    let mut disk = journal.into_disk();
                    disk.cut();
                    journal = open(disk);
                }
                _ => journal = open(journal.into_disk()),
            }
        }
        drop(journal.commit());
        let found = read(&mut journal).expect("nothing has damaged it");
        let live = found.iter().filter_map(|(payload, (seq, _))| Some((id_of(payload)?, *seq)));
        let live = live.collect();
        let mut disk = journal.into_disk();
        // All of it is durable; what is not must not be confused with damage.
        disk.cut();
        (disk, History { seed, settings, live, next_id, snapshots })
    }

    /// Frames by number; an error when one of them was never appended. One that an eviction had carried may stand where
    /// it stood before.
    pub fn known(&self, found: &Files<(u64, u8)>) -> Result<BTreeMap<u64, u64>, String> {
        let mut known = BTreeMap::new();
        for (bytes, (seq, kind)) in found {
            let id = id_of(bytes).filter(|id| *id < self.next_id);
            let Some(id) = id.filter(|id| payload(*id, self.seed) == *bytes) else {
                return Err(format!("seq {seq} was never appended"));
            };
            if *kind != 1 + (id % 5) as u8 {
                return Err(format!("seq {seq} has kind {kind}"));
            }
            known.insert(id, *seq);
        }
        Ok(known)
    }

    /// Numbers of frames that must be there: their bytes are as they were, in a file of which a header is as it was.
    /// The log may end in any segment behind which no frame is left; there, what stands behind the last good
    /// beginning of a write may be taken for a torn tail.
    pub fn must_keep(&self, before: &Files<Vec<u8>>, after: &Files<Vec<u8>>) -> Vec<u64> {
        let mut segments: BTreeMap<u32, Vec<Placed>> = BTreeMap::new();
        for bytes in before.values() {
            let Some(generation) = generation(bytes) else { continue };
            // Of a segment that is there twice, nobody knows which one counts.
            let kept: Vec<_> = after.values().filter(|now| claims(now, generation)).collect();
            let has_header = kept.iter().any(|now| has_header(bytes, now));
            let mut placed = self.placed(bytes);
            for frame in &mut placed {
                let range = frame.at..frame.end;
                let is_same =
                    |now: &&Vec<u8>| now.get(range.clone()) == Some(&bytes[range.clone()]);
                frame.is_intact = has_header && kept.iter().all(is_same);
            }
            segments.insert(generation, placed);
        }
        let has_one = |placed: &[Placed]| placed.iter().any(|frame| frame.is_intact);
        let last = segments.iter().rfind(|(_, placed)| has_one(placed)).map(|(at, _)| *at);
        let mut keep = Vec::new();
        for (generation, placed) in &segments {
            let end = if Some(*generation) < last {
                usize::MAX
            } else {
                let is_start = |frame: &&Placed| frame.is_intact && frame.starts_write;
                placed.iter().rfind(is_start).map_or(0, |frame| frame.end)
            };
            for (at, frame) in placed.iter().enumerate() {
                if frame.is_intact && frame.end <= end && counts(placed, at) {
                    keep.extend(frame.id);
                }
            }
        }
        keep
    }

    /// The frames of a segment that count, in order, marks among them.
    fn placed(&self, bytes: &[u8]) -> Vec<Placed> {
        let mut placed: Vec<Placed> = Vec::new();
        let mut at = BLOCK;
        let mut last_seq = 0;
        while let Some(head) = bytes.get(at..at + HEAD_BYTES) {
            let len = u32::from_le_bytes(head[..4].try_into().expect("four")) as usize;
            let (kind, seq) = (head[8], u64::from_le_bytes(head[9..].try_into().expect("eight")));
            let end = at + HEAD_BYTES + len;
            let is_next = last_seq == 0 || seq == last_seq + 1;
            if kind == 0 || end > bytes.len() - BLOCK || !is_next {
                // Padding up to the next block, or the end.
                if at.is_multiple_of(BLOCK) {
                    break;
                }
                at = at.next_multiple_of(BLOCK);
                continue;
            }
            last_seq = seq;
            let skip = if kind & CARRIED != 0 { 16 } else { 0 };
            let id = bytes.get(at + HEAD_BYTES + skip..end).and_then(id_of);
            let id = id.filter(|id| self.live.get(id) == Some(&seq));
            let (starts_write, is_carried) = (kind & BATCH != 0, kind & CARRIED != 0);
            let is_mark = kind & !BATCH == MARK;
            let is_intact = false;
            placed.push(Placed { id, at, end, starts_write, is_carried, is_mark, is_intact });
            at = end;
        }
        placed
    }
}

/// A frame in a file.
struct Placed {
    /// None: a mark, or what nobody needs any more.
    id: Option<u64>,
    at: usize,
    end: usize,
    starts_write: bool,
    is_carried: bool,
    is_mark: bool,
    is_intact: bool,
}

/// Whether the frame at a place counts by itself: what an eviction carried does when its end is there.
fn counts(placed: &[Placed], at: usize) -> bool {
    let behind = &placed[at..];
    let end = behind.iter().position(|frame| frame.is_mark);
    !placed[at].is_carried
        || end.is_some_and(|end| behind[..=end].iter().all(|frame| frame.is_intact))
}

fn generation(bytes: &[u8]) -> Option<u32> {
    let is_segment = bytes.len() >= 16 && bytes.starts_with(b"TIDEJRNL");
    is_segment.then(|| u32::from_le_bytes(bytes[12..16].try_into().expect("four")))
}

/// Whether a file may be taken for the segment of a generation.
fn claims(bytes: &[u8], wanted: u32) -> bool {
    let tail = bytes.len().saturating_sub(BLOCK);
    [bytes, &bytes[tail..]].iter().any(|header| generation(header) == Some(wanted))
}

/// Whether a file has one of the headers of another as it was.
fn has_header(before: &[u8], now: &[u8]) -> bool {
    let tail = before.len() - BLOCK;
    let is_same = |range: std::ops::Range<usize>| now.get(range.clone()) == Some(&before[range]);
    is_same(0..BLOCK) || now.len() == before.len() && is_same(tail..before.len())
}

fn evict(journal: &mut Journal<ModelDisk>, random: &mut ModelDisk) {
    let keep = random.below(4);
    // Without room it does nothing; what it gives up is not looked for.
    drop(journal.evict(|frame, judge| {
        if judge.room_bytes() > frame.payload.len() as u64 + 33 && random.below(5) < keep {
            return Fate::Carry;
        }
        judge.lose(7, 3, frame.seq, frame.payload.len() as u64);
        Fate::Drop
    }));
}
