use std::time::{Duration, Instant};

use tidegate_release::answer::{Answer, Figures, LastEvent, Stage};
use tidegate_release::{Digest, Rank};

use super::super::course::Course;
use super::*;

const OURS: (Rank, Digest) = (Rank { key_epoch: 1, seq: 1 }, Digest([1; 32]));

/// What is written while these gateways say these things.
fn written(gateways: &[&str], said: &[(&str, Stage)]) -> String {
    let mut progress = Progress { out: Out::Text(String::new()), last: None, is_line_open: false };
    let start = Instant::now();
    let name = |text: &str| Name::new(text).expect("a name");
    let named = gateways.iter().map(|gateway| name(gateway));
    let mut course = Course::new(OURS, named, false, Duration::from_secs(30), start);
    progress.tell(&News::Sending { chunks: 1, bytes: 3_120, keeps: true });
    for (n, (gateway, stage)) in (1..).zip(said) {
        let answer = Answer {
            gateway: name(gateway),
            handler: name("overheat"),
            counter: n,
            stage: stage.clone(),
            release: Some(OURS),
            version: None,
            figures: Figures::default(),
        };
        let now = start + Duration::from_millis(n * 70);
        if let Some(at) = course.handle_answer(now, &answer, false) {
            progress.tell(&News::Gateway { gateway: &answer.gateway, at });
        }
    }
    progress.end_line();
    let Out::Text(text) = progress.out else {
        panic!("it is written into a text");
    };
    text
}

fn probation() -> Stage {
    Stage::Probation { events: 0, events_of: 10, left_ms: 59_999 }
}

#[test]
fn a_push_to_one_gateway_is_one_line() {
    let said = [
        ("gw-01", Stage::Checking { have: 0, of: 1 }),
        ("gw-01", Stage::Installing),
        ("gw-01", probation()),
        ("gw-01", Stage::Active),
    ];
    assert_eq!(
        written(&["gw-01"], &said),
        "sending 1 of 1 chunks (3.1 KB) ... gw-01 checking (0 of 1 chunks) ... installing ... \
         probation 60 s ... active in 0.21 s\n"
    );
}

#[test]
fn two_gateways_do_not_share_a_line() {
    let said = [
        ("gw-01", Stage::Installing),
        ("gw-02", Stage::Installing),
        ("gw-01", Stage::Active),
        ("gw-02", Stage::Active),
    ];
    assert_eq!(
        written(&["gw-01", "gw-02"], &said),
        "sending 1 of 1 chunks (3.1 KB) ... gw-01 installing\ngw-02 installing\ngw-01 active in 0.21 s\n\
         gw-02 active in 0.28 s\n"
    );
}

#[test]
fn what_broke_is_said_with_its_event_and_cannot_draw() {
    let event = LastEvent { topic: "devices/a".to_owned(), payload: b"\x1b[2J{}".to_vec() };
    let stage = Stage::RolledBack {
        code: "failed".to_owned(),
        text: "2 of 1000".to_owned(),
        event: Some(event),
    };
    let text = written(&["gw-01"], &[("gw-01", stage)]);
    assert!(
        text.contains(
            "rolled back (failed): 2 of 1000\n  the last event that failed: devices/a [2J{}\n"
        ),
        "{text:?}"
    );
    let stage = Stage::Rejected { code: "older".to_owned(), text: "push again".to_owned() };
    let text = written(&["gw-01"], &[("gw-01", stage)]);
    assert!(text.ends_with("gw-01 rejected (older): push again\n"), "{text:?}");
}

#[test]
fn sizes_are_short() {
    for (bytes, text) in [(0, "0 B"), (999, "999 B"), (3_120, "3.1 KB"), (1_250_000, "1.2 MB")] {
        assert_eq!(size(bytes), text);
    }
}
