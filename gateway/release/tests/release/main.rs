//! The signed release from outside: what a hostile broker may send, and what the bytes are.

mod fixtures;
mod generate;
mod golden;
mod hostile;
mod targets;

use fixtures::Seeded;

/// Every fuzz target for a moment; `examples/fuzz.rs` runs them for as long as one likes.
#[test]
fn the_fuzz_targets_hold_for_a_moment() {
    for (name, target) in targets::ALL {
        let mut seeded = Seeded::new(7);
        let mut run = target();
        for _ in 0..400 {
            run(&mut seeded);
        }
        println!("{name} holds");
    }
}
