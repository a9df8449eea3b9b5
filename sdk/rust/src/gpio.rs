//! The board's pins, under the names that its file gives them.

use tidegate_abi::gpio_op;

use crate::error::{done, length};
use crate::{Result, host};

/// Whether a pin is on: as it was when the job began, or as this event has set it.
///
/// # Errors
/// [`Error::NotPermitted`](crate::Error::NotPermitted) when `[grants] gpio` does not name the pin, [`Error::NotFound`](crate::Error::NotFound) when the board has none of
/// that name, [`Error::Unsupported`](crate::Error::Unsupported) when it has no pins at all, [`Error::Offline`](crate::Error::Offline) while the pin cannot be used.
#[inline]
pub fn is_on(pin: impl AsRef<[u8]>) -> Result<bool> {
    length(host::gpio(gpio_op::READ, pin.as_ref(), 0)).map(|level| level != 0)
}

/// Switches an output on or off when the event ends well; the last word of an event on a pin counts.
///
/// ```
/// # use tidegate_sdk::{Event, Result, gpio, testing::Harness};
/// fn on_event(event: &Event) -> Result {
///     gpio::set("relay1", !gpio::is_on("relay1")?)
/// }
/// # let mut gateway = Harness::new(on_event).grant_output("relay1");
/// assert_eq!(gateway.send("toggle", "").pins, [("relay1", true)]);
/// assert_eq!(gateway.send("toggle", "").pins, [("relay1", false)]);
/// ```
///
/// # Errors
/// As [`is_on`], and [`Error::Argument`](crate::Error::Argument) when the pin is an input.
#[inline]
pub fn set(pin: impl AsRef<[u8]>, on: bool) -> Result {
    done(host::gpio(gpio_op::WRITE, pin.as_ref(), i32::from(on)))
}
