//! Forwards a reading only when it has moved by more than the deadband, or after a while anyway.
#![no_std]

use tidegate_sdk::{Event, Result, config_num, fixed, handler, json, publish, state, text};

handler!(on_event, inbox = 512);

fn on_event(event: &Event<'_>) -> Result {
    let Ok(value) = event.num("value") else {
        return Ok(());
    };
    let device = event.level(1)?;
    if let Some(last) = state::get_f64(device)?
        && (value - last).abs() <= config_num("deadband")?
    {
        return Ok(());
    }
    // Forgotten after `heartbeat_s`, so that a reading that stands still is heard of now and then.
    let heartbeat_s = config_num("heartbeat_s")? as u32;
    state::set_for(device, value.to_le_bytes(), heartbeat_s)?;
    let reading = json!(64; "value": fixed(value, 2), "ts_us": event.ts_us())?;
    publish(text!(300; "readings/", device)?, reading)
}

#[cfg(test)]
mod tests {
    use tidegate_sdk::testing::Harness;
    use tidegate_sdk::{Error, Result};

    use super::on_event;

    fn gateway() -> Harness {
        let harness = Harness::new(on_event).grant("readings/+");
        harness.config("deadband", "0.5").config("heartbeat_s", "60")
    }

    /// Sends a value; whether it was forwarded.
    fn forwards(gateway: &mut Harness, value: &str) -> Result<bool> {
        let outcome = gateway.send("sensors/a/value", value);
        outcome.result.map(|()| !outcome.published.is_empty())
    }

    #[test]
    fn a_bad_config_fails_the_event() {
        let mut gateway = gateway().config("deadband", "half");
        assert_eq!(forwards(&mut gateway, r#"{"value":1}"#), Ok(true));
        assert_eq!(forwards(&mut gateway, r#"{"value":2}"#), Err(Error::Argument));
        let mut gateway = Harness::new(on_event).grant("readings/+");
        assert_eq!(forwards(&mut gateway, r#"{"value":1}"#), Err(Error::NotFound));
        assert!(gateway.keys().is_empty());
    }

    #[test]
    fn small_moves_are_kept_back_until_they_add_up() {
        let mut gateway = gateway();
        for (payload, expect) in [
            ("no json", false),
            (r#"{"value":20.0}"#, true),
            (r#"{"value":20.5}"#, false),
            (r#"{"value":19.6}"#, false),
            (r#"{"value":20.6}"#, true),
            (r#"{"value":20.2}"#, false),
        ] {
            assert_eq!(forwards(&mut gateway, payload), Ok(expect), "{payload}");
        }
        assert_eq!(gateway.state_f64("a"), Some(20.6));
    }

    #[test]
    fn a_reading_that_stands_still_is_repeated_after_the_heartbeat() {
        let mut gateway = gateway();
        let still = r#"{"value":7.125}"#;
        assert_eq!(forwards(&mut gateway, still), Ok(true));
        gateway.advance_ms(59_999);
        assert_eq!(forwards(&mut gateway, still), Ok(false));
        gateway.advance_ms(1);
        let outcome = gateway.send("sensors/a/value", still);
        let expect = r#"{"value":7.13,"ts_us":1767225660000000}"#;
        assert_eq!(outcome.published, [("readings/a", expect)]);
    }
}
