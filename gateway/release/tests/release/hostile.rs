//! What a broker may do to a release, and what comes of it.

use std::collections::BTreeSet;

use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope, seal};
use tidegate_release::hash::digest_of;
use tidegate_release::keys::Domain;
use tidegate_release::manifest::{self, Target};
use tidegate_release::open::{Me, Refused, open, verify};
use tidegate_release::ratchet::{Judged, LEAP_MAX, Ratchet, judge};
use tidegate_release::trust::{Content, Rotated};
use tidegate_release::{Flaw, Order, Rank, Trust, What};

use crate::fixtures::{
    content, install, invoke, key, me, name, order, report, role, signed, strict_trust, trust,
    trust_file,
};

fn remove() -> Order {
    order(What::Remove)
}

#[track_caller]
fn check(bytes: &[u8], trust: &Trust, expect: Refused) {
    let refused = open(bytes, trust, &me()).expect_err("it is refused");
    assert_eq!(refused, expect);
    let text = refused.to_string();
    assert!(text.contains(';') && text.len() > 40, "it says what to do: {text}");
}

#[test]
fn every_refusal_has_its_code() {
    let (id, domain) = (key(11).id(), Domain::Trust);
    let wrong = || manifest::Wrong::SeqZero;
    for (refused, code) in [
        (Refused::TooLarge { bytes: 2, max: 1 }, "too-large"),
        (Refused::Form(Flaw::Ends { at: 1 }), "form"),
        (Refused::OtherDomain { domain, signer: id }, "other-domain"),
        (Refused::UnknownKey { key: id, trust: 1 }, "unknown-key"),
        (Refused::RevokedKey { key: id, trust: 1 }, "revoked-key"),
        (Refused::BadSignature(id), "bad-signature"),
        (Refused::TooFewSignatures { have: 1, need: 2 }, "too-few-signatures"),
        (Refused::Newer(wrong()), "newer-format"),
        (Refused::Content(wrong()), "content"),
        (Refused::OtherFleet { order: name("a"), ours: name("b") }, "other-fleet"),
        (Refused::KeyEpoch { order: 1, trust: 2 }, "key-epoch"),
        (Refused::OtherTarget { targets: vec![], gateway: name("a") }, "other-target"),
    ] {
        assert_eq!(refused.code(), code);
    }
}

#[test]
fn a_good_release_opens() {
    for what in [install(), What::Remove, invoke()] {
        let order = order(what);
        let bytes = signed(&order, &[11]);
        let opened = open(&bytes, &trust(), &me()).expect("it is good");
        assert_eq!(opened.order, order);
        assert_eq!(opened.signers, [key(11).id()]);
        let payload = order.encode().expect("it may be signed");
        let domain = Domain::Release.bytes();
        assert_eq!(opened.digest, digest_of(&[domain, &payload].concat()));
        let verified = verify(&bytes, &trust()).expect("it is good");
        assert_eq!((verified.order(), verified.digest()), (&order, opened.digest));
        assert_eq!(verified.signers(), opened.signers);
    }
    let both = open(&signed(&remove(), &[13, 12]), &strict_trust(), &me()).expect("it is good");
    let one = open(&signed(&remove(), &[11]), &trust(), &me()).expect("it is good");
    assert_eq!(both.digest, one.digest, "whoever signs it, it is the same release");
    assert_eq!(both.signers.len(), 2);
    assert!(both.signers.is_sorted());
}

#[test]
fn every_flipped_bit_is_refused() {
    for (what, by) in [(install(), [11].as_slice()), (What::Remove, &[11, 12])] {
        let bytes = signed(&order(what), by);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bad, &trust(), &me()).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(open(&bytes[..len], &trust(), &me()).is_err(), "{len} bytes");
        }
        for extra in [0, 1, 0xff] {
            assert!(open(&[bytes.as_slice(), &[extra]].concat(), &trust(), &me()).is_err());
        }
    }
}

#[test]
fn every_flipped_bit_of_a_trust_file_is_refused() {
    let next = trust_file(&Content { version: 3, ..content() }, &[1, 2]);
    for bit in 0..next.len() * 8 {
        let mut bad = next.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // One of the bits makes version 3 into version 2, to the byte the one that holds.
        assert!(matches!(trust().rotate(&bad), Err(_) | Ok(Rotated::Same)), "bit {bit}");
        assert!(Trust::first(&bad).is_err(), "bit {bit}");
    }
    for len in 0..next.len() {
        assert!(trust().follow(&next[..len]).is_err(), "{len} bytes");
    }
    assert!(matches!(trust().rotate(&next), Ok(Rotated::Next(_))));
}

#[test]
fn who_signs_decides() {
    let trust = trust();
    let unknown = |n| Refused::UnknownKey { key: key(n).id(), trust: 2 };
    check(&signed(&remove(), &[40]), &trust, unknown(40));
    check(&signed(&remove(), &[11, 40]), &trust, unknown(40));
    check(&signed(&remove(), &[1]), &trust, unknown(1));
    check(&signed(&remove(), &[31]), &trust, Refused::RevokedKey { key: key(31).id(), trust: 2 });
    let revoked = Refused::RevokedKey { key: key(31).id(), trust: 2 };
    check(&signed(&remove(), &[11, 31]), &trust, revoked);
    let few = Refused::TooFewSignatures { have: 1, need: 2 };
    check(&signed(&remove(), &[11]), &strict_trust(), few);
    let unsigned = [0xa2, 1, 0x41, 0, 2, 0x80];
    check(&unsigned, &trust, Refused::Form(Flaw::Ends { at: 5 }));
}

#[test]
fn one_signature_twice_counts_as_none() {
    let bytes = signed(&remove(), &[11, 12]);
    let envelope = Envelope::decode(&bytes, ENVELOPE_BYTES_MAX).expect("it is one");
    let mut twice = envelope.clone();
    twice.signatures[1] = twice.signatures[0];
    let refused = open(&twice.encode(), &strict_trust(), &me());
    assert!(matches!(refused, Err(Refused::Form(Flaw::Order { .. }))), "{refused:?}");
    let mut renamed = envelope.clone();
    renamed.signatures[1].1 = envelope.signatures[0].1;
    let refused = Refused::BadSignature(envelope.signatures[1].0);
    check(&renamed.encode(), &strict_trust(), refused);
    let mut half = envelope;
    half.signatures.pop();
    let few = Refused::TooFewSignatures { have: 1, need: 2 };
    check(&half.encode(), &strict_trust(), few);
}

#[test]
fn a_payload_under_the_signature_of_another_is_refused() {
    let [a, b] = [install(), What::Remove].map(|what| signed(&order(what), &[11]));
    let [a, b] =
        [&a, &b].map(|bytes| Envelope::decode(bytes, ENVELOPE_BYTES_MAX).expect("it is one"));
    let mixed = Envelope { payload: a.payload, signatures: b.signatures };
    check(&mixed.encode(), &trust(), Refused::BadSignature(key(11).id()));
}

#[test]
fn what_was_signed_as_something_else_is_refused() {
    let payload = remove().encode().expect("it may be signed");
    for domain in [Domain::Trust, Domain::Answer, Domain::Report] {
        let bytes = seal(domain, &payload, &[&key(11)], ENVELOPE_BYTES_MAX).expect("it seals");
        check(&bytes, &trust(), Refused::OtherDomain { domain, signer: key(11).id() });
    }
    let report = report().sign(&key(11)).expect("it signs");
    let expect = Refused::OtherDomain { domain: Domain::Report, signer: key(11).id() };
    check(&report, &trust(), expect);
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    let (bytes, max) = (ENVELOPE_BYTES_MAX + 1, ENVELOPE_BYTES_MAX);
    check(&vec![0xa2; bytes], &trust(), Refused::TooLarge { bytes, max });
    let refused = open(&vec![0xa2; max], &trust(), &me());
    assert!(matches!(refused, Err(Refused::Form(_))));
    // Lengths of 2^64 - 1, and of 4 GiB, that are not there.
    for head in [[0xa2, 1, 0x5b].as_slice(), &[0xbb], &[0xa2, 1, 0x41, 0, 2, 0x9b]] {
        for len in [[0xff; 8], [0, 0, 0, 1, 0, 0, 0, 0]] {
            let refused = open(&[head, &len].concat(), &trust(), &me());
            assert!(matches!(refused, Err(Refused::Form(Flaw::Limit { .. }))), "{refused:?}");
        }
    }
}

#[test]
fn nothing_is_read_before_its_signatures() {
    // No order at all: with a wrong signature that does not show, with the right one it does.
    let payload = b"\xa1\x01\x02";
    let bytes = seal(Domain::Release, payload, &[&key(40)], ENVELOPE_BYTES_MAX).expect("it seals");
    check(&bytes, &trust(), Refused::UnknownKey { key: key(40).id(), trust: 2 });
    let bytes = seal(Domain::Release, payload, &[&key(11)], ENVELOPE_BYTES_MAX).expect("it seals");
    let newer = manifest::Wrong::NewerFormat { format: 2 };
    check(&bytes, &trust(), Refused::Newer(newer));
    let few = Refused::TooFewSignatures { have: 1, need: 2 };
    check(&bytes, &strict_trust(), few);
    let bytes = seal(Domain::Release, b"", &[&key(11)], ENVELOPE_BYTES_MAX).expect("it seals");
    let wrong = manifest::Wrong::Form(Flaw::Ends { at: 0 });
    check(&bytes, &trust(), Refused::Content(wrong));
}

#[test]
fn the_key_epoch_must_be_the_trust_files() {
    for epoch in [2, 4] {
        let mut bad = remove();
        bad.rank.key_epoch = epoch;
        check(&signed(&bad, &[11]), &trust(), Refused::KeyEpoch { order: epoch, trust: 3 });
    }
    let text = |order| Refused::KeyEpoch { order, trust: 3 }.to_string();
    assert!(text(2).contains("sign it again") && text(4).contains("newer trust file first"));
}

#[test]
fn it_must_be_for_this_fleet_and_gateway() {
    let mut bad = remove();
    bad.fleet = name("river");
    let expect = Refused::OtherFleet { order: name("river"), ours: name("coast") };
    check(&signed(&bad, &[11]), &trust(), expect.clone());
    let stray = Me { fleet: name("river"), ..me() };
    let other = Refused::OtherFleet { order: name("coast"), ours: name("river") };
    assert_eq!(open(&signed(&remove(), &[11]), &trust(), &stray), Err(other));
    let gateway = |text: &str| Target::Gateway(name(text));
    let group = |text: &str| Target::Group(name(text));
    for (targets, is_meant) in [
        (vec![gateway("gw-01")], true),
        (vec![gateway("gw-02")], false),
        (vec![gateway("gw-0")], false),
        (vec![group("boilers")], true),
        (vec![group("east")], false),
        (vec![gateway("boilers")], false),
        (vec![group("gw-01")], false),
        (vec![gateway("gw-02"), group("west")], true),
    ] {
        let bytes = signed(&Order { targets: targets.clone(), ..remove() }, &[11]);
        if is_meant {
            assert!(open(&bytes, &trust(), &me()).is_ok(), "{targets:?}");
        } else {
            let expect = Refused::OtherTarget { targets, gateway: name("gw-01") };
            check(&bytes, &trust(), expect);
            assert!(verify(&bytes, &trust()).is_ok(), "for somebody else it is good");
        }
    }
    let text = |len| {
        let targets = (0..len).map(|n| gateway(&format!("gw-1{n}"))).collect();
        Refused::OtherTarget { targets, gateway: name("gw-01") }.to_string()
    };
    assert!(text(3).contains("gw-10, gw-11, gw-12, not"), "{}", text(3));
    assert!(text(4).contains("gw-10, gw-11, gw-12 and others, not"), "{}", text(4));
    let nobody = Me { groups: BTreeSet::new(), gateway: name("gw-09"), ..me() };
    assert!(open(&signed(&remove(), &[11]), &trust(), &nobody).is_err());
}

#[test]
fn a_stolen_key_is_left_behind() {
    // The thief signs as far ahead as the ratchet lets him, again and again.
    let trust = trust();
    let mut ratchet: Option<Ratchet> = None;
    let mut push = |trust: &Trust, rank: Rank, by: u8| {
        let bytes = signed(&Order { rank, ..remove() }, &[by]);
        let opened = open(&bytes, trust, &me())?;
        let judged = judge(ratchet.as_ref(), rank, opened.digest);
        if judged == Judged::Newer {
            ratchet = Some(Ratchet { highest: rank, digest: opened.digest });
        }
        Ok::<Judged, Refused>(judged)
    };
    let rank = |key_epoch, seq| Rank { key_epoch, seq };
    assert_eq!(push(&trust, rank(3, 5), 11), Ok(Judged::Newer));
    assert_eq!(push(&trust, rank(3, u64::MAX), 11), Ok(Judged::Leap { seq_max: 5 + LEAP_MAX }));
    assert_eq!(push(&trust, rank(3, 5 + LEAP_MAX), 11), Ok(Judged::Newer));
    // The owner revokes it and raises the epoch.
    let next = Content {
        version: 3,
        key_epoch: 4,
        release: role(&[12, 14], 1),
        revoked: BTreeSet::from([key(11).id(), key(31).id()]),
        ..content()
    };
    let Ok(Rotated::Next(trust)) = trust.rotate(&trust_file(&next, &[2, 3])) else {
        panic!("it is the next");
    };
    let revoked = Refused::RevokedKey { key: key(11).id(), trust: 3 };
    assert_eq!(push(&trust, rank(4, 6), 11), Err(revoked));
    let behind = Refused::KeyEpoch { order: 3, trust: 4 };
    assert_eq!(push(&trust, rank(3, 6 + LEAP_MAX), 12), Err(behind));
    assert_eq!(push(&trust, rank(4, 1), 14), Ok(Judged::Newer), "and begins at 1 again");
    assert_eq!(push(&trust, rank(4, 1), 12), Ok(Judged::Again));
}
