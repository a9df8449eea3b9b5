//! Runs a pump on a relay by the level of a tank, and stops it with a button.
#![no_std]

use tidegate_sdk::{Event, Result, Trigger, config_num, gpio, handler, publish, state};

handler!(on_event, inbox = 256);

const RELAY: &str = "relay1";
/// A key that is there while the button keeps the pump stopped.
const STOPPED: &str = "stopped";

fn on_event(event: &Event<'_>) -> Result {
    if event.is(Trigger::Gpio) {
        return pressed(event.payload() == b"1");
    }
    let Ok(level) = event.num("level") else {
        return Ok(());
    };
    if level < config_num("stop_below")? {
        run(false)
    } else if level > config_num("start_above")? && state::get_i64(STOPPED)?.is_none() {
        run(true)
    } else {
        Ok(())
    }
}

/// Every second press lets the pump run again; letting go of the button changes nothing.
fn pressed(is_down: bool) -> Result {
    if !is_down {
        return Ok(());
    }
    if state::get_i64(STOPPED)?.is_some() {
        state::delete(STOPPED)?;
        return Ok(());
    }
    state::set_i64(STOPPED, 1)?;
    run(false)
}

/// Switches the pump and says so, unless it is so already.
fn run(on: bool) -> Result {
    if gpio::is_on(RELAY)? == on {
        return Ok(());
    }
    gpio::set(RELAY, on)?;
    publish("tank/pump", if on { "on" } else { "off" })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;

    use tidegate_sdk::Error;
    use tidegate_sdk::testing::{Harness, Outcome};

    use super::on_event;

    fn gateway() -> Harness {
        let harness = Harness::new(on_event).grant_output("relay1").grant("tank/pump");
        harness.config("start_above", "80").config("stop_below", "20")
    }

    fn level(gateway: &mut Harness, level: u32) -> Outcome {
        gateway.send("tank/level", format!(r#"{{"level":{level}}}"#))
    }

    #[test]
    fn the_pump_runs_between_two_levels() {
        let mut gateway = gateway();
        for (value, switched) in [
            (50, None),
            (80, None),
            (81, Some(true)),
            (90, None),
            (20, None),
            (19, Some(false)),
            (10, None),
            (81, Some(true)),
        ] {
            let outcome = level(&mut gateway, value);
            let pins: &[(&str, bool)] = match &switched {
                Some(on) => &[("relay1", *on)],
                None => &[],
            };
            assert_eq!(outcome.pins, pins, "{value}");
            assert_eq!(outcome.published.len(), pins.len(), "{value}");
        }
    }

    #[test]
    fn the_button_stops_it_and_lets_it_run() {
        let mut gateway = gateway();
        level(&mut gateway, 90);
        assert_eq!(gateway.pin("button1", true).pins, [("relay1", false)]);
        assert_eq!(gateway.pin("button1", false).pins, [("", false); 0]);
        assert_eq!(level(&mut gateway, 90).pins, [("", false); 0], "stopped");
        gateway.pin("button1", true);
        assert_eq!(level(&mut gateway, 90).pins, [("relay1", true)]);
    }

    #[test]
    fn a_relay_that_cannot_be_used_fails_the_event() {
        let mut gateway = gateway();
        gateway.set_pin("relay1", None);
        assert_eq!(level(&mut gateway, 90).result, Err(Error::Offline));
        assert_eq!(level(&mut gateway, 50).result, Ok(()));
    }
}
