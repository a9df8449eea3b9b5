//! The gateway under simulated devices and time, many seeds of it. See `src/simulation.rs`.

use tidegate_tests::simulation::{Folders, Stats, every_cut, run, run_pushing};

/// `SIMULATION_SEEDS=from..to` looks at other seeds than the usual ones.
fn seeds(usual: &str) -> std::ops::Range<u64> {
    let text = std::env::var("SIMULATION_SEEDS").unwrap_or_else(|_| usual.to_owned());
    let (from, to) = text.split_once("..").expect("SIMULATION_SEEDS=from..to");
    from.parse().expect("a number")..to.parse().expect("a number")
}

/// Seeds that have found something: records of a tail that a read-only disk did not take again.
const KEPT: [u64; 10] = [431, 3012, 1301, 1334, 1775, 1886, 1905, 6768, 9818, 25202];

/// Seeds with pushes that have found something: a newer release that comes while the one before is on probation (73, 25,
/// 77, 84), an order that waits for its chunks (66), files that go too early (228), refusals that are told too early (266, 865).
const KEPT_PUSHING: [u64; 8] = [73, 25, 77, 84, 66, 228, 266, 865];

/// What is seen only where somebody pushes.
const OF_PUSHES: [&str; 7] =
    ["orders", "forged orders", "old orders", "passed", "refused", "taken back", "by pushed ones"];

#[test]
fn every_promise_holds_in_every_seed() {
    let mut all = Stats::default();
    let folders = Folders::write();
    for seed in seeds("0..150").chain(KEPT) {
        let stats = run(&folders, seed, 3_000).unwrap_or_else(|violation| panic!("{violation}"));
        all.add(&stats);
    }
    println!("{all:?}");
    // A checker that never saw the thing it checks has checked nothing.
    for (name, count) in all.named() {
        if name == "false alarms" {
            assert_eq!(count, 0, "a sound disk was taken for a damaged one");
            continue;
        }
        // So rare that most runs have none.
        if name == "untold after lies" {
            continue;
        }
        assert!(count > 0 || OF_PUSHES.contains(&name), "no {name} in any seed");
    }
}

#[test]
fn every_promise_holds_while_somebody_pushes() {
    let mut all = Stats::default();
    let folders = Folders::write();
    for seed in seeds("0..60").chain(KEPT_PUSHING) {
        let stats =
            run_pushing(&folders, seed, 3_000).unwrap_or_else(|violation| panic!("{violation}"));
        all.add(&stats);
    }
    println!("{all:?}");
    for (name, count) in all.named().iter().filter(|(name, _)| OF_PUSHES.contains(name)) {
        assert!(*count > 0, "no {name} in any seed");
    }
}

#[test]
fn pushes_stand_a_cut_at_every_operation() {
    let tried = every_cut(&Folders::write()).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{tried:?}");
    assert!(tried.journal_cuts > 100 && tried.folder_cuts > 100, "{tried:?}");
}

#[test]
fn a_seed_runs_the_same_every_time() {
    let folders = Folders::write();
    assert_eq!(run(&folders, 7, 2_000), run(&folders, 7, 2_000));
    assert_eq!(run_pushing(&folders, 7, 2_000), run_pushing(&folders, 7, 2_000));
}
