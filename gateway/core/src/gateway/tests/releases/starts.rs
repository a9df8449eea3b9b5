//! What a start makes of the registry's rows.

use alloc::vec;

use super::*;

#[test]
fn a_start_goes_on_where_it_was() {
    check_start(
        row(RowPhase::Active, 0, Some(2), Some(1)),
        "conf a/b!1 ok +",
        "load:2 switch 2:active run1 ack1",
    );
    let house = check_start(
        row(RowPhase::Probation, 1, Some(2), Some(1)),
        "a/b!1 c ok +",
        "commit load:2 switch 2:probation run1 ack1",
    );
    assert_eq!(house.row().tries, 2);
    check_start(row(RowPhase::Removed, 0, None, None), "conf a/b!1", ":removed ack1");
    check_start(
        row(RowPhase::Rejected, 0, None, None),
        "conf ok",
        ":refused-before load:1 switch 1:active",
    );
}

#[test]
fn what_never_comes_up_is_taken_back() {
    let house = check_start(
        row(RowPhase::Probation, 3, Some(2), Some(1)),
        "a/b!1 ok +",
        "load:1 commit switch 2:restarts run1 ack1",
    );
    assert_eq!(house.row().refused, [digest(2)]);
    check_start(
        row(RowPhase::Active, 0, Some(2), Some(1)),
        "bad ok",
        "load:2 load:1 commit switch 2:does-not-load",
    );
}

#[test]
fn damaged_files_leave_the_one_before() {
    let row = row(RowPhase::Active, 0, Some(2), Some(1));
    let previous = Some(release(1));
    let handlers = vec![RegisteredHandler { name: "p".into(), row, running: None, previous }];
    let mut house = House::new(Registered { handlers, ..Registered::default() });
    assert_eq!(house.run("conf ok"), ":damaged load:1 commit switch 1:active");
    assert_eq!(house.row().running, Some(digest(1)));
}

#[test]
fn after_quick_restarts_no_handler_starts_but_a_push_does() {
    let mut starts = None;
    for (count, expect) in [(0, "load:1"), (1, "load:1"), (2, "load:1"), (3, "1:safe-mode")] {
        let registered = Registered {
            starts: starts.clone(),
            boot: 5,
            uptime_ms: 1_000 * count,
            restarts_max: 3,
            ..Registered::default()
        };
        let mut house = House::new(registered);
        assert_eq!(house.run("conf").replace("commit ", ""), expect, "start {count}");
        if count == 3 {
            assert_eq!(house.run("c push1 ok c"), "1:installing load:1 commit switch 1:probation");
            assert_eq!(house.run("stop"), "commit");
        }
        let states = house.commits.iter().flat_map(|commit| &commit.states);
        let change = states.flat_map(|state| &state.changes).rfind(|change| change.key[0] == b'!');
        starts = change.and_then(|change| Some(change.value.as_ref()?.bytes.to_vec()));
    }
    let registered =
        Registered { starts, boot: 5, uptime_ms: 4_000, restarts_max: 3, ..Registered::default() };
    assert_eq!(House::new(registered).run("conf"), "commit load:1", "it was stopped in good order");
}
