//! Switches a device's fan on while its temperature, smoothed, is above 60.
#![no_std]

use tidegate_sdk::{Event, Result, fixed, handler, json, publish, state, text};

handler!(on_event, inbox = 1024);

/// Above this the fan has to run.
const LIMIT: f64 = 60.0;
/// Weight of a new value.
const ALPHA: f64 = 0.2;

fn on_event(event: &Event<'_>) -> Result {
    // A device that sends no temperature must not stop the handler for the others.
    let Ok(temp) = event.num("temp") else {
        return Ok(());
    };
    let device = event.level(1)?;
    let ewma = state::get_f64(device)?.map_or(temp, |ewma| ewma + ALPHA * (temp - ewma));
    state::set_f64(device, ewma)?;
    if ewma <= LIMIT {
        return Ok(());
    }
    let seq = event.int("seq").ok();
    let answer = json!(64; "fan": "on", "ewma": fixed(ewma, 1), "seq": seq)?;
    publish(text!(300; "devices/", device, "/cmd")?, answer)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;

    use tidegate_sdk::testing::Harness;

    use super::on_event;

    fn gateway() -> Harness {
        Harness::new(on_event).grant("devices/+/cmd")
    }

    #[test]
    fn what_is_no_reading_changes_nothing() {
        let mut gateway = gateway();
        for payload in ["", "not json", "{}", r#"{"temp":"hot"}"#, r#"{"temp":null}"#] {
            let outcome = gateway.send("devices/7/telemetry", payload);
            assert_eq!(outcome.result, Ok(()), "{payload}");
            assert!(outcome.published.is_empty() && gateway.keys().is_empty(), "{payload}");
        }
    }

    #[test]
    fn sixty_is_not_above_sixty() {
        let mut gateway = gateway();
        assert!(gateway.send("devices/7/telemetry", r#"{"temp":60,"seq":1}"#).published.is_empty());
        let outcome = gateway.send("devices/7/telemetry", r#"{"temp":60.5,"seq":2}"#);
        assert_eq!(outcome.published, [("devices/7/cmd", r#"{"fan":"on","ewma":60.1,"seq":2}"#)]);
    }

    #[test]
    fn the_first_value_starts_the_average_and_devices_do_not_mix() {
        let mut gateway = gateway();
        gateway.send("devices/a/telemetry", r#"{"temp":20,"seq":1}"#);
        let outcome = gateway.send("devices/b/telemetry", r#"{"temp":71.3,"seq":17}"#);
        assert_eq!(outcome.published, [("devices/b/cmd", r#"{"fan":"on","ewma":71.3,"seq":17}"#)]);
        assert_eq!(gateway.state_f64("a"), Some(20.0));
        assert_eq!(gateway.state_f64("b"), Some(71.3));
    }

    #[test]
    fn the_average_follows_unrounded() {
        let mut gateway = gateway();
        let mut ewma = 55.0;
        gateway.send("devices/7/telemetry", r#"{"temp":55.0}"#);
        for seq in 0..50 {
            let temp = 55.0 + f64::from(seq) * 0.37;
            ewma += 0.2 * (temp - ewma);
            let payload = format!(r#"{{"temp":{temp:?},"seq":{seq}}}"#);
            let outcome = gateway.send("devices/7/telemetry", payload);
            assert_eq!(gateway.state_f64("7"), Some(ewma));
            assert_eq!(outcome.published.len(), usize::from(ewma > 60.0), "ewma {ewma}");
        }
    }

    #[test]
    fn a_reaction_does_not_wait_for_a_sequence_number() {
        let outcome = gateway().send("devices/7/telemetry", r#"{"temp":99}"#);
        assert_eq!(
            outcome.published,
            [("devices/7/cmd", r#"{"fan":"on","ewma":99.0,"seq":null}"#)]
        );
    }
}
