//! The bytes on disk, as they are, and the real disk.

use crate::{Cursor, Disk, Journal, ModelDisk, RealDisk, Settings};

fn settings() -> Settings {
    Settings { segment_bytes: 16 * 1024, quota_bytes: 5 * 16 * 1024, ..Settings::default() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_layout_is_frozen() {
    let mut journal =
        Journal::open(ModelDisk::new(1), settings(), 0x1122_3344_5566_7788).expect("a new journal");
    journal.append(1, b"first").expect("room");
    journal.append(62, b"").expect("room");
    journal.commit().expect("a good disk");
    let mut disk = journal.into_disk();
    let mut header = [0; 54];
    let mut frames = [0; 39];
    for (at, bytes) in [(0, &mut header[..]), (4096, &mut frames[..])] {
        disk.read_at("00000000.seg", at, bytes).expect("it is there");
    }
    let parts = [
        hex(b"TIDEJRNL"),
        "0100".into(),
        "1200".into(),
        "01000000".into(),
        "8877665544332211".into(),
        "0100000000000000".into(),
        "804a612e".into(),
        "0000000000000000".into(),
        "0000000000000000".into(),
        "00".into(),
        "00".into(),
    ];
    assert_eq!(hex(&header), parts.concat(), "header");
    let parts = [
        "05000000".to_owned(),
        "1a0fae6d".into(),
        "81".into(),
        "0100000000000000".into(),
        hex(b"first"),
        "00000000".into(),
        "5cdb4003".into(),
        "3e".into(),
        "0200000000000000".into(),
    ];
    assert_eq!(hex(&frames), parts.concat(), "frames");
    let mut tail = [0; 54];
    disk.read_at("00000000.seg", 12 * 1024, &mut tail).expect("it is there");
    assert_eq!(tail, header, "the second copy");
}

#[test]
fn a_real_folder() {
    let folder = std::env::temp_dir().join(format!("tidegate-journal-{}", std::process::id()));
    let payload = |n: u64| format!("record {n} {}", "x".repeat(n as usize % 300)).into_bytes();
    let mut next = 1;
    for start in 0..4u64 {
        let disk = RealDisk::open(&folder).expect("a folder");
        let mut journal = Journal::open(disk, settings(), 9 + start).expect("no content fails");
        assert_eq!((journal.epoch(), journal.last_seq()), (9, next - 1));
        assert_eq!(journal.recovery().is_created, start == 0);
        assert!(!journal.recovery().is_damaged(), "{:?}", journal.recovery());
        for _ in 0..60 {
            assert_eq!(journal.append(1, &payload(next)).expect("room"), next);
            next += 1;
            journal.commit().expect("a good disk");
            journal.forget(next.saturating_sub(30));
        }
        let mut cursor = Cursor::from(0);
        let mut read = Vec::new();
        while let Some(frame) = cursor.next(&mut journal).expect("a good disk") {
            assert_eq!(frame.payload, payload(frame.seq));
            read.push(frame.seq);
        }
        let expect: Vec<u64> = (journal.forgotten_seq() + 1..next).collect();
        assert_eq!(read, expect);
    }
    let files = std::fs::read_dir(&folder).expect("it is there").count();
    assert!(files <= 3, "segments are used again: {files}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn a_cursor_goes_on_where_it_was() {
    let mut journal = Journal::open(ModelDisk::new(1), settings(), 1).expect("a new journal");
    let mut cursor = Cursor::from(3);
    assert_eq!(cursor.next(&mut journal).expect("a good disk"), None);
    let mut read = Vec::new();
    for n in 1..=200u64 {
        journal.append(1, &[n as u8; 100]).expect("room");
        if n % 7 == 0 {
            journal.commit().expect("a good disk");
        }
        while let Some(frame) = cursor.next(&mut journal).expect("a good disk") {
            assert!(frame.seq <= n / 7 * 7, "read before it is durable");
            read.push(frame.seq);
        }
    }
    assert_eq!(read, (3..=196).collect::<Vec<u64>>());
}
