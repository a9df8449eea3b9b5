//! Trust files that would let a stranger in.

use tidegate_release::keys::PublicKey;
use tidegate_release::trust::Content;

use super::Case;
use super::bench::{Bench, GATEWAY};
use crate::pusher::name;

pub const CASES: &[Case] = &[
    Case {
        name: "trust: the stranger's own",
        run: |b| send(b, |c, s| c.roots.keys = vec![s], Signers::Stranger),
    },
    Case {
        name: "trust: signed by the new root only",
        run: |b| send(b, |c, s| c.roots.keys.push(s), Signers::Stranger),
    },
    Case {
        name: "trust: signed by the old root only",
        run: |b| send(b, |c, s| c.roots.keys = vec![s], Signers::Fleet),
    },
    Case {
        name: "trust: a version skipped",
        run: |b| send(b, |c, _| c.version = 3, Signers::Fleet),
    },
    Case {
        name: "trust: version 2^64-1",
        run: |b| send(b, |c, _| c.version = u64::MAX, Signers::Fleet),
    },
    Case {
        name: "trust: the same version, other content",
        run: |b| send(b, |c, _| c.version = 1, Signers::Fleet),
    },
    Case {
        name: "trust: another fleet's",
        run: |b| send(b, |c, _| c.fleet = name("others"), Signers::Fleet),
    },
    Case {
        name: "trust: a key epoch that goes back",
        run: |b| send(b, |c, _| c.key_epoch = 0, Signers::Fleet),
    },
    Case { name: "trust: the one that holds, again", run: same },
    Case { name: "trust: every bit flipped", run: flipped },
    Case { name: "trust: noise", run: noise },
    Case { name: "trust: a release in its place", run: release },
];

/// Who signs.
#[derive(Clone, Copy)]
enum Signers {
    Fleet,
    Stranger,
}

/// The next trust file, which lets the stranger sign releases, with one thing wrong; and then an order of the
/// stranger's, which counts if that file does.
fn send(bench: &mut Bench, change: impl Fn(&mut Content, PublicKey), signers: Signers) {
    let mut content = bench.fleet.content();
    content.version = 2;
    let stranger = bench.stranger.key.public();
    content.release.keys.push(stranger);
    change(&mut content, stranger);
    content.release.keys.sort_unstable();
    content.roots.keys.sort_unstable();
    let key = match signers {
        Signers::Fleet => &bench.fleet.key,
        Signers::Stranger => &bench.stranger.key,
    };
    let file = content.sign(&[key]).expect("it can be signed");
    bench.send(&topic(), &file);
    let mut order = bench.evil_order(6);
    order.rank.key_epoch = content.key_epoch;
    order.fleet = content.fleet;
    if let Ok(envelope) = order.sign(&[&bench.stranger.key]) {
        bench.send_all(&envelope);
    }
}

fn topic() -> String {
    format!("tidegate/1/{GATEWAY}/trust")
}

fn same(bench: &mut Bench) {
    let file = bench.fleet.trust();
    (0..20).for_each(|_| bench.send(&topic(), &file));
}

fn flipped(bench: &mut Bench) {
    let file = bench.fleet.trust();
    for bit in 0..file.len() * 8 {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        bench.send(&topic(), &changed);
    }
}

fn noise(bench: &mut Bench) {
    for len in [1, 50, 500, 16_000, 100_000] {
        let noise = bench.noise(len);
        bench.send(&topic(), &noise);
    }
}

fn release(bench: &mut Bench) {
    let envelope = bench.good.1.clone();
    bench.send(&topic(), &envelope);
    let answer = bench.heard.clone().expect("there was one");
    let signed = answer.sign(&bench.stranger.key).expect("a good answer");
    bench.send(&topic(), &signed);
}
