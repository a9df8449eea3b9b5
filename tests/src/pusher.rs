//! Whoever pushes: a fleet's key, its trust file, and a connection over which orders go out and answers come in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate_release::answer::{self, Answer, Heard, Stage};
use tidegate_release::chunks::split;
use tidegate_release::golden::Golden;
use tidegate_release::hash::{Digest, digest_of};
use tidegate_release::keys::{PublicKey, SecretKey, parse_public};
use tidegate_release::manifest::{
    Blob, Grants, Install, Isolation, Limits, Order, Probation, Provenance, React, Target, What,
};
use tidegate_release::name::Name;
use tidegate_release::ratchet::Rank;
use tidegate_release::topics::ControlTopic;
use tidegate_release::trust::{Content, Role};

use crate::handlers::Handler;
use crate::mqtt::{self, Client};

/// Who signs, and for which fleet.
#[derive(Debug)]
pub struct Fleet {
    pub key: SecretKey,
    pub name: Name,
    pub key_epoch: u32,
}

/// A probation that three events pass, or a second.
pub const SHORT: Probation = Probation {
    events: 3,
    uptime_ms: 1_000,
    failed_per_mille_max: 0,
    deadline_misses_max: 0,
    p99_us_max: u32::MAX,
    memory_kib_max: u32::MAX,
};

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub fn gateway(text: &str) -> Target {
    Target::Gateway(name(text))
}

impl Fleet {
    pub fn new(seed: u8) -> Fleet {
        Fleet { key: SecretKey::generate([seed; 32]), name: name("fleet"), key_epoch: 1 }
    }

    /// What its first trust file says.
    pub fn content(&self) -> Content {
        let role = || Role { keys: vec![self.key.public()], threshold: 1 };
        Content {
            fleet: self.name.clone(),
            version: 1,
            key_epoch: self.key_epoch,
            roots: role(),
            release: role(),
            revoked: BTreeSet::new(),
        }
    }

    pub fn trust(&self) -> Vec<u8> {
        self.content().sign(&[&self.key]).expect("a good trust file")
    }

    /// An order to run `handler`, as `version`.
    pub fn order(&self, handler: &Handler, version: &str, seq: u64, target: Target) -> Order {
        let blob = |bytes: &[u8]| Blob { digest: digest_of(bytes), bytes: bytes.len() as u64 };
        let streams = handler.send.iter().map(|stream| name(stream)).collect();
        let install = Install {
            module: blob(&handler.module),
            version: version.to_owned(),
            events: handler.triggers.clone(),
            grants: Grants { publish: handler.publish.clone(), streams, pins: Vec::new() },
            limits: Limits {
                fuel: handler.fuel,
                memory_kib: handler.memory_kib,
                deadline_ms: handler.deadline_ms,
                publishes: handler.publishes,
            },
            settings: BTreeMap::new(),
            isolation: Isolation::Event,
            react: React::Now,
            golden: None,
            migrate_from: None,
            probation: SHORT,
        };
        self.order_of(&handler.name, seq, target, What::Install(install))
    }

    pub fn order_of(&self, handler: &str, seq: u64, target: Target, what: What) -> Order {
        Order {
            fleet: self.name.clone(),
            handler: name(handler),
            rank: Rank { key_epoch: self.key_epoch, seq },
            targets: vec![target],
            what,
            provenance: Provenance::default(),
        }
    }

    pub fn sign(&self, order: &Order) -> Vec<u8> {
        order.sign(&[&self.key]).expect("a good order")
    }
}

/// Gives an order golden events.
pub fn with_golden(order: &mut Order, golden: &Golden) -> Vec<u8> {
    let bytes = golden.encode().expect("good golden events");
    let What::Install(install) = &mut order.what else {
        panic!("only an install has golden events");
    };
    install.golden = Some(Blob { digest: digest_of(&bytes), bytes: bytes.len() as u64 });
    bytes
}

/// A connection that pushes and hears the answers of one gateway.
#[derive(Debug)]
pub struct Pusher {
    pub client: Client,
    pub key: PublicKey,
    counters: BTreeMap<String, u64>,
    /// Every answer so far.
    pub heard: Vec<Answer>,
}

impl Pusher {
    /// Learns the gateway's key and listens to its answers.
    pub fn connect(address: SocketAddr, gateway: &str) -> Pusher {
        let mut client = Client::connect(address, "pusher").expect("a broker");
        client.subscribe(&format!("tidegate/1/{gateway}/key"), 1).expect("a subscription");
        let end = Instant::now() + Duration::from_secs(10);
        let key = loop {
            let wait = end.saturating_duration_since(Instant::now());
            let message = client.message(wait).expect("a connection").expect("the gateway's key");
            if message.topic.ends_with("/key") {
                let text = String::from_utf8(message.payload).expect("a text");
                break parse_public(&text).expect("a public key");
            }
        };
        client.subscribe(&format!("tidegate/1/{gateway}/handler/+"), 1).expect("a subscription");
        Pusher { client, key, counters: BTreeMap::new(), heard: Vec::new() }
    }

    /// Publishes with QoS 1, kept by the broker.
    pub fn keep(&mut self, topic: &str, payload: &[u8]) {
        let mut bytes = Vec::new();
        mqtt::publish(&mut bytes, topic, payload, 1, 7, true);
        self.client.send(&bytes).expect("a connection");
    }

    /// The signed order and every blob.
    pub fn push(&mut self, order: &Order, envelope: &[u8], blobs: &[&[u8]]) {
        self.send_order(order, envelope);
        for blob in blobs {
            self.send_blob(blob);
        }
    }

    pub fn send_order(&mut self, order: &Order, envelope: &[u8]) {
        let target = order.targets[0].clone();
        let topic = ControlTopic::Release { target, handler: order.handler.clone() };
        self.keep(&topic.to_string(), envelope);
    }

    pub fn send_blob(&mut self, blob: &[u8]) {
        let digest = digest_of(blob);
        for (n, chunk) in (0..).zip(split(blob)) {
            self.send_chunk(digest, n, chunk);
        }
    }

    pub fn send_chunk(&mut self, digest: Digest, n: u32, chunk: &[u8]) {
        self.keep(&ControlTopic::Blob { digest, n }.to_string(), chunk);
    }

    /// The next true answer, if one comes in time.
    pub fn next(&mut self, wait: Duration) -> Option<Answer> {
        let end = Instant::now() + wait;
        loop {
            let wait = end.saturating_duration_since(Instant::now());
            let message = self.client.message(wait).ok()??;
            let last = self.counters.entry(message.topic.clone()).or_default();
            match answer::verify(&message.payload, &self.key, *last) {
                Heard::New(answer) => {
                    *last = answer.counter;
                    self.heard.push(answer.clone());
                    return Some(answer);
                }
                Heard::Old => {}
                Heard::Forged => panic!("a forged answer on {}", message.topic),
            }
        }
    }

    /// Waits for an answer that fits.
    #[track_caller]
    pub fn wait(&mut self, what: &str, fits: impl Fn(&Answer) -> bool) -> Answer {
        let end = Instant::now() + Duration::from_secs(15);
        while let Some(answer) = self.next(end.saturating_duration_since(Instant::now())) {
            if fits(&answer) {
                return answer;
            }
        }
        panic!("no answer is {what}: {:#?}", self.heard);
    }

    /// Waits until the handler has come so far with that version.
    #[track_caller]
    pub fn wait_for(&mut self, version: &str, stage: &str) -> Answer {
        self.wait(&format!("{version} {stage}"), |answer| {
            answer.version.as_deref() == Some(version) && answer.stage.name() == stage
        })
    }

    /// Waits for a refusal with that code.
    #[track_caller]
    pub fn wait_for_code(&mut self, expect: &str) -> Answer {
        self.wait(expect, |answer| code(&answer.stage) == Some(expect))
    }
}

pub fn code(stage: &Stage) -> Option<&str> {
    match stage {
        Stage::Rejected { code, .. } | Stage::RolledBack { code, .. } => Some(code),
        Stage::Checking { .. }
        | Stage::Installing
        | Stage::Probation { .. }
        | Stage::Active
        | Stage::Removed
        | Stage::Invoked(_) => None,
    }
}
