//! What the simulated devices say: about 200 bytes of JSON, every value hot enough to be answered.

use crate::mqtt;

/// Sequence numbers have this many digits, always, so that a message is made by overwriting digits
/// in place and not by formatting.
pub const SEQ_DIGITS: usize = 10;
/// The first number of that length.
pub const SEQ_FIRST: u64 = 1_000_000_000;

/// One device's PUBLISH packet, with the places that change.
#[derive(Clone, Debug)]
pub struct Telemetry {
    packet: Vec<u8>,
    temp_at: usize,
    seq_at: usize,
    time_at: usize,
}

impl Telemetry {
    /// The packet of device `name` on `devices/<name>/telemetry`, QoS 0.
    pub fn new(name: &str) -> Telemetry {
        let payload = format!(
            "{{\"temp\":00.00,\"unit\":\"C\",\"seq\":{SEQ_FIRST},\"t\":{SEQ_FIRST},\"id\":\"{name}\",\
             \"hum\":41.5,\"pressure\":1013.25,\"battery\":3.71,\"rssi\":-67,\"fw\":\"1.4.2\",\
             \"site\":\"plant-7/line-3\",\"status\":\"ok\",\"note\":\"0123456789\"}}"
        );
        let mut packet = Vec::new();
        let topic = format!("devices/{name}/telemetry");
        mqtt::publish(&mut packet, &topic, payload.as_bytes(), 0, 0, false);
        let at = |key: &str| find(&packet, key.as_bytes()).expect("the key was just written");
        let (temp_at, seq_at, time_at) = (at("\"temp\":"), at("\"seq\":"), at("\"t\":"));
        Telemetry { packet, temp_at, seq_at, time_at }
    }

    /// Appends message `seq` to `out`: a value from 70.00 to 89.99 that depends on `seq` alone.
    pub fn write(&mut self, seq: u64, out: &mut Vec<u8>) {
        let noise = (seq.wrapping_mul(6_364_136_223_846_793_005) >> 33) % 2_000;
        let centi = 7_000 + noise;
        put_digits(&mut self.packet[self.temp_at..self.temp_at + 2], centi / 100);
        put_digits(&mut self.packet[self.temp_at + 3..self.temp_at + 5], centi % 100);
        put_digits(&mut self.packet[self.seq_at..self.seq_at + SEQ_DIGITS], seq);
        put_digits(&mut self.packet[self.time_at..self.time_at + SEQ_DIGITS], seq);
        out.extend_from_slice(&self.packet);
    }
}

fn put_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The position after `key` in `bytes`.
fn find(bytes: &[u8], key: &[u8]) -> Option<usize> {
    bytes.windows(key.len()).position(|window| window == key).map(|at| at + key.len())
}

/// The number after `"seq":`.
pub fn seq_of(payload: &[u8]) -> Option<u64> {
    let digits = &payload[find(payload, b"\"seq\":")?..];
    let digits = &digits[digits.iter().position(|byte| *byte != b' ')?..];
    let len = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..len]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_json_with_its_own_numbers() {
        let mut device = Telemetry::new("d042");
        for seq in [SEQ_FIRST, SEQ_FIRST + 987_654_321] {
            let mut out = Vec::new();
            device.write(seq, &mut out);
            let start = out.iter().position(|byte| *byte == b'{').expect("a payload");
            let payload = &out[start..];
            let json: serde_json::Value = serde_json::from_slice(payload).expect("valid JSON");
            assert_eq!(json["seq"], seq);
            assert_eq!(json["t"], seq);
            let temp = json["temp"].as_f64().expect("a number");
            assert!((70.0..90.0).contains(&temp), "{temp}");
            assert!((190..=220).contains(&payload.len()), "{} bytes", payload.len());
            assert_eq!(seq_of(payload), Some(seq));
        }
    }

    #[test]
    fn a_reaction_without_a_number_is_none() {
        assert_eq!(seq_of(b"{\"fan\":\"on\"}"), None);
        assert_eq!(seq_of(b"{\"seq\":\"x\"}"), None);
        assert_eq!(seq_of(b"{\"seq\":"), None);
        assert_eq!(seq_of(b"{\"seq\": 17}"), Some(17));
    }
}
