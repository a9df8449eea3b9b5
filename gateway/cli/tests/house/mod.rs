//! A broker of a hundred lines with one gateway behind it that does what a test says: MQTT 5, as much of it as a push
//! needs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tidegate_release::answer::{Answer, Figures, Stage};
use tidegate_release::hash::digest_of;
use tidegate_release::keys::Domain;
use tidegate_release::manifest::{Order, What};
use tidegate_release::{Digest, Name, Rank, SecretKey};

/// What the gateway does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// When there is none.
    Absent,
    /// When it takes everything.
    Takes,
    /// When the first chunk never reaches it.
    LosesAChunk,
    /// When it refuses the order.
    Refuses,
    /// When it takes the module back.
    TakesBack,
    /// When its answers are signed with another key than the one it shows.
    Forged,
}

/// A broker.
pub struct House {
    pub url: String,
    /// Every topic that was published to, with the length of what was said.
    pub published: Arc<Mutex<Vec<(String, usize)>>>,
}

struct Shared {
    gateway: Gateway,
    keeps: bool,
    key: SecretKey,
    published: Arc<Mutex<Vec<(String, usize)>>>,
    counter: Mutex<u64>,
    /// The order that was sent last.
    release: Mutex<Option<(Rank, Digest, String, bool)>>,
}

impl House {
    pub fn start(gateway: Gateway, keeps: bool, key: u8) -> House {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("mqtt://{}", listener.local_addr().expect("bound"));
        let published = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared {
            gateway,
            keeps,
            key: SecretKey::generate([key; 32]),
            published: Arc::clone(&published),
            counter: Mutex::new(0),
            release: Mutex::new(None),
        });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.serve(stream));
            }
        });
        House { url, published }
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).expect("a socket");
        while let Some((first, body)) = packet(&mut stream) {
            let answer = match first >> 4 {
                // CONNECT: session present 0, success; retain available.
                1 => vec![0x20, 5, 0, 0, 2, 0x25, u8::from(self.keeps)],
                8 => self.subscribed(&body),
                3 => self.taken(first, &body),
                12 => vec![0xd0, 0],
                14 => return,
                _ => Vec::new(),
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    /// Every filter is granted; then comes what is kept: the gateway's key.
    fn subscribed(&self, body: &[u8]) -> Vec<u8> {
        let mut at = 3 + usize::from(body[2]);
        let mut codes = 0;
        while at < body.len() {
            at += 2 + usize::from(u16::from_be_bytes([body[at], body[at + 1]])) + 1;
            codes += 1;
        }
        let mut bytes = vec![0x90, 3 + codes, body[0], body[1], 0];
        bytes.extend(vec![1; codes.into()]);
        if self.gateway != Gateway::Absent {
            let key = self.key.public().to_file();
            bytes.extend(publish("tidegate/1/gw-01/key", key.as_bytes(), true));
        }
        bytes
    }

    fn taken(&self, first: u8, body: &[u8]) -> Vec<u8> {
        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..end].to_vec()).expect("text");
        assert_eq!((first >> 1) & 3, 1, "everything is published with QoS 1");
        let payload = &body[end + 3 + usize::from(body[end + 2])..];
        let mut published = self.published.lock().expect("no panic");
        let before = published.iter().filter(|(known, _)| *known == topic).count();
        published.push((topic.clone(), payload.len()));
        let mut bytes = vec![0x40, 2, body[end], body[end + 1]];
        if self.gateway == Gateway::Absent {
            return bytes;
        }
        let stages = if topic.contains("/release/") {
            self.ordered(payload)
        } else if topic.contains("/blob/") && (self.gateway != Gateway::LosesAChunk || before > 0) {
            self.complete()
        } else {
            Vec::new()
        };
        stages.into_iter().for_each(|stage| bytes.extend(self.answer(stage)));
        bytes
    }

    fn ordered(&self, envelope: &[u8]) -> Vec<Stage> {
        let envelope =
            tidegate_release::envelope::Envelope::decode(envelope, 16 * 1024).expect("an envelope");
        let order = Order::decode(envelope.payload).expect("an order");
        let is_remove = order.what == What::Remove;
        let digest = envelope.digest(Domain::Release);
        assert_eq!(digest, digest_of(&[Domain::Release.bytes(), envelope.payload].concat()));
        *self.release.lock().expect("no panic") =
            Some((order.rank, digest, order.handler.to_string(), is_remove));
        match (self.gateway, is_remove) {
            (Gateway::Refuses, _) => {
                let (code, text) = ("older".to_owned(), "push again".to_owned());
                vec![Stage::Rejected { code, text }]
            }
            (_, true) => vec![Stage::Removed],
            (_, false) => vec![Stage::Checking { have: 0, of: 1 }],
        }
    }

    fn complete(&self) -> Vec<Stage> {
        let probation = Stage::Probation { events: 0, events_of: 10, left_ms: 1_000 };
        let last = match self.gateway {
            Gateway::TakesBack => Stage::RolledBack {
                code: "failed".to_owned(),
                text: "1 of 10 events failed".to_owned(),
                event: None,
            },
            _ => Stage::Active,
        };
        vec![Stage::Installing, probation, last]
    }

    fn answer(&self, stage: Stage) -> Vec<u8> {
        let mut counter = self.counter.lock().expect("no panic");
        *counter += 1;
        let release = self.release.lock().expect("no panic");
        let (rank, digest, handler, _) = release.as_ref().expect("an order came before");
        let name = |text: &str| Name::new(text).expect("a name");
        let answer = Answer {
            gateway: name("gw-01"),
            handler: name(handler),
            counter: *counter,
            stage,
            release: Some((*rank, *digest)),
            version: None,
            figures: Figures::default(),
        };
        let other = SecretKey::generate([99; 32]);
        let key = if self.gateway == Gateway::Forged { &other } else { &self.key };
        let payload = answer.sign(key).expect("it signs");
        publish(&format!("tidegate/1/gw-01/handler/{handler}"), &payload, false)
    }
}

/// A packet: its first byte, and what follows its length.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let first = byte[0];
    let (mut len, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

/// A PUBLISH of QoS 0.
fn publish(topic: &str, payload: &[u8], retain: bool) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).expect("short").to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    body.push(0);
    body.extend(payload);
    let mut bytes = vec![0x30 | u8::from(retain)];
    let mut len = body.len();
    loop {
        let low = u8::try_from(len % 128).expect("seven bits");
        len /= 128;
        bytes.push(if len > 0 { low | 0x80 } else { low });
        if len == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}
