//! A release that comes while another one is on probation.

use alloc::vec;

use super::*;

/// A newer release is on its way when the one on probation breaks: it is not forgotten, wherever it is.
#[test]
fn a_newer_one_is_not_lost_when_the_one_before_it_breaks() {
    let two = "2:installing load:2 commit switch 2:probation";
    let three = "3:installing load:3";
    // While it loads.
    let script = [FIRST, "c push2 ok c push3 a/b!4 - ok ok + ok c"].join(" ");
    let back = "run1 load:1 commit switch 2:failed-events 3:installing load:3 run1 ack4";
    let seen = [FIRST_SEEN, two, three, back, "commit switch 3:probation"].join(" ");
    let house = check(&script, &seen);
    assert_eq!((house.row().running, house.row().refused), (Some(digest(3)), vec![digest(2)]));
    // While its row is written.
    let script = [FIRST, "c push2 ok c a/b!4 push3 ok - c ok + ok c"].join(" ");
    let back = "commit load:1 commit switch 2:failed-events 3:installing load:3 run1 ack4";
    let seen = [FIRST_SEEN, two, "run1", three, back, "commit switch 3:probation"].join(" ");
    check(&script, &seen);
    // While it waits for the job to end.
    let script = [FIRST, "c push2 ok c a/b!4 push3 ok c - +"].join(" ");
    let back = "commit 2:failed-events switch 3:probation commit run1 ack4";
    let seen = [FIRST_SEEN, two, "run1", three, back].join(" ");
    let house = check(&script, &seen);
    assert_eq!(house.row().running, Some(digest(3)));
}

/// A release passes while the row of the newer one is being written: that one comes back to it, and has its own probation.
#[test]
fn one_that_passes_at_the_last_moment_is_what_the_newer_one_comes_back_to() {
    let two = "2:installing load:2 commit switch 2:probation run1 ack4 run1 ack5 run1";
    let three = "3:installing load:3 commit";
    let script = [FIRST, "c push2 ok c a/b!4 + a/b!5 + a/b!6 push3 ok + c"].join(" ");
    let seen = [FIRST_SEEN, two, three, "ack6 2:active commit switch 3:probation"].join(" ");
    let mut house = check(&script, &seen);
    assert_eq!(house.row(), row(RowPhase::Probation, 1, Some(3), Some(2)));
    assert_eq!(house.run("c a/b!7 -"), "run1 load:2 commit");
    assert_eq!(house.run("ok"), "switch 3:failed-events run1");
    assert_eq!(house.row().running, Some(digest(2)));
}

/// The event that lets one pass is the last before a newer one has the line: that one's events are judged one by one.
#[test]
fn a_newer_one_goes_event_by_event_when_the_one_before_it_has_just_passed() {
    let two = "2:installing load:2 commit switch 2:probation run1 ack4 run1 ack5 run1";
    let script = [FIRST, "c push2 ok c a/b!4 + a/b!5 + a/b!6 push3 ok c a/b!7 a/b!8 +"].join(" ");
    let three = "3:installing load:3 commit ack6 2:active switch 3:probation commit run1";
    check(&script, &[FIRST_SEEN, two, three].join(" "));
}

/// What was loaded for the order when it had its first turn comes when it has its second, and its module is being loaded
/// again: only the last load is waited for.
#[test]
fn a_load_that_nobody_waits_for_any_more_is_not_taken_for_another() {
    let script = [FIRST, "c push2 ok c push3 a/b!4 - newest-ok ok"].join(" ");
    let two = "2:installing load:2 commit switch 2:probation 3:installing load:3";
    let back = "run1 load:1 commit switch 2:failed-events 3:installing load:3 run1";
    let mut house = check(&script, &[FIRST_SEEN, two, back].join(" "));
    assert_eq!(house.run("ok"), "commit", "the row of 3");
}

/// What is on probation and to be removed is not judged any more, so it does not run any more either.
#[test]
fn what_is_to_be_removed_runs_no_more() {
    let one = "1:installing load:1 commit switch 1:probation";
    check("push1 ok c rm2 a/b!1 c", &[one, "commit ack1 undeploy :removed"].join(" "));
}

/// Files go when no start goes by a row that names them any more.
#[test]
fn files_stay_until_the_row_without_them_is_durable() {
    let mut house = House::new(Registered::default());
    house.run(&[FIRST, "c push2 ok c"].join(" "));
    assert_eq!(house.kept.take(), Some(vec![digest(2), digest(1)]));
    house.run("a/b!4 - ok");
    assert_eq!(house.kept.take(), None, "1 runs again, and the row is on its way");
    house.run("push3");
    assert_eq!(house.kept.take(), None);
    house.run("c");
    assert_eq!(house.kept.take(), Some(vec![digest(1), digest(3)]), "3 is being loaded");
}

/// One that is refused while the one before is taken back: that is told when it is durable, as any other time.
#[test]
fn a_refusal_is_told_when_it_is_durable() {
    let script = [FIRST, "c push2 ok c a/b!4 push3 bad - ok +"].join(" ");
    let two = "2:installing load:2 commit switch 2:probation run1 3:installing load:3 commit";
    let back = "load:1 commit switch 2:failed-events run1 ack4";
    let mut house = check(&script, &[FIRST_SEEN, two, back].join(" "));
    assert_eq!(house.run("c"), "3:does-not-load");
    assert_eq!(house.row().refused, [digest(2), digest(3)]);
    assert_eq!(house.noted.last().map(String::as_str), Some("no3:does-not-load"));
}
