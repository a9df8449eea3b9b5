//! What a start, and a look at old segments, makes of damage to the journal.

use tidegate_core::commit::{Commit, Waiting};
use tidegate_core::record::StreamId;
use tidegate_core::store::Evict;
use tidegate_journal::{Disk, ModelDisk};

use super::Bench;
use super::start::{UNKNOWN, damaged};

#[test]
fn a_gap_at_the_very_beginning_is_counted() {
    let mut bench = Bench::new();
    for _ in 0..30 {
        bench.send("oldest", 0, 900);
    }
    let break_first = |disk: &mut ModelDisk| {
        disk.damage("00000000.seg", |bytes| bytes[4096 + 200] ^= 1);
    };
    let mut bench = bench.again(|disk, _| break_first(disk));
    while bench.store.rest() {}
    bench.store.commit().expect("a good disk");
    assert_eq!(bench.seqs(0).first(), Some(&2));
    assert_eq!(damaged(&bench.store.ledger()), [(UNKNOWN, 1, 1, 1)]);
}

/// Nothing before the gap is there any more: it was evicted with its segment, or delivered.
#[test]
fn a_gap_right_behind_what_is_gone_is_counted() {
    let mut bench = Bench::new();
    while !bench.store.is_full(0) {
        bench.send("oldest", 0, 900);
    }
    let evict = Evict { progress: bench.unsettled_from(1), under_way: Vec::new() };
    let evicted = bench.store.evict(&evict).expect("a good disk");
    assert!(evicted.has_room);
    bench.store.checkpoint().expect("a good shelf");
    let first = bench.seqs(0)[0];
    assert_eq!(missing_after_break(bench, "00000001.seg", 4096), (1, first, first));

    let mut bench = Bench::new();
    let frames: Vec<u64> = (0..30).map(|_| bench.send("oldest", 0, 900)).collect();
    bench.settle(frames[1]);
    bench.store.stop().expect("a good disk");
    assert_eq!(bench.store.journal().forgotten_seq(), frames[1]);
    assert_eq!(missing_after_break(bench, "00000000.seg", 4096 + 2 * 1024), (1, 3, 3));
}

/// Flips a bit behind a place in a segment, and starts: what is counted.
fn missing_after_break(mut bench: Bench, name: &str, at: usize) -> (u64, u64, u64) {
    let before = bench.seqs(0);
    let mut bench = bench.again(|disk, _| disk.damage(name, |bytes| bytes[at + 400] ^= 1));
    while bench.store.rest() {}
    bench.store.commit().expect("a good disk");
    assert_eq!(before[1..], bench.seqs(0)[..], "the first is gone");
    let lines = damaged(&bench.store.ledger());
    assert_eq!((lines.len(), lines[0].0), (1, UNKNOWN), "{lines:?}");
    (lines[0].1, lines[0].2, lines[0].3)
}

/// A disk that has lied about every sync since the journal was begun, and kept the shelf.
#[test]
fn a_journal_that_has_lost_all_its_frames_tells_what_waited() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.send("oldest", 0, 10);
    }
    bench.send("newest", 0, 10);
    bench.store.checkpoint().expect("a good shelf");
    let bench = bench.again(|disk, _| {
        disk.damage("00000000.seg", |bytes| {
            let end = bytes.len() - 4096;
            bytes[4096..end].fill(0);
        });
    });
    assert!(bench.opened.found.is_end_lost);
    let lost = damaged(&bench.opened.restored.ledger);
    let waited = [(StreamId::of("newest"), 1, 1, 4), (StreamId::of("oldest"), 3, 1, 4)];
    assert_eq!(lost, [waited[0], waited[1], (UNKNOWN, 1_999_995, 5, 1_999_999)], "and a jump");
}

/// The same, where what was delivered is forgotten: nobody knows the last seq before the gap.
#[test]
fn a_journal_that_has_lost_what_waited_behind_the_forgotten_tells_by_stream() {
    let mut bench = Bench::new();
    for _ in 0..60 {
        bench.send("oldest", 0, 900);
    }
    let settled = bench.store.journal().durable_seq();
    bench.send("newest", 0, 10);
    bench.send("newest", 0, 10);
    let mut progress = bench.unsettled_from(settled + 1);
    progress.waiting =
        vec![Waiting { stream: StreamId::of("newest"), records: 2, bytes: 20, delivered: 0 }];
    bench.commit(Commit { progress: Some(progress), ..Commit::default() });
    bench.store.checkpoint().expect("a good shelf");
    let bench = bench.again(|disk, _| {
        let names = disk.list().expect("a folder");
        for name in names.iter().filter(|name| name.ends_with(".seg")) {
            disk.damage(name, |bytes| {
                let end = bytes.len() - 4096;
                bytes[4096..end].fill(0);
            });
        }
    });
    let lost = damaged(&bench.opened.restored.ledger);
    assert!(lost.iter().any(|line| (line.0, line.1) == (StreamId::of("newest"), 2)), "{lost:?}");
}

/// What reading an old segment finds counts, also while what was found before it is on its way to the disk.
#[test]
fn two_gaps_that_are_found_one_after_the_other_are_both_counted() {
    let mut bench = Bench::new();
    for _ in 0..60 {
        bench.send("oldest", 0, 900);
    }
    let break_two = |disk: &mut ModelDisk| {
        for name in ["00000000.seg", "00000001.seg"] {
            disk.damage(name, |bytes| bytes[4096 + 4096 + 200] ^= 1);
        }
    };
    let mut bench = bench.again(|disk, _| break_two(disk));
    while bench.store.rest() {}
    bench.store.commit().expect("a good disk");
    bench.store.commit().expect("a good disk");
    assert_eq!(60 - bench.seqs(0).len() as u64, 2, "two are gone");
    let counted: u64 = damaged(&bench.store.ledger()).iter().map(|line| line.1).sum();
    assert_eq!(counted, 2);
}

#[test]
fn records_in_a_gap_are_counted_once() {
    let mut bench = Bench::new();
    for _ in 0..30 {
        bench.send("oldest", 0, 900);
    }
    let break_one = |disk: &mut ModelDisk| {
        // In the second frame's payload.
        disk.damage("00000000.seg", |bytes| bytes[4096 + 4096 + 200] ^= 1);
    };
    let mut bench = bench.again(|disk, _| break_one(disk));
    for _ in 0..3 {
        while bench.store.rest() {}
        bench.store.commit().expect("a good disk");
        let missing = 30 - bench.seqs(0).len() as u64;
        assert_eq!(missing, 1);
        let lines = damaged(&bench.store.ledger());
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((lines[0].0, lines[0].1), (UNKNOWN, 1));
        assert_eq!(lines[0].2, lines[0].3);
        assert_eq!(bench.opened.restored.next_seq, 31, "the end is sound");
        bench = bench.again(|_, _| {});
    }
}

#[test]
fn a_lost_end_is_noticed_and_no_seq_given_twice() {
    let mut bench = Bench::new();
    for _ in 0..60 {
        bench.send("oldest", 0, 900);
    }
    assert!(bench.store.wants_checkpoint(), "a segment was begun");
    bench.store.checkpoint().expect("a good shelf");
    let last = bench.store.journal().durable_seq();
    let files = |disk: &mut ModelDisk| {
        let mut names = disk.list().expect("a folder");
        names.retain(|name| name.ends_with(".seg"));
        names.sort();
        names
    };
    let newest = files(bench.store.journal().disk()).pop().expect("a segment");
    let mut bench = bench.again(|disk, _| disk.damage(&newest, |bytes| bytes.fill(0)));
    assert!(bench.opened.found.is_end_lost);
    assert_eq!(bench.opened.restored.next_seq, 2_000_000);
    assert!(bench.store.journal().last_seq() > last, "nor any place");
    let kept = bench.seqs(0).len() as u64;
    assert!((1..60).contains(&kept));
    assert_eq!(
        damaged(&bench.opened.restored.ledger),
        [(UNKNOWN, 1_999_999 - kept, kept + 1, 1_999_999)],
        "what is jumped over counts: whoever counts seqs finds none missing"
    );
    // It is counted once.
    bench.next_seq = 2_000_000;
    bench.send("oldest", 0, 10);
    let bench = bench.again(|_, _| {});
    assert_eq!(bench.opened.restored.next_seq, 2_000_001);
    assert_eq!(damaged(&bench.opened.restored.ledger).len(), 1);
}
