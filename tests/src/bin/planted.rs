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
    planted::main()
}

#[cfg(planted)]
mod planted {
    use std::process::ExitCode;

    use tidegate_tests::simulation::{Folders, every_cut, run, run_pushing};

    const SEEDS: u64 = 30;
    /// Bugs of the store and the journal show in fewer seeds: they need a cut at the right place. Those of the releases may
    /// need two orders at the right time.
    const SEEDS_BELOW: u64 = 120;
    const STEPS: u64 = 3_000;

    use tidegate_core::planted as core;
    use tidegate_journal::planted as journal;
    use tidegate_store::planted as store;

    /// Too rare here: the crates' own properties plant each of theirs and must find it (`each_planted_bug_is_found`).
    const ELSEWHERE: &[&str] = &[
        "Store(AppliedTooHigh)",
        "Store(CarriedStateTwice)",
        "Store(EvictsUnderWay)",
        "Store(ForgetsTooEarly)",
        "Store(LosesLosses)",
        "Store(StateAhead)",
        "Store(TrustsProgress)",
        "Journal(BelieveSecondSync)",
        "Journal(CrcWithoutGeneration)",
        "Journal(CutValidTail)",
        "Journal(ForgetBeforeDurable)",
        "Journal(KeepTornTail)",
        "Journal(TrustPageCache)",
    ];

    /// Where a bug lies.
    #[derive(Clone, Copy, Debug)]
    enum Bug {
        Core(core::Bug),
        Store(store::Bug),
        Journal(journal::Bug),
    }

    fn all() -> impl Iterator<Item = Bug> {
        let of_core = core::Bug::ALL.iter().map(|bug| Bug::Core(*bug));
        let of_store = store::Bug::ALL.iter().map(|bug| Bug::Store(*bug));
        let of_journal = journal::Bug::ALL.iter().map(|bug| Bug::Journal(*bug));
        of_core.chain(of_store).chain(of_journal)
    }

    fn plant(bug: Option<Bug>) {
        core::plant(None);
        store::plant(None);
        journal::plant(None);
        match bug {
            None => {}
            Some(Bug::Core(bug)) => core::plant(Some(bug)),
            Some(Bug::Store(bug)) => store::plant(Some(bug)),
            Some(Bug::Journal(bug)) => journal::plant(Some(bug)),
        }
    }

    /// In how many seeds a bug is found, and how it shows first. It stops when it has been found often enough.
    fn look(folders: &Folders, bug: Option<Bug>, is_pushed: bool) -> (u64, u64, String) {
        plant(bug);
        let run = if is_pushed { run_pushing } else { run };
        let most = match bug {
            Some(Bug::Core(_)) if is_of_releases(bug) => SEEDS_BELOW,
            Some(Bug::Core(_)) | None => SEEDS,
            Some(Bug::Store(_) | Bug::Journal(_)) => SEEDS_BELOW,
        };
        let (mut found, mut seeds, mut first) = (0, 0, None);
        while seeds < most && (seeds < SEEDS || found == 0) {
            let what = match std::panic::catch_unwind(|| run(folders, seeds, STEPS)) {
                Ok(Ok(_)) => None,
                Ok(Err(violation)) => Some(violation.to_string()),
                Err(_) => Some(format!("seed {seeds}: an assertion of the house failed")),
            };
            seeds += 1;
            found += u64::from(what.is_some());
            first = first.or(what);
        }
        plant(None);
        (found, seeds, first.unwrap_or_default())
    }

    fn is_of_releases(bug: Option<Bug>) -> bool {
        matches!(bug, Some(Bug::Core(bug)) if core::Bug::OF_RELEASES.contains(&bug))
    }

    /// Whether a cut at one operation of the scripted pushes shows it.
    fn is_found_by_script(folders: &Folders, bug: Bug) -> bool {
        plant(Some(bug));
        let found = std::panic::catch_unwind(|| every_cut(folders).is_err()).unwrap_or(true);
        plant(None);
        found
    }

    pub fn main() -> ExitCode {
        // A planted bug may well end in a panic of ours; that is found, too, and need not fill the screen.
        std::panic::set_hook(Box::new(|_| {}));
        let folders = Folders::write();
        let mut fine = true;
        let only = std::env::args().nth(1).unwrap_or_default();
        for bug in all().filter(|bug| format!("{bug:?}").contains(&only)) {
            let (found, seeds, first) = look(&folders, Some(bug), is_of_releases(Some(bug)));
            let name = format!("{bug:?}");
            let is_elsewhere = ELSEWHERE.contains(&name.as_str());
            let is_scripted = is_of_releases(Some(bug)) && is_found_by_script(&folders, bug);
            fine &= found > 0 || is_elsewhere || is_scripted;
            let by_script = if is_scripted { "; the script finds it" } else { "" };
            let first: String = first.chars().take(160).collect();
            let note =
                if found == 0 && is_elsewhere { "its crate's properties find it" } else { &first };
            println!("{name:<30} found in {found:>2} of {seeds:>3} seeds{by_script}  {note}");
        }
        for (name, is_pushed) in [("(no bug)", false), ("(no bug, with pushes)", true)] {
            let (wrong, seeds, first) = look(&folders, None, is_pushed);
            println!("{name:<30} found in {wrong:>2} of {seeds:>3} seeds  {first}");
            fine &= wrong == 0;
        }
        if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
