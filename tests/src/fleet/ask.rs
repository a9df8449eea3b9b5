//! What a daemon says of itself.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::mqtt::Client;

const PATIENCE: Duration = Duration::from_secs(10);

/// How many messages the handlers have counted, by topic.
pub type Counts = BTreeMap<String, u64>;

/// Asks the handlers for their counts of the topics of so many devices.
///
/// # Errors
/// When an answer does not come.
pub fn counts(address: SocketAddr, devices: usize) -> io::Result<Counts> {
    let mut client = Client::connect(address, "asks")?;
    let mut counts = Counts::new();
    for (answers, lines) in
        [("tally/count", ["in/s", "in/q"]), ("plain/count", ["plain/s", "plain/q"])]
    {
        client.subscribe(answers, 0)?;
        let topics: Vec<String> =
            lines.iter().flat_map(|line| (0..devices).map(move |n| format!("{line}{n}"))).collect();
        for topic in &topics {
            client.publish(topic, b"?")?;
        }
        // One handler answers in order.
        for topic in topics {
            let answer = client.message(PATIENCE)?;
            let answer = answer.ok_or_else(|| io::Error::other(format!("no count of {topic}")))?;
            // Nothing while it has counted nothing.
            counts.insert(topic, answer.payload.try_into().map_or(0, u64::from_le_bytes));
        }
    }
    Ok(counts)
}

/// Whether the daemon says that its uplink is up and nothing waits.
///
/// # Errors
/// When it does not answer.
pub fn is_drained(data: &Path) -> io::Result<bool> {
    let mut socket = UnixStream::connect(data.join("control.sock"))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(b"outbox\n")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let answer: Value = serde_json::from_str(&text)?;
    let streams = answer["streams"].as_array().ok_or_else(|| io::Error::other(text.clone()))?;
    Ok(answer["uplink"]["state"] == "up"
        && answer["under_way"] == 0
        && streams.iter().all(|stream| stream["waiting"] == 0))
}
