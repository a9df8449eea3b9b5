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
    let back = "commit switch 2:failed-events 3:probation commit run1 ack4";
    let seen = [FIRST_SEEN, two, "run1", three, back].join(" ");
    let house = check(&script, &seen);
    assert_eq!(house.row().running, Some(digest(3)));
}
