//! What the fleet once signed by mistake, for others, or in a form that is none.

use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, seal};
use tidegate_release::keys::Domain;
use tidegate_release::manifest::{Install, Order, Target, What};

use super::Case;
use super::bench::Bench;
use crate::pusher::{gateway, name};

pub const CASES: &[Case] = &[
    Case { name: "for another gateway", run: |b| for_target(b, gateway("gw-02")) },
    Case { name: "for another group", run: |b| for_target(b, Target::Group(name("boilers"))) },
    Case { name: "for a group of our name", run: |b| for_target(b, Target::Group(name("gw-01"))) },
    Case { name: "for another gateway, on our topic and others", run: every_topic },
    Case { name: "of another fleet", run: other_fleet },
    Case { name: "for nobody", run: |b| patched(b, cut_targets) },
    Case { name: "a name with a slash", run: |b| renamed(b, "a/b") },
    Case { name: "a name with capitals", run: |b| renamed(b, "P") },
    Case { name: "a name that climbs", run: |b| renamed(b, "..") },
    Case { name: "a name with a wildcard", run: |b| renamed(b, "+") },
    Case { name: "no name", run: |b| renamed(b, "") },
    Case { name: "a name of 65 letters", run: |b| renamed(b, &"a".repeat(65)) },
    Case { name: "a name of a megabyte that is not there", run: |b| patched(b, long_name) },
    Case {
        name: "more memory than the board has",
        run: |b| changed(b, |i| i.limits.memory_kib = u32::MAX),
    },
    Case {
        name: "more fuel than the board allows",
        run: |b| changed(b, |i| i.limits.fuel = u64::MAX),
    },
    Case { name: "a longer deadline", run: |b| changed(b, |i| i.limits.deadline_ms = u32::MAX) },
    Case { name: "a module beyond the limit", run: |b| changed(b, |i| i.module.bytes = 1 << 30) },
    Case { name: "a module of 2^64-1 bytes", run: |b| changed(b, |i| i.module.bytes = u64::MAX) },
    Case { name: "golden events beyond the limit", run: big_golden },
    Case { name: "a grant of control topics", run: |b| granted(b, "tidegate/#") },
    Case { name: "a grant of the broker's topics", run: |b| granted(b, "$SYS/#") },
    Case {
        name: "a pin that is not there",
        run: |b| changed(b, |i| i.grants.pins = vec![name("relay1")]),
    },
    Case { name: "a trigger that is no filter", run: |b| patched(b, |p| swap(p, b"in", b"#x")) },
    Case {
        name: "an array of 2^32 members",
        run: |b| raw(b, &[0xa7, 1, 1, 2, 0x9a, 0xff, 0xff, 0xff, 0xff]),
    },
    Case { name: "a map of 2^63 fields", run: |b| raw(b, &[0xbb, 0x80, 0, 0, 0, 0, 0, 0, 0]) },
    Case { name: "ten thousand arrays in each other", run: |b| raw(b, &[0x81; 10_000]) },
    Case { name: "a length without an end", run: |b| raw(b, &[0xbf, 1, 1, 0xff]) },
    Case {
        name: "a number that is not the shortest",
        run: |b| patched(b, |p| p.splice(2..3, [0x18, 1]).for_each(drop)),
    },
    Case { name: "a format of tomorrow", run: |b| patched(b, |p| p[2] = 2) },
    Case { name: "a field twice", run: |b| raw(b, &[0xa2, 1, 1, 1, 1]) },
    Case {
        name: "text that is no UTF-8",
        run: |b| patched(b, |p| swap(p, b"evil", b"ev\xff\xfe")),
    },
];

fn install(order: &mut Order) -> &mut Install {
    match &mut order.what {
        What::Install(install) => install,
        What::Remove | What::Invoke(_) => panic!("it is an install"),
    }
}

fn for_target(bench: &mut Bench, target: Target) {
    let mut order = bench.evil_order(6);
    order.targets = vec![target];
    let envelope = bench.fleet.sign(&order);
    bench.send_all(&envelope);
}

/// Whom it is for stands in what was signed, and not in the topic.
fn every_topic(bench: &mut Bench) {
    let mut order = bench.evil_order(6);
    order.targets = vec![gateway("gw-02"), Target::Group(name("pumps"))];
    let envelope = bench.fleet.sign(&order);
    for target in ["gw-01", "gw-02", "group:pumps", "group:gw-01"] {
        bench.send(&format!("tidegate/1/{target}/release/p"), &envelope);
        bench.send(&format!("tidegate/1/{target}/release/q"), &envelope);
    }
    let module = bench.evil.module.clone();
    bench.send_blob(&module);
}

fn other_fleet(bench: &mut Bench) {
    let mut order = bench.evil_order(6);
    order.fleet = name("others");
    let envelope = bench.fleet.sign(&order);
    bench.send_all(&envelope);
}

/// Signs whatever bytes there are.
fn raw(bench: &mut Bench, payload: &[u8]) {
    let keys = [&bench.fleet.key];
    let envelope = seal(Domain::Release, payload, &keys, ENVELOPE_BYTES_MAX).expect("it fits");
    bench.send_all(&envelope);
}

/// A good order whose bytes are changed before they are signed.
fn patched(bench: &mut Bench, patch: impl Fn(&mut Vec<u8>)) {
    let mut payload = bench.evil_order(6).encode().expect("a good order");
    patch(&mut payload);
    raw(bench, &payload);
}

fn swap(payload: &mut [u8], from: &[u8], to: &[u8]) {
    let at = payload.windows(from.len()).position(|bytes| bytes == from).expect("it is there");
    payload[at..at + to.len()].copy_from_slice(to);
}

/// The handler is called `p`: key 3, a text of one byte.
const HANDLER: [u8; 3] = [3, 0x61, b'p'];

fn handler_at(payload: &[u8]) -> usize {
    payload.windows(3).position(|bytes| bytes == HANDLER).expect("it has a handler")
}

fn renamed(bench: &mut Bench, name: &str) {
    patched(bench, |payload| {
        let at = handler_at(payload);
        let mut text = vec![3];
        match name.len() {
            len @ 0..24 => text.push(0x60 | len as u8),
            len => text.extend([0x78, len as u8]),
        }
        text.extend_from_slice(name.as_bytes());
        payload.splice(at..at + 3, text);
    });
}

fn long_name(payload: &mut Vec<u8>) {
    let at = handler_at(payload);
    payload.splice(at + 1..at + 2, [0x7a, 0, 0x10, 0, 0]);
}

/// Key 5 with no members.
fn cut_targets(payload: &mut Vec<u8>) {
    let target = b"\x05\x81\x82\x00\x65gw-01";
    let at = payload.windows(target.len()).position(|bytes| bytes == target).expect("a target");
    payload.splice(at..at + target.len(), [5, 0x80]);
}

/// Sent if the fleet can sign it; what it cannot sign it never does.
fn changed(bench: &mut Bench, change: impl Fn(&mut Install)) {
    let mut order = bench.evil_order(6);
    change(install(&mut order));
    if let Ok(envelope) = order.sign(&[&bench.fleet.key]) {
        bench.send_all(&envelope);
    }
}

fn granted(bench: &mut Bench, filter: &str) {
    // The tool refuses to sign it, so the bytes are changed: both are as long as the grant that is there.
    let mut order = bench.evil_order(6);
    let stand_in = "x".repeat(filter.len());
    install(&mut order).grants.publish = vec![stand_in.clone()];
    let mut payload = order.encode().expect("a good order");
    swap(&mut payload, stand_in.as_bytes(), filter.as_bytes());
    raw(bench, &payload);
}

fn big_golden(bench: &mut Bench) {
    changed(bench, |install| {
        let mut blob = install.module;
        blob.bytes = 1 << 40;
        install.golden = Some(blob);
    });
}
