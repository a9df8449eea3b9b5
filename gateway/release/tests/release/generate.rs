//! Good things of every kind, from a seed: what is written is read back the same.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_release::answer::{self, Answer, Figures, Heard, Invoked, LastEvent, Stage};
use tidegate_release::golden::Expect;
use tidegate_release::manifest::{
    Blob, Grants, Install, Invoke, Isolation, Limits, Probation, Provenance, React, Target,
};
use tidegate_release::open::{self, Me};
use tidegate_release::trust::{Content, Rotated};
use tidegate_release::{Digest, Name, Order, Rank, Trust, What};

use crate::fixtures::{self, Seeded, key, role, signed, trust_file};

/// A number that is often at an edge of its encoding.
fn number(seeded: &mut Seeded) -> u64 {
    let edges = [0, 23, 24, 255, 256, 65_535, 65_536, u32::MAX.into(), 1 << 32, u64::MAX];
    match seeded.below(3) {
        0 => edges[seeded.below(edges.len())],
        1 => seeded.next() >> seeded.below(64),
        _ => seeded.below(30) as u64,
    }
}

fn short(seeded: &mut Seeded) -> u32 {
    number(seeded).try_into().unwrap_or(u32::MAX)
}

fn name(seeded: &mut Seeded) -> Name {
    let of = b"abcxyz0189-_";
    let len = [1, 3, 23, 24, 64][seeded.below(5)];
    let text: String = (0..len).map(|_| char::from(of[seeded.below(of.len())])).collect();
    fixtures::name(&text)
}

fn text(seeded: &mut Seeded, len_max: usize) -> String {
    let of = ['a', 'Z', '0', ' ', 'ü', '€', '😀', '"', '\\', '/'];
    let len = seeded.below(len_max / 4 + 1);
    (0..len).map(|_| of[seeded.below(of.len())]).collect()
}

fn bytes(seeded: &mut Seeded, len_max: usize) -> Vec<u8> {
    let len = seeded.below(len_max + 1);
    seeded.bytes(len)
}

fn digest(seeded: &mut Seeded) -> Digest {
    Digest(seeded.bytes(32).try_into().expect("there are 32"))
}

fn some<T: Ord>(
    seeded: &mut Seeded,
    max: usize,
    mut make: impl FnMut(&mut Seeded) -> T,
) -> BTreeSet<T> {
    let len = seeded.below(max + 1);
    (0..len).map(|_| make(seeded)).collect()
}

fn maybe<T>(seeded: &mut Seeded, make: impl FnOnce(&mut Seeded) -> T) -> Option<T> {
    let is_there = seeded.below(2) == 0;
    is_there.then(|| make(seeded))
}

fn version(seeded: &mut Seeded) -> String {
    format!("{}.{}-b+{}", number(seeded), seeded.below(10), seeded.below(10))
}

fn topic(seeded: &mut Seeded) -> String {
    format!("a/{}/{}", name(seeded), text(seeded, 90))
}

fn install(seeded: &mut Seeded) -> Install {
    let blob = |bytes: u64, seeded: &mut Seeded| Blob { digest: digest(seeded), bytes };
    let filter = |seeded: &mut Seeded| {
        let end = ["", "/+", "/#"][seeded.below(3)];
        topic(seeded) + end
    };
    let mut events = some(seeded, 5, filter);
    events.insert("$SYS/+".into());
    let bytes = number(seeded).max(1);
    let settings: BTreeMap<String, String> = some(seeded, 6, |seeded| text(seeded, 60) + "k")
        .into_iter()
        .map(|key| (key, text(seeded, 300)))
        .collect();
    Install {
        module: blob(bytes, seeded),
        version: version(seeded),
        events: events.into_iter().rev().collect(),
        grants: Grants {
            publish: some(seeded, 5, filter).into_iter().collect(),
            streams: some(seeded, 5, name).into_iter().collect(),
            pins: some(seeded, 5, name).into_iter().collect(),
        },
        limits: Limits {
            fuel: number(seeded).max(1),
            memory_kib: short(seeded).max(64),
            deadline_ms: short(seeded).max(1),
            publishes: short(seeded),
        },
        settings,
        isolation: [Isolation::Event, Isolation::Instance][seeded.below(2)],
        react: [React::Now, React::Durable][seeded.below(2)],
        golden: maybe(seeded, |seeded| blob(seeded.below(1000) as u64 + 1, seeded)),
        migrate_from: maybe(seeded, version),
        probation: Probation {
            events: number(seeded).max(1),
            uptime_ms: number(seeded).max(1),
            failed_per_mille_max: short(seeded).min(1000),
            deadline_misses_max: short(seeded),
            p99_us_max: short(seeded),
            memory_kib_max: short(seeded),
        },
    }
}

fn order(seeded: &mut Seeded) -> Order {
    let target = |seeded: &mut Seeded| {
        let name = name(seeded);
        if seeded.below(2) == 0 { Target::Gateway(name) } else { Target::Group(name) }
    };
    let mut targets = some(seeded, 6, target);
    targets.insert(Target::Gateway(name(seeded)));
    let what = match seeded.below(4) {
        0 => What::Remove,
        1 => What::Invoke(Invoke {
            nonce: seeded.bytes(16).try_into().expect("there are 16"),
            topic: topic(seeded),
            payload: bytes(seeded, 300),
            is_dry: seeded.below(2) == 0,
        }),
        _ => What::Install(install(seeded)),
    };
    Order {
        fleet: name(seeded),
        handler: name(seeded),
        rank: Rank { key_epoch: short(seeded), seq: number(seeded).max(1) },
        targets: targets.into_iter().collect(),
        what,
        provenance: Provenance {
            author: text(seeded, 120),
            built_with: text(seeded, 120),
            source: text(seeded, 120),
        },
    }
}

/// An order that is signed as it should be opens for whom it is meant, and says what it said.
pub fn orders(seeded: &mut Seeded) {
    let order = order(seeded);
    let content = Content {
        fleet: order.fleet.clone(),
        version: number(seeded).max(1),
        key_epoch: order.rank.key_epoch,
        roots: role(&[1], 1),
        release: role(&[11, 12, 13], 1 + seeded.below(3) as u32),
        revoked: BTreeSet::new(),
    };
    let trust = Trust::first(&trust_file(&content, &[1])).expect("it is good");
    let opened = {
        let bytes = signed(&order, &[11, 12, 13]);
        let (mut gateway, mut groups) = (fixtures::name("nobody"), BTreeSet::new());
        match &order.targets[seeded.below(order.targets.len())] {
            Target::Gateway(name) => gateway = name.clone(),
            Target::Group(name) => drop(groups.replace(name.clone())),
        }
        let me = Me { gateway, groups, fleet: order.fleet.clone() };
        open::open(&bytes, &trust, &me).expect("it is good")
    };
    assert_eq!(opened.order, order);
    if let Some(version) = content.version.checked_add(1) {
        let next = trust_file(&Content { version, ..content }, &[1]);
        assert!(
            matches!(trust.rotate(&next), Ok(Rotated::Next(next)) if next.version() == version)
        );
    }
}

/// An answer is heard as it was said.
pub fn answers(seeded: &mut Seeded) {
    let effect = |seeded: &mut Seeded| match seeded.below(5) {
        4 => Expect::Pin { name: name(seeded), on: seeded.below(2) == 1 },
        0 => Expect::Nothing,
        1 => Expect::Fails,
        2 => Expect::Send { stream: name(seeded), payload: bytes(seeded, 9000) },
        _ => Expect::Publish { topic: topic(seeded), payload: bytes(seeded, 9000) },
    };
    let code = || "some-code-1".to_owned();
    let stage = match seeded.below(6) {
        0 => Stage::Checking { have: short(seeded), of: short(seeded) },
        1 => Stage::Probation {
            events: number(seeded),
            events_of: number(seeded),
            left_ms: number(seeded),
        },
        2 => Stage::Rejected { code: code(), text: answer::told(&text(seeded, 4000)) },
        3 => {
            let event = maybe(seeded, |seeded| {
                let (topic, payload) = (text(seeded, 2000), bytes(seeded, 9000));
                LastEvent::of(&topic, &payload)
            });
            Stage::RolledBack { code: code(), text: answer::told(&text(seeded, 400)), event }
        }
        4 => {
            let invoked = Invoked {
                nonce: seeded.bytes(16).try_into().expect("there are 16"),
                is_dry: seeded.below(2) == 0,
                fuel: number(seeded),
                us: number(seeded),
                effects: Vec::new(),
                left_off: 0,
                failed: maybe(seeded, |seeded| answer::told(&text(seeded, 4000))),
            };
            let effects: Vec<Expect> = (0..seeded.below(70)).map(|_| effect(seeded)).collect();
            let (all, invoked) = (effects.len(), invoked.with_effects(effects));
            assert_eq!(invoked.effects.len() + invoked.left_off as usize, all);
            Stage::Invoked(invoked)
        }
        _ => [Stage::Installing, Stage::Active, Stage::Removed][seeded.below(3)].clone(),
    };
    let said = Answer {
        gateway: name(seeded),
        handler: name(seeded),
        counter: number(seeded).max(1),
        stage,
        release: maybe(seeded, |seeded| {
            (Rank { key_epoch: short(seeded), seq: number(seeded) }, digest(seeded))
        }),
        version: maybe(seeded, version),
        figures: Figures {
            events: number(seeded),
            failed: number(seeded),
            deadline_misses: number(seeded),
            fuel: number(seeded),
            p99_us: number(seeded),
            memory_kib: number(seeded),
        },
    };
    let bytes = said.sign(&key(21)).expect("it may be said");
    let (public, before) = (key(21).public(), said.counter - 1);
    assert_eq!(answer::verify(&bytes, &public, said.counter), Heard::Old);
    assert_eq!(answer::verify(&bytes, &public, before), Heard::New(said));
}
