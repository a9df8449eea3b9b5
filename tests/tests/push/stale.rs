//! A gateway that nothing new reaches says so.

use std::time::{Duration, Instant};

use tidegate_release::answer::{Heard, Report, verify_report};
use tidegate_tests::mqtt::Client;

use crate::house::{GATEWAY, House, says};

#[test]
fn nothing_new_for_long_is_told_until_something_comes() {
    let mut house = House::start_with_trust("stale_after_s = 2\n");
    let mut listener = Client::connect(house.address, "listener").expect("a broker");
    listener.subscribe(&format!("tidegate/1/{GATEWAY}/gateway"), 1).expect("a subscription");
    let mut wait = |house: &House, is_stale: bool| -> Report {
        let end = Instant::now() + Duration::from_secs(15);
        loop {
            assert!(Instant::now() < end, "it never says stale: {is_stale}");
            let message = listener.message(Duration::from_secs(1)).expect("a connection");
            let report =
                message.map(|message| verify_report(&message.payload, &house.pusher.key, 0));
            match report {
                Some(Heard::New(report)) if report.is_stale == is_stale => return report,
                Some(Heard::Forged) => panic!("a forged report"),
                Some(Heard::New(_) | Heard::Old) | None => {}
            }
        }
    };
    let before = wait(&house, true);
    assert!(before.uptime_ms >= 2_000, "{before:?}");
    assert!(house.daemon.comes_to_say(&["no new signed order"]));
    house.push(&says("p", "one"), "1");
    let after = wait(&house, false);
    assert!(after.audit.0 > before.audit.0, "the log's head goes with it");
    assert!(after.counter > before.counter);
}
