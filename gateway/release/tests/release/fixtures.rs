//! Fixed keys, a trust file and orders of each kind; and randomness from a seed.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_release::answer::{Answer, Figures, Invoked, LastEvent, Report, Stage};
use tidegate_release::golden::{Case, Expect, Golden};
use tidegate_release::hash::digest_of;
use tidegate_release::manifest::{
    Blob, Grants, Install, Invoke, Isolation, Limits, Probation, Provenance, React, Target,
};
use tidegate_release::open::Me;
use tidegate_release::trust::{Content, Role};
use tidegate_release::{Name, Order, PublicKey, Rank, SecretKey, Trust, What};

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// Keys 1 to 3 are roots, 11 to 13 sign releases, 21 is the gateway's, 31 is revoked, the others are strangers.
pub fn key(n: u8) -> SecretKey {
    SecretKey::generate([n; 32])
}

pub fn role(keys: &[u8], threshold: u32) -> Role {
    let mut keys: Vec<PublicKey> = keys.iter().map(|n| key(*n).public()).collect();
    keys.sort_unstable();
    Role { keys, threshold }
}

pub fn content() -> Content {
    Content {
        fleet: name("coast"),
        version: 2,
        key_epoch: 3,
        roots: role(&[1, 2, 3], 2),
        release: role(&[11, 12, 13], 1),
        revoked: BTreeSet::from([key(31).id()]),
    }
}

pub fn trust_file(content: &Content, by: &[u8]) -> Vec<u8> {
    let keys: Vec<SecretKey> = by.iter().map(|n| key(*n)).collect();
    content.sign(&keys.iter().collect::<Vec<_>>()).expect("it signs")
}

pub fn trust() -> Trust {
    Trust::first(&trust_file(&content(), &[1, 2])).expect("it is good")
}

/// The same, with two signatures on a release.
pub fn strict_trust() -> Trust {
    let content = Content { release: role(&[11, 12, 13], 2), ..content() };
    Trust::first(&trust_file(&content, &[1, 2])).expect("it is good")
}

pub fn me() -> Me {
    let groups = BTreeSet::from([name("boilers"), name("west")]);
    Me { gateway: name("gw-01"), groups, fleet: name("coast") }
}

pub fn install() -> What {
    What::Install(Install {
        module: Blob { digest: digest_of(b"module"), bytes: 3_174 },
        version: "0.2.0".into(),
        events: vec!["devices/+/telemetry".into()],
        grants: Grants {
            publish: vec!["devices/+/cmd".into()],
            streams: vec![name("alerts")],
            pins: vec![],
        },
        limits: Limits { fuel: 2_000_000, memory_kib: 256, deadline_ms: 50, publishes: 16 },
        settings: BTreeMap::from([("limit".into(), "90".into())]),
        isolation: Isolation::Event,
        react: React::Now,
        golden: Some(Blob { digest: digest_of(b"golden"), bytes: 120 }),
        migrate_from: Some("0.1.0".into()),
        probation: Probation {
            events: 100,
            uptime_ms: 60_000,
            failed_per_mille_max: 10,
            deadline_misses_max: 2,
            p99_us_max: 2_000,
            memory_kib_max: 256,
        },
    })
}

/// The same for a handler that waits for a pin and may use another.
pub fn install_with_pins() -> What {
    let What::Install(mut install) = install() else { unreachable!("it is one") };
    install.events = vec!["$pin/button1".into()];
    install.grants.pins = vec![name("relay1")];
    What::Install(install)
}

pub fn invoke() -> What {
    let topic = "devices/d1/telemetry".into();
    What::Invoke(Invoke { nonce: [5; 16], topic, payload: b"{\"temp\":91}".to_vec(), is_dry: true })
}

pub fn order(what: What) -> Order {
    Order {
        fleet: name("coast"),
        handler: name("overheat"),
        rank: Rank { key_epoch: 3, seq: 70_000 },
        targets: vec![Target::Gateway(name("gw-01")), Target::Group(name("boilers"))],
        what,
        provenance: Provenance {
            author: "ops@example.org".into(),
            built_with: "rustc 1.88".into(),
            source: "git 1a2b3c".into(),
        },
    }
}

pub fn signed(order: &Order, by: &[u8]) -> Vec<u8> {
    let keys: Vec<SecretKey> = by.iter().map(|n| key(*n)).collect();
    order.sign(&keys.iter().collect::<Vec<_>>()).expect("it signs")
}

pub fn answers() -> Vec<(&'static str, Answer)> {
    let publish = Expect::Publish { topic: "devices/d1/cmd".into(), payload: b"on".to_vec() };
    let invoked = Invoked {
        nonce: [5; 16],
        is_dry: true,
        fuel: 4_210,
        us: 12,
        effects: vec![publish],
        left_off: 0,
        failed: None,
    };
    let back = Stage::RolledBack {
        code: "failed".into(),
        text: "31 of 1000 events failed, at most 10 may".into(),
        event: Some(LastEvent::of("devices/d1/telemetry", b"{\"temp\":")),
    };
    let stages = [
        ("checking", Stage::Checking { have: 1, of: 3 }),
        ("probation", Stage::Probation { events: 7, events_of: 100, left_ms: 59_000 }),
        ("rolled-back", back),
        ("invoked", Stage::Invoked(invoked)),
    ];
    let answer = |stage| Answer {
        gateway: name("gw-01"),
        handler: name("overheat"),
        counter: 300,
        stage,
        release: Some((Rank { key_epoch: 3, seq: 70_000 }, digest_of(b"release"))),
        version: Some("0.2.0".into()),
        figures: Figures {
            events: 1_000,
            failed: 31,
            deadline_misses: 0,
            fuel: 4_210_000,
            p99_us: 40,
            memory_kib: 64,
        },
    };
    stages.map(|(name, stage)| (name, answer(stage))).into()
}

pub fn report() -> Report {
    Report {
        gateway: name("gw-01"),
        counter: 301,
        version: "0.1.0".into(),
        uptime_ms: 3_600_000,
        trust_version: 2,
        key_epoch: 3,
        is_safe_mode: false,
        is_stale: true,
        handlers: 4,
        audit: (17, digest_of(b"audit")),
    }
}

pub fn golden_events() -> Golden {
    let publish = Expect::Publish { topic: "devices/d1/cmd".into(), payload: b"on".to_vec() };
    let send = Expect::Send { stream: name("alerts"), payload: b"hot".to_vec() };
    let case = |payload: &[u8], expect| Case {
        topic: "devices/d1/telemetry".into(),
        payload: payload.to_vec(),
        expect,
    };
    let cases = vec![
        case(b"{\"temp\":91}", vec![publish, send]),
        case(b"{\"temp\":20}", vec![Expect::Nothing]),
        case(b"{", vec![Expect::Fails]),
    ];
    Golden { cases }
}

/// What a handler does with pins.
pub fn golden_pins() -> Golden {
    let pin = |on| Expect::Pin { name: name("relay1"), on };
    let case = |topic: &str, payload: &[u8], on| Case {
        topic: topic.into(),
        payload: payload.to_vec(),
        expect: vec![pin(on)],
    };
    Golden { cases: vec![case("tank/level", b"81", true), case("$pin/button1", b"1", false)] }
}

/// Random numbers from a seed: xorshift64* (Vigna, 2016).
pub struct Seeded(u64);

impl Seeded {
    pub fn new(seed: u64) -> Seeded {
        Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[7]).collect()
    }
}
