//! 20,000 acked messages while upstream is away: how many never arrive, beside a mosquitto bridge.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_tests::daemon::Daemon;
use tidegate_tests::handlers::overheat;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::{Client, Connect};
use tidegate_tests::programs::Placement;

use super::feed::{Feed, number_in};
use crate::goals::Goal;
use crate::words::{Problem, say};

const MESSAGES: u64 = 20_000;
const QUOTA_MB: u64 = 64;
/// Nothing has arrived for so long: what is missing is lost. A bridge tries again every few seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// What stands between the devices and upstream.
#[derive(Debug)]
enum Way {
    Tidegate(Daemon),
    Bridge(Mosquitto),
}

impl Way {
    fn address(&self) -> SocketAddr {
        match self {
            Way::Tidegate(daemon) => daemon.address,
            Way::Bridge(broker) => broker.address,
        }
    }

    /// `kill -9`, and a start.
    fn kill(&mut self) {
        match self {
            Way::Tidegate(daemon) => {
                daemon.process.kill();
                daemon.start_again();
                daemon.wait_until_ready(&[overheat()]);
            }
            Way::Bridge(broker) => {
                broker.process.kill();
                broker.resume();
            }
        }
    }
}

/// Both ways, plain and with a `kill -9` after half of the messages.
pub fn measure(placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let mut goals = Vec::new();
    for kills in [false, true] {
        let how = if kills { "kill -9 after half" } else { "plain" };
        let tidegate = lost(kills, |upstream| {
            let more = super::forward(upstream, QUOTA_MB);
            Way::Tidegate(super::start(&[overheat()], &more, placement))
        })?;
        let bridge = lost(kills, |upstream| Way::Bridge(Mosquitto::start_bridge(upstream)))?;
        say(&json!({
            "kind": "bridge", "kills": kills, "messages": MESSAGES, "lost": tidegate, "bridge_lost": bridge,
        }));
        let what = format!("lost of 20,000 acked while upstream is away, {how}");
        goals.push(Goal::at_most(&what, "messages", vec![tidegate as f64], 0.0));
        let what = format!("the same, tuned mosquitto bridge, {how}");
        goals.push(Goal::open(&what, "messages", vec![bridge as f64]));
    }
    Ok(goals)
}

/// How many acked messages never arrive.
fn lost(kills: bool, start: impl FnOnce(SocketAddr) -> Way) -> Result<usize, Problem> {
    // Upstream knows its reader and keeps for it what comes before it is back.
    let mut upstream = Mosquitto::start_durable();
    let kept = Connect { id: "reader", clean: false, ..Connect::default() };
    Client::connect_with(upstream.address, &kept)?.subscribe("#", 1)?;
    upstream.stop();
    let mut way = start(upstream.address);
    let mut acked = 0;
    for first in [0, MESSAGES / 2] {
        let topic = |n: u64| format!("bulk/{}", n % 100);
        let total = MESSAGES / 2;
        let feed = Feed { window: 16, first, total, ..Feed::new(way.address(), topic) };
        acked += feed.start().join()?;
        if kills && first == 0 {
            way.kill();
        }
    }
    upstream.resume();
    let mut reader = Client::connect_with(upstream.address, &kept)?;
    let mut arrived = vec![false; MESSAGES as usize];
    let (mut count, mut last) = (0, Instant::now());
    while count < acked && last.elapsed() < SILENCE {
        let Some(message) = reader.message(Duration::from_millis(200))? else { continue };
        let place = number_in(&message.payload).and_then(|n| arrived.get_mut(n as usize));
        if let Some(place) = place.filter(|place| !**place) {
            *place = true;
            count += 1;
            last = Instant::now();
        }
    }
    Ok((acked - count) as usize)
}
