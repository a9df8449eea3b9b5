//! The bytes that others rely on: files that never change. A new format gets new files.
//!
//! `TIDEGATE_BLESS=1 cargo test -p tidegate-release` writes those that are not there yet.

use std::fs;
use std::path::Path;

use tidegate_release::audit::{Log, What as Decided};
use tidegate_release::hash::digest_of;
use tidegate_release::ratchet::{Lane, Ratchet};
use tidegate_release::trust::Content;
use tidegate_release::{What, answer, golden, open};

use crate::fixtures::{self, key, order, signed};

/// Hexadecimal, 32 bytes a line.
fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(32).map(|bytes| line(bytes) + "\n").collect()
}

/// Every file's name and content.
fn files() -> Vec<(String, Vec<u8>)> {
    let next = Content { version: 3, ..fixtures::content() };
    let rank = fixtures::order(What::Remove).rank;
    let ratchet = Ratchet { highest: rank, digest: digest_of(b"release") };
    let mut log = Log::new(2);
    let (handler, digest) = (fixtures::name("overheat"), digest_of(b"release"));
    let (version, signers) = (Some("0.2.0".to_owned()), vec![key(11).id()]);
    log.append(1, Decided::Accepted { handler: handler.clone(), rank, digest, version, signers });
    let [accepted] = log.entries().collect::<Vec<_>>()[..] else { panic!("there is one") };
    let accepted = accepted.encode();
    log.append(2, Decided::RolledBack { handler, digest, to: None, code: "p99".into() });
    let back = log.entries().last().expect("there are two").encode();
    let mut files = vec![
        ("trust-2".to_owned(), fixtures::trust_file(&fixtures::content(), &[1, 2])),
        ("trust-3".to_owned(), fixtures::trust_file(&next, &[1, 2, 3])),
        ("order-install".to_owned(), signed(&order(fixtures::install()), &[11, 12])),
        ("order-pins".to_owned(), signed(&order(fixtures::install_with_pins()), &[11])),
        ("order-remove".to_owned(), signed(&order(What::Remove), &[11])),
        ("order-invoke".to_owned(), signed(&order(fixtures::invoke()), &[13])),
        ("report".to_owned(), fixtures::report().sign(&key(21)).expect("it signs")),
        ("golden-events".to_owned(), fixtures::golden_events().encode().expect("they are good")),
        ("golden-pins".to_owned(), fixtures::golden_pins().encode().expect("they are good")),
        ("ratchet-release".to_owned(), ratchet.to_bytes(Lane::Release).to_vec()),
        ("ratchet-invoke".to_owned(), ratchet.to_bytes(Lane::Invoke).to_vec()),
        ("audit-accepted".to_owned(), accepted),
        ("audit-rolled-back".to_owned(), back),
    ];
    for (name, answer) in fixtures::answers() {
        files.push((format!("answer-{name}"), answer.sign(&key(21)).expect("it signs")));
    }
    files
}

#[test]
fn the_bytes_are_those_that_others_rely_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, bytes) in files() {
        let path = folder.join(format!("{name}.hex"));
        if std::env::var_os("TIDEGATE_BLESS").is_some() && !path.exists() {
            fs::write(&path, hex(&bytes)).expect("it can be written");
        }
        let golden = fs::read_to_string(&path).expect("the golden file is there");
        assert_eq!(
            golden,
            hex(&bytes),
            "{name}: the format changed, and gateways in the field did not"
        );
    }
    let written = fs::read_dir(&folder).expect("the folder is there").count();
    assert_eq!(written, files().len(), "a golden file that nothing makes");
}

#[test]
fn what_the_golden_files_hold_is_believed() {
    let files = files();
    let bytes = |name: &str| {
        let found = files.iter().find(|(other, _)| other == name);
        &found.expect("there is such a file").1
    };
    let trust = tidegate_release::Trust::first(bytes("trust-2")).expect("it is good");
    assert!(trust.rotate(bytes("trust-3")).is_ok());
    for name in ["order-install", "order-remove", "order-invoke"] {
        assert!(open::open(bytes(name), &trust, &fixtures::me()).is_ok(), "{name}");
    }
    let public = key(21).public();
    for (name, said) in fixtures::answers() {
        let heard = answer::verify(bytes(&format!("answer-{name}")), &public, 299);
        assert_eq!(heard, answer::Heard::New(said));
    }
    assert!(golden::decode(bytes("golden-events")).is_ok());
}
