//! What a caller asks beside appending: the ledger, what waits, where the log goes on.

use crate::{Cursor, Fate, Journal, ModelDisk, Settings};

fn open(disk: ModelDisk) -> Journal<ModelDisk> {
    let settings =
        Settings { segment_bytes: 16 * 1024, quota_bytes: 6 * 16 * 1024, ..Settings::default() };
    Journal::open(disk, settings, 1).expect("a folder")
}

#[test]
fn losses_become_durable_with_the_frame_before_them() {
    let mut journal = open(ModelDisk::new(1));
    journal.append(1, b"a").expect("room");
    journal.lose(5, 4, 10, 100);
    journal.lose_range(5, 4, 3, 20..=29, 50);
    journal.told(5, 4, 2);
    journal.lose(6, 4, 11, 1);
    assert_eq!(journal.last_seq(), 2, "they share a mark");
    journal.append(1, b"b").expect("room");
    journal.lose(6, 4, 12, 1);
    assert_eq!(journal.last_seq(), 4, "but not across a frame");
    assert_eq!(journal.ledger().iter().count(), 0, "nothing is durable");
    let ahead = journal.ledger_ahead().clone();
    let loss = ahead.get(5, 4).copied().expect("a line");
    assert_eq!(
        (loss.count, loss.told, loss.first_seq, loss.last_seq, loss.bytes),
        (4, 2, 10, 29, 150)
    );
    journal.commit().expect("a good disk");
    assert_eq!(*journal.ledger(), ahead);
    let mut disk = journal.into_disk();
    disk.cut();
    assert_eq!(*open(disk).ledger(), ahead);
}

#[test]
fn a_seq_that_is_skipped_is_never_given() {
    let mut journal = open(ModelDisk::new(1));
    journal.append(1, b"a").expect("room");
    journal.commit().expect("a good disk");
    journal.skip_to(100);
    assert_eq!(journal.append(1, b"b").expect("room"), 100);
    journal.skip_to(200);
    assert_eq!(journal.append(1, b"c").expect("room"), 101, "frames are pending");
    journal.commit().expect("a good disk");
    let mut journal = open(journal.into_disk());
    journal.skip_to(50);
    assert_eq!(journal.append(1, b"d").expect("room"), 102);
    journal.commit().expect("a good disk");
    while journal.verify_next().expect("a folder") {}
    assert_eq!(
        journal.recovery().gaps.first().map(|gap| (gap.first_seq, gap.last_seq)),
        Some((2, 99))
    );
    let mut cursor = Cursor::from(0);
    let mut seqs = Vec::new();
    while let Some(frame) = cursor.next(&mut journal).expect("a good disk") {
        seqs.push(frame.seq);
    }
    assert_eq!(seqs, [1, 100, 101, 102]);
}

#[test]
fn what_waits_can_be_looked_at() {
    let mut journal = open(ModelDisk::new(1));
    journal.append(1, b"a").expect("room");
    journal.lose(5, 4, 10, 100);
    journal.append(2, b"b").expect("room");
    let frames = |journal: &Journal<ModelDisk>| -> Vec<(u64, u8, Vec<u8>)> {
        journal.pending_frames().map(|f| (f.seq, f.kind, f.payload.to_vec())).collect()
    };
    assert_eq!(frames(&journal), [(1, 1, b"a".to_vec()), (3, 2, b"b".to_vec())]);
    journal.commit().expect("a good disk");
    assert_eq!(frames(&journal), []);
    // A disk that does not take the last write again gives it back to be committed.
    let mut disk = journal.into_disk();
    disk.faults.read_only = true;
    let mut journal = open(disk);
    assert!(journal.recovery().is_tail_pending);
    assert_eq!(frames(&journal), [(1, 1, b"a".to_vec()), (3, 2, b"b".to_vec())]);
    assert_eq!(journal.ledger_ahead().get(5, 4).map(|loss| loss.count), Some(1));
    journal.disk().faults.read_only = false;
    journal.commit().expect("a good disk");
    assert_eq!(frames(&journal), []);
}

#[test]
fn the_oldest_segment_is_known_before_it_is_evicted() {
    let mut journal = open(ModelDisk::new(1));
    assert_eq!(journal.oldest_last_seq(), None);
    while journal.counters().segments_started < 2 {
        journal.append(1, &[7; 900]).expect("room");
        journal.commit().expect("a good disk");
    }
    let up_to = journal.oldest_last_seq().expect("a second segment was begun");
    let room = journal.carry_room_bytes();
    let mut first = None;
    let evicted = journal.evict(|_, judge| {
        first.get_or_insert(judge.room_bytes());
        Fate::Drop
    });
    assert_eq!(evicted.expect("a good disk").up_to, up_to);
    assert_eq!(first, Some(room));
    assert!(!journal.is_evicting());
}
