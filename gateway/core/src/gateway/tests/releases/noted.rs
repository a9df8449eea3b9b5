//! What goes into the audit log.

use super::*;

/// A decision, in short.
pub fn noted(decision: &Decision) -> String {
    match decision {
        Decision::Activated { digest, .. } => format!("runs{}", digest.0[0]),
        Decision::Passed { digest, .. } => format!("passed{}", digest.0[0]),
        Decision::RolledBack { digest, to, code, .. } => {
            format!("back{}to{}:{code}", digest.0[0], to.map_or(0, |to| to.0[0]))
        }
        Decision::Refused { digest, code, .. } => format!("no{}:{code}", digest.0[0]),
        Decision::Removed { rank, .. } => format!("removed{}", rank.seq),
        Decision::Invoked { rank, .. } => format!("invoked{}", rank.seq),
        Decision::SafeMode => "safe".into(),
    }
}

#[test]
fn what_is_decided_is_noted_once() {
    #[track_caller]
    fn check_noted(script: &str, expect: &str) {
        let mut house = House::new(Registered::default());
        house.run(script);
        assert_eq!(house.noted.join(" "), expect, "{script}");
    }
    check_noted(FIRST, "runs1 passed1");
    check_noted("push1 bad c again again", "no1:does-not-load");
    let script = [FIRST, "c push2 ok c a/b!4 - a/b!5 ok + c rm3 c"].join(" ");
    check_noted(&script, "runs1 passed1 runs2 back2to1:failed-events removed3");
    check_noted("push1 ok c a/b!1 -", "runs1 back1to0:failed-events");
    let active = row(RowPhase::Active, 0, Some(2), Some(1));
    let house = check_start(active, "ok a/b!1 +", "load:2 switch 2:active run1 ack1");
    assert_eq!(house.noted, [""; 0], "a start decides nothing");
}
