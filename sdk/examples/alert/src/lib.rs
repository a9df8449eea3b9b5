//! Sends an alert upstream once when a device's value crosses a limit, and again only after it has recovered.
#![no_std]

use tidegate_sdk::{Event, Result, config_num, fixed, handler, json, send, state};

handler!(on_event, inbox = 512);

fn on_event(event: &Event<'_>) -> Result {
    let Ok(value) = event.num("value") else {
        return Ok(());
    };
    let device = event.level(1)?;
    if value <= config_num("recovered")? {
        state::delete(device)?;
        return Ok(());
    }
    // Between the two limits nothing changes: a value that trembles at one of them is not news.
    if value <= config_num("limit")? || state::get_f64(device)?.is_some() {
        return Ok(());
    }
    state::set_f64(device, value)?;
    let alert = json!(400; "device": device, "value": fixed(value, 2), "ts_us": event.ts_us())?;
    send("alerts", alert, None, 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use tidegate_sdk::testing::Harness;
    use tidegate_sdk::{Error, Result};

    use super::on_event;

    fn gateway() -> Harness {
        let harness = Harness::new(on_event).grant_send("alerts");
        harness.config("limit", "80").config("recovered", "75")
    }

    /// Sends a value; the alerts that came of it.
    fn alerts(gateway: &mut Harness, device: &str, payload: &str) -> Result<Vec<String>> {
        let outcome = gateway.send(&format!("sensors/{device}/value"), payload);
        outcome.result?;
        assert!(outcome.sent.iter().all(|record| record.stream == "alerts"));
        Ok(outcome.sent.iter().map(|record| record.text()).collect())
    }

    #[test]
    fn what_is_no_reading_changes_nothing() {
        let mut gateway = gateway();
        for payload in ["", "not json", "{}", r#"{"value":"high"}"#, r#"{"value":80}"#] {
            assert_eq!(alerts(&mut gateway, "a", payload), Ok(Vec::new()), "{payload}");
        }
        assert!(gateway.keys().is_empty());
    }

    #[test]
    fn an_alert_is_sent_once_until_the_device_has_recovered() {
        let mut gateway = gateway();
        for (value, count) in [
            ("79", 0),
            ("80.5", 1),
            ("90", 0),
            ("80", 0),
            ("75.1", 0),
            ("81", 0),
            ("75", 0),
            ("80", 0),
            ("80.01", 1),
        ] {
            let sent = alerts(&mut gateway, "a", &format!(r#"{{"value":{value}}}"#));
            assert_eq!(sent.map(|sent| sent.len()), Ok(count), "{value}");
        }
    }

    #[test]
    fn devices_do_not_mix_and_an_alert_says_who_and_when() {
        let mut gateway = gateway();
        let expect = |device: &str| {
            Ok([format!(r#"{{"device":"{device}","value":81.50,"ts_us":1767225600000000}}"#)]
                .into())
        };
        assert_eq!(alerts(&mut gateway, "a", r#"{"value":81.5}"#), expect("a"));
        assert_eq!(alerts(&mut gateway, "b", r#"{"value":81.5}"#), expect("b"));
        assert_eq!(gateway.keys(), ["a", "b"]);
    }

    #[test]
    fn an_alert_that_cannot_be_sent_is_not_taken_for_sent() {
        let mut gateway = Harness::new(on_event).config("limit", "80").config("recovered", "75");
        let sent = alerts(&mut gateway, "a", r#"{"value":81}"#);
        assert_eq!(sent, Err(Error::NotPermitted));
        assert!(gateway.keys().is_empty());
    }
}
