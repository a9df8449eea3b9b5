//! What the fuzzer throws, and what must hold of it. A target is made once and then called with randomness; it panics
//! when something does not hold.

use tidegate_release::answer::{self, Heard};
use tidegate_release::audit::{Entry, Log};
use tidegate_release::chunks::{CHUNK_BYTES_MAX, Put, Reassembly, Unfinished, chunks_of, split};
use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope, seal};
use tidegate_release::hash::digest_of;
use tidegate_release::keys::{Domain, KeyFile, parse_public};
use tidegate_release::open;
use tidegate_release::ratchet::{Lane, Ratchet};
use tidegate_release::topics::ControlTopic;
use tidegate_release::trust::{Rotated, Trust, chain};
use tidegate_release::{Digest, Order, What, golden};

use crate::fixtures::{self, Seeded, key, order, signed, trust, trust_file};
use crate::generate;

type Run = Box<dyn FnMut(&mut Seeded)>;

/// A target's name, and what makes it.
pub type Target = (&'static str, fn() -> Run);

pub const ALL: [Target; 10] = [
    ("envelope", envelope),
    ("manifest", manifest),
    ("trust", trust_files),
    ("reassembly", reassembly),
    ("answer", answers),
    ("golden", golden_events),
    ("audit", audit),
    ("text", text),
    ("good-orders", || Box::new(generate::orders)),
    ("good-answers", || Box::new(generate::answers)),
];

/// Changes bytes in one of the ways that find something: single bits, lengths, pieces moved, doubled and cut.
fn mutate(bytes: &mut Vec<u8>, seeded: &mut Seeded) {
    for _ in 0..=seeded.below(4) {
        if bytes.is_empty() {
            bytes.push(seeded.next() as u8);
        }
        let at = seeded.below(bytes.len());
        let len = seeded.below((bytes.len() - at).min(40) + 1);
        match seeded.below(8) {
            0 => bytes[at] ^= 1 << seeded.below(8),
            1 => bytes[at] = seeded.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let piece = bytes[at..at + len].to_vec();
                let to = seeded.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            5 => {
                let piece = seeded.bytes(len);
                bytes.splice(at..at, piece);
            }
            // Heads of CBOR with lengths that are not there.
            6 => {
                let kind = [0u8, 0x40, 0x60, 0x80, 0xa0][seeded.below(5)];
                let head = [vec![kind | 27], seeded.bytes(8)].concat();
                bytes.splice(at..at, head);
            }
            _ => {
                bytes[at] = [0, 1, 0x17, 0x18, 0x5f, 0x7f, 0x9f, 0xbf, 0xf6, 0xff][seeded.below(10)]
            }
        }
    }
}

fn mutated(from: &[Vec<u8>], seeded: &mut Seeded) -> Vec<u8> {
    if seeded.below(20) == 0 {
        let len = seeded.below(600);
        return seeded.bytes(len);
    }
    let mut bytes = from[seeded.below(from.len())].clone();
    mutate(&mut bytes, seeded);
    bytes
}

fn whats() -> [What; 3] {
    [fixtures::install(), What::Remove, fixtures::invoke()]
}

/// A signed release that was changed opens only if what was signed is the same.
fn envelope() -> Run {
    let (trust, me) = (trust(), fixtures::me());
    let mut good: Vec<Vec<u8>> = whats().map(|what| signed(&order(what), &[11])).into();
    good.push(signed(&order(What::Remove), &[11, 12, 13]));
    let digest = |bytes: &[u8]| open::open(bytes, &trust, &me).map(|opened| opened.digest);
    let digests: Vec<Digest> =
        good.iter().map(|bytes| digest(bytes).expect("it is good")).collect();
    Box::new(move |seeded| {
        let bytes = mutated(&good, seeded);
        if let Ok(envelope) = Envelope::decode(&bytes, ENVELOPE_BYTES_MAX) {
            assert_eq!(envelope.encode(), bytes, "there is one encoding");
        }
        if let Ok(opened) = open::open(&bytes, &trust, &me) {
            assert!(digests.contains(&opened.digest), "it was never signed: {bytes:x?}");
        }
    })
}

/// Whatever is signed, an order that opens has one encoding and passes its own checks.
fn manifest() -> Run {
    let (trust, me) = (trust(), fixtures::me());
    let good = whats().map(|what| order(what).encode().expect("it may be signed"));
    Box::new(move |seeded| {
        let payload = mutated(&good, seeded);
        let decoded = Order::decode(&payload);
        if let Ok(order) = &decoded {
            assert_eq!(order.encode().as_ref(), Ok(&payload));
        }
        if seeded.below(8) == 0 {
            let Ok(bytes) = seal(Domain::Release, &payload, &[&key(11)], ENVELOPE_BYTES_MAX) else {
                return;
            };
            match open::open(&bytes, &trust, &me) {
                Ok(opened) => assert_eq!(Ok(opened.order), decoded),
                Err(refused) => assert!(!refused.to_string().is_empty()),
            }
        }
    })
}

/// A trust file that was changed is never the next one; one that was signed so never goes back or skips.
fn trust_files() -> Run {
    let trust = trust();
    let next = tidegate_release::trust::Content { version: 3, ..fixtures::content() };
    let good = [trust_file(&fixtures::content(), &[1, 2]), trust_file(&next, &[1, 2, 3])];
    let message = chain(&good.each_ref().map(Vec::as_slice));
    let files = [good.to_vec(), vec![message]].concat();
    let Ok(Rotated::Next(expect)) = trust.rotate(&good[1]) else {
        panic!("it is the next");
    };
    let payload =
        Envelope::decode(&good[1], ENVELOPE_BYTES_MAX).expect("it is one").payload.to_vec();
    Box::new(move |seeded| {
        let bytes = mutated(&files, seeded);
        if let Ok(Rotated::Next(reached)) = trust.follow(&bytes) {
            assert_eq!(reached.digest(), expect.digest(), "it was never signed");
        }
        if let Ok(first) = Trust::first(&bytes) {
            assert_eq!(first.file(), bytes);
        }
        if seeded.below(8) == 0 {
            let payload = mutated(std::slice::from_ref(&payload), seeded);
            let keys = [&key(1), &key(2)];
            let Ok(file) = seal(Domain::Trust, &payload, &keys, ENVELOPE_BYTES_MAX) else {
                return;
            };
            if let Ok(Rotated::Next(next)) = trust.rotate(&file) {
                assert_eq!(next.version(), 3);
                assert!(next.key_epoch() >= trust.key_epoch());
                assert_eq!(next.fleet(), trust.fleet());
                assert_eq!(Trust::first(next.file()).as_ref(), Ok(&next));
            }
        }
    })
}

/// Chunks in any order, doubled, forged and missing: what comes out is the blob or nothing.
fn reassembly() -> Run {
    Box::new(|seeded| {
        let chunks = seeded.below(4);
        let len = (chunks * CHUNK_BYTES_MAX + seeded.below(3)).max(1) + seeded.below(50);
        let blob: Vec<u8> = seeded.bytes(64).into_iter().cycle().take(len).collect();
        let mut reassembly = Reassembly::new(digest_of(&blob), len as u64).expect("it fits");
        let of = chunks_of(len as u64);
        let mut is_forged = vec![false; of as usize];
        for _ in 0..seeded.below(12 * of as usize) {
            let n = seeded.below(of as usize + 1) as u32;
            let chunk = split(&blob).nth(n as usize).unwrap_or(b"beyond").to_vec();
            let mut sent = chunk.clone();
            if seeded.below(12) == 0 {
                mutate(&mut sent, seeded);
            }
            let put = reassembly.put(n, &sent);
            if put == Put::Stored {
                assert!(n < of && sent.len() == chunk.len());
                is_forged[n as usize] = sent != chunk;
            }
            if n >= of || sent.len() != chunk.len() {
                assert!(matches!(put, Put::Wrong(_)));
            }
        }
        let missing = reassembly.missing().count() as u32;
        assert_eq!(missing + reassembly.held(), of);
        match reassembly.finish() {
            Ok(whole) => assert!(whole == blob && missing == 0),
            Err(Unfinished::Missing { have, of }) => assert!(have + missing == of && missing > 0),
            Err(Unfinished::WrongDigest { .. }) => {
                assert!(is_forged.contains(&true));
                for (n, chunk) in (0..).zip(split(&blob)) {
                    assert_eq!(reassembly.put(n, chunk), Put::Stored);
                }
                assert!(reassembly.finish().is_ok_and(|whole| whole == blob));
            }
        }
    })
}

/// No change of an answer is heard; whatever the gateway's key signs is heard or forged, never a panic.
fn answers() -> Run {
    let signer = key(21);
    let public = signer.public();
    let sign = |answer: &answer::Answer| answer.sign(&key(21)).expect("it signs");
    let mut good: Vec<Vec<u8>> =
        fixtures::answers().iter().map(|(_, answer)| sign(answer)).collect();
    good.push(fixtures::report().sign(&signer).expect("it signs"));
    let payload = |bytes: &Vec<u8>| {
        Envelope::decode(bytes, answer::ANSWER_BYTES_MAX).expect("it is one").payload.to_vec()
    };
    let payloads: Vec<Vec<u8>> = good.iter().map(payload).collect();
    Box::new(move |seeded| {
        let bytes = mutated(&good, seeded);
        if !good.contains(&bytes) {
            assert_eq!(answer::verify(&bytes, &public, 0), Heard::Forged);
            assert_eq!(answer::verify_report(&bytes, &public, 0), Heard::Forged);
        }
        if seeded.below(4) == 0 {
            let payload = mutated(&payloads, seeded);
            let seal = |domain| seal(domain, &payload, &[&signer], answer::ANSWER_BYTES_MAX);
            let [as_answer, as_report] = [Domain::Answer, Domain::Report].map(seal);
            if let Ok(bytes) = as_answer
                && let Heard::New(answer) = answer::verify(&bytes, &public, 0)
            {
                assert_eq!(answer.sign(&signer), Ok(bytes), "there is one encoding");
            }
            if let Ok(bytes) = as_report
                && let Heard::New(report) = answer::verify_report(&bytes, &public, 0)
            {
                assert_eq!(report.sign(&signer), Ok(bytes), "there is one encoding");
            }
        }
    })
}

fn golden_events() -> Run {
    let good = [fixtures::golden_events().encode().expect("they may be used")];
    Box::new(move |seeded| {
        let bytes = mutated(&good, seeded);
        if let Ok(golden) = golden::decode(&bytes) {
            assert_eq!(golden.encode(), Ok(bytes), "there is one encoding");
        }
    })
}

fn audit() -> Run {
    use tidegate_release::audit::What;

    let mut log = Log::new(9);
    let (handler, digest) = (fixtures::name("overheat"), digest_of(b"x"));
    let rank = tidegate_release::Rank { key_epoch: 1, seq: 2 };
    let (version, signers) = (Some("1".to_owned()), vec![key(1).id()]);
    log.append(1, What::Accepted { handler: handler.clone(), rank, digest, version, signers });
    log.append(2, What::RolledBack { handler, digest, to: Some(digest), code: "p99".into() });
    log.append(3, What::SafeMode);
    let entries: Vec<Entry> = log.entries().cloned().collect();
    let good: Vec<Vec<u8>> = entries.iter().map(Entry::encode).collect();
    let head = log.head();
    Box::new(move |seeded| {
        let at = seeded.below(3);
        let mut bytes = good[at].clone();
        mutate(&mut bytes, seeded);
        let ratchet = Ratchet::from_bytes(&bytes, Lane::Release);
        assert!(ratchet.is_err(), "an entry is no ratchet");
        if let Ok(entry) = Entry::decode(&bytes) {
            assert_eq!(entry.encode(), bytes, "there is one encoding");
            let mut changed = entries.clone();
            changed[at] = entry;
            let is_same = changed == entries;
            assert_eq!(tidegate_release::audit::verify_to(&changed, head).is_ok(), is_same);
        }
    })
}

/// Texts: topics, key files, names.
fn text() -> Run {
    let digest = digest_of(b"x");
    let good = [
        format!("tidegate/1/blob/{digest}/3"),
        "tidegate/1/group:boilers/release/overheat".to_owned(),
        key(1).to_plain_file().to_string(),
        key(1).public().to_file(),
        format!(
            "tidegate-encrypted:17:{}:{}:{}",
            "00".repeat(16),
            "11".repeat(24),
            "22".repeat(48)
        ),
    ]
    .map(String::into_bytes);
    Box::new(move |seeded| {
        let bytes = mutated(&good, seeded);
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(topic) = ControlTopic::parse(&text) {
            assert_eq!(topic.to_string(), text);
        }
        if let Ok(public) = parse_public(&text) {
            assert_eq!(parse_public(&public.to_file()), Ok(public));
            assert!(KeyFile::parse(&text).is_err(), "a public key is no secret one");
        }
        if let Ok(KeyFile::Plain(secret)) = KeyFile::parse(&text) {
            assert!(KeyFile::parse(&secret.to_plain_file()).is_ok());
        }
    })
}
