//! What a start makes of what it finds.

use tidegate_core::commit::{Commit, LedgerLine};
use tidegate_core::record::{LossReason, StreamId};
use tidegate_journal::ModelDisk;

use super::{Bench, pair, seqs, settings, values};
use crate::{Frozen, peek};

pub(super) fn damaged(ledger: &[LedgerLine]) -> Vec<(StreamId, u64, u64, u64)> {
    ledger
        .iter()
        .filter(|line| line.reason == LossReason::Damaged)
        .map(|line| (line.stream, line.count, line.first_seq, line.last_seq))
        .collect()
}

pub(super) const UNKNOWN: StreamId = StreamId(u16::MAX);

#[test]
fn an_idle_store_writes_nothing() {
    let mut bench = Bench::new();
    bench.set("a", "1", 1);
    bench.store.checkpoint().expect("a good shelf");
    bench.store.stop().expect("a good disk");
    while bench.store.rest() {}
    let (operations, writes) =
        (bench.store.journal().disk().operations(), bench.store.shelf().writes());
    let check = |bench: &mut Bench| {
        assert!(!bench.store.wants_checkpoint() && !bench.store.has_pending());
        bench.store.commit().expect("nothing to do");
        bench.store.checkpoint().expect("nothing to do");
        bench.store.stop().expect("nothing to do");
        while bench.store.rest() {}
        bench.store.journal().disk().operations()
    };
    assert_eq!(check(&mut bench), operations);
    let mut bench = bench.again(|_, _| {});
    let after_start = bench.store.journal().disk().operations();
    assert!(after_start <= operations + 2, "the last write, once more");
    assert_eq!(check(&mut bench), after_start);
    assert_eq!(bench.store.shelf().writes(), writes);
}

#[test]
fn each_start_that_commits_something_is_a_boot() {
    let mut boots = Vec::new();
    let mut bench = Bench::new();
    for turn in 0..6 {
        boots.push(bench.opened.restored.boot);
        if turn % 2 == 0 {
            bench.set("a", "1", turn + 1);
        }
        bench = bench.again(|disk, _| disk.cut());
    }
    assert_eq!(boots, [1, 2, 2, 3, 3, 4]);
}

#[test]
fn wall_time_has_a_floor() {
    let mut bench = Bench::new();
    bench.store.know_time(1_000_000_000);
    bench.set("a", "1", 1);
    bench.store.know_time(1_030_000_000);
    bench.set("a", "2", 2);
    let bench = bench.again(|disk, _| disk.cut());
    assert_eq!(bench.opened.restored.floor_unix_us, 1_000_000_000, "not more often than needed");
}

#[test]
fn a_lost_shelf_is_restored_from_export_and_journal() {
    for is_broken in [false, true] {
        let mut bench = Bench::new();
        bench.set("a", "1", 1);
        bench.set("b", "1", 2);
        bench.store.stop().expect("a good disk");
        bench.set("a", "2", 3);
        let mut bench = bench.again(|_, shelf| {
            if is_broken {
                shelf.faults.is_broken = true;
            } else {
                shelf.lose();
            }
        });
        assert_eq!(bench.opened.found.export_restored, Some(1));
        assert_eq!(bench.opened.found.shelf_error.is_some(), is_broken);
        assert_eq!(bench.opened.found.frames_replayed, 1);
        assert_eq!(values(&bench.opened.tables), [pair("a", "2"), pair("b", "1")]);
        assert_eq!(bench.opened.tables[0].version, 3);
        // The next checkpoint has everything, not only what is new.
        bench.store.checkpoint().expect("a shelf that was reset");
        let bench = bench.again(|_, _| {});
        assert_eq!(bench.opened.found.export_restored, None);
        assert_eq!(bench.opened.found.frames_replayed, 0, "but for a look at the last frame");
        assert_eq!(values(&bench.opened.tables), [pair("a", "2"), pair("b", "1")]);
    }
}

#[test]
fn without_an_export_the_journal_has_it_all() {
    let mut bench = Bench::new();
    bench.set("a", "1", 1);
    let frame = bench.send("oldest", 0, 10);
    bench.store.checkpoint().expect("a good shelf");
    bench.settle(frame);
    bench.store.checkpoint().expect("a good shelf");
    assert_eq!(bench.store.journal().forgotten_seq(), 0, "its state is in no export");
    let bench = bench.again(|_, shelf| shelf.lose());
    assert_eq!(values(&bench.opened.tables), [pair("a", "1")]);
    assert_eq!(bench.opened.restored.next_seq, 2);
}

#[test]
fn a_flipped_bit_on_the_shelf_costs_nothing() {
    for has_export in [false, true] {
        let mut bench = Bench::new();
        for n in 0..20 {
            bench.set(&format!("{n:02}"), "1", n + 1);
        }
        bench.store.checkpoint().expect("a good shelf");
        if has_export {
            bench.store.stop().expect("a good disk");
        }
        let bench = bench.again(|_, shelf| assert!(shelf.damage()));
        assert_eq!(bench.opened.found.rows_bad, 1);
        assert_eq!(bench.opened.found.export_restored.is_some(), has_export);
        assert_eq!(values(&bench.opened.tables).len(), 20);
    }
}

#[test]
fn a_damaged_export_is_passed_over() {
    let mut bench = Bench::new();
    bench.set("a", "1", 1);
    bench.store.stop().expect("a good disk");
    bench.set("b", "1", 2);
    bench.store.stop().expect("a good disk");
    let bench = bench.again(|disk, shelf| {
        disk.damage("export-00000002.state", |bytes| bytes[40] ^= 1);
        shelf.lose();
    });
    assert_eq!(bench.opened.found.exports_bad, 1);
    assert_eq!(bench.opened.found.export_restored, Some(1));
    assert_eq!(values(&bench.opened.tables), [pair("a", "1"), pair("b", "1")]);
}

#[test]
fn an_export_that_is_not_whole_is_noticed_when_idle_and_made_again() {
    let mut bench = Bench::new();
    bench.set("a", "1", 1);
    bench.store.stop().expect("a good disk");
    let mut bench = bench.again(|disk, _| {
        disk.damage("export-00000001.state", |bytes| bytes.truncate(30));
    });
    while bench.store.rest() {}
    bench.set("b", "1", 2);
    bench.store.stop().expect("a good disk");
    let bench = bench.again(|_, shelf| shelf.lose());
    assert_eq!(bench.opened.found.export_restored, Some(2));
    assert_eq!(values(&bench.opened.tables).len(), 2);
}

#[test]
fn another_journal_begins_anew_and_tells_what_waited() {
    let mut bench = Bench::new();
    bench.set("a", "1", 1);
    let frame = bench.send("oldest", 0, 10);
    bench.send("newest", 0, 10);
    bench.settle(frame - 1);
    bench.store.checkpoint().expect("a good shelf");
    let boot = bench.opened.restored.boot;
    let mut bench = bench.again(|disk, _| {
        let power = disk.power();
        *disk = ModelDisk::new(9);
        power.restore();
    });
    for _ in 0..2 {
        assert!(bench.opened.found.is_journal_lost);
        assert_eq!(bench.store.epoch(), 2);
        assert!(bench.opened.restored.boot > boot);
        assert_eq!(values(&bench.opened.tables), [pair("a", "1")]);
        bench.store.commit().expect("a good disk");
        // The progress knew of no record that waits; what came after it does.
        let lines = damaged(&bench.store.ledger());
        assert!(lines.iter().all(|line| line.1 == 1), "{lines:?}");
        // Without a checkpoint the shelf still knows the old journal, and it is not counted again.
        bench = bench.again(|_, _| {});
    }
}

#[test]
fn a_look_changes_nothing() {
    let mut bench = Bench::new();
    bench.set("a", "1", 1);
    for _ in 0..40 {
        bench.send("oldest", 3, 500);
    }
    bench.store.stop().expect("a good disk");
    bench.send("newest", 0, 10);
    let expect = bench.store.waiting().to_vec();
    let used = bench.store.used_bytes();
    let (mut disk, _) = bench.store.into_parts();
    disk.cut();
    let operations = disk.operations();
    disk.faults.read_only = true;
    let (mut store, opened) = peek(disk, settings(16)).expect("a folder");
    assert_eq!(seqs(&mut store, 3).len(), 40);
    assert_eq!(seqs(&mut store, 0).len(), 1);
    assert_eq!(store.waiting(), expect);
    assert_eq!(store.used_bytes(), used);
    assert_eq!(values(&opened.tables), [pair("a", "1")]);
    let (disk, _): (Frozen<ModelDisk>, _) = store.into_parts();
    assert_eq!(disk.into_inner().operations(), operations);
}

#[test]
fn a_read_only_folder_starts_and_acks_nothing() {
    let mut bench = Bench::new();
    bench.set("a", "1", 1);
    bench.send("oldest", 0, 10);
    let mut bench = bench.again(|disk, _| disk.faults.read_only = true);
    assert!(bench.opened.found.recovery.is_tail_pending);
    assert_eq!(values(&bench.opened.tables), [pair("a", "1")]);
    assert_eq!(bench.opened.restored.next_seq, 2);
    assert_eq!(bench.opened.restored.progress.waiting[0].records, 1);
    bench.store.take(Commit::default()).expect("it waits");
    assert!(bench.store.commit().is_err());
    assert!(bench.store.commit().is_err(), "and is not believed later");
    bench.store.journal().disk().faults.read_only = false;
    let committed = bench.store.commit().expect("a good disk");
    assert!(committed.has_left_over, "the core has not seen the record");
    assert_eq!(bench.seqs(0), [1]);
}

#[test]
fn a_shelf_that_has_forgotten_is_noticed() {
    for has_export in [false, true] {
        for what in 0..3 {
            let mut bench = Bench::new();
            bench.set("a", "1", 1);
            bench.set("b", "1", 2);
            bench.store.checkpoint().expect("a good shelf");
            let old = bench.store.shelf().rows().clone();
            bench.set("a", "2", 3);
            match has_export {
                true => bench.store.stop().expect("a good disk"),
                false => bench.store.checkpoint().expect("a good shelf"),
            }
            let bench = bench.again(|_, shelf| {
                let mut rows = shelf.rows().clone();
                let key = rows.keys().find(|key| key.ends_with(b"a")).expect("a row").clone();
                match what {
                    0 => drop(rows.remove(&key)),
                    1 => drop(rows.insert(key.clone(), old[&key].clone())),
                    _ => rows = old.clone(),
                }
                shelf.replace(rows);
            });
            assert_eq!(values(&bench.opened.tables), [pair("a", "2"), pair("b", "1")], "{what}");
            assert_eq!(bench.opened.tables[0].version, 3);
            // An older whole is noticed where it matters: the journal may have forgotten what came after it.
            let is_noticed = bench.opened.found.is_shelf_outdated;
            assert_eq!(is_noticed, what < 2 || has_export, "{what} {has_export}");
        }
    }
}
