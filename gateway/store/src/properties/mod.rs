//! Seeded runs on the model disk and the model shelf: power cuts, failing syncs and writes, full disks, lost shelves.

mod checks;
mod core;
mod world;

use std::collections::BTreeMap;

use tidegate_journal::Faults;

use crate::ShelfFaults;
use crate::planted::{Bug, plant};
use world::World;

/// Runs one life; the error says what was wrong and in which seed.
fn live(
    seed: u64,
    steps: u64,
    faults: Faults,
    shelf: ShelfFaults,
    tally: &mut BTreeMap<&'static str, u64>,
) -> Result<(), String> {
    let mut world = World::new(seed, faults, shelf);
    for step in 0..steps {
        world.step().map_err(|wrong| format!("seed {seed} step {step}: {wrong}"))?;
    }
    for (what, count) in &world.tally {
        *tally.entry(what).or_default() += count;
    }
    world.reopen(true).map_err(|wrong| format!("seed {seed} at the end: {wrong}"))
}

/// `STORE_SEEDS=20 cargo test` looks twenty times as far. Without optimisation, a quarter is what one waits for.
#[track_caller]
fn check(seeds: u64, faults: Faults, shelf: ShelfFaults) -> BTreeMap<&'static str, u64> {
    let times = std::env::var("STORE_SEEDS").ok();
    let times: u64 = times.and_then(|times| times.parse().ok()).unwrap_or(1);
    let part = if cfg!(debug_assertions) { 4 } else { 1 };
    let mut tally = BTreeMap::new();
    for seed in 0..seeds * times / part {
        if let Err(wrong) = live(seed, 400, faults, shelf, &mut tally) {
            panic!("{wrong}");
        }
    }
    eprintln!("{tally:?}");
    tally
}

#[test]
fn power_cuts() {
    let tally = check(200, Faults::default(), ShelfFaults::default());
    for what in ["cuts", "checkpoints", "delivered", "evictions", "evicted", "shelves lost"] {
        assert!(tally.get(what).is_some_and(|count| *count > 50), "{what}: {tally:?}");
    }
}

#[test]
fn power_cuts_and_failing_syncs() {
    let sync_error_one_in = 15;
    check(150, Faults { sync_error_one_in, ..Faults::default() }, ShelfFaults::default());
}

#[test]
fn power_cuts_and_failing_writes() {
    let write_error_one_in = 20;
    check(150, Faults { write_error_one_in, ..Faults::default() }, ShelfFaults::default());
}

#[test]
fn power_cuts_and_a_failing_shelf() {
    for write_error_one_in in [2, 6] {
        let shelf = ShelfFaults { write_error_one_in, cut_one_in: 6, ..ShelfFaults::default() };
        check(100, Faults::default(), shelf);
    }
}

#[test]
fn power_cuts_and_a_full_disk() {
    for segments in 2..8 {
        let capacity_bytes = Some(segments * 16 * 1024 + 5_000);
        check(30, Faults { capacity_bytes, ..Faults::default() }, ShelfFaults::default());
    }
}

/// Lives in which each bug is looked for.
const SEEDS: u64 = 60;

#[test]
fn each_planted_bug_is_found() {
    for bug in Bug::ALL.iter().copied().map(Some).chain([None]) {
        plant(bug);
        let mut found = 0;
        let mut first = None;
        for seed in 0..SEEDS {
            let write_error_one_in = [0, 3, 2][seed as usize % 3];
            let sync_error_one_in = [0, 0, 0, 12][seed as usize % 4];
            let shelf = ShelfFaults { write_error_one_in, ..ShelfFaults::default() };
            let faults = Faults { sync_error_one_in, ..Faults::default() };
            if let Err(wrong) = live(seed, 400, faults, shelf, &mut BTreeMap::new()) {
                found += 1;
                first.get_or_insert(wrong);
            }
        }
        plant(None);
        let first: String = first.unwrap_or_default().chars().take(120).collect();
        eprintln!("{bug:?}: found in {found} of {SEEDS} seeds, {first}");
        assert_eq!(found > 0, bug.is_some(), "{bug:?} was found in {found}");
    }
}
