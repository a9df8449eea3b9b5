//! Fuel of one event, spread over slices. What an event may use never depends on how it was sliced.

use crate::costs::{CALL_FUEL, COPY_BYTES_PER_FUEL};

/// Raised by a host call that the event's fuel does not pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfFuel;

impl std::fmt::Display for OutOfFuel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the event's fuel does not pay for this host call")
    }
}

impl std::error::Error for OutOfFuel {}
impl wasmi::errors::HostError for OutOfFuel {}

/// While guest code runs, part of the event's fuel lies in the store (the rest of the slice), the
/// rest is the reserve. A host call that costs more than the store holds is never cut in half: it
/// takes from the reserve, as debt, and the slice ends at the guest's next instruction.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    in_store: u64,
    reserve: u64,
    debt: u64,
}

impl Meter {
    /// Splits the event's remaining fuel for one stretch of guest code.
    pub fn grant(&mut self, in_store: u64, reserve: u64) {
        *self = Meter { in_store, reserve, debt: 0 };
    }

    /// Takes over what the store holds, at the start of a host call.
    pub fn enter(&mut self, in_store: u64) {
        self.in_store = in_store;
    }

    /// What the store holds after the host call.
    pub fn leave(&self) -> u64 {
        self.in_store
    }

    /// What host calls took from the reserve during this stretch.
    pub fn debt(&self) -> u64 {
        self.debt
    }

    pub fn charge(&mut self, fuel: u64) -> Result<(), OutOfFuel> {
        if fuel <= self.in_store {
            self.in_store -= fuel;
            return Ok(());
        }
        let more = fuel - self.in_store;
        if more > self.reserve - self.debt {
            return Err(OutOfFuel);
        }
        self.in_store = 0;
        self.debt += more;
        Ok(())
    }

    pub fn charge_call(&mut self) -> Result<(), OutOfFuel> {
        self.charge(CALL_FUEL)
    }

    pub fn charge_copy(&mut self, bytes: usize) -> Result<(), OutOfFuel> {
        self.charge(copy_fuel(bytes))
    }
}

/// What copying `bytes` costs.
pub(crate) fn copy_fuel(bytes: usize) -> u64 {
    bytes as u64 / COPY_BYTES_PER_FUEL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_beyond_the_event_is_refused_and_takes_nothing() {
        let mut meter = Meter::default();
        meter.grant(10, 5);
        assert_eq!(meter.charge(16), Err(OutOfFuel));
        assert_eq!((meter.leave(), meter.debt()), (10, 0));
        assert_eq!(meter.charge(15), Ok(()));
        assert_eq!((meter.leave(), meter.debt()), (0, 5));
        assert_eq!(meter.charge(1), Err(OutOfFuel));
        assert_eq!(meter.charge(0), Ok(()));
    }

    #[test]
    fn what_the_guest_used_between_two_calls_is_gone() {
        let mut meter = Meter::default();
        meter.grant(10, 0);
        meter.enter(3);
        assert_eq!(meter.charge(4), Err(OutOfFuel));
        assert_eq!(meter.charge(3), Ok(()));
        assert_eq!(meter.leave(), 0);
    }
}
