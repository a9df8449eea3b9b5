//! A simulated device: a real MQTT client that publishes telemetry, works out what it should hear, and
//! counts what it does not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};

use super::walk::Walk;

/// The handler's rule, worked out a second time.
const EWMA_WEIGHT: f64 = 0.2;
const THRESHOLD: f64 = 60.0;
/// A reaction that has not come by then is missing.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// 60 s in microseconds: what takes longer is missing anyway.
const LATENCY_US_MAX: u64 = 60_000_000;

/// What one device has seen.
#[derive(Debug)]
pub struct Tally {
    pub id: String,
    pub connected: bool,
    pub temp: f64,
    pub ewma: Option<f64>,
    pub messages: u64,
    pub reactions: u64,
    /// Reactions that nobody should have sent, or with another EWMA than the device's own.
    pub wrong: u64,
    pub missing: u64,
    pub latency_us: Histogram<u64>,
    /// Reactions that are still due: when the message was sent, and the EWMA it must carry.
    due: BTreeMap<u64, (Instant, f64)>,
}

/// One device with its client.
pub struct Device {
    pub tally: Rc<RefCell<Tally>>,
    client: AsyncClient,
    walk: Walk,
    seq: u64,
}

impl Device {
    /// The device, and the event loop that [`listen`] drives.
    pub fn new(number: usize, host: &str, port: u16) -> (Device, EventLoop) {
        let id = format!("boiler-{number}");
        let mut options = MqttOptions::new(format!("demo-{id}"), host, port);
        options.set_keep_alive(Duration::from_secs(30));
        let (client, mut events) = AsyncClient::new(options, 256);
        events.network_options.set_tcp_nodelay(true);
        let tally = Tally {
            id,
            connected: false,
            temp: 0.0,
            ewma: None,
            messages: 0,
            reactions: 0,
            wrong: 0,
            missing: 0,
            latency_us: Histogram::new_with_max(LATENCY_US_MAX, 3)
                .expect("three digits up to a minute is a valid range"),
            due: BTreeMap::new(),
        };
        let walk = Walk::new(number as u64 + 1);
        (Device { tally: Rc::new(RefCell::new(tally)), client, walk, seq: 0 }, events)
    }

    /// Publishes one reading.
    pub fn publish(&mut self) {
        let mut tally = self.tally.borrow_mut();
        if !tally.connected {
            return;
        }
        self.seq += 1;
        let seq = self.seq;
        // The device reckons with what it writes, so that both sides see the same number.
        let temp = self.walk.next_tenths() as f64 / 10.0;
        let ewma = match tally.ewma {
            Some(ewma) => ewma + EWMA_WEIGHT * (temp - ewma),
            None => temp,
        };
        let payload = format!(
            "{{\"temp\": {temp:.1}, \"unit\": \"C\", \"seq\": {seq}, \"pressure\": {:.2}, \"flow\": {:.1}, \
             \"battery\": 3.71, \"rssi\": -67, \"fw\": \"1.4.2\", \"site\": \"plant-7/line-3\", \"status\": \"ok\", \
             \"note\": \"simulated reading\"}}",
            1.2 + temp / 100.0,
            40.0 - temp / 10.0,
        );
        let topic = format!("devices/{}/telemetry", tally.id);
        let now = Instant::now();
        if self.client.try_publish(topic, QoS::AtLeastOnce, false, payload).is_err() {
            // The client's queue is full: the gateway does not take it. Not sent, so not counted.
            self.seq -= 1;
            return;
        }
        tally.messages += 1;
        (tally.temp, tally.ewma) = (temp, Some(ewma));
        if ewma > THRESHOLD {
            tally.due.insert(seq, (now, ewma));
        }
    }

    /// What [`listen`] needs of this device.
    pub fn listener(&self) -> (Rc<RefCell<Tally>>, AsyncClient) {
        (Rc::clone(&self.tally), self.client.clone())
    }

    pub fn stop(&self) {
        if self.client.try_disconnect().is_err() {
            // It is not connected any more, which is what was wanted.
        }
    }
}

impl Tally {
    /// Counts reactions that are overdue.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(first) = self.due.first_entry() {
            if now.duration_since(first.get().0) < PATIENCE {
                return;
            }
            first.remove();
            self.missing += 1;
        }
    }

    pub fn is_waiting(&self) -> bool {
        !self.due.is_empty()
    }

    fn heard(&mut self, payload: &[u8]) {
        let now = Instant::now();
        let reaction = serde_json::from_slice::<serde_json::Value>(payload).unwrap_or_default();
        let seq = reaction["seq"].as_u64().unwrap_or_default();
        let Some((sent, ewma)) = self.due.remove(&seq) else {
            self.wrong += 1;
            return;
        };
        self.reactions += 1;
        let said = reaction["ewma"].as_f64().unwrap_or(f64::NAN);
        // One decimal is said; half of it either way is rounding.
        if (said - ewma).abs() > 0.0501 || reaction["fan"] != "on" {
            self.wrong += 1;
        }
        let us = u64::try_from(now.duration_since(sent).as_micros()).unwrap_or(LATENCY_US_MAX);
        self.latency_us.saturating_record(us);
    }
}

/// Receives for one device, for ever: subscribes at every connection, and reconnects.
pub async fn listen(tally: Rc<RefCell<Tally>>, client: AsyncClient, mut events: EventLoop) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                let topic = format!("devices/{}/cmd", tally.borrow().id);
                if client.try_subscribe(topic, QoS::AtMostOnce).is_err() {
                    // The queue holds 256 requests and this is the first: it fits.
                }
            }
            Ok(Event::Incoming(Incoming::SubAck(_))) => tally.borrow_mut().connected = true,
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                tally.borrow_mut().heard(&publish.payload)
            }
            Ok(_) => {}
            Err(_) => {
                tally.borrow_mut().connected = false;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
