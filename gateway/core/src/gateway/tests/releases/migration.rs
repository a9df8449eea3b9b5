//! State that one version takes over from another.

use super::*;
use crate::commit::{Change, StateChange, Value};
use crate::release::Migrated;

/// What a script says of migrating: `push2from1` a release that migrates, `push3as1` one with an earlier one's module,
/// `mig`/`nomig` what became of the copy.
pub(super) enum Word {
    Push { seq: u64, from: Option<String>, module: u64 },
    Done { is_good: bool },
}

impl Word {
    pub(super) fn read(word: &str) -> Option<Word> {
        let number = |text: &str| text.parse::<u64>().expect("a number");
        match word {
            "mig" => return Some(Word::Done { is_good: true }),
            "nomig" => return Some(Word::Done { is_good: false }),
            _ => {}
        }
        let rest = word.strip_prefix("push")?;
        if let Some((seq, from)) = rest.split_once("from") {
            let seq = number(seq);
            return Some(Word::Push { seq, from: Some(from.into()), module: seq });
        }
        let (seq, module) = rest.split_once("as")?;
        Some(Word::Push { seq: number(seq), from: None, module: number(module) })
    }
}

/// A table without its handler's name, and no more of its tag than one needs.
pub(super) fn short(table: &str) -> &str {
    table.strip_prefix("p@").map_or(table, |tag| &tag[..2])
}

impl House {
    pub(super) fn migrate(&mut self, word: Word) {
        match word {
            Word::Push { seq, from, module } => {
                let one = Arc::unwrap_or_clone(release(seq));
                let module = digest(100 + module);
                let one = Release { migrate_from: from, module, ..one };
                self.order(Examined::Install { release: Arc::new(one) });
            }
            Word::Done { is_good } => {
                let (handler, migration) = self.migrations.pop_front().expect("a migration");
                let value = |text: &str| Value {
                    bytes: text.as_bytes().into(),
                    version: 9,
                    expires_us: None,
                };
                let row = |key: &str, value| Change { key: key.as_bytes().into(), value };
                let rows = vec![row("gone", None), row("n", Some(value(&migration.from)))];
                let stale = StateChange {
                    handler: "p@old".into(),
                    version: 3,
                    changes: vec![row("x", None)],
                };
                let migrated = Migrated { version: 9, rows, stale: vec![stale] };
                let result = if is_good { Ok(migrated) } else { Err("bad".to_string()) };
                self.input(Input::Migrated { handler, check: migration.check, result });
            }
        }
    }
}

const TAKEN: &str = "2:installing load:2 migrate:1:p commit switch:02 2:probation";

#[test]
fn a_migrated_state_is_durable_with_the_row_that_points_at_it() {
    let script = [FIRST, "c push2from1 ok a/b!4 mig c + a/b!5 + a/b!6 + c"].join(" ");
    let seen = [FIRST_SEEN, TAKEN, "run1 ack4 run1 ack5 run1 ack6 2:active commit"].join(" ");
    let house = check(&script, &seen);
    let tables: Vec<Vec<&str>> = house
        .commits
        .iter()
        .map(|commit| commit.states.iter().map(|state| &*state.handler).collect())
        .collect();
    let with = tables.iter().find(|tables| tables.contains(&"p@0202020202020202"));
    assert_eq!(with, Some(&vec!["p@0202020202020202", "p@old", "tidegate/registry"]), "{tables:?}");
    assert_eq!(house.row().tables, (0x0202_0202_0202_0202, 0));
}

#[test]
fn while_it_migrates_the_line_stands_still_and_goes_on_if_it_fails() {
    let script = [FIRST, "c a/b!4 push2from1 ok + a/b!5 nomig c +"].join(" ");
    let seen = "run1 2:installing load:2 ack4 migrate:1:p commit run1 2:does-not-migrate ack5";
    let house = check(&script, &[FIRST_SEEN, seen].join(" "));
    assert_eq!((house.row().running, house.row().tables), (Some(digest(1)), (0, 0)));
}

#[test]
fn coming_back_is_a_pointer() {
    let script = [FIRST, "c push2from1 ok mig c a/b!4 - ok c +"].join(" ");
    let back = "run1 load:1 commit switch 2:failed-events run1 ack4";
    let house = check(&script, &[FIRST_SEEN, TAKEN, back].join(" "));
    assert_eq!(house.row().tables, (0, 0));
    // And by a later order, with the module of the one before.
    let script = [FIRST, "c push2from1 ok mig c t2000 c push3as1 ok c"].join(" ");
    let back = "2:active commit 3:installing load:3 commit switch 3:probation";
    let house = check(&script, &[FIRST_SEEN, TAKEN, back].join(" "));
    assert_eq!(house.row().tables, (0, 0x0202_0202_0202_0202));
    // It does not migrate once more, also if it did the first time and the state is still its own.
    let script =
        [FIRST, "c push2from1 ok mig c t2000 c push3 ok c t4000 c push4as2 ok c"].join(" ");
    let on = "2:active commit 3:installing load:3 commit switch:02 3:probation 3:active commit";
    let back = "4:installing load:4 commit switch:02 4:probation";
    check(&script, &[FIRST_SEEN, TAKEN, on, back].join(" "));
    // A start finds the table again.
    let row = Row { tables: (0x0303 << 48, 0), ..row(RowPhase::Active, 0, Some(3), Some(2)) };
    check_start(row, "ok", "load:3 switch:03 3:active");
}

#[test]
fn only_the_state_that_it_knows_is_taken_over() {
    let script = [FIRST, "c push3from2 ok c"].join(" ");
    let seen = [FIRST_SEEN, "3:installing load:3 commit 3:cannot-migrate"].join(" ");
    check(&script, &seen);
    // Where nothing ran yet there is nothing to take over; where something did and does not, nobody knows what.
    check("push3from2 ok c", "3:installing load:3 commit switch 3:probation");
    let script = "push1 bad c push3from2 ok c";
    let seen =
        "1:installing load:1 commit 1:does-not-load 3:installing load:3 commit switch 3:probation";
    check(script, seen);
    let seen = ":refused-before 2:installing load:2 commit 2:cannot-migrate";
    check_start(row(RowPhase::None, 0, None, None), "push2from1 ok c", seen);
    let script = [FIRST, "c rm2 c push3from1 ok c"].join(" ");
    let seen = "commit undeploy :removed 3:installing load:3 commit 3:cannot-migrate";
    check(&script, &[FIRST_SEEN, seen].join(" "));
}

#[test]
fn a_probation_that_ends_meanwhile_comes_first() {
    // 2 breaks in the job that the migration waits for; then 1 is there, and that is not what 3 knows.
    let script = [FIRST, "c push2 ok c a/b!4 push3from2 ok - c ok + ok c"].join(" ");
    let seen = "2:installing load:2 commit switch 2:probation run1 3:installing load:3 load:1 commit \
                switch 2:failed-events 3:installing load:3 run1 ack4 commit 3:cannot-migrate";
    let house = check(&script, &[FIRST_SEEN, seen].join(" "));
    assert_eq!(house.row().refused, [digest(3), digest(2)]);
}
