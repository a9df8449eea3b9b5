//! Chunks that are wrong, too many, for nothing, or never come.

use tidegate_release::chunks::CHUNK_BYTES_MAX;
use tidegate_release::hash::{Digest, digest_of};
use tidegate_release::manifest::What;
use tidegate_release::topics::ControlTopic;

use super::Case;
use super::bench::{Bench, GATEWAY};
use crate::handlers::Handler;
use crate::pusher::{gateway, with_golden};
use tidegate_release::golden::{Case as GoldenCase, Expect, Golden};

pub const CASES: &[Case] = &[
    Case { name: "chunks for nothing", run: for_nothing },
    Case { name: "endless chunks for nothing", run: endless },
    Case { name: "wrong chunks", run: |b| wrong_chunks(b, "w1") },
    Case { name: "a module of another manifest", run: |b| other_module(b, "w2") },
    Case { name: "a staging flood", run: flood },
    Case { name: "a last chunk that never comes", run: |b| withheld(b, "w3") },
    Case { name: "half of a set", run: |b| half(b, "w4") },
    Case { name: "cut in the middle of a transfer", run: |b| cut(b, "w5") },
];

fn chunk(bench: &mut Bench, digest: Digest, n: u32, bytes: &[u8]) {
    bench.send(&ControlTopic::Blob { digest, n }.to_string(), bytes);
}

/// An order of the fleet's for a handler of another name, whose module has so many chunks. It would be good if all of
/// it came; here it never does.
fn wanted(bench: &mut Bench, handler: &str, seq: u64, chunks: usize) -> Vec<u8> {
    let noise = bench.noise(64);
    let module: Vec<u8> =
        noise.iter().copied().cycle().take(chunks * CHUNK_BYTES_MAX - 10).collect();
    let evil = Handler { name: handler.to_owned(), module, ..bench.evil.clone() };
    let order = bench.fleet.order(&evil, "evil", seq, gateway(GATEWAY));
    let envelope = bench.fleet.sign(&order);
    bench.send(&format!("tidegate/1/{GATEWAY}/release/{handler}"), &envelope);
    evil.module
}

fn for_nothing(bench: &mut Bench) {
    let module = bench.evil.module.clone();
    bench.send_blob(&module);
    let noise = bench.noise(1_000);
    bench.send_blob(&noise);
}

fn endless(bench: &mut Bench) {
    let noise = bench.noise(10_000);
    for n in 0..200 {
        chunk(bench, Digest([7; 32]), n, &noise);
    }
    chunk(bench, Digest([7; 32]), u32::MAX, &noise);
}

fn wrong_chunks(bench: &mut Bench, handler: &str) {
    let module = wanted(bench, handler, 1, 2);
    let digest = digest_of(&module);
    let noise = bench.noise(CHUNK_BYTES_MAX);
    chunk(bench, digest, 0, &noise);
    chunk(bench, digest, 0, &module[..CHUNK_BYTES_MAX]);
    chunk(bench, digest, 1, &module[CHUNK_BYTES_MAX + 1..]);
    chunk(bench, digest, 1, &noise);
    chunk(bench, digest, 2, &module[..10]);
    chunk(bench, digest, u32::MAX, &module[..10]);
    // Complete, and not what was signed: all of it goes.
    chunk(bench, digest, 1, &module[CHUNK_BYTES_MAX..]);
}

fn other_module(bench: &mut Bench, handler: &str) {
    let module = wanted(bench, handler, 1, 1);
    let mut other = bench.evil.module.clone();
    other.resize(module.len(), 0);
    chunk(bench, digest_of(&module), 0, &other);
}

fn flood(bench: &mut Bench) {
    for number in 0..40 {
        let module = wanted(bench, &format!("flood-{number}"), 1, 9);
        let digest = digest_of(&module);
        for n in [0, 3, 5] {
            let at = n as usize * CHUNK_BYTES_MAX;
            chunk(bench, digest, n, &module[at..at + CHUNK_BYTES_MAX]);
        }
    }
}

fn withheld(bench: &mut Bench, handler: &str) {
    let module = wanted(bench, handler, 1, 4);
    let digest = digest_of(&module);
    for n in 0..3 {
        let at = n as usize * CHUNK_BYTES_MAX;
        chunk(bench, digest, n, &module[at..at + CHUNK_BYTES_MAX]);
    }
}

/// The module comes, its golden events do not.
fn half(bench: &mut Bench, handler: &str) {
    let evil = Handler { name: handler.to_owned(), ..bench.evil.clone() };
    let mut order = bench.fleet.order(&evil, "evil", 1, gateway(GATEWAY));
    let payload = bench.noise(10);
    let case = GoldenCase { topic: "in".into(), payload, expect: vec![Expect::Nothing] };
    with_golden(&mut order, &Golden { cases: vec![case] });
    assert!(matches!(order.what, What::Install(_)));
    let envelope = bench.fleet.sign(&order);
    bench.send(&format!("tidegate/1/{GATEWAY}/release/{handler}"), &envelope);
    bench.send_blob(&evil.module);
}

fn cut(bench: &mut Bench, handler: &str) {
    let module = wanted(bench, handler, 1, 2);
    chunk(bench, digest_of(&module), 0, &module[..CHUNK_BYTES_MAX]);
    bench.broker.cut();
}
