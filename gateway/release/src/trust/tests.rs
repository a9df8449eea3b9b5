use super::*;
use crate::keys::SecretKey;

fn key(n: u8) -> SecretKey {
    SecretKey::generate([n; 32])
}

fn role(keys: &[u8], threshold: u32) -> Role {
    let mut keys: Vec<PublicKey> = keys.iter().map(|n| key(*n).public()).collect();
    keys.sort_unstable();
    Role { keys, threshold }
}

/// Roots 1 to 3, two must sign; release keys 11 and 12, one must.
fn content(version: u64) -> Content {
    Content {
        fleet: Name::new("coast").expect("a name"),
        version,
        key_epoch: 4,
        roots: role(&[1, 2, 3], 2),
        release: role(&[11, 12], 1),
        revoked: BTreeSet::new(),
    }
}

fn signed(content: &Content, by: &[u8]) -> Vec<u8> {
    let keys: Vec<SecretKey> = by.iter().map(|n| key(*n)).collect();
    content.sign(&keys.iter().collect::<Vec<_>>()).expect("it signs")
}

fn first() -> Trust {
    Trust::first(&signed(&content(7), &[1, 2])).expect("it is good")
}

/// What becomes of version 8, changed and signed by these.
#[track_caller]
fn check_next(change: impl FnOnce(&mut Content), by: &[u8], expect: Result<(), Wrong>) {
    let mut next = content(8);
    change(&mut next);
    let file = signed(&next, by);
    match first().rotate(&file) {
        Ok(Rotated::Next(trust)) => {
            assert_eq!(expect, Ok(()));
            assert_eq!(*trust.content(), next);
            let kept = Trust::first(trust.file()).expect("what is kept can be read again");
            assert_eq!(kept, trust);
            assert_eq!(trust.rotate(&file), Ok(Rotated::Same), "it comes again");
        }
        Ok(other) => panic!("{other:?}"),
        Err(wrong) => assert_eq!(Err(wrong), expect),
    }
}

#[test]
fn the_first_needs_its_own_roots_and_nobody_else() {
    let content = content(7);
    let first = |by: &[u8]| Trust::first(&signed(&content, by));
    let trust = first(&[1, 3]).expect("two roots");
    assert_eq!(*trust.content(), content);
    assert_eq!(trust.file(), signed(&content, &[1, 3]));
    assert!(first(&[1, 2, 3]).is_ok());
    assert_eq!(first(&[1]), Err(Wrong::TooFewSignatures { have: 1, need: 2 }));
    assert_eq!(first(&[1, 2, 9]), Err(Wrong::UnknownKey(key(9).id())));
    assert_eq!(first(&[1, 11]), Err(Wrong::UnknownKey(key(11).id())), "a release key is no root");
    assert_eq!(first(&[1, 2]).expect("it is good").digest(), trust.digest());
}

#[test]
fn a_revoked_key_signs_no_first() {
    let mut content = content(1);
    content.revoked.insert(key(9).id());
    let first = Trust::first(&signed(&content, &[1, 2, 9]));
    assert_eq!(first, Err(Wrong::RevokedKey(key(9).id())));
    assert!(Trust::first(&signed(&content, &[1, 2])).is_ok());
}

#[test]
fn the_next_is_signed_by_enough_of_both() {
    let new_roots = |content: &mut Content| content.roots = role(&[3, 4, 5], 2);
    let few = |have| Err(Wrong::TooFewSignatures { have, need: 2 });
    let few_old = |have| Err(Wrong::TooFewOldSignatures { version: 7, have, need: 2 });
    check_next(|_| {}, &[1, 2], Ok(()));
    check_next(|_| {}, &[1], few_old(1));
    check_next(new_roots, &[1, 2, 4, 5], Ok(()));
    check_next(new_roots, &[1, 3, 4], Ok(()));
    check_next(new_roots, &[1, 2], few(0));
    check_next(new_roots, &[1, 3], few(1));
    check_next(new_roots, &[4, 5], few_old(0));
    check_next(new_roots, &[3, 4, 5], few_old(1));
    check_next(new_roots, &[1, 2, 4, 5, 9], Err(Wrong::UnknownKey(key(9).id())));
    check_next(new_roots, &[11, 12], few_old(0));
}

#[test]
fn a_stolen_root_is_revoked_by_the_others_and_counts_no_more() {
    let revoke = |content: &mut Content| {
        content.roots = role(&[2, 3, 4], 2);
        content.revoked.insert(key(1).id());
    };
    check_next(revoke, &[2, 3], Ok(()));
    // It holds until the new file does, so the old one may be the one who signs it off.
    check_next(revoke, &[1, 2, 4], Ok(()));
    let mut next = content(8);
    revoke(&mut next);
    let Ok(Rotated::Next(trust)) = first().rotate(&signed(&next, &[2, 3])) else {
        panic!("it is the next");
    };
    let mut later = next.clone();
    later.version = 9;
    assert_eq!(trust.rotate(&signed(&later, &[1, 2, 3])), Err(Wrong::RevokedKey(key(1).id())));
    assert!(matches!(trust.rotate(&signed(&later, &[2, 3])), Ok(Rotated::Next(_))));
}

#[test]
fn only_the_next_version_of_the_fleet_is_taken() {
    let skip = |file| Err(Wrong::RootSkipped { file, ours: 7 });
    check_next(|content| content.version = 9, &[1, 2], skip(9));
    check_next(|content| content.version = u64::MAX, &[1, 2], skip(u64::MAX));
    check_next(
        |content| content.key_epoch = 3,
        &[1, 2],
        Err(Wrong::EpochBack { file: 3, ours: 4 }),
    );
    check_next(|content| content.key_epoch = 5, &[1, 2], Ok(()));
    let [coast, river] = ["coast", "river"].map(|name| Name::new(name).expect("a name"));
    let other = Wrong::OtherFleet { file: river.clone(), ours: coast };
    check_next(|content| content.fleet = river, &[1, 2], Err(other));
}

#[test]
fn the_same_again_and_older_ones_change_nothing() {
    let trust = first();
    assert_eq!(trust.rotate(trust.file()), Ok(Rotated::Same));
    assert_eq!(trust.rotate(&signed(&content(7), &[1, 2, 3])), Ok(Rotated::Same));
    assert_eq!(trust.rotate(&signed(&content(6), &[1, 2])), Ok(Rotated::Older));
    let few = Wrong::TooFewOldSignatures { version: 7, have: 1, need: 2 };
    assert_eq!(trust.rotate(&signed(&content(6), &[1])), Err(few));
    let mut fork = content(7);
    fork.key_epoch = 5;
    let fork = signed(&fork, &[1, 2]);
    let file = Trust::first(&fork).expect("it is good by itself").digest();
    let wrong = Wrong::Fork { version: 7, file, ours: trust.digest() };
    assert_eq!(trust.rotate(&fork), Err(wrong));
}

#[test]
fn a_chain_leads_as_far_as_it_fits() {
    let trust = first();
    let mut files = vec![signed(&content(6), &[1, 2]), signed(&content(7), &[2, 3])];
    files.extend([8, 9, 10].map(|version| signed(&content(version), &[1, 2])));
    let message = |files: &[Vec<u8>]| chain(&files.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let reached = |trust: &Trust, message: &[u8]| match trust.follow(message) {
        Ok(Rotated::Next(trust)) => Ok(trust.version()),
        Ok(Rotated::Same | Rotated::Older) => Ok(0),
        Err(wrong) => Err(wrong),
    };
    assert_eq!(reached(&trust, &message(&files)), Ok(10));
    assert_eq!(reached(&trust, &files[2]), Ok(8), "one file, as it is");
    assert_eq!(reached(&trust, &message(&files[..2])), Ok(0));
    assert_eq!(reached(&trust, &message(&files[..4])), Ok(9));
    let skipped = Wrong::RootSkipped { file: 10, ours: 7 };
    assert_eq!(reached(&trust, &message(&files[3..])), Err(skipped));
    let mut forged = files.clone();
    forged[3] = signed(&content(9), &[1]);
    assert_eq!(reached(&trust, &message(&forged)), Ok(8), "as far as it is good");
    let mut damaged = files.clone();
    let last = damaged[2].len() - 1;
    damaged[2][last] ^= 1;
    let Err(Wrong::BadSignature(_)) = reached(&trust, &message(&damaged[2..])) else {
        panic!("it is damaged");
    };
    damaged.swap(2, 3);
    damaged.insert(4, files[2].clone());
    // 9 is passed over, the damaged 8 ends it before the good one.
    assert!(matches!(reached(&trust, &message(&damaged[2..])), Err(Wrong::BadSignature(_))));
    assert_eq!(reached(&trust, &message(&damaged[4..])), Ok(8));
    let many = vec![files[2].clone(); 17];
    let many = many.iter().fold(vec![0x91], |message, file| {
        let len = u16::try_from(file.len()).expect("it is short").to_be_bytes();
        [message, vec![0x59], len.to_vec(), file.clone()].concat()
    });
    let limit = Flaw::Limit { at: 0, is: 17, max: 16 };
    assert_eq!(reached(&trust, &many), Err(Wrong::Chain(limit)));
    assert!(matches!(reached(&trust, &message(&[])), Err(Wrong::Chain(_))));
    let long = vec![0x80; CHAIN_BYTES_MAX + 1];
    assert!(matches!(reached(&trust, &long), Err(Wrong::TooLarge { .. })));
    let mut trailing = message(&files);
    trailing.push(0);
    assert!(matches!(reached(&trust, &trailing), Err(Wrong::Chain(Flaw::Trailing { .. }))));
}

#[test]
fn a_chain_that_does_not_fit_leaves_out_the_oldest() {
    let file = vec![0x55; 10_000];
    let many = chain(&vec![file.as_slice(); 70]);
    assert!(many.len() <= CHAIN_BYTES_MAX && many.len() > CHAIN_BYTES_MAX - 10_010);
    let short: Vec<&[u8]> = vec![&[7]; 70];
    let mut expect = vec![0x90];
    expect.extend([0x41, 7].repeat(16));
    assert_eq!(chain(&short), expect);
}

#[test]
fn a_file_that_contradicts_itself_is_neither_signed_nor_taken() {
    let check = |change: &dyn Fn(&mut Content), expect: Contradiction| {
        let mut bad = content(1);
        change(&mut bad);
        let signed = bad.sign(&[&key(1)]);
        assert_eq!(signed, Err(Wrong::Contradiction(expect)));
    };
    let id = |n: u8| key(n).id();
    check(&|c| c.version = 0, Contradiction::Version);
    check(&|c| c.roots.keys.clear(), Contradiction::NoKeys("roots"));
    check(&|c| c.release.keys.clear(), Contradiction::NoKeys("release keys"));
    let many: Vec<u8> = (1..=17).collect();
    check(&|c| c.release = role(&many, 1), Contradiction::ManyKeys("release keys", 17));
    check(&|c| c.roots.threshold = 0, Contradiction::Threshold("roots", 3, 0));
    check(&|c| c.roots.threshold = 4, Contradiction::Threshold("roots", 3, 4));
    check(&|c| c.roots = role(&many[..9], 9), Contradiction::Threshold("roots", 9, 9));
    check(&|c| c.release = role(&[11, 11], 1), Contradiction::Twice("release keys", id(11)));
    check(&|c| c.revoked.extend([id(12)]), Contradiction::Revoked(id(12)));
    check(&|c| c.revoked.extend([id(3)]), Contradiction::Revoked(id(3)));
    let ids = (0..65).map(|n| KeyId([n; 8]));
    check(&|c| c.revoked.extend(ids.clone()), Contradiction::ManyRevoked(65));
    let unsorted = |c: &mut Content| c.roots.keys.reverse();
    let last = content(1).roots.keys[1].id();
    check(&unsorted, Contradiction::Twice("roots", last));
    assert!(content(1).sign(&[&key(1)]).is_ok());
    // All of it may be there, to the limits.
    let mut full = content(1);
    full.roots = role(&many[..16], 8);
    full.release = role(&many[..16], 8);
    full.revoked.extend((0..64).map(|n| KeyId([n; 8])));
    assert!(Trust::first(&signed(&full, &many[..8])).is_ok());
}

#[test]
fn a_contradiction_that_was_signed_is_not_taken() {
    // The number of the version, and of the roots' threshold, in the payload that `content(1)` has.
    let good = content(1).sign(&[&key(1)]).expect("it signs");
    let payload = Envelope::decode(&good, ENVELOPE_BYTES_MAX).expect("an envelope").payload;
    let resigned = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = payload.to_vec();
        change(&mut payload);
        let keys = [&key(1), &key(2)];
        let file = crate::envelope::seal(Domain::Trust, &payload, &keys, ENVELOPE_BYTES_MAX);
        Trust::first(&file.expect("it seals"))
    };
    assert!(resigned(&|_| {}).is_ok());
    assert_eq!(payload[..12], *b"\xa7\x01\x01\x02\x65coast\x03\x01");
    let version = resigned(&|payload| payload[11] = 0);
    assert_eq!(version, Err(Wrong::Contradiction(Contradiction::Version)));
    assert_eq!(resigned(&|payload| payload[2] = 2), Err(Wrong::Newer { format: 2 }));
    let unknown = resigned(&|payload| {
        payload[0] = 0xa8;
        payload.extend([8, 0]);
    });
    assert!(matches!(unknown, Err(Wrong::NewerField(Flaw::Unknown { key: 8, .. }))));
    let trailing = resigned(&|payload| payload.push(0));
    assert!(matches!(trailing, Err(Wrong::Form(Flaw::Trailing { .. }))));
    assert_eq!(payload[14..17], [5, 0x82, 2]);
    let threshold = resigned(&|payload| payload[16] = 4);
    let expect = Contradiction::Threshold("roots", 3, 4);
    assert_eq!(threshold, Err(Wrong::Contradiction(expect)));
    let weak = resigned(&|payload| payload[20..52].fill(0));
    assert!(matches!(weak, Err(Wrong::Form(Flaw::Key { at: 18 }))), "{weak:?}");
}

#[test]
fn signatures_are_gathered_one_by_one() {
    let one = signed(&content(7), &[2]);
    assert!(Trust::first(&one).is_err());
    let two = cosign(&one, &key(1)).expect("it signs");
    assert_eq!(two, signed(&content(7), &[1, 2]));
    assert_eq!(cosign(&two, &key(1)), Ok(two.clone()));
    let (shown, mut signers) = peek(&two).expect("it is read");
    signers.sort_unstable();
    let mut expect = [1, 2].map(|n| key(n).id());
    expect.sort_unstable();
    assert_eq!((shown, signers), (content(7), expect.to_vec()));
    let eight = signed(&content(7), &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(cosign(&eight, &key(9)), Err(Wrong::Unsealed(Unsealed::TooMany(9))));
    assert!(matches!(cosign(b"x", &key(9)), Err(Wrong::Form(_))));
    assert_eq!(content(7).sign(&[]), Err(Wrong::Unsealed(Unsealed::NoKey)));
}

#[test]
fn a_release_is_no_trust_file() {
    let trust = first();
    let payload = content(8).encode();
    let keys = [&key(1), &key(2)];
    let file = crate::envelope::seal(Domain::Release, &payload, &keys, ENVELOPE_BYTES_MAX);
    let file = file.expect("it seals");
    for judged in [trust.rotate(&file).map(|_| ()), Trust::first(&file).map(|_| ())] {
        let Err(Wrong::OtherDomain { domain: Domain::Release, signer }) = judged else {
            panic!("{judged:?}");
        };
        assert!([1, 2].map(|n| key(n).id()).contains(&signer));
    }
}

#[test]
fn every_refusal_has_its_code_and_says_what_to_do() {
    let (id, digest) = (KeyId([1; 8]), Digest([1; 32]));
    let [file, ours] = ["river", "coast"].map(|name| Name::new(name).expect("a name"));
    let flaw = Flaw::Ends { at: 1 };
    let all = [
        (Wrong::TooLarge { bytes: 2, max: 1 }, "trust-too-large"),
        (Wrong::Form(flaw), "trust-form"),
        (Wrong::Newer { format: 2 }, "trust-newer"),
        (Wrong::NewerField(flaw), "trust-newer"),
        (Wrong::Contradiction(Contradiction::Version), "trust-contradiction"),
        (Wrong::OtherDomain { domain: Domain::Release, signer: id }, "trust-other-domain"),
        (Wrong::UnknownKey(id), "trust-unknown-key"),
        (Wrong::RevokedKey(id), "trust-revoked-key"),
        (Wrong::BadSignature(id), "trust-bad-signature"),
        (Wrong::TooFewSignatures { have: 1, need: 2 }, "trust-too-few-signatures"),
        (
            Wrong::TooFewOldSignatures { version: 1, have: 1, need: 2 },
            "trust-too-few-old-signatures",
        ),
        (Wrong::OtherFleet { file, ours }, "trust-other-fleet"),
        (Wrong::RootSkipped { file: 9, ours: 7 }, "trust-root-skipped"),
        (Wrong::Fork { version: 1, file: digest, ours: digest }, "trust-fork"),
        (Wrong::EpochBack { file: 1, ours: 2 }, "trust-epoch-back"),
        (Wrong::Chain(flaw), "trust-chain"),
        (Wrong::Unsealed(Unsealed::NoKey), "trust-unsealed"),
    ];
    for (wrong, code) in all {
        assert_eq!(wrong.code(), code);
        let text = wrong.to_string();
        assert!(text.contains(';') && text.len() > 40, "it says what to do: {text}");
    }
    let skipped = Wrong::RootSkipped { file: 9, ours: 7 }.to_string();
    assert!(skipped.contains("this gateway has 7: 8 comes next"), "{skipped}");
}
