//! Lines of the kernel's GPIO chips, through its character devices (`/dev/gpiochipN`, uAPI version 2).

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::line::{Bias as LineBias, EdgeDetection, Value};
use gpiocdev::{Chip, Error, Request};
use tidegate_config::{Bias, Direction, Pin};

use super::Line;

/// Under which name others find us (`gpioinfo`).
const CONSUMER: &str = "tidegate";
/// Changes that one look passes over before it reads the level: as many as the kernel keeps for a line.
const EDGES_MAX: usize = 16;

struct KernelLine {
    request: Request,
    /// Whether the kernel tells of changes.
    has_edges: bool,
}

pub(super) fn open(pin: &Pin, on: bool) -> Result<Box<dyn Line>, String> {
    let chip = chip(&pin.chip)?;
    let (request, has_edges) = match pin.direction {
        Direction::Out => (request(&chip, pin, on, false), false),
        // A chip without an interrupt, such as many an expander, tells of no changes: it is asked.
        Direction::In => match request(&chip, pin, on, true) {
            Ok(request) => (Ok(request), true),
            Err(_) => (request(&chip, pin, on, false), false),
        },
    };
    let request = request.map_err(|error| said(&error))?;
    Ok(Box::new(KernelLine { request, has_edges }))
}

fn request(chip: &Path, pin: &Pin, on: bool, has_edges: bool) -> gpiocdev::Result<Request> {
    let mut builder = Request::builder();
    builder.on_chip(chip).with_consumer(CONSUMER).with_line(pin.line);
    match pin.direction {
        Direction::Out => builder.as_output(value(on)),
        Direction::In => builder.as_input().with_bias(pin.bias.map(bias)),
    };
    if pin.is_active_low {
        builder.as_active_low();
    }
    if has_edges {
        builder.with_edge_detection(EdgeDetection::BothEdges);
    }
    if has_edges && pin.debounce_ms > 0 {
        builder.with_debounce_period(Duration::from_millis(pin.debounce_ms));
    }
    builder.request()
}

impl Line for KernelLine {
    fn read(&mut self) -> Result<bool, String> {
        // The level is what counts; what it was in between is passed over, so that its file is quiet again.
        for _ in 0..EDGES_MAX {
            if !self.has_edges || !self.request.has_edge_event().map_err(|error| said(&error))? {
                break;
            }
            self.request.read_edge_event().map_err(|error| said(&error))?;
        }
        let level = self.request.lone_value().map_err(|error| said(&error))?;
        Ok(level == Value::Active)
    }

    fn set(&mut self, on: bool) -> Result<(), String> {
        self.request.set_lone_value(value(on)).map_err(|error| said(&error))
    }

    fn file(&self) -> Option<BorrowedFd<'_>> {
        self.has_edges.then(|| self.request.as_fd())
    }
}

/// The device of a chip: by its name, or by the label that its driver gave it.
fn chip(name: &str) -> Result<PathBuf, String> {
    let number = name.strip_prefix("gpiochip");
    if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
        return Ok(format!("/dev/{name}").into());
    }
    let mut closed = None;
    for path in gpiocdev::chip::chips().map_err(|error| said(&error))? {
        match Chip::from_path(&path).and_then(|chip| chip.info()) {
            Ok(info) if info.label == name => return Ok(path),
            Ok(_) => {}
            Err(error) => closed = Some(format!("{}: {}", path.display(), said(&error))),
        }
    }
    Err(match closed {
        Some(closed) => closed,
        None => format!("there is no GPIO chip {name:?}; `gpiodetect` lists those that there are"),
    })
}

fn value(on: bool) -> Value {
    if on { Value::Active } else { Value::Inactive }
}

fn bias(bias: Bias) -> LineBias {
    match bias {
        Bias::None => LineBias::Disabled,
        Bias::PullUp => LineBias::PullUp,
        Bias::PullDown => LineBias::PullDown,
    }
}

/// An error with what to do about it, where that is known.
fn said(error: &Error) -> String {
    let text = error.to_string();
    let is =
        |errno: rustix::io::Errno| text.contains(&format!("os error {}", errno.raw_os_error()));
    let next = if is(rustix::io::Errno::BUSY) || text.contains("busy") {
        " (somebody else has the line; `gpioinfo` shows who)"
    } else if is(rustix::io::Errno::ACCESS) || text.contains("ermission denied") {
        " (the daemon's user may not open it; let it belong to the group of /dev/gpiochip*)"
    } else if is(rustix::io::Errno::INVAL) {
        " (the chip has no such line, or cannot do what [pins] of the board's file asks of it)"
    } else {
        ""
    };
    format!("{text}{next}")
}
