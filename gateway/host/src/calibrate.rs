//! How much fuel a millisecond is on this machine.

use wasmi::{Config, Engine, Module, Store, TrapCode};

/// A loop of four arithmetic instructions, a load and a store: `(module (memory 1) (func (export "f") ...))`.
const LOOP: &[u8] = &[
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // magic, version
    1, 4, 1, 0x60, 0, 0, // type () -> ()
    3, 2, 1, 0, // one function
    5, 3, 1, 0, 1, // one page of memory
    7, 5, 1, 1, 0x66, 0, 0, // export "f"
    10, 25, 1, 23, 0, // code, no locals
    0x03, 0x40, // loop
    0x41, 0, // i32.const 0
    0x41, 0, 0x28, 2, 0, // i32.load at 0
    0x41, 3, 0x6c, // i32.mul by 3
    0x41, 1, 0x6a, // i32.add 1
    0x36, 2, 0, // i32.store
    0x0c, 0, 0x0b, 0x0b, // br 0, end, end
];

/// Long enough that the clock's steps do not count.
const MEASURE_US: u64 = 200;
/// The best of these counts: the others may have been interrupted, once by a tenth of a second.
const TRIES: usize = 3;
/// Fuel of the first try; doubles until it takes [`MEASURE_US`].
const FUEL_MIN: u64 = 20_000;
/// More than any machine burns in [`MEASURE_US`]: where it ends with a clock that stands still.
const FUEL_MAX: u64 = 1 << 24;

/// Fuel that one millisecond buys on this machine, measured in 1 to 2 ms with a clock of microseconds.
pub fn calibrate(mut clock_us: impl FnMut() -> u64) -> u64 {
    let mut config = Config::default();
    config.consume_fuel(true);
    let engine = Engine::new(&config);
    let module = Module::new(&engine, LOOP).expect("a module of our own");
    let mut store = Store::new(&engine, ());
    let instance = wasmi::Instance::new(&mut store, &module, &[]).expect("it has no imports");
    let run = instance.get_func(&store, "f").expect("it exports f");
    let mut fuel = FUEL_MIN;
    loop {
        let mut took_us = u64::MAX;
        for _ in 0..TRIES {
            store.set_fuel(fuel).expect("this engine counts fuel");
            let start = clock_us();
            let ended = run.call(&mut store, &[], &mut []);
            took_us = took_us.min(clock_us().saturating_sub(start));
            let trap = ended.err().and_then(|error| error.as_trap_code());
            debug_assert_eq!(trap, Some(TrapCode::OutOfFuel));
        }
        if took_us >= MEASURE_US || fuel >= FUEL_MAX {
            return (fuel.saturating_mul(1000) / took_us.max(1)).max(1);
        }
        fuel *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ends_it_and_one_that_stands_still_too() {
        let mut at = 0;
        let fuel = calibrate(|| {
            at += 1000;
            at
        });
        assert_eq!(fuel, FUEL_MIN);
        assert!(calibrate(|| 7) >= FUEL_MAX);
    }

    #[test]
    fn an_interruption_does_not_count() {
        // The second try takes 250 us, the others were put to sleep.
        let mut readings = [0, 111_000, 111_000, 111_250, 200_000, 300_000].into_iter();
        assert_eq!(calibrate(|| readings.next().expect("three tries")), FUEL_MIN * 4);
    }
}
