//! The handler to compare with: what `overheat` does, written natively over a client library by
//! somebody who knows how (no Nagle, one thread, no copies that are not needed).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use serde_json::Value;

use crate::words::Problem;

/// Weight of the newest value, and the threshold: the same as in `sdk/examples/overheat`.
const WEIGHT: f64 = 0.2;
const TOO_HOT: f64 = 60.0;

/// Answers for ever.
pub fn run(broker: SocketAddr) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(answer(broker))
}

async fn answer(broker: SocketAddr) -> Result<(), Problem> {
    let id = format!("native-{}", std::process::id());
    let mut options = MqttOptions::new(id, broker.ip().to_string(), broker.port());
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 100_000);
    events.network_options.set_tcp_nodelay(true);
    let mut averages = HashMap::new();
    loop {
        match events.poll().await? {
            Event::Incoming(Incoming::ConnAck(_)) => {
                client.subscribe("devices/+/telemetry", QoS::AtMostOnce).await?;
            }
            Event::Incoming(Incoming::Publish(message)) => {
                let Some(device) = device_of(&message.topic) else {
                    continue;
                };
                if let Some(reaction) = react(&mut averages, device, &message.payload) {
                    client.try_publish(
                        format!("devices/{device}/cmd"),
                        QoS::AtMostOnce,
                        false,
                        reaction,
                    )?;
                }
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }
}

fn device_of(topic: &str) -> Option<&str> {
    topic.strip_prefix("devices/")?.strip_suffix("/telemetry")
}

fn react(averages: &mut HashMap<String, f64>, device: &str, payload: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(payload).ok()?;
    let temp = json.get("temp")?.as_f64()?;
    let seq = json.get("seq")?.as_u64()?;
    let average = match averages.get_mut(device) {
        Some(average) => {
            *average += WEIGHT * (temp - *average);
            *average
        }
        None => {
            averages.insert(device.to_owned(), temp);
            temp
        }
    };
    (average > TOO_HOT).then(|| format!("{{\"fan\":\"on\",\"ewma\":{average:.1},\"seq\":{seq}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_above_the_threshold_alone() {
        let mut averages = HashMap::new();
        let mut say = |temp: f64| {
            react(&mut averages, "d1", format!("{{\"temp\":{temp},\"seq\":7}}").as_bytes())
        };
        assert_eq!(say(50.0), None);
        assert_eq!(say(90.0), None);
        assert_eq!(say(90.0), Some("{\"fan\":\"on\",\"ewma\":64.4,\"seq\":7}".to_owned()));
        assert_eq!(react(&mut averages, "d1", b"{"), None);
        assert_eq!(device_of("devices/d1/telemetry"), Some("d1"));
        assert_eq!(device_of("devices/d1/cmd"), None);
    }
}
