//! Files that something else has been at. Opening never fails, never takes long, and keeps what is good.

use std::collections::BTreeSet;

use crate::{Cursor, Disk, Journal, ModelDisk, Settings};

const SEGMENT_BYTES: usize = 16 * 1024;

fn settings() -> Settings {
    Settings {
        segment_bytes: SEGMENT_BYTES as u32,
        quota_bytes: 8 * SEGMENT_BYTES as u64,
        verify_at_open: true,
        ..Settings::default()
    }
}

/// Frames 1 to 120 in four segments, ten to a commit.
fn filled(epoch: u64) -> ModelDisk {
    let mut journal = Journal::open(ModelDisk::new(epoch), settings(), epoch).expect("new");
    for n in 1..=120u64 {
        journal.append(1, &payload(n)).expect("room");
        if n % 10 == 0 {
            journal.commit().expect("a good disk");
        }
    }
    assert_eq!(journal.used_bytes(), 4 * SEGMENT_BYTES as u64);
    journal.into_disk()
}

fn payload(n: u64) -> Vec<u8> {
    n.to_le_bytes().iter().cycle().take(150 + n as usize % 90).map(|byte| byte ^ n as u8).collect()
}

/// Opens, and returns the seqs that are there; all must be what they were.
fn read(disk: ModelDisk) -> (BTreeSet<u64>, Journal<ModelDisk>) {
    let mut journal = Journal::open(disk, settings(), 99).expect("no content makes it fail");
    let mut cursor = Cursor::from(0);
    let mut seqs = BTreeSet::new();
    while let Some(frame) = cursor.next(&mut journal).expect("a good disk") {
        assert_eq!(frame.payload, payload(frame.seq), "seq {}", frame.seq);
        assert!(seqs.insert(frame.seq), "seq {} comes twice", frame.seq);
    }
    (seqs, journal)
}

/// Damages one file; `lost` may be gone and nothing else. Whatever it is, the journal goes on.
#[track_caller]
fn check(
    name: &str,
    change: impl Fn(&mut Vec<u8>),
    lost: impl Fn(u64) -> bool,
) -> Journal<ModelDisk> {
    let mut disk = filled(1);
    disk.damage(name, change);
    let (seqs, mut journal) = read(disk);
    let wrong: Vec<u64> = (1..=120).filter(|seq| lost(*seq) == seqs.contains(seq)).collect();
    assert_eq!(wrong, [0; 0], "{:?}", journal.recovery());
    let seq = journal.append(1, b"more").expect("room");
    assert!(seqs.last().is_none_or(|last| *last < seq));
    assert_eq!(journal.commit().expect("a good disk"), seq);
    journal
}

fn is_second(seq: u64) -> bool {
    (41..=70).contains(&seq)
}

#[test]
fn a_lost_header_has_a_second_copy() {
    let journal = check("00000001.seg", |file| file[..4096].fill(0), |_| false);
    assert_eq!((journal.recovery().headers_restored, journal.recovery().gaps_total), (1, 0));
    let journal = check("00000003.seg", |file| file[20] ^= 1, |_| false);
    assert_eq!(journal.recovery().headers_restored, 1);
}

#[test]
fn a_segment_without_headers_is_known_by_its_frames() {
    let change = |file: &mut Vec<u8>| {
        file[..4096].fill(0);
        file[SEGMENT_BYTES - 4096..].fill(0xff);
    };
    for name in ["00000000.seg", "00000001.seg", "00000003.seg"] {
        let journal = check(name, change, |_| false);
        assert_eq!(journal.recovery().headers_restored, 1, "{name}");
    }
}

#[test]
fn an_emptied_or_zeroed_file_is_a_gap() {
    for change in [Vec::clear as fn(&mut Vec<u8>), |file| file.fill(0)] {
        let journal = check("00000001.seg", change, is_second);
        let gap = journal.recovery().gaps[0];
        assert_eq!((gap.first_seq, gap.last_seq), (41, 70));
        assert_eq!(journal.recovery().frames_missing, 30);
    }
}

#[test]
fn garbage_is_kept_for_a_person() {
    let journal = check("00000001.seg", |file| file.fill(0xa5), is_second);
    assert_eq!(journal.recovery().files_lost, 1);
    let mut disk = journal.into_disk();
    let names = disk.list().expect("a good disk");
    assert!(names.iter().any(|name| name.starts_with("quarantine-")), "{names:?}");
}

#[test]
fn another_version_and_another_store_are_left_alone() {
    let mut disk = filled(1);
    let mut other = filled(2);
    let mut bytes = vec![0; SEGMENT_BYTES];
    other.read_at("00000002.seg", 0, &mut bytes).expect("it is there");
    disk.preallocate("00000077.seg", SEGMENT_BYTES as u64).expect("room");
    disk.write_at("00000077.seg", 0, &bytes).expect("room");
    disk.preallocate("notes.txt", 10).expect("room");
    let (seqs, mut journal) = read(disk);
    assert_eq!((seqs.len(), journal.epoch()), (120, 1));
    assert_eq!(journal.recovery().files_foreign, 1);
    let mut now = vec![0; SEGMENT_BYTES];
    journal.disk().read_at("00000077.seg", 0, &mut now).expect("it is there");
    assert_eq!(now, bytes);
}

#[test]
fn a_bad_frame_costs_itself_and_is_copied_once() {
    for at in [4096 + 3, 4096 + 20, 4096 + 700] {
        let mut disk = filled(1);
        disk.damage("00000001.seg", |file| file[at] ^= 0x10);
        let (seqs, journal) = read(disk);
        let recovery = journal.recovery().clone();
        assert_eq!((seqs.len(), recovery.gaps_total, recovery.frames_missing), (119, 1, 1));
        assert!(recovery.gaps[0].is_new && recovery.quarantined_bytes > 100);
        let (_, journal) = read(journal.into_disk());
        assert!(!journal.recovery().gaps[0].is_new);
        assert_eq!(journal.recovery().quarantined_bytes, 0);
    }
}

/// Whether one bad frame in the middle costs itself and nothing else.
pub fn is_one_bad_frame_one_frame() -> bool {
    let mut disk = filled(1);
    disk.damage("00000001.seg", |file| file[4096 + 700] ^= 0x10);
    read(disk).0.len() == 119
}

/// Bits anywhere, also in the last write: a frame is lost at most for each bit, unless it looks like a torn
/// write: a bad frame in the write before the last does, when the first frame of the last one is bad as well.
#[test]
fn flipped_bits() {
    let mut random = ModelDisk::new(7);
    for round in 0..600 {
        let mut disk = filled(1);
        let bits = 1 + random.below(4);
        for _ in 0..bits {
            let name = format!("{:08}.seg", random.below(4));
            let (at, bit) = (random.below(SEGMENT_BYTES as u64) as usize, random.below(8));
            disk.damage(&name, |file| file[at] ^= 1 << bit);
        }
        let (seqs, journal) = read(disk);
        let durable_before = seqs.range(..=100).count() as u64;
        assert!(durable_before + bits >= 100, "round {round}: {:?}", journal.recovery());
    }
}

#[test]
fn truncated_at_any_length() {
    for len in (0..SEGMENT_BYTES).step_by(97) {
        let mut disk = filled(1);
        disk.damage("00000002.seg", |file| file.truncate(len));
        let (seqs, _) = read(disk);
        let others = seqs.iter().filter(|seq| !(71..=100).contains(*seq)).count();
        assert_eq!(others, 90, "at {len}");
        let wanted = len.saturating_sub(4096 + 1) / 257;
        assert!(seqs.len() - others >= wanted.min(30), "at {len}: {}", seqs.len());
    }
}

#[test]
fn a_disk_that_cannot_read_a_block() {
    for seed in 0..50 {
        let mut disk = filled(1);
        disk.below(seed + 1);
        disk.faults.read_error_one_in = 3;
        let journal = Journal::open(disk, settings(), 99);
        assert!(journal.is_ok(), "seed {seed}");
    }
}

/// Random bytes, and bytes that look like what they are not, in place of segments.
#[test]
fn random_files() {
    let mut random = ModelDisk::new(3);
    for round in 0..400 {
        let mut disk = filled(1);
        for slot in 0..4 {
            let (from, kind) = (random.below(SEGMENT_BYTES as u64) as usize, random.below(5));
            let mut noise = ModelDisk::new(round * 4 + slot);
            disk.damage(&format!("{slot:08}.seg"), |file| {
                let mut noise = noise.clone();
                for byte in &mut file[from..] {
                    match kind {
                        0 => *byte = noise.below(256) as u8,
                        1 => *byte = [0, 0, 0, 1, 4][noise.below(5) as usize],
                        2 => *byte ^= u8::from(noise.below(40) == 0),
                        3 => *byte = 0xff,
                        _ => {}
                    }
                }
                if kind == 4 {
                    file.rotate_left(from);
                }
            });
            noise.below(2);
        }
        let (seqs, mut journal) = read(disk);
        let seq = journal.append(1, b"more").expect("room");
        assert!(seqs.last().is_none_or(|last| *last < seq), "round {round}");
        journal.commit().expect("a good disk");
    }
}

/// Heads that could be, wherever one looks: the search must have an end.
#[test]
fn a_payload_made_of_heads_does_not_hold_up_the_start() {
    let mut disk = filled(1);
    disk.damage("00000003.seg", |file| {
        for at in (5000..SEGMENT_BYTES - 4096 - 20).step_by(1) {
            file[at] = if at % 17 < 2 { 0x10 } else { 0 };
            if at % 17 == 8 {
                file[at] = 1;
            }
        }
    });
    let start = std::time::Instant::now();
    read(disk);
    assert!(start.elapsed().as_secs() < 5);
}
