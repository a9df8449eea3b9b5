//! One push to a group, some of whose gateways come later. `MANY` says how many; 1,000 are a program of their own.

use std::time::Duration;

use tidegate_tests::handlers;
use tidegate_tests::many::converge;

#[test]
fn a_group_converges_though_half_of_it_was_away() {
    let handler = handlers::echo("echo", "in", "out", 0);
    let report = converge(12, &handler, Duration::from_secs(60)).expect("all run it");
    assert_eq!((report.at_push, report.active), (6, 12));
}
