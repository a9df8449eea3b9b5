use tidegate_release::answer::Figures;

use super::*;

const OURS: (Rank, Digest) = (Rank { key_epoch: 1, seq: 5 }, Digest([5; 32]));
const OLDER: (Rank, Digest) = (Rank { key_epoch: 1, seq: 4 }, Digest([4; 32]));
const NEWER: (Rank, Digest) = (Rank { key_epoch: 1, seq: 6 }, Digest([6; 32]));

struct Bench {
    course: Course,
    start: Instant,
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn answer(gateway: &str, release: Option<(Rank, Digest)>, stage: Stage) -> Answer {
    Answer {
        gateway: name(gateway),
        handler: name("overheat"),
        counter: 1,
        stage,
        release,
        version: None,
        figures: Figures::default(),
    }
}

fn rejected() -> Stage {
    Stage::Rejected { code: "unknown-key".to_owned(), text: "who is it?".to_owned() }
}

impl Bench {
    fn new(named: &[&str], has_groups: bool) -> Bench {
        let start = Instant::now();
        let named = named.iter().map(|gateway| name(gateway));
        let silence = Duration::from_secs(30);
        Bench { course: Course::new(OURS, named, has_groups, silence, start), start }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// What is new about a gateway after its answer.
    fn say(&mut self, ms: u64, answer: &Answer) -> Option<Phase> {
        let now = self.at(ms);
        self.course.handle_answer(now, answer, false).map(|at| at.phase.clone())
    }

    fn is_over(&self, ms: u64) -> bool {
        self.course.is_over(self.at(ms))
    }
}

#[test]
fn silence_ends_a_push_and_is_not_success() {
    let bench = Bench::new(&["gw-01"], false);
    assert!(!bench.is_over(29_999));
    assert!(bench.is_over(30_000));
    assert_eq!(bench.course.gateways()[&name("gw-01")].phase, Phase::Silent);
    let group = Bench::new(&[], true);
    assert!(!group.is_over(29_999));
    assert!(group.is_over(30_000));
}

#[test]
fn answers_about_other_releases_and_from_others_say_nothing() {
    let mut bench = Bench::new(&["gw-01"], false);
    assert_eq!(bench.say(1, &answer("gw-01", Some(OLDER), Stage::Active)), None);
    assert_eq!(bench.say(2, &answer("gw-02", Some(OURS), Stage::Active)), None);
    assert_eq!(bench.say(3, &answer("gw-01", None, Stage::Active)), None);
    let kept = answer("gw-01", None, rejected());
    assert!(bench.course.handle_answer(bench.start, &kept, true).is_none(), "it is an old one");
    assert!(!bench.is_over(10));
    let overtaken = bench.say(11, &answer("gw-01", Some(NEWER), Stage::Installing));
    assert_eq!(overtaken, Some(Phase::Overtaken(NEWER.0)));
    assert!(bench.is_over(11) && !bench.course.gateways()[&name("gw-01")].phase.is_good());
}

#[test]
fn a_refusal_that_names_no_release_is_ours() {
    let mut bench = Bench::new(&["gw-01"], false);
    let phase = bench.say(5, &answer("gw-01", None, rejected())).expect("it is news");
    assert!(matches!(&phase, Phase::Rejected { code, .. } if code == "unknown-key"));
    // The gateway then says how the handler does, for whoever looks later.
    assert_eq!(bench.say(6, &answer("gw-01", Some(OLDER), Stage::Active)), None);
    assert!(bench.is_over(6));
}

#[test]
fn the_way_to_active_is_told_once_each_and_measured_to_the_first_run() {
    let mut bench = Bench::new(&["gw-01"], false);
    let checking = answer("gw-01", Some(OURS), Stage::Checking { have: 0, of: 1 });
    assert_eq!(bench.say(5, &checking), Some(Phase::Checking { have: 0, of: 1 }));
    assert_eq!(bench.say(6, &checking), None);
    assert_eq!(
        bench.say(9, &answer("gw-01", Some(OURS), Stage::Installing)),
        Some(Phase::Installing)
    );
    let probation = |left_ms| Stage::Probation { events: 0, events_of: 9, left_ms };
    assert!(bench.say(21, &answer("gw-01", Some(OURS), probation(60_000))).is_some());
    assert_eq!(bench.say(30_000, &answer("gw-01", Some(OURS), probation(30_000))), None);
    assert!(!bench.is_over(89_000), "as long as the probation and the patience");
    assert!(bench.is_over(90_000));
    assert!(bench.say(60_000, &answer("gw-01", Some(OURS), Stage::Active)).is_some());
    assert!(bench.is_over(60_000));
    assert_eq!(bench.course.gateways()[&name("gw-01")].took, Some(Duration::from_millis(21)));
    // Late: it was active and is taken back all the same.
    let back = Stage::RolledBack { code: "failed".to_owned(), text: String::new(), event: None };
    assert!(bench.say(60_001, &answer("gw-01", Some(OURS), back)).is_some());
}

#[test]
fn chunks_go_again_when_a_gateway_does_not_get_on() {
    let mut bench = Bench::new(&["gw-01"], false);
    let checking = |have| answer("gw-01", Some(OURS), Stage::Checking { have, of: 3 });
    assert!(!bench.course.poll_chunks(bench.at(9_000)), "it has not asked");
    bench.say(9_000, &checking(0));
    assert!(!bench.course.poll_chunks(bench.at(11_999)));
    bench.say(11_999, &checking(1));
    assert!(!bench.course.poll_chunks(bench.at(14_998)), "it gets on");
    assert!(bench.course.poll_chunks(bench.at(14_999)));
    assert!(!bench.course.poll_chunks(bench.at(15_000)), "once");
    assert!(bench.course.poll_chunks(bench.at(17_999)));
    bench.say(18_000, &checking(3));
    assert!(!bench.course.poll_chunks(bench.at(60_000)), "it has all");
}

#[test]
fn who_says_nothing_is_asked() {
    let mut bench = Bench::new(&["gw-01"], false);
    assert!(!bench.course.poll_ask(bench.at(4_999)));
    assert!(bench.course.poll_ask(bench.at(5_000)));
    assert!(!bench.course.poll_ask(bench.at(9_999)));
    bench.say(9_000, &answer("gw-01", Some(OURS), Stage::Installing));
    assert!(!bench.course.poll_ask(bench.at(13_999)));
    assert!(bench.course.poll_ask(bench.at(14_000)));
}

#[test]
fn a_groups_members_are_those_that_answer() {
    let mut bench = Bench::new(&["gw-01"], true);
    assert!(bench.say(100, &answer("gw-01", Some(OURS), Stage::Active)).is_some());
    assert!(!bench.is_over(2_999), "another may be slow");
    assert!(bench.say(2_900, &answer("gw-07", Some(OURS), Stage::Installing)).is_some());
    assert!(!bench.is_over(5_900), "it is not done");
    assert!(bench.say(5_900, &answer("gw-07", Some(OURS), Stage::Active)).is_some());
    assert!(bench.is_over(5_900));
    assert_eq!(bench.course.gateways().len(), 2);
}
