//! Pushes by the book: the same story again and again, and the power goes at each of its operations in turn.

use tidegate_journal::Faults;

use super::check::Violation;
use super::handlers::Folders;
use super::pushes::Pushes;
use super::releases::Kind;
use super::watch::TRIES_MAX;
use super::weather::Climate;
use super::world::{DEVICES, WATCHER, World};

/// What is pushed, one after the other.
const STORY: [Kind; 10] = [
    Kind::Good,
    Kind::Traps,
    Kind::Good,
    Kind::Leaks,
    Kind::Slow,
    Kind::Lies,
    Kind::Removal,
    Kind::Good,
    Kind::Takes,
    Kind::Broken,
];
/// Turns that each of them gets; in the middle it is sent again.
const TURNS: usize = 90;
/// One message in so many turns.
const MESSAGE_TURNS: usize = 4;
/// Lives that end right after the first reaction of what was pushed.
const SHORT_LIVES: usize = 6;
const SEED: u64 = 1;

/// At which operation the power goes, and of which disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Journal(u64),
    Folders(u64),
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scripted {
    pub journal_cuts: u64,
    pub folder_cuts: u64,
}

/// Tells the story with a cut at every operation of the journal's disk and of the folders'.
///
/// # Errors
/// The first promise that did not hold; its step is the operation.
pub fn every_cut(folders: &Folders) -> Result<Scripted, Violation> {
    let told = |at, cut: Option<Cut>| {
        move |what| Violation { seed: SEED, step: at, what: format!("{cut:?}: {what}") }
    };
    short_lives(folders).map_err(told(0, None))?;
    let (from, to) = tell(folders, None).map_err(told(0, None))?;
    for at in from.0 + 1..=to.0 {
        let cut = Some(Cut::Journal(at));
        tell(folders, cut).map_err(told(at, cut))?;
    }
    for at in from.1 + 1..=to.1 {
        let cut = Some(Cut::Folders(at));
        tell(folders, cut).map_err(told(at, cut))?;
    }
    Ok(Scripted { journal_cuts: to.0 - from.0, folder_cuts: to.1 - from.1 })
}

/// A release that is bad, and a power cut at its first reaction in each life: after so many tries it is not tried any
/// more.
///
/// # Errors
/// The first promise that did not hold.
pub fn short_lives(folders: &Folders) -> Result<(), String> {
    let mut world = begin(folders)?;
    push(&mut world, Kind::Good);
    go_on(&mut world)?;
    push(&mut world, Kind::Leaks);
    for _ in 0..SHORT_LIVES {
        let before = tries(&world);
        for turn in 0..4 * TURNS {
            if turn % TURNS == TURNS / 2 {
                again(&mut world);
            }
            step(&mut world, turn)?;
            if tries(&world) > before {
                break;
            }
        }
        world.lose_power()?;
    }
    match tries(&world) {
        TRIES_MAX => world.drain(),
        tried => {
            Err(format!("what is bad was tried {tried} times, {TRIES_MAX} would have been right"))
        }
    }
}

/// Lives in which the newest release has reacted.
fn tries(world: &World<'_>) -> usize {
    let newest = world.pushes.as_ref().and_then(|pushes| Some((pushes, pushes.newest()?.seq)));
    newest.map_or(0, |(pushes, seq)| pushes.watch.lives_of(seq))
}

/// The operations of both disks at the beginning and the end.
type Span = ((u64, u64), (u64, u64));

fn tell(folders: &Folders, cut: Option<Cut>) -> Result<Span, String> {
    let mut world = begin(folders)?;
    let from = operations(&world);
    match cut {
        None => {}
        Some(Cut::Journal(at)) => world.disks.journal.lend().faults.cut_at = Some(at),
        Some(Cut::Folders(at)) => {
            world.disks.drive.set_faults(Faults { cut_at: Some(at), ..Faults::default() });
        }
    }
    for kind in STORY {
        push(&mut world, kind);
        go_on(&mut world)?;
    }
    let to = operations(&world);
    world.drain()?;
    Ok((from, to))
}

fn begin(folders: &Folders) -> Result<World<'_>, String> {
    let mut world = World::new(folders, SEED, Some(Pushes::new(SEED)))?;
    world.climate = Climate::calm();
    world.connect(WATCHER);
    Ok(world)
}

fn operations(world: &World<'_>) -> (u64, u64) {
    (world.disks.journal.lend().operations(), world.disks.drive.operations())
}

fn reactions(world: &World<'_>) -> u64 {
    world.pushes.as_ref().map_or(0, |pushes| pushes.watch.reactions)
}

fn push(world: &mut World<'_>, kind: Kind) {
    if let Some(mut pushes) = world.pushes.take() {
        pushes.post.withholds_one_in = 0;
        let release = pushes.order(world, kind);
        pushes.send(&release);
        world.pushes = Some(pushes);
    }
}

fn again(world: &mut World<'_>) {
    if let Some(pushes) = &mut world.pushes {
        pushes.send_again();
    }
}

fn go_on(world: &mut World<'_>) -> Result<(), String> {
    for turn in 0..TURNS {
        if turn == TURNS / 2 {
            again(world);
        }
        step(world, turn)?;
    }
    Ok(())
}

/// What comes out is heard before the store gets to work.
fn step(world: &mut World<'_>, turn: usize) -> Result<(), String> {
    for number in 1..DEVICES {
        if world.devices[number].conn.is_none() {
            world.connect(number);
        }
    }
    if turn.is_multiple_of(MESSAGE_TURNS) {
        world.devices[1 + turn / MESSAGE_TURNS % (DEVICES - 1)].publish(b's', 1);
    }
    let before = reactions(world);
    (0..DEVICES).for_each(|number| world.give(number, usize::MAX));
    world.turn()?;
    world.go_on();
    world.listen()?;
    if reactions(world) > before {
        return Ok(());
    }
    world.store()?;
    world.push_quietly(0)?;
    for _ in 0..3 {
        world.go_up_quietly()?;
    }
    world.wait(1_000);
    world.check()
}
