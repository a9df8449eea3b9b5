//! What reactions feel of a store that commits all the time: the same load twice, the neighbour's messages once with
//! QoS 1, so that each must be durable before its ack, and once with QoS 0, so that nothing must be.

use std::thread;
use std::time::Duration;

use serde_json::json;
use tidegate_tests::handlers::{counter, overheat};
use tidegate_tests::load::{self, Load, Measured, Target};
use tidegate_tests::procfs::load_1m;
use tidegate_tests::programs::Placement;

use super::feed::Feed;
use crate::goals::Goal;
use crate::words::{Problem, round, say};

/// What the neighbour's clients send, messages a second.
const NEIGHBOUR_RATE: f64 = 1000.0;
const NEIGHBOUR_CLIENTS: u64 = 20;
const WARM: Duration = Duration::from_millis(500);
/// State that nobody relies on stays in memory for the whole run: without a store.
const NEVER: &str = "\n[store]\nlazy_ms = 3600000\n";

/// Reaction times at 1,000 messages a second beside both neighbours, in turns.
pub fn measure(rounds: usize, seconds: f64, placement: &Placement) -> Result<Vec<Goal>, Problem> {
    let (mut p50, mut p99, mut absolute) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // Whoever comes first finds the machine as the last part left it: they take turns in that too.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        let mut measured = [Measured::default(); 2];
        for qos in order {
            measured[usize::from(qos)] = beside(qos, seconds, placement)?;
        }
        let [without, with] = measured;
        p50.push(with.p50_us / without.p50_us);
        p99.push(with.p99_us / without.p99_us);
        absolute.push(with.p99_us);
    }
    Ok(vec![
        Goal::at_most("p50 of reactions at 1,000/s, store committing / none", "x", p50, 1.1),
        Goal::at_most("p99 of the same", "x", p99, 1.5),
        Goal::open("p99 while the store commits", "us", absolute),
    ])
}

fn beside(qos: u8, seconds: f64, placement: &Placement) -> Result<Measured, Problem> {
    let handlers = [overheat(), counter("neighbour", "bulk/+")];
    let mut daemon = super::start(&handlers, NEVER, placement);
    let topic = |n: u64| format!("bulk/{}", n % NEIGHBOUR_CLIENTS);
    let feed = Feed {
        clients: NEIGHBOUR_CLIENTS,
        qos,
        rate: Some(NEIGHBOUR_RATE),
        ..Feed::new(daemon.address, topic)
    };
    let feed = feed.start();
    thread::sleep(WARM);
    let target = Target { address: daemon.address, answers: "devices/+/cmd" };
    let measured = load::run(&target, &Load { seconds, ..Load::default() }, || ())?;
    let counters = daemon.counters();
    let acked = feed.stop()?;
    let syncs = counters.get("store.syncs").copied().unwrap_or(0);
    say(&json!({
        "kind": "beside", "neighbour_qos": qos, "neighbour_messages": acked, "syncs": syncs, "lost": measured.lost,
        "p50_us": round(measured.p50_us), "p99_us": round(measured.p99_us), "p999_us": round(measured.p999_us),
        "generator_late_p99_us": round(measured.late_p99_us), "load_1m": load_1m(),
    }));
    if (qos == 1) != (syncs > seconds as u64) {
        return Err(format!("{syncs} syncs beside a neighbour of QoS {qos}").into());
    }
    Ok(measured)
}
