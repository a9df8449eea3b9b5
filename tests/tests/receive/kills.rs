//! A receiver that is killed at any time has every record once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::bench::{Bench, envelopes};

/// A small generator, for when to kill: the same in every run.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

#[test]
fn killed_at_random_it_has_every_record_once() {
    const RECORDS: u64 = 20_000;
    const KILLS: usize = 25;
    let bench = Bench::new();
    drop(bench.start(&[]));
    let sent = AtomicBool::new(false);
    let kills = thread::scope(|scope| {
        scope.spawn(|| {
            // Every tenth is sent twice, as after a lost ack.
            let twice = (1..=RECORDS).flat_map(|seq| {
                let again = (seq % 10 == 0).then_some(seq - seq % 7);
                std::iter::once(seq).chain(again.filter(|seq| *seq > 0))
            });
            bench.publish(envelopes(twice));
            sent.store(true, Ordering::Relaxed);
        });
        let mut random = Lcg(7);
        let mut kills = 0;
        while kills < KILLS {
            let mut receiver =
                tidegate_tests::process::Process::start("receive", &mut bench.command(&[]));
            // Anywhere between its start and the middle of a stream of writes.
            receiver.wait(Duration::from_millis(random.below(120)));
            receiver.kill();
            kills += 1;
        }
        kills
    });
    assert_eq!(kills, KILLS);
    assert!(sent.load(Ordering::Relaxed));
    let (status, said) = bench.finish(&[]);
    assert_eq!(status, 0, "{said}");
    let counted = bench.counted();
    let wrong: Vec<_> = counted.iter().filter(|(_, count)| **count != 1).collect();
    assert!(wrong.is_empty(), "more than once: {wrong:?}");
    assert_eq!(counted.len() as u64, RECORDS);
    assert!(said.contains("\"missing\":0"), "{said}");
}

#[test]
fn a_lost_mark_and_a_lost_end_cost_nothing() {
    let bench = Bench::new();
    let mut receiver = bench.start(&[]);
    bench.publish(envelopes(1..=500));
    receiver.terminate(Duration::from_secs(10)).expect("it ends at SIGTERM");
    std::fs::remove_file(bench.scratch.path().join("records.jsonl.mark")).unwrap();
    // The end of the file was not acked, says the disk; the gateway sends it again.
    let text = std::fs::read(bench.output()).unwrap();
    std::fs::write(bench.output(), &text[..text.len() - 1000]).unwrap();
    bench.publish(envelopes(300..=600));
    let (status, said) = bench.finish(&[]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(bench.counted(), (1..=600).map(|seq| (seq, 1)).collect());
}

#[test]
fn a_broker_that_restarts_costs_nothing() {
    let mut bench = Bench::new();
    bench.mosquitto = tidegate_tests::mosquitto::Mosquitto::start_durable();
    let receiver = bench.start(&[]);
    bench.publish(envelopes(1..=300));
    bench.mosquitto.stop();
    assert!(
        receiver.wait_for_line(&["trying again"], Duration::from_secs(10)).is_some(),
        "it says that the broker is gone"
    );
    bench.mosquitto.resume();
    // Its session was kept: nothing gets past it, whether it is back yet or not.
    bench.publish(envelopes(250..=600));
    drop(receiver);
    let (status, said) = bench.finish(&[]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(bench.counted(), (1..=600).map(|seq| (seq, 1)).collect());
}
