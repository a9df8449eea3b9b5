use super::*;
use crate::hash::digest_of;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn key(n: u8) -> SecretKey {
    SecretKey::generate([n; 32])
}

fn answer(stage: Stage) -> Answer {
    let rank = Rank { key_epoch: 1, seq: 300 };
    Answer {
        gateway: name("gw-01"),
        handler: name("overheat"),
        counter: 42,
        stage,
        release: Some((rank, digest_of(b"x"))),
        version: Some("0.1.0".into()),
        figures: Figures { events: 5, fuel: 70_000, p99_us: 31, ..Figures::default() },
    }
}

fn report() -> Report {
    Report {
        gateway: name("gw-01"),
        counter: 43,
        version: "0.1.0".into(),
        uptime_ms: 61_000,
        trust_version: 2,
        key_epoch: 1,
        is_safe_mode: false,
        is_stale: true,
        handlers: 3,
        audit: (9, digest_of(b"y")),
    }
}

fn invoked() -> Invoked {
    Invoked {
        nonce: [9; 16],
        is_dry: true,
        fuel: 1_234,
        us: 56,
        effects: Vec::new(),
        left_off: 0,
        failed: None,
        writes: Vec::new(),
        lines: Vec::new(),
    }
}

fn line(text: &str) -> Line {
    Line { level: 2, text: text.into() }
}

fn stages() -> Vec<Stage> {
    let (code, text) = (|| "p99".to_owned(), || "too slow".to_owned());
    let publish = Expect::Publish { topic: "a/b".into(), payload: vec![1] };
    let send = Expect::Send { stream: name("alerts"), payload: vec![2; 300] };
    let event = Some(LastEvent { topic: "a".into(), payload: vec![0xff] });
    let failed = Some("trapped".to_owned());
    vec![
        Stage::Checking { have: 1, of: 3 },
        Stage::Installing,
        Stage::Probation { events: 1, events_of: 100, left_ms: 59_000 },
        Stage::Active,
        Stage::Rejected { code: code(), text: text() },
        Stage::RolledBack { code: code(), text: text(), event: None },
        Stage::RolledBack { code: code(), text: text(), event },
        Stage::Removed,
        Stage::Invoked(Invoked { failed, ..invoked() }),
        Stage::Invoked(invoked().with_lines([line("hot\n")]).with_writes([
            Wrote { key: vec![1], value: Some(vec![2]) },
            Wrote { key: vec![1], value: None },
        ])),
        Stage::Invoked(invoked().with_effects([publish, send])),
    ]
}

#[test]
fn every_stage_is_heard_as_it_was_said() {
    for stage in stages() {
        let said = answer(stage);
        let bytes = said.sign(&key(1)).expect("it signs");
        assert_eq!(verify(&bytes, &key(1).public(), 41), Heard::New(said.clone()));
        let bare = Answer { release: None, version: None, ..said };
        let bytes = bare.sign(&key(1)).expect("it signs");
        assert_eq!(verify(&bytes, &key(1).public(), 0), Heard::New(bare));
    }
    let bytes = report().sign(&key(1)).expect("it signs");
    assert_eq!(verify_report(&bytes, &key(1).public(), 42), Heard::New(report()));
}

#[test]
fn what_was_heard_or_is_behind_is_old() {
    let bytes = answer(Stage::Active).sign(&key(1)).expect("it signs");
    let report = report().sign(&key(1)).expect("it signs");
    for (last, is_new) in [(0, true), (41, true), (42, false), (43, false), (u64::MAX, false)] {
        let heard = verify(&bytes, &key(1).public(), last);
        assert_eq!((heard == Heard::Old, matches!(heard, Heard::New(_))), (!is_new, is_new));
    }
    assert!(matches!(verify_report(&report, &key(1).public(), 42), Heard::New(_)));
    assert_eq!(verify_report(&report, &key(1).public(), 43), Heard::Old);
}

#[test]
fn what_is_not_the_gateways_is_forged() {
    let ours = key(1).public();
    let bytes = answer(Stage::Active).sign(&key(1)).expect("it signs");
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&bad, &ours, 0), Heard::Forged, "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert_eq!(verify(&bytes[..len], &ours, 0), Heard::Forged);
    }
    assert_eq!(verify(&[bytes.clone(), vec![0]].concat(), &ours, 0), Heard::Forged);
    assert_eq!(verify(&bytes, &key(2).public(), 0), Heard::Forged, "another gateway's key");
    assert_eq!(verify_report(&bytes, &ours, 0), Heard::Forged, "an answer is no report");
    let report = report().sign(&key(1)).expect("it signs");
    assert_eq!(verify(&report, &ours, 0), Heard::Forged, "a report is no answer");
    // Two signatures, one of them right.
    let payload = answer(Stage::Active).encode();
    let two = seal(Domain::Answer, &payload, &[&key(1), &key(2)], ANSWER_BYTES_MAX);
    assert_eq!(verify(&two.expect("it seals"), &ours, 0), Heard::Forged);
    // Signed, and no answer, or one that may not be.
    for payload in [b"\xa0".as_slice(), &[payload.as_slice(), &[0]].concat()] {
        let bytes = seal(Domain::Answer, payload, &[&key(1)], ANSWER_BYTES_MAX);
        assert_eq!(verify(&bytes.expect("it seals"), &ours, 0), Heard::Forged);
    }
    let bad = Answer { counter: 0, ..answer(Stage::Active) };
    let bytes = seal(Domain::Answer, &bad.encode(), &[&key(1)], ANSWER_BYTES_MAX);
    assert_eq!(verify(&bytes.expect("it seals"), &ours, 0), Heard::Forged);
    let escape = Stage::Rejected { code: "x".into(), text: "\x1b[2J".into() };
    let payload = answer(escape).encode();
    let bytes = seal(Domain::Answer, &payload, &[&key(1)], ANSWER_BYTES_MAX);
    assert_eq!(verify(&bytes.expect("it seals"), &ours, 0), Heard::Forged, "it draws on terminals");
}

#[test]
fn what_may_not_be_said_is_not_signed() {
    let check = |answer: Answer, expect: Wrong| assert_eq!(answer.sign(&key(1)), Err(expect));
    check(Answer { counter: 0, ..answer(Stage::Active) }, Wrong::CounterZero);
    let long = |field, is, max| Wrong::Long { field, is, max };
    let unclean = |field, text: &str| Wrong::Text { field, text: text.into() };
    let version = Some("v".repeat(65));
    check(Answer { version, ..answer(Stage::Active) }, long("version", 65, 64));
    let rejected =
        |code: &str, text: &str| answer(Stage::Rejected { code: code.into(), text: text.into() });
    check(rejected("", ""), unclean("code", ""));
    check(rejected("A", ""), unclean("code", "A"));
    check(rejected(&"a".repeat(49), ""), long("code", 49, 48));
    check(rejected("a", &"a".repeat(513)), long("text", 513, 512));
    check(rejected("a", "a\nb"), unclean("text", "a\nb"));
    assert!(rejected(&"a".repeat(48), &"a".repeat(512)).sign(&key(1)).is_ok());
    let back = |topic: &str, payload| {
        let event = Some(LastEvent { topic: topic.into(), payload });
        answer(Stage::RolledBack { code: "a".into(), text: String::new(), event })
    };
    check(back("a\0", vec![]), unclean("event's topic", "a\0"));
    check(back("a", vec![0; 4097]), long("event's payload", 4097, 4096));
    assert!(back("a", vec![0; 4096]).sign(&key(1)).is_ok());
    let effects = vec![Expect::Nothing; 65];
    check(
        answer(Stage::Invoked(Invoked { effects, ..invoked() })),
        Wrong::Many { is: 65, max: 64 },
    );
    let failed = Some("\t".into());
    check(answer(Stage::Invoked(Invoked { failed, ..invoked() })), unclean("reason", "\t"));
    let lines = vec![Line { level: 1, text: "\u{1b}".into() }];
    check(answer(Stage::Invoked(Invoked { lines, ..invoked() })), unclean("line", "\u{1b}"));
    let writes = vec![Wrote { key: vec![0; 257], value: None }];
    check(answer(Stage::Invoked(Invoked { writes, ..invoked() })), long("write's key", 257, 256));
    let effects = vec![Expect::Publish { topic: "\r".into(), payload: vec![] }];
    check(
        answer(Stage::Invoked(Invoked { effects, ..invoked() })),
        unclean("effect's topic", "\r"),
    );
    assert_eq!(Report { counter: 0, ..report() }.sign(&key(1)), Err(Wrong::CounterZero));
    let bad = Report { version: "\n".into(), ..report() };
    assert_eq!(bad.sign(&key(1)), Err(unclean("version", "\n")));
}

#[test]
fn effects_are_left_off_when_there_is_no_room() {
    let publish = |len| Expect::Publish { topic: "a/b".into(), payload: vec![0; len] };
    let all = |effects: Vec<Expect>| {
        let invoked = invoked().with_effects(effects);
        let bytes = answer(Stage::Invoked(invoked.clone())).sign(&key(1));
        assert!(bytes.is_ok(), "it fits");
        (invoked.effects.len(), invoked.left_off)
    };
    assert_eq!(all(vec![publish(10); 64]), (64, 0));
    assert_eq!(all(vec![publish(10); 66]), (64, 2));
    assert_eq!(all(vec![publish(30_000); 3]), (2, 1));
    assert_eq!(all(vec![publish(61_421), Expect::Nothing]), (1, 1), "to the last byte");
    assert_eq!(all(vec![publish(61_422)]), (0, 1));
    assert_eq!(all(vec![publish(65_000), publish(1)]), (0, 2), "in order, without a hole");
    let unclean = Expect::Publish { topic: "\n".into(), payload: vec![] };
    assert_eq!(all(vec![publish(1), unclean, publish(1)]), (1, 2));
    let send = Expect::Send { stream: name("s"), payload: vec![0; 61_440] };
    assert_eq!(all(vec![send]), (0, 1));
}

#[test]
fn texts_are_cleaned_and_cut() {
    assert_eq!(told("a\nb\x1b[2J"), "a b [2J");
    assert_eq!(told(&"ü".repeat(300)).len(), 512);
    assert_eq!(told(&format!("x{}", "ü".repeat(300))).len(), 511);
    let event = LastEvent::of(&"t\n".repeat(300), &[7; 5000]);
    assert_eq!((event.topic.len(), event.payload.len()), (256, 4096));
    assert!(event.topic.starts_with("t t "));
}
