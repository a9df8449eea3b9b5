use std::sync::Arc;

use tidegate_core::commit::{
    BootClock, Change, Commit, CommitId, Lost, Progress, Seen, Span, StateChange, Told, Value,
    Waiting,
};
use tidegate_core::record::{LossReason, Place, Record, Stamp, StreamId};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_journal::ModelDisk;

use super::entry::{Damage, Draft, Entry, EntryView, LostRange, strip};
use super::records::{RecordView, RecordWriter};
use crate::error::CodecError;

const STREAM: StreamId = StreamId(0x1234);

fn record(seq: u64, mono_ms: u64) -> Record {
    let unix_us = 1_790_000_000_000_000 + mono_ms as i64 * 1000;
    Record {
        seq,
        stream: STREAM,
        priority: 3,
        ttl_s: 0,
        stamp: Stamp { boot: 4, mono_ms, wall: WallTime { unix_us, quality: ClockQuality::Ntp } },
        topic: None,
        payload: vec![0x5a; 200].into(),
    }
}

/// One of everything.
fn entry() -> Entry {
    let mut second = record(8, 1010);
    second.ttl_s = 300;
    second.topic = Some("devices/a".into());
    second.payload = b"xy".as_slice().into();
    let mut third = second.clone();
    third.seq = 9;
    third.stamp.boot = 5;
    third.payload = b"".as_slice().into();
    let mut first = record(7, 1000);
    first.payload = b"p".as_slice().into();
    let value = Value { bytes: b"v".as_slice().into(), version: 2, expires_us: Some(-1) };
    let commit = Commit {
        id: CommitId(0),
        states: vec![StateChange {
            handler: "h".into(),
            version: 3,
            changes: vec![
                Change { key: b"a".as_slice().into(), value: Some(value) },
                Change { key: b"b".as_slice().into(), value: None },
            ],
        }],
        records: vec![Arc::new(first), Arc::new(second), Arc::new(third)],
        losses: vec![Lost { stream: STREAM, reason: LossReason::Expired, seq: 5, bytes: 300 }],
        told: vec![Told { stream: STREAM, reason: LossReason::NoRoom, count: 2 }],
        progress: Some(Progress {
            known: 40,
            spans: vec![Span {
                priority: 3,
                from: Place { frame: 38, index: 1 },
                until: Some(Place { frame: 40, index: 0 }),
            }],
            waiting: vec![Waiting { stream: STREAM, records: 1, bytes: 200, delivered: 6 }],
        }),
        seen: vec![Seen(0x0102_0304_0506_0708)],
        clocks: vec![BootClock { boot: 4, start_unix_us: 1000 }],
    };
    let lost = LostRange { stream: STREAM, count: 1, first_seq: 2, last_seq: 3 };
    let damage = Damage { gaps: vec![(2, 3)], next_seq: 9, lost: vec![lost], ..Damage::default() };
    Entry { boot: 5, commit, floor_unix_us: Some(64), damage: Some(damage) }
}

fn encode(entry: &Entry) -> Vec<u8> {
    Draft {
        boot: entry.boot,
        commit: &entry.commit,
        floor_unix_us: entry.floor_unix_us,
        damage: entry.damage.as_ref(),
    }
    .encode()
}

fn read(bytes: &[u8]) -> Result<Entry, CodecError> {
    EntryView::parse(bytes)?.read()
}

#[test]
fn the_layout_is_frozen() {
    let hex: String = encode(&entry()).iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        "01 05",
        // Records: three, of priority 3, from seq 7, boot 4, 1000 ms.
        "01 38 03 08 07 04 e807 8089a9a3dbffad06",
        "43 3412 00 00 00 01 70",
        "5b 3412 00 14 a09c01 ac02 0a 646576696365732f61 02 7879",
        "db 3412 00 00 00 05 ac02 00 00",
        "02 0e 01 68 03 02 01 61 02 02 01 01 76 01 62 00",
        "03 06 3412 04 05 ac02",
        "04 04 3412 ff 02",
        "05 0e 28 01 0b 03 01 04 00 01 3412 01 c801 06",
        "06 08 0807060504030201",
        "07 03 04 d00f",
        "08 02 8001",
        "09 15 01 02 03 00 00 00 09 0000000000000000 01 3412 01 02 03",
    ];
    assert_eq!(hex, parts.concat().replace(' ', ""));
}

#[test]
fn everything_comes_back() {
    for entry in [entry(), Entry { boot: 1, ..Entry::default() }] {
        assert_eq!(read(&encode(&entry)), Ok(entry));
    }
}

#[test]
fn a_batch_of_small_records_costs_little() {
    let records: Vec<_> = (0..64).map(|n| Arc::new(record(1_000_000 + n, 5_000_000 + n))).collect();
    let commit = Commit { records, ..Commit::default() };
    let bytes = encode(&Entry { boot: 4, commit, ..Entry::default() }).len();
    // The journal adds 17 to each frame.
    let overhead = (bytes + 17 - 64 * 200) as f64 / 64.0;
    assert!(overhead < 12.0, "{overhead} bytes a record");
}

#[test]
fn what_is_not_asked_for_is_not_read() {
    let bytes = encode(&entry());
    // The handler's name is damaged: its bytes stand behind `02 0e 01`.
    let at = bytes.windows(3).position(|part| part == [2, 0x0e, 1]).expect("a states section");
    let mut bad_states = bytes.clone();
    bad_states[at + 3] = 0xff;
    let view = EntryView::parse(&bad_states).expect("sections");
    assert_eq!(view.states(), Err(CodecError::Text));
    assert_eq!(view.records().expect("a head").filter_map(Result::ok).count(), 3);
    let mut bad_records = bytes;
    // The quality of the first record's clock.
    let at = bad_records.windows(3).position(|part| part == [0x43, 0x34, 0x12]).expect("a record");
    bad_records[at] |= 0x60;
    let view = EntryView::parse(&bad_records).expect("sections");
    assert_eq!(view.states().map(|states| states.len()), Ok(1));
    let records: Vec<_> = view.records().expect("a head").collect();
    assert_eq!(records, [Err(CodecError::Number)]);
}

#[test]
fn priorities_are_known_ahead() {
    let bytes = encode(&entry());
    let records = EntryView::parse(&bytes).expect("sections").records().expect("a head");
    assert!(records.has(3) && !records.has(4));
}

#[test]
fn any_bytes_give_a_value_or_an_error() {
    let mut random = ModelDisk::new(1);
    let good = encode(&entry());
    for cut in 0..good.len() {
        assert_ne!(read(&good[..cut]).as_ref(), Ok(&entry()));
    }
    let rounds = if cfg!(debug_assertions) { 30_000 } else { 300_000 };
    let mut values = 0;
    for round in 0..rounds {
        let mut bytes = if round % 2 == 0 {
            good.clone()
        } else {
            (0..random.below(80)).map(|_| random.below(256) as u8).collect()
        };
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match bytes.get_mut(at) {
                Some(byte) if random.below(2) == 0 => *byte = random.below(256) as u8,
                Some(byte) => *byte = [0, 0x7f, 0x80, 0xff][random.below(4) as usize],
                None => {}
            }
        }
        if let Ok(entry) = read(&bytes) {
            values += 1;
            assert_eq!(read(&encode(&entry)), Ok(entry), "a value is written as it was read");
        }
    }
    assert!(values > rounds / 20, "{values} of {rounds} were values");
}

fn random_record(random: &mut ModelDisk, seq: u64) -> Record {
    let wide = |random: &mut ModelDisk| random.below(u64::MAX) >> random.below(64);
    let qualities = [ClockQuality::None, ClockQuality::Floor, ClockQuality::Ntp];
    let topics = [None, Some("a"), Some("a/long/topic"), Some("")];
    Record {
        seq,
        stream: StreamId(random.below(65_536) as u16),
        priority: random.below(8) as u8,
        ttl_s: wide(random) as u32 * random.below(2) as u32,
        stamp: Stamp {
            boot: 1 + random.below(200) as u32,
            mono_ms: wide(random),
            wall: WallTime {
                unix_us: (wide(random) as i64).wrapping_neg(),
                quality: qualities[random.below(3) as usize],
            },
        },
        topic: topics[random.below(4) as usize].map(Arc::from),
        payload: vec![7; random.below(300) as usize].into(),
    }
}

#[test]
fn fewer_records_never_take_more_room() {
    let mut random = ModelDisk::new(2);
    for _ in 0..5_000 {
        let mut entry = entry();
        let mut seq = random.below(1 << 40);
        entry.commit.records = (0..1 + random.below(9))
            .map(|_| {
                seq += 1 + (random.below(u64::MAX) >> random.below(64)) % (1 << 50);
                Arc::new(random_record(&mut random, seq))
            })
            .collect();
        let bytes = encode(&entry);
        assert_eq!(read(&bytes).as_ref(), Ok(&entry));
        let view = EntryView::parse(&bytes).expect("sections");
        let kept: Vec<bool> = entry.commit.records.iter().map(|_| random.below(2) == 0).collect();
        let mut writer = RecordWriter::default();
        for (record, _) in entry.commit.records.iter().zip(&kept).filter(|(_, kept)| **kept) {
            writer.push(&RecordView::of(record));
        }
        let keeps_rest = random.below(2) == 0;
        let expect: Vec<_> = entry
            .commit
            .records
            .iter()
            .zip(&kept)
            .filter(|(_, kept)| **kept)
            .map(|(record, _)| Arc::clone(record))
            .collect();
        let Some(part) = strip(&view, writer, keeps_rest) else {
            assert!(expect.is_empty() && !keeps_rest);
            continue;
        };
        assert!(part.len() <= bytes.len(), "{} of {}", part.len(), bytes.len());
        let part = read(&part).expect("a frame");
        assert_eq!(part.commit.records, expect);
        assert_eq!(part.commit.states.is_empty(), !keeps_rest);
        assert_eq!((part.commit.progress, part.commit.losses.len()), (None, 0));
    }
}
