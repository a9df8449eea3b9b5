//! What the gateway says again, and of itself.

use super::*;

#[test]
fn a_gateway_that_hears_nothing_new_says_so_until_it_does() {
    let mut house = House::new(Registered { stale_after_ms: 5_000, ..Registered::default() });
    let mut is_stale = |script: &str| {
        house.run(script);
        house.report.expect("a report").is_stale
    };
    assert!(!is_stale("push1 ok c t4000 t4999"), "the push is a word at 0, and 5 s are not over");
    assert!(is_stale("t5000"));
    assert!(is_stale("again"), "what was known is nothing new");
    assert!(!is_stale("push2"));
}

#[test]
fn the_last_word_is_said_again() {
    let script = [FIRST, "c again"].join(" ");
    check(&script, &[FIRST_SEEN, "1:active"].join(" "));
    let script = "push1 bad c again again";
    check(script, "1:installing load:1 commit 1:does-not-load 1:does-not-load 1:does-not-load");
}
