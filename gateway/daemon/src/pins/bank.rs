//! The board's pins and the lines behind them: opens those that can be, tries the others again, and tells what has
//! changed. Time is an argument.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use tidegate_config::{Direction, Pin};
use tidegate_core::Timestamp;
use tidegate_core::pins::{PinId, PinWrite};
use tracing::{info, warn};

use super::{Line, Open};

/// Until a line that cannot be used is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(5);

/// All pins, in the order of their names, which is that of their numbers.
pub(super) struct Bank {
    slots: Vec<Slot>,
    open: Open,
    seen: VecDeque<(PinId, Option<bool>)>,
}

struct Slot {
    name: String,
    pin: Pin,
    line: Option<Box<dyn Line>>,
    /// What an output is to be.
    wanted: bool,
    /// What was said last.
    told: Option<bool>,
    retry_at: Timestamp,
    /// The trouble that was logged; each is logged once.
    trouble: Option<String>,
}

impl Bank {
    pub fn new(pins: &BTreeMap<String, Pin>, open: Open) -> Bank {
        let slot = |(name, pin): (&String, &Pin)| Slot {
            name: name.clone(),
            pin: pin.clone(),
            line: None,
            wanted: pin.starts_on,
            told: None,
            retry_at: Timestamp(0),
            trouble: None,
        };
        Bank { slots: pins.iter().map(slot).collect(), open, seen: VecDeque::new() }
    }

    /// Opens the lines whose time has come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            if slot.line.is_some() || now < slot.retry_at {
                continue;
            }
            let opened = (self.open)(&slot.pin, slot.wanted)
                .and_then(|mut line| line.read().map(|level| (line, level)));
            match opened {
                Ok((line, level)) => {
                    slot.line = Some(line);
                    if slot.trouble.take().is_some() {
                        info!(pin = slot.name, "a pin can be used again");
                    }
                    self.tell(at, Some(level));
                }
                Err(trouble) => self.lose(now, at, trouble),
            }
        }
    }

    /// A handler wants a pin to be on or off. One that cannot be used will be so once it can.
    pub fn set(&mut self, now: Timestamp, write: PinWrite) {
        let at = usize::from(write.pin.0);
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        slot.wanted = write.on;
        let Some(line) = &mut slot.line else {
            return;
        };
        match line.set(write.on) {
            Ok(()) => slot.told = Some(write.on),
            Err(trouble) => self.lose(now, at, trouble),
        }
    }

    /// Reads every input.
    pub fn look(&mut self, now: Timestamp) {
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            let (Some(line), Direction::In) = (&mut slot.line, slot.pin.direction) else {
                continue;
            };
            match line.read() {
                Ok(level) => self.tell(at, Some(level)),
                Err(trouble) => self.lose(now, at, trouble),
            }
        }
    }

    /// The next pin that is not as it was: on, off, or not to be used.
    pub fn poll_seen(&mut self) -> Option<(PinId, Option<bool>)> {
        self.seen.pop_front()
    }

    /// When the next line is to be tried.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.slots.iter().filter(|slot| slot.line.is_none()).map(|slot| slot.retry_at).min()
    }

    /// Files that tell of changes.
    pub fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.inputs().filter_map(|line| line.file())
    }

    /// Whether an input has nothing that tells of changes.
    pub fn has_quiet(&self) -> bool {
        self.inputs().any(|line| line.file().is_none())
    }

    fn inputs(&self) -> impl Iterator<Item = &dyn Line> {
        let inputs = self.slots.iter().filter(|slot| slot.pin.direction == Direction::In);
        inputs.filter_map(|slot| slot.line.as_deref().map(|line| line as &dyn Line))
    }

    fn tell(&mut self, at: usize, level: Option<bool>) {
        if self.slots[at].told != level {
            self.slots[at].told = level;
            self.seen.push_back((PinId(at as u8), level));
        }
    }

    fn lose(&mut self, now: Timestamp, at: usize, trouble: String) {
        let slot = &mut self.slots[at];
        slot.line = None;
        slot.retry_at = now.after(RETRY);
        if slot.trouble.as_ref() != Some(&trouble) {
            warn!(
                pin = slot.name,
                chip = slot.pin.chip,
                line = slot.pin.line,
                "a pin cannot be used: {trouble}; it is tried again every {} s",
                RETRY.as_secs()
            );
            slot.trouble = Some(trouble);
        }
        self.tell(at, None);
    }
}
