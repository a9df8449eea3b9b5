//! Switches each planted bug on and counts the seeds in which the simulation finds it. See `tests/planted`.

use std::process::ExitCode;

#[cfg(not(planted))]
fn main() -> ExitCode {
    eprintln!(
        "planted: this binary has no bugs to plant; run tests/planted, which builds it with them"
    );
    ExitCode::from(64)
}

#[cfg(planted)]
fn main() -> ExitCode {
    use tidegate_core::planted::{Bug, plant};
    use tidegate_tests::simulation::{Folders, run};

    const SEEDS: u64 = 30;
    const STEPS: u64 = 3_000;
    // A planted bug may well end in a panic of ours; that is found, too, and need not fill the screen.
    std::panic::set_hook(Box::new(|_| {}));
    let folders = Folders::write();
    let look = |bug: Option<Bug>| {
        plant(bug);
        let mut found = 0;
        let mut first = None;
        for seed in 0..SEEDS {
            let what = match std::panic::catch_unwind(|| run(&folders, seed, STEPS)) {
                Ok(Ok(_)) => continue,
                Ok(Err(violation)) => violation.to_string(),
                Err(_) => format!("seed {seed}: an assertion of the house failed"),
            };
            found += 1;
            first.get_or_insert(what);
        }
        plant(None);
        (found, first)
    };
    let mut fine = true;
    for bug in Bug::ALL {
        let (found, first) = look(Some(*bug));
        fine &= found > 0;
        let name = format!("{bug:?}");
        println!("{name:<22} found in {found:>2} of {SEEDS} seeds  {}", first.unwrap_or_default());
    }
    let (wrong, first) = look(None);
    println!(
        "{:<22} found in {wrong:>2} of {SEEDS} seeds  {}",
        "(no bug)",
        first.unwrap_or_default()
    );
    if fine && wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
