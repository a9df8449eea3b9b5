//! Commits, records and the link, against a model of the store.

mod bench;

use bench::Bench;

use alloc::vec;

use super::*;
use crate::commit::{Progress, Seen, Waiting};
use crate::outbox::Age;
use crate::record::Place;
use crate::record::StreamId;
use crate::store::{Committed, Restored};

#[track_caller]
fn check(script: &str, expect: &str) -> Bench {
    let mut bench = Bench::new(React::Now);
    assert_eq!(bench.run(script), expect, "{script}");
    bench
}

#[track_caller]
fn check_durable(script: &str, expect: &str) {
    let mut bench = Bench::new(React::Durable);
    assert_eq!(bench.run(script), expect, "{script}");
}

#[test]
fn an_ack_waits_for_its_commit_and_a_reaction_does_not() {
    check("a/b!5 =w> c", "pub commit(w1v1,) ack5");
    check("a/b!5 => ", "pub ack5");
    check("a/b!5 =w a/b!6 =w c1 c1", "commit(w1v1,) commit(w1v2,) ack5 ack6");
}

#[test]
fn a_durable_reaction_waits_and_keeps_its_place() {
    check_durable("a/b!5 =w> c", "commit(w1v1,) pub ack5");
    check_durable("a/b =w> c", "commit(w1v1,) pub");
    check_durable("a/b =>", "pub");
    check_durable("a/b =w> a/b => c", "commit(w1v1,) pub pub");
}

#[test]
fn state_from_qos_0_waits_for_its_time_or_for_somebody_who_relies_on_it() {
    check("a/b =w a/c =w a/b =w t1999 t2000", "commit(w2v3,)");
    check("a/b =w a/c!5 =w c t2000", "commit(w2v2,) ack5");
    check("a/b =w a/c =alerts c t2000", "commit(w1v1,1)");
    check("a/b =w stop", "commit(w1v1,)");
}

#[test]
fn records_go_up_once_they_are_durable_and_in_a_window() {
    check("up a/b =alerts", "commit(1)");
    check(
        "up a/b =alerts a/b =alerts a/b =alerts c d1 d2 d3",
        "commit(1) commit(2) commit(3) send1 send2 send3",
    );
}

#[test]
fn what_waited_goes_when_the_link_is_there_and_after_what_comes_now() {
    check("a/b =alerts a/b =alerts c t1 up f", "commit(1) commit(2) fetch7 send1~ send2~");
    check(
        "a/b =alerts a/b =alerts a/b =alerts c t1 up a/b =alerts c f d4 d1 f d2 d3",
        "commit(1) commit(2) commit(3) fetch7 commit(4) send4 send1~ fetch7 send2~ send3~",
    );
}

#[test]
fn a_lost_link_means_everything_under_way_again() {
    check(
        "up a/b =alerts a/b =alerts c d1 down t4000 up f d2 t20000",
        "commit(1) commit(2) send1 send2 dial fetch7 send2~ commit(*)",
    );
}

#[test]
fn higher_priorities_go_first() {
    check("raw/x a/b =alerts c t1 up f f", "commit(1) commit(2) fetch7 fetch0 send2~ send1~");
}

#[test]
fn forwarded_messages_are_acked_when_durable() {
    check("raw/x!5 c t1 up f", "commit(1) ack5 fetch0 send1~");
    let bench = check("raw/x c", "commit(1)");
    assert_eq!(bench.gateway.messages(), 0, "its credit came back");
}

#[test]
fn a_refused_record_is_given_up_and_accounted_for() {
    let bench = check("up a/b =bulk c r1 d9", "commit(1) send1 commit(2,3,-1,told1)");
    let lost: Vec<_> = bench.gateway.losses().map(|line| (line.count, line.last_seq)).collect();
    assert_eq!(lost, [(1, 1)]);
}

#[test]
fn what_outlived_its_time_is_not_sent() {
    check("a/b =short c t10001 up f", "commit(1) fetch0 commit(2,-1,told1*)");
    check("a/b =short c t10000 up f", "commit(1) fetch0 send1~");
}

#[test]
fn progress_is_committed_when_nothing_else_is() {
    check("up a/b =bulk c d1 t4999 t5000", "commit(1) send1 commit(*)");
    let mut bench = check("up a/b =bulk c d1 t5000 c", "commit(1) send1 commit(*)");
    let progress = bench.store.frames[1].progress.take().expect("it says how far");
    let of_one = |priority| Place { frame: priority, index: 0 };
    assert!(progress.is_settled(0, of_one(1)));
    assert!(!progress.is_settled(0, of_one(2)));
    assert_eq!(progress.waiting[0].records, 0);
    assert_eq!(progress.waiting[0].delivered, 1);
}

#[test]
fn a_restart_goes_on_where_progress_says() {
    let mut bench = Bench::new(React::Now);
    bench.run("up a/b =bulk a/b =bulk a/b =bulk c d1 t5000 c");
    let progress = bench.store.frames.last_mut().and_then(|commit| commit.progress.take());
    let restored = Restored {
        boot: 2,
        next_seq: 4,
        progress: progress.unwrap_or_default(),
        last_frame: 4,
        ..Restored::default()
    };
    let store = core::mem::take(&mut bench.store);
    bench = Bench::new(React::Now);
    bench.store = store;
    bench.store.frames.truncate(3);
    bench.store.durable = 3;
    bench.input(Input::Restored(restored));
    let all = "fetch7 fetch6 fetch5 fetch4 fetch3 fetch2 fetch1 fetch0";
    assert_eq!(bench.run("up f f f f f f f"), all);
    assert_eq!(bench.run("f"), "send2~ send3~");
}

#[test]
fn what_a_start_could_not_write_again_goes_when_it_is_durable() {
    let mut bench = Bench::new(React::Now);
    bench.run("a/b =bulk a/b =bulk c");
    let store = core::mem::take(&mut bench.store);
    bench = Bench::new(React::Now);
    bench.store = store;
    // Of two frames only the first was durable again.
    bench.store.durable = 1;
    let restored = Restored { boot: 2, next_seq: 3, last_frame: 1, ..Restored::default() };
    bench.input(Input::Restored(restored));
    bench.run("up f f f f f f f");
    assert_eq!(bench.run("f"), "send1~");
    bench.store.durable = 2;
    let leftovers = Committed { last_frame: 2, has_left_over: true, ..Committed::default() };
    bench.input(Input::Committed(leftovers));
    bench.run("d1");
    let seen = bench.run("f f f f f f f f");
    assert_eq!(seen, "send2~");
}

#[test]
fn a_full_journal_evicts_once_and_goes_on() {
    check("up a/b =bulk c full full room0 d1", "commit(1) send1 evict[1]");
    check("a/b =bulk c full a/b =bulk c room0 a/b =bulk", "commit(1) evict[] commit(-2) commit(3)");
}

#[test]
fn losses_are_announced_when_the_link_is_there() {
    check(
        "a/b =short a/b =short c full room1 c up",
        "commit(1) commit(2) evict[] commit(*) fetch0 commit(3,told1)",
    );
}

#[test]
fn a_record_that_upstream_hangs_up_on_is_given_up_when_others_pass() {
    check(
        "up a/b =bulk a/b =bulk c down t3000 up f down t9000 up f down t20000 up f d2 down",
        "commit(1) commit(2) send1 send2 dial fetch0 send1~ dial fetch0 send1~ dial fetch0 send2~ send1~ commit(3,-1*)",
    );
}

#[test]
fn a_record_that_is_alone_is_tried_again_whatever_happened() {
    check(
        "up a/b =bulk c down t3000 up f down t9000 up f down t20000 up f",
        "commit(1) send1 dial fetch0 send1~ dial fetch0 send1~ dial fetch0 send1~",
    );
}

#[test]
fn a_stalled_link_is_given_up() {
    check("up a/b =bulk c t29999 t30000", "commit(1) send1 hang-up");
}

/// The only stream's line, by its age and what was delivered lately.
#[track_caller]
fn check_backlog(script: &str, at: u64, oldest: Option<Age>, delivered_lately: u64) {
    let mut bench = Bench::new(React::Now);
    bench.run(script);
    let backlog = bench.gateway.backlog(Timestamp(at));
    let lines: Vec<_> = backlog.iter().map(|line| (line.oldest, line.delivered_lately)).collect();
    assert_eq!(lines, [(oldest, delivered_lately)], "{script}");
}

#[test]
fn the_age_of_what_waits_is_known_while_its_first_record_is() {
    check_backlog("t100 raw/x t400 raw/x c", 500, Some(Age::Exactly(400)), 0);
    check_backlog("t100 raw/x c up f d1", 500, None, 1);
    // Two were read into memory.
    check_backlog("t100 raw/x t200 raw/x c up f d1", 500, Some(Age::Exactly(300)), 1);
    check_backlog("t100 raw/x t200 raw/x t300 raw/x c up f d1", 500, Some(Age::AtLeast(300)), 1);
    let three = "t100 raw/x t200 raw/x t300 raw/x c up f d1 d2 down";
    check_backlog(three, 500, Some(Age::Unknown), 2);
    let evicted = "t100 a/b =short t200 a/b =short c full room1";
    check_backlog(evicted, 500, Some(Age::Unknown), 0);
}

#[test]
fn what_waited_at_the_start_is_older_than_the_start() {
    let mut bench = Bench::new(React::Now);
    let stream = StreamId::of("bulk");
    let waiting = vec![Waiting { stream, records: 2, bytes: 6, delivered: 9 }];
    let progress = Progress { waiting, ..Progress::default() };
    bench.input(Input::Restored(Restored {
        boot: 3,
        next_seq: 3,
        progress,
        ..Restored::default()
    }));
    let backlog = bench.gateway.backlog(Timestamp(700));
    assert_eq!(backlog[0].oldest, Some(Age::AtLeast(700)));
}

#[test]
fn the_uplink_says_since_when() {
    let mut bench = Bench::new(React::Now);
    let states: Vec<UplinkState> = ["t5", "t10 up", "t20 raw/x c", "t30 down", "t40 down"]
        .iter()
        .map(|script| {
            bench.run(script);
            bench.gateway.uplink()
        })
        .collect();
    let down = |since| UplinkState::Down { since: Timestamp(since) };
    let up = UplinkState::Up { since: Timestamp(10) };
    assert_eq!(states, [down(0), up, up, down(30), down(30)]);
    bench.run("t50 up a/b =alerts c");
    assert_eq!(bench.gateway.under_way(), 1);
    let alone = Gateway::new(Limits::DEV, LocalSide::FrontDoor, Durability::default(), 7);
    assert_eq!(alone.uplink(), UplinkState::None);
}

#[test]
fn the_store_holds_back_jobs_when_it_falls_behind() {
    let durability = Durability {
        commits: CommitLimits { held_bytes_max: 10, ..CommitLimits::DEV },
        ..Durability::default()
    };
    let mut bench = Bench::new(React::Now);
    bench.gateway = Gateway::new(Limits::DEV, LocalSide::FrontDoor, durability, 7);
    let handler = HandlerId(1);
    bench.input(Input::Deploy { handler, manifest: manifest("1", "a/+") });
    bench.input(Input::Checked { handler, check: CheckId(1), result: Ok(()) });
    assert_eq!(bench.run("a/b!1 =w a/b!2"), "commit(w1v1,)");
    assert!(bench.job.is_none(), "it waits for the store");
    assert_eq!(bench.run("c"), "ack1");
    assert!(bench.job.is_some());
}

#[test]
fn a_message_with_an_id_is_taken_once() {
    check("a/b!5#9 =w c a/b!6#9", "commit(w1v1,) ack5 ack6");
    check("a/b!5#9 =w a/b!6#9 c", "commit(w1v1,) ack5 ack6");
    check("a/b!5#9 =. a/b!6#9 c a/b!7#8 =.", "commit() ack5 ack6 commit()");
    let bench = check("raw/x!5#9 raw/x!6#9 c", "commit(1) ack5 ack6");
    assert_eq!(bench.gateway.dropped(DropReason::Repeated), 1);
    let mut bench = Bench::new(React::Now);
    bench.input(Input::Restored(Restored {
        next_seq: 1,
        seen: vec![Seen(9)],
        ..Restored::default()
    }));
    assert_eq!(bench.run("a/b!5#9 a/b!6#8 =."), "ack5 commit()");
}
