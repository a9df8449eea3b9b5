//! The bank over a chip that tests turn and break, and the driver over a folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tidegate_config::{Direction, Pin};
use tidegate_core::pins::{PinId, PinWrite};
use tidegate_core::{Input, Timestamp};

use super::bank::{Bank, RETRY};
use super::{Line, PinDriver, keep_newest};
use crate::clock::Clock;

const BUTTON: PinId = PinId(0);
const RELAY: PinId = PinId(1);

fn pin(chip: &str, line: u32, direction: Direction) -> Pin {
    let (is_active_low, starts_on, bias, debounce_ms) = (false, false, None, 0);
    Pin { chip: chip.to_owned(), line, direction, is_active_low, starts_on, bias, debounce_ms }
}

fn pins(chip: &str) -> BTreeMap<String, Pin> {
    let relay = ("relay1".to_owned(), pin(chip, 0, Direction::Out));
    let button = ("button1".to_owned(), pin(chip, 3, Direction::In));
    BTreeMap::from([relay, button])
}

/// Levels by line; a line that is absent cannot be used.
type Chip = Arc<Mutex<BTreeMap<u32, bool>>>;

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("nobody panicked with it")
}

struct FakeLine {
    chip: Chip,
    line: u32,
}

impl Line for FakeLine {
    fn read(&mut self) -> Result<bool, String> {
        locked(&self.chip).get(&self.line).copied().ok_or_else(|| "broken".to_owned())
    }

    fn set(&mut self, on: bool) -> Result<(), String> {
        self.read()?;
        locked(&self.chip).insert(self.line, on);
        Ok(())
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

struct Bench {
    chip: Chip,
    bank: Bank,
    now: Timestamp,
    opened: Arc<Mutex<u32>>,
}

impl Bench {
    fn new(levels: &[(u32, bool)]) -> Bench {
        let chip: Chip = Arc::new(Mutex::new(levels.iter().copied().collect()));
        let opened = Arc::new(Mutex::new(0));
        let (lines, count) = (Arc::clone(&chip), Arc::clone(&opened));
        let open = move |pin: &Pin, on| {
            *locked(&count) += 1;
            let mut line = FakeLine { chip: Arc::clone(&lines), line: pin.line };
            match pin.direction {
                Direction::In => _ = line.read()?,
                Direction::Out => line.set(on)?,
            }
            Ok(Box::new(line) as Box<dyn Line>)
        };
        let bank = Bank::new(&pins("fake"), Box::new(open));
        Bench { chip, bank, now: Timestamp(0), opened }
    }

    /// What is seen after `ms` more.
    fn after(&mut self, ms: u64) -> Vec<(PinId, Option<bool>)> {
        self.now = self.now.after(Duration::from_millis(ms));
        self.bank.handle_timeout(self.now);
        self.bank.look(self.now);
        std::iter::from_fn(|| self.bank.poll_seen()).collect()
    }

    fn level(&self, line: u32) -> Option<bool> {
        locked(&self.chip).get(&line).copied()
    }

    fn turn(&self, line: u32, level: Option<bool>) {
        let mut chip = locked(&self.chip);
        match level {
            Some(level) => _ = chip.insert(line, level),
            None => _ = chip.remove(&line),
        }
    }
}

const RETRY_MS: u64 = RETRY.as_millis() as u64;

#[test]
fn what_changes_is_told_once() {
    let mut bench = Bench::new(&[(0, true), (3, true)]);
    assert_eq!(bench.after(0), [(BUTTON, Some(true)), (RELAY, Some(false))], "off from the start");
    assert_eq!(bench.after(1), []);
    bench.turn(3, Some(false));
    assert_eq!(bench.after(1), [(BUTTON, Some(false))]);
    bench.bank.set(bench.now, PinWrite { pin: RELAY, on: true });
    assert_eq!(bench.after(1), [], "the core knows what it wanted");
    assert_eq!(bench.level(0), Some(true));
    bench.bank.set(bench.now, PinWrite { pin: PinId(9), on: true });
    assert_eq!(bench.bank.poll_timeout(), None, "nothing is to be tried again");
}

#[test]
fn a_broken_line_is_tried_again_and_is_then_what_it_should_be() {
    let mut bench = Bench::new(&[(0, false), (3, false)]);
    bench.after(0);
    bench.turn(0, None);
    bench.bank.set(bench.now, PinWrite { pin: RELAY, on: true });
    assert_eq!(bench.after(1), [(RELAY, None)], "the other goes on");
    bench.bank.set(bench.now, PinWrite { pin: RELAY, on: false });
    bench.bank.set(bench.now, PinWrite { pin: RELAY, on: true });
    let before = *locked(&bench.opened);
    assert_eq!(bench.after(RETRY_MS - 2), []);
    assert_eq!(*locked(&bench.opened), before, "not before its time");
    assert_eq!(bench.bank.poll_timeout(), Some(Timestamp(RETRY_MS)));
    assert_eq!(bench.after(1), [], "still broken");
    bench.turn(0, Some(false));
    assert_eq!(bench.after(RETRY_MS), [(RELAY, Some(true))]);
    assert_eq!(bench.level(0), Some(true));
    bench.turn(3, None);
    assert_eq!(bench.after(1), [(BUTTON, None)]);
    bench.turn(3, Some(true));
    assert_eq!(bench.after(RETRY_MS), [(BUTTON, Some(true))]);
}

#[test]
fn a_board_whose_chip_is_not_there_has_no_pins_and_nothing_to_say() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.after(0), []);
    assert_eq!(bench.after(RETRY_MS), []);
    assert_eq!(*locked(&bench.opened), 4);
}

#[test]
fn a_thread_far_behind_keeps_the_newest_of_each_pin() {
    let write = |pin, on| PinWrite { pin: PinId(pin), on };
    let mut writes =
        [write(1, true), write(2, true), write(1, false), write(2, false), write(1, true)].into();
    keep_newest(&mut writes);
    assert_eq!(writes, [write(2, false), write(1, true)]);
}

/// The next thing that the driver says, but not after ten seconds.
async fn said(driver: &mut PinDriver) -> (PinId, Option<bool>) {
    let next = std::future::poll_fn(|context| driver.poll_said(context));
    let input = tokio::time::timeout(Duration::from_secs(10), next).await.expect("in time");
    match input {
        Some(Input::Pin { pin, level, at: _ }) => (pin, level),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_driver_over_a_folder() {
    let folder = std::env::temp_dir().join(format!("tidegate-pins-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("it works");
    fs::write(folder.join("3"), "0\n").expect("it works");
    let mut board = pins(folder.to_str().expect("it works"));
    board.get_mut("relay1").expect("it works").is_active_low = true;
    let mut driver = PinDriver::start(&board, Clock::start()).expect("there are pins");
    assert_eq!(said(&mut driver).await, (BUTTON, Some(false)));
    assert_eq!(said(&mut driver).await, (RELAY, Some(false)));
    assert_eq!(
        fs::read_to_string(folder.join("0")).expect("it works"),
        "1",
        "off is high: active low"
    );
    driver.send([PinWrite { pin: RELAY, on: true }].into_iter());
    fs::write(folder.join("3"), "1").expect("it works");
    assert_eq!(said(&mut driver).await, (BUTTON, Some(true)));
    assert_eq!(fs::read_to_string(folder.join("0")).expect("it works"), "0");
    fs::write(folder.join("3"), "high").expect("it works");
    assert_eq!(said(&mut driver).await, (BUTTON, None), "what is no level is a fault");
    fs::remove_dir_all(folder).expect("it works");
}

#[test]
fn a_file_that_is_being_written_keeps_its_level() {
    let folder = std::env::temp_dir().join(format!("tidegate-pins-empty-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("it works");
    let input = pin(folder.to_str().expect("it works"), 3, Direction::In);
    let hold = |text: &str| fs::write(folder.join("3"), text).expect("it works");
    hold("");
    assert!(super::folder::open(&input, false).is_err(), "which one it had, nobody knows");
    hold("1\n");
    let mut line = super::folder::open(&input, false).expect("it works");
    hold("");
    assert_eq!(line.read(), Ok(true), "`echo 0 >3` has opened it");
    hold("0\n");
    assert_eq!(line.read(), Ok(false));
    hold("");
    assert_eq!(line.read(), Ok(false));
    fs::remove_dir_all(&folder).expect("it works");
    assert!(line.read().is_err(), "gone is a fault");
}

#[test]
fn a_chip_of_the_kernel_that_is_not_there_is_said_so() {
    let error = super::kernel::open(&pin("no-such-label", 0, Direction::Out), false)
        .err()
        .expect("it works");
    assert!(error.contains("no-such-label") || error.contains("/dev/"), "{error}");
    let error =
        super::kernel::open(&pin("gpiochip4095", 0, Direction::In), false).err().expect("it works");
    assert!(!error.is_empty());
}
