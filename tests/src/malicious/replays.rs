//! What was good once, at the wrong time; and seqs that would use the ratchet up.

use tidegate_release::manifest::What;

use super::Case;
use super::bench::{Bench, GATEWAY};
use crate::pusher::gateway;

pub const CASES: &[Case] = &[
    Case { name: "the same again, a hundred times", run: again },
    Case { name: "an older seq", run: |b| with_seq(b, 4) },
    Case { name: "the first seq", run: |b| with_seq(b, 1) },
    Case { name: "the same seq for something else", run: |b| with_seq(b, 5) },
    Case { name: "seq 2^64-1", run: |b| with_seq(b, u64::MAX) },
    Case { name: "a leap by 2^32+1", run: |b| with_seq(b, 5 + (1 << 32) + 1) },
    Case { name: "a key epoch that is over", run: |b| with_epoch(b, 0) },
    Case { name: "a key epoch that is not yet", run: |b| with_epoch(b, 2) },
    Case { name: "the last key epoch", run: |b| with_epoch(b, u32::MAX) },
    Case { name: "an older order to remove it", run: removed },
    Case { name: "an empty retained message in its place", run: |b| b.send_release(b"") },
    Case { name: "answers of ours, sent to us", run: own_answers },
    Case { name: "forged answers", run: forged_answers },
    Case { name: "our key, replaced", run: other_key },
    Case { name: "sixty times asked for a report", run: asked },
    Case { name: "topics that are none", run: odd_topics },
    Case { name: "floods of what is for others", run: for_others },
    Case { name: "the connection cut, twice", run: cut },
];

fn again(bench: &mut Bench) {
    let envelope = bench.good.1.clone();
    (0..100).for_each(|_| bench.send_release(&envelope));
}

fn with_seq(bench: &mut Bench, seq: u64) {
    let order = bench.evil_order(seq);
    let envelope = bench.fleet.sign(&order);
    bench.send_all(&envelope);
}

fn with_epoch(bench: &mut Bench, key_epoch: u32) {
    let mut order = bench.evil_order(6);
    order.rank.key_epoch = key_epoch;
    if let Ok(envelope) = order.sign(&[&bench.fleet.key]) {
        bench.send_all(&envelope);
    }
}

fn removed(bench: &mut Bench) {
    let order = bench.fleet.order_of("p", 4, gateway(GATEWAY), What::Remove);
    let envelope = bench.fleet.sign(&order);
    bench.send_all(&envelope);
}

fn own_answers(bench: &mut Bench) {
    let answer = bench.heard.clone().expect("there was one");
    let signed = answer.sign(&bench.stranger.key).expect("a good answer");
    bench.send(&format!("tidegate/1/{GATEWAY}/handler/p"), &signed);
    bench.send_release(&signed);
}

fn forged_answers(bench: &mut Bench) {
    for _ in 0..20 {
        let noise = bench.noise(300);
        bench.send(&format!("tidegate/1/{GATEWAY}/handler/p"), &noise);
    }
}

fn other_key(bench: &mut Bench) {
    let text = bench.stranger.key.public().to_file();
    bench.send(&format!("tidegate/1/{GATEWAY}/key"), text.as_bytes());
}

fn asked(bench: &mut Bench) {
    for _ in 0..6 {
        for _ in 0..10 {
            bench.send(&format!("tidegate/1/{GATEWAY}/report"), b"how are you?");
        }
        // Reports name the fence, too.
        bench.fence();
        bench.drain();
    }
}

fn odd_topics(bench: &mut Bench) {
    for topic in [
        "tidegate/1/",
        "tidegate/1/gw-01",
        "tidegate/1/gw-01/release",
        "tidegate/1/gw-01/release/",
        "tidegate/1/gw-01/release/a/b",
        "tidegate/1/gw-01/release/..",
        "tidegate/1/gw-01/trust/x",
        "tidegate/1/blob/",
        "tidegate/1/blob/zz/0",
        "tidegate/1/blob/00/0",
        "tidegate/2/gw-01/release/p",
        "tidegate/1/gw-01/release/\u{10ffff}",
    ] {
        let noise = bench.noise(50);
        bench.send(topic, &noise);
        let envelope = bench.stranger.sign(&bench.evil_order(6));
        bench.send(topic, &envelope);
    }
}

fn for_others(bench: &mut Bench) {
    let envelope = bench.fleet.sign(&bench.evil_order(6));
    for number in 0..300 {
        bench.send(&format!("tidegate/1/gw-{}/release/p", number + 100), &envelope);
    }
}

fn cut(bench: &mut Bench) {
    for _ in 0..2 {
        let envelope = bench.stranger.sign(&bench.evil_order(6));
        bench.send_release(&envelope);
        bench.broker.cut();
    }
}
