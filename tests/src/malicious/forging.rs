//! Bytes that nobody signed, or that somebody else did, or that were changed after it.

use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope, seal};
use tidegate_release::keys::{Domain, SecretKey};

use super::Case;
use super::bench::Bench;

pub const CASES: &[Case] = &[
    Case { name: "nothing", run: |b| b.send_release(b"") },
    Case { name: "one byte", run: |b| (0..=255).step_by(23).for_each(|n| b.send_all(&[n])) },
    Case { name: "noise", run: noise },
    Case { name: "text", run: |b| b.send_all(b"{\"handler\":\"p\",\"version\":\"evil\"}") },
    Case { name: "cut at every length", run: cut },
    Case { name: "one byte more", run: longer },
    Case { name: "every bit flipped", run: flipped },
    Case { name: "no signature", run: unsigned },
    Case { name: "an unknown key", run: unknown_key },
    Case { name: "our key's id over another's signature", run: other_signature },
    Case { name: "a signature of ours and one of a stranger", run: with_stranger },
    Case { name: "one signature twice", run: twice },
    Case { name: "signatures out of order", run: unsorted },
    Case { name: "nine signatures", run: nine },
    Case { name: "signed as a trust file", run: |b| other_domain(b, Domain::Trust) },
    Case { name: "signed as an answer", run: |b| other_domain(b, Domain::Answer) },
    Case { name: "signed as a report", run: |b| other_domain(b, Domain::Report) },
    Case { name: "signature of another payload", run: swapped },
    Case { name: "signature of zeros", run: zeros },
    Case { name: "beyond 16 KiB", run: |b| huge(b, ENVELOPE_BYTES_MAX + 1) },
    Case { name: "beyond 128 KiB", run: |b| huge(b, 128 * 1024 + 1) },
    Case { name: "two envelopes in one", run: doubled },
];

fn evil_payload(bench: &Bench) -> Vec<u8> {
    bench.evil_order(6).encode().expect("a good order")
}

fn noise(bench: &mut Bench) {
    for len in [2, 17, 100, 1_000, 16_000] {
        let noise = bench.noise(len);
        bench.send_all(&noise);
    }
}

fn cut(bench: &mut Bench) {
    let envelope = bench.fleet.sign(&bench.evil_order(6));
    for len in 1..envelope.len() {
        bench.send_release(&envelope[..len]);
    }
}

fn longer(bench: &mut Bench) {
    let mut envelope = bench.fleet.sign(&bench.evil_order(6));
    envelope.push(bench.below(256) as u8);
    bench.send_all(&envelope);
}

fn flipped(bench: &mut Bench) {
    let envelope = bench.fleet.sign(&bench.evil_order(6));
    for bit in 0..envelope.len() * 8 {
        let mut changed = envelope.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        bench.send_release(&changed);
    }
    let module = bench.evil.module.clone();
    bench.send_blob(&module);
}

fn unsigned(bench: &mut Bench) {
    let payload = evil_payload(bench);
    let bytes = Envelope { payload: &payload, signatures: Vec::new() }.encode();
    bench.send_all(&bytes);
    bench.send_all(&payload);
}

fn unknown_key(bench: &mut Bench) {
    let order = bench.evil_order(6);
    let envelope = bench.stranger.sign(&order);
    bench.send_all(&envelope);
}

fn other_signature(bench: &mut Bench) {
    let payload = evil_payload(bench);
    let signature = bench.stranger.key.sign(Domain::Release, &payload);
    let signatures = vec![(bench.fleet.key.id(), signature)];
    let bytes = Envelope { payload: &payload, signatures }.encode();
    bench.send_all(&bytes);
}

/// The stranger's alone: ours is over another payload.
fn with_stranger(bench: &mut Bench) {
    let payload = evil_payload(bench);
    let good = bench.good.1.clone();
    let good = Envelope::decode(&good, ENVELOPE_BYTES_MAX).expect("a good envelope");
    let stranger = &bench.stranger.key;
    let mut signatures = good.signatures;
    signatures.push((stranger.id(), stranger.sign(Domain::Release, &payload)));
    signatures.sort_unstable_by_key(|(id, _)| *id);
    let bytes = Envelope { payload: &payload, signatures }.encode();
    bench.send_all(&bytes);
}

fn twice(bench: &mut Bench) {
    let payload = evil_payload(bench);
    let key = &bench.stranger.key;
    let signature = (key.id(), key.sign(Domain::Release, &payload));
    let bytes = Envelope { payload: &payload, signatures: vec![signature, signature] }.encode();
    bench.send_all(&bytes);
    // The good one with its signature twice is no other order, and none that counts.
    let good = bench.good.1.clone();
    let mut envelope = Envelope::decode(&good, ENVELOPE_BYTES_MAX).expect("a good envelope");
    envelope.signatures.push(envelope.signatures[0]);
    let bytes = envelope.encode();
    bench.send_release(&bytes);
}

fn unsorted(bench: &mut Bench) {
    let payload = evil_payload(bench);
    let mut signatures: Vec<_> = [&bench.stranger.key, &bench.fleet.key]
        .map(|key| (key.id(), key.sign(Domain::Release, b"another payload")))
        .into();
    signatures.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    let bytes = Envelope { payload: &payload, signatures }.encode();
    bench.send_all(&bytes);
}

fn nine(bench: &mut Bench) {
    let payload = evil_payload(bench);
    let keys: Vec<SecretKey> = (50..59).map(|n| SecretKey::generate([n; 32])).collect();
    let mut signatures: Vec<_> =
        keys.iter().map(|key| (key.id(), key.sign(Domain::Release, &payload))).collect();
    signatures.sort_unstable_by_key(|(id, _)| *id);
    let bytes = Envelope { payload: &payload, signatures }.encode();
    bench.send_all(&bytes);
}

/// The fleet's key signs many things; none of them is a release because its bytes read like one.
fn other_domain(bench: &mut Bench, domain: Domain) {
    let payload = evil_payload(bench);
    let keys = [&bench.fleet.key];
    let envelope = seal(domain, &payload, &keys, ENVELOPE_BYTES_MAX).expect("it fits");
    bench.send_all(&envelope);
}

fn swapped(bench: &mut Bench) {
    let payload = evil_payload(bench);
    let good = bench.good.1.clone();
    let good = Envelope::decode(&good, ENVELOPE_BYTES_MAX).expect("a good envelope");
    let bytes = Envelope { payload: &payload, signatures: good.signatures }.encode();
    bench.send_all(&bytes);
}

fn zeros(bench: &mut Bench) {
    let payload = evil_payload(bench);
    for byte in [0, 0xff] {
        let signatures = vec![(bench.fleet.key.id(), [byte; 64])];
        let bytes = Envelope { payload: &payload, signatures }.encode();
        bench.send_all(&bytes);
    }
}

fn huge(bench: &mut Bench, len: usize) {
    let mut envelope = bench.fleet.sign(&bench.evil_order(6));
    envelope.resize(len, 0);
    bench.send_release(&envelope);
}

fn doubled(bench: &mut Bench) {
    let envelope = bench.stranger.sign(&bench.evil_order(6));
    let both = [&bench.good.1[..], &envelope[..]].concat();
    bench.send_all(&both);
}
