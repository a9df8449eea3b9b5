//! The board's pins: read as the job found them, set with the event's other effects.

use tidegate_abi::{Errno, gpio_op};
use tidegate_core::pins::PinWrite;

use super::{Answer, Call};
use crate::costs::BYTE_FUEL;

/// `(op, name, len, val) -> i32`: 0, or a level.
pub(super) fn gpio(call: &mut Call<'_>) -> Answer {
    let (op, name, value) = (call.i32(0), call.range(1)?, call.i32(3));
    if call.guest.current.is_none() {
        return Err(Errno::Unsupported.into());
    }
    let on = match (op, value) {
        (gpio_op::READ, 0) => None,
        (gpio_op::WRITE, 0) => Some(false),
        (gpio_op::WRITE, 1) => Some(true),
        _ => return Err(Errno::Argument.into()),
    };
    let guest = &mut *call.guest;
    guest.meter.charge(name.len() as u64 * BYTE_FUEL)?;
    let name = std::str::from_utf8(&call.memory[name]).map_err(|_| Errno::Argument)?;
    if !guest.manifest.grants.may_use(name) {
        return Err(Errno::NotPermitted.into());
    }
    if guest.pins.is_empty() {
        return Err(Errno::Unsupported.into());
    }
    let (pin, facts) = guest.pins.find(name).ok_or(Errno::NotFound)?;
    if on.is_some() && !facts.is_output {
        return Err(Errno::Argument.into());
    }
    let level = guest.levels.get(pin).ok_or(Errno::Offline)?;
    let mut writes = guest.pin_writes.iter_mut();
    let own = writes.find(|write| write.pin == pin);
    match (on, own) {
        (None, own) => Ok(own.map_or(level, |own| own.on).into()),
        (Some(on), Some(own)) => {
            own.on = on;
            Ok(0)
        }
        (Some(on), None) => {
            guest.pin_writes.push(PinWrite { pin, on });
            Ok(0)
        }
    }
}
