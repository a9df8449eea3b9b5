//! Who makes room for whom.

use tidegate_core::commit::Commit;
use tidegate_core::record::{LossReason, StreamId};
use tidegate_core::store::{Evict, Evicted};

use super::Bench;

/// Sends until it is full; `of` says what the nth is.
fn fill(bench: &mut Bench, of: impl Fn(u64) -> (&'static str, u8)) -> u64 {
    let mut count = 0;
    while !bench.store.is_full(0) {
        let (stream, priority) = of(count);
        bench.send(stream, priority, 900);
        count += 1;
        assert!(count < 1_000, "it is never full");
    }
    count
}

fn evict(bench: &mut Bench, under_way: &[u64]) -> Evicted {
    let progress = bench.unsettled_from(1);
    let evict = Evict { progress, under_way: under_way.to_vec() };
    bench.store.evict(&evict).expect("a good disk")
}

fn lost(evicted: &Evicted, reason: LossReason) -> u64 {
    evicted.losses.iter().filter(|loss| loss.reason == reason).map(|loss| loss.records).sum()
}

#[test]
fn the_oldest_go_and_are_counted() {
    let mut bench = Bench::new();
    let count = fill(&mut bench, |_| ("oldest", 0));
    let evicted = evict(&mut bench, &[3]);
    assert!(evicted.has_room && evicted.up_to > 0);
    let gone = lost(&evicted, LossReason::DroppedOldest);
    assert!((5..count / 2).contains(&gone), "{gone} of {count}");
    let mut expect: Vec<u64> = (gone + 2..=count).collect();
    expect.push(3);
    assert_eq!(bench.seqs(0), expect, "what is under way is carried to the end");
    let line = evicted.ledger[0];
    assert_eq!((line.stream, line.count, line.bytes), (StreamId::of("oldest"), gone, gone * 900));
    assert_eq!((line.first_seq, line.last_seq), (1, gone + 1));
    assert!(evicted.carried_from.is_some());
}

#[test]
fn the_less_important_go_first() {
    let mut bench = Bench::new();
    let count = fill(&mut bench, |n| ("oldest", if n % 2 == 0 { 7 } else { 0 }));
    let mut gone = 0;
    // Until half of the low ones are gone, no high one goes.
    while gone < count / 4 {
        let evicted = evict(&mut bench, &[]);
        assert!(evicted.has_room);
        gone += lost(&evicted, LossReason::DroppedOldest);
        fill(&mut bench, |n| ("oldest", if n % 2 == 0 { 7 } else { 0 }));
    }
    let first: Vec<u64> = (1..=count).step_by(2).collect();
    let high = bench.seqs(7);
    assert!(first.iter().all(|seq| high.contains(seq)), "{high:?}");
}

#[test]
fn a_few_low_ones_at_the_far_end_do_not_make_it_copy_everything() {
    let mut bench = Bench::new();
    let count = fill(&mut bench, |n| ("oldest", if n > 70 { 0 } else { 7 }));
    assert!(count > 80, "{count}");
    let written = bench.store.journal().counters().bytes_written;
    let evicted = evict(&mut bench, &[]);
    assert!(evicted.has_room && lost(&evicted, LossReason::DroppedOldest) > 0);
    let copied = bench.store.journal().counters().bytes_written - written;
    assert!(copied < 9 * super::SEGMENT, "{copied}");
}

#[test]
fn drop_newest_keeps_the_old_and_writes_nothing_in_vain() {
    let mut bench = Bench::new();
    let count = fill(&mut bench, |_| ("newest", 0));
    bench.store.checkpoint().expect("a good shelf");
    bench.store.stop().expect("a good disk");
    let written = bench.store.journal().counters().bytes_written;
    for _ in 0..20 {
        let evicted = evict(&mut bench, &[]);
        assert!(!evicted.has_room && evicted.losses.is_empty());
    }
    assert_eq!(bench.store.journal().counters().bytes_written, written);
    assert_eq!(bench.store.counters().evictions_futile, 1, "the same question is not asked twice");
    assert_eq!(bench.seqs(0).len() as u64, count);
}

#[test]
fn downsampling_thins_out_the_old() {
    let mut bench = Bench::new();
    let count = fill(&mut bench, |_| ("sparse", 0));
    let evicted = evict(&mut bench, &[]);
    assert!(evicted.has_room);
    let gone = lost(&evicted, LossReason::Downsampled);
    assert!(gone > 5 && lost(&evicted, LossReason::DroppedOldest) == 0, "{:?}", evicted.losses);
    let left = bench.seqs(0);
    assert_eq!(left.len() as u64 + gone, count);
    // One record a second; one in each five seconds is there.
    let newest_gone = (1..=count).filter(|seq| !left.contains(seq)).max().expect("some are gone");
    for stretch in 0..newest_gone / 5 {
        let kept = left.iter().filter(|seq| *seq / 5 == stretch).count();
        assert_eq!(kept, 1, "stretch {stretch} of {left:?}");
    }
}

#[test]
fn what_downsampling_has_kept_goes_when_nothing_else_helps() {
    let mut bench = Bench::new();
    let mut dropped = 0;
    for _ in 0..60 {
        fill(&mut bench, |_| ("sparse", 0));
        let evicted = evict(&mut bench, &[]);
        assert!(evicted.has_room);
        dropped += lost(&evicted, LossReason::DroppedOldest);
    }
    assert!(dropped > 0);
}

#[test]
fn a_stream_that_is_gone_is_given_up_and_settled_records_are_not_counted() {
    let mut bench = Bench::new();
    fill(&mut bench, |n| (if n % 3 == 0 { "gone" } else { "newest" }, 0));
    // The first five are settled, though no commit has said so yet.
    let progress = bench.unsettled_from(6);
    let evicted = bench.store.evict(&Evict { progress, under_way: Vec::new() });
    let evicted = evicted.expect("a good disk");
    assert!(evicted.losses.iter().all(|loss| loss.reason == LossReason::NoStream));
    let left = bench.seqs(0);
    assert!(left.iter().all(|seq| *seq > 5), "{left:?}");
    let gone = lost(&evicted, LossReason::NoStream);
    assert!(gone > 0);
    assert_eq!(evicted.ledger.iter().map(|line| line.count).sum::<u64>(), gone);
}

#[test]
fn what_upstream_has_makes_room_by_a_checkpoint() {
    let mut bench = Bench::new();
    fill(&mut bench, |_| ("newest", 0));
    let known = bench.known;
    bench.settle(known);
    assert!(bench.store.wants_checkpoint());
    bench.store.checkpoint().expect("a good shelf");
    assert!(!bench.store.is_full(0) && !bench.store.wants_checkpoint());
    assert_eq!(bench.store.ledger(), []);
}

#[test]
fn what_has_no_room_waits_and_is_not_reported() {
    let mut bench = Bench::new();
    fill(&mut bench, |_| ("newest", 0));
    let mut last = 0;
    let mut reported = 0;
    for _ in 0..200 {
        let records = vec![bench.record("newest", 0, 900)];
        let id = tidegate_core::commit::CommitId(bench.next_id);
        bench.next_id += 1;
        last = id.0;
        bench.store.take(Commit { id, records, ..Commit::default() }).expect("it is small");
        reported = bench.store.commit().expect("a good disk").up_to.0.max(reported);
    }
    assert!(reported < last && bench.store.pending_bytes() > 0);
    let known = bench.store.journal().durable_seq();
    bench.known = known;
    let progress = bench.unsettled_from(known + 1);
    let evict = Evict { progress, under_way: Vec::new() };
    let evicted = bench.store.evict(&evict).expect("a good disk");
    assert!(evicted.up_to > 0 && !evicted.has_room, "not for everything that waits");
    let committed = bench.store.commit().expect("a good disk").up_to.0;
    assert!(reported < committed && committed < last, "as many as have room");
    while bench.store.pending_bytes() > 0 {
        let known = bench.store.journal().durable_seq();
        bench.known = known;
        let progress = bench.unsettled_from(known + 1);
        bench.store.evict(&Evict { progress, under_way: Vec::new() }).expect("a good disk");
        reported = bench.store.commit().expect("a good disk").up_to.0;
    }
    assert_eq!(reported, last);
}
