//! Lines that are files, for laptops and tests: line 3 of the chip `/run/pins` is `/run/pins/3`, which holds `0` or `1`.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use tidegate_config::{Direction, Pin};

use super::Line;

struct FileLine {
    path: PathBuf,
    is_active_low: bool,
    last: Option<bool>,
}

pub(super) fn open(pin: &Pin, on: bool) -> Result<Box<dyn Line>, String> {
    let path = Path::new(&pin.chip).join(pin.line.to_string());
    let mut line = FileLine { path, is_active_low: pin.is_active_low, last: None };
    match pin.direction {
        Direction::Out => line.set(on)?,
        Direction::In => _ = line.read()?,
    }
    Ok(Box::new(line))
}

impl Line for FileLine {
    fn read(&mut self) -> Result<bool, String> {
        let text = fs::read_to_string(&self.path)
            .map_err(|error| format!("{} cannot be read: {error}", self.path.display()))?;
        let on = match (text.trim_end(), self.last) {
            ("0", _) => self.is_active_low,
            ("1", _) => !self.is_active_low,
            // `echo 1 >3` empties the file before it writes.
            ("", Some(last)) => last,
            (other, _) => {
                let other: String = other.chars().take(16).collect();
                return Err(format!("{} holds {other:?}; write 0 or 1", self.path.display()));
            }
        };
        self.last = Some(on);
        Ok(on)
    }

    fn set(&mut self, on: bool) -> Result<(), String> {
        let level = if on != self.is_active_low { "1" } else { "0" };
        // Whoever looks sees the old level or the new one.
        let next = self.path.with_extension("next");
        fs::write(&next, level)
            .and_then(|()| fs::rename(&next, &self.path))
            .map_err(|error| format!("{} cannot be written: {error}", self.path.display()))
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
