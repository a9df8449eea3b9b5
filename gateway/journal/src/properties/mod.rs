//! Seeded runs on the model disk: thousands of small lives with power cuts, full disks and failing syncs.

mod account;
mod damage;
mod golden;
mod world;

use crate::Faults;
use crate::planted::{Bug, plant};
use world::World;

/// Runs one life; the error says what was wrong and in which seed.
fn live(seed: u64, steps: u64, faults: Faults) -> Result<(), String> {
    let mut world = World::new(seed);
    world.may_lose = faults.sync_lie_one_in > 0;
    world.disk().faults = faults;
    for step in 0..steps {
        world.step().map_err(|wrong| format!("seed {seed} step {step}: {wrong}"))?;
    }
    world.reopen(true).map_err(|wrong| format!("seed {seed} at the end: {wrong}"))
}

/// `JOURNAL_SEEDS=20 cargo test` looks twenty times as far. Without optimisation, a quarter is what one waits for.
#[track_caller]
fn check(seeds: u64, faults: Faults) {
    let times = std::env::var("JOURNAL_SEEDS").ok();
    let times: u64 = times.and_then(|times| times.parse().ok()).unwrap_or(1);
    let part = if cfg!(debug_assertions) { 4 } else { 1 };
    for seed in 0..seeds * times / part {
        if let Err(wrong) = live(seed, 300, faults) {
            panic!("{wrong}");
        }
    }
}

#[test]
fn power_cuts() {
    check(1_000, Faults::default());
}

#[test]
fn power_cuts_and_failing_syncs() {
    let sync_error_one_in = 15;
    check(1_000, Faults { sync_error_one_in, ..Faults::default() });
}

#[test]
fn power_cuts_and_failing_writes() {
    let write_error_one_in = 20;
    check(500, Faults { write_error_one_in, ..Faults::default() });
}

#[test]
fn power_cuts_and_a_full_disk() {
    for segments in 1..8 {
        let capacity_bytes = Some(segments * 16 * 1024 + 100);
        check(100, Faults { capacity_bytes, ..Faults::default() });
    }
}

#[test]
fn a_lying_disk_may_lose_and_nothing_else() {
    let sync_lie_one_in = 5;
    check(500, Faults { sync_lie_one_in, ..Faults::default() });
}

/// A scripted life, cut at every single operation.
#[test]
fn a_cut_at_every_operation() {
    let script = |world: &mut World| {
        for step in 0..900 {
            if world.disk().is_down() {
                return world.reopen(true);
            }
            match step % 3 {
                0 | 1 => world.append()?,
                _ => world.commit()?,
            }
        }
        Ok(())
    };
    for sync_error_one_in in [0, 12] {
        let seeds = if cfg!(debug_assertions) { 1 } else { 3 };
        for seed in 0..seeds {
            let faults = Faults { sync_error_one_in, ..Faults::default() };
            let mut whole = World::new(seed);
            whole.disk().faults = faults;
            script(&mut whole).expect("nothing goes wrong without a cut");
            let operations = whole.disk().operations();
            assert!(operations > 600, "{operations}");
            for cut_at in 1..=operations {
                let mut world = World::new(seed);
                world.disk().faults = Faults { cut_at: Some(cut_at), ..faults };
                if let Err(wrong) = script(&mut world) {
                    panic!("seed {seed}, cut at {cut_at}: {wrong}");
                }
            }
        }
    }
}

#[test]
fn each_planted_bug_is_found() {
    for bug in Bug::ALL {
        plant(Some(*bug));
        let mut found = 0;
        // A stale frame fits only where frames of one length were written and lost; see `World::payload`.
        let stride = if *bug == Bug::CrcWithoutGeneration { 12 } else { 1 };
        for seed in (0..400).map(|seed| seed * stride) {
            let sync_error_one_in = [5, 0, 15][seed as usize % 3];
            let faults = Faults { sync_error_one_in, ..Faults::default() };
            found += u64::from(live(seed, 300, faults).is_err());
        }
        found += u64::from(!damage::is_one_bad_frame_one_frame());
        plant(None);
        eprintln!("{bug:?}: found in {found} of 400 seeds");
        assert!(found > 0, "{bug:?} was not found");
    }
}
