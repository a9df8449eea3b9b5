use tidegate_release::SecretKey;
use tidegate_release::answer::{Figures, Stage};

use super::*;

struct Bench {
    gateways: Gateways,
    state: State,
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn key(n: u8) -> SecretKey {
    SecretKey::generate([n; 32])
}

/// An answer of gw-01 about `handler`, signed with key `by`.
fn signed(gateway: &str, handler: &str, counter: u64, by: u8) -> Vec<u8> {
    let answer = Answer {
        gateway: name(gateway),
        handler: name(handler),
        counter,
        stage: Stage::Active,
        release: None,
        version: None,
        figures: Figures::default(),
    };
    answer.sign(&key(by)).expect("it signs")
}

impl Bench {
    fn new(test: &str) -> Bench {
        let root = std::env::temp_dir().join(format!("tidegate-{}-{test}", std::process::id()));
        if root.exists() {
            std::fs::remove_dir_all(&root).expect("it was ours");
        }
        let state = State::at(root);
        Bench { gateways: Gateways::new(state.clone()), state }
    }

    fn say(&mut self, topic: &str, payload: Vec<u8>) -> Vec<Told> {
        let message = Message { topic: format!("tidegate/1/{topic}"), payload, is_kept: true };
        self.gateways.hear(&message, 7).expect("the folder is writable")
    }

    #[track_caller]
    fn check(&mut self, topic: &str, payload: Vec<u8>, expect: &[&str]) {
        let told: Vec<String> = self
            .say(topic, payload)
            .iter()
            .map(|told| match told {
                Told::Pinned { gateway, .. } => format!("pinned {gateway}"),
                Told::OtherKey { gateway, .. } => format!("other key {gateway}"),
                Told::Answer { answer, at, .. } => {
                    format!("answer {} {} at {at}", answer.handler, answer.counter)
                }
                Told::Forged { gateway } => format!("forged {gateway}"),
                Told::Replayed { gateway } => format!("replayed {gateway}"),
                Told::Report(report) => format!("report {}", report.counter),
                Told::NoKey { gateway } => format!("no key {gateway}"),
            })
            .collect();
        assert_eq!(told, expect, "{topic}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        std::fs::remove_dir_all(self.state.path_of_tests()).ok();
    }
}

#[test]
fn a_forged_answer_is_none() {
    let mut bench = Bench::new("forged");
    bench.check("gw-01/key", key(1).public().to_file().into(), &["pinned gw-01"]);
    bench.check("gw-01/handler/a", signed("gw-01", "a", 1, 2), &["forged gw-01"]);
    bench.check("gw-01/handler/a", signed("gw-02", "a", 1, 1), &["forged gw-01"]);
    bench.check("gw-01/handler/a", signed("gw-01", "b", 1, 1), &["forged gw-01"]);
    bench.check("gw-01/handler/a", b"x".to_vec(), &["forged gw-01"]);
    bench.check("gw-01/handler/a", signed("gw-01", "a", 1, 1), &["answer a 1 at 7"]);
}

#[test]
fn another_key_is_refused_also_by_the_next_run() {
    let mut bench = Bench::new("other-key");
    bench.check("gw-01/key", b"no key".to_vec(), &[]);
    bench.check("gw-01/key", key(1).public().to_file().into(), &["pinned gw-01"]);
    bench.check("gw-01/key", key(2).public().to_file().into(), &["other key gw-01"]);
    let mut next =
        Bench { gateways: Gateways::new(bench.state.clone()), state: bench.state.clone() };
    next.check("gw-01/key", key(2).public().to_file().into(), &["other key gw-01"]);
    next.check("gw-01/handler/a", signed("gw-01", "a", 1, 2), &["forged gw-01"]);
    next.check("gw-01/key", key(1).public().to_file().into(), &[]);
    let advice = next.gateways.advice(&name("gw-01"), &key(2).public());
    assert!(advice.contains("gw-01.pub") && advice.contains("--gateway-key"), "{advice}");
    next.gateways.pin(&name("gw-01"), key(2).public()).expect("by hand");
    next.check("gw-01/handler/a", signed("gw-01", "a", 1, 2), &["answer a 1 at 7"]);
}

#[test]
fn answers_wait_for_their_key_and_replays_are_noticed() {
    let mut bench = Bench::new("replay");
    bench.check("gw-01/handler/a", signed("gw-01", "a", 4, 1), &["no key gw-01"]);
    bench.check("gw-01/handler/b", signed("gw-01", "b", 9, 1), &["no key gw-01"]);
    let both = ["pinned gw-01", "answer a 4 at 7", "answer b 9 at 7"];
    bench.check("gw-01/key", key(1).public().to_file().into(), &both);
    bench.check("gw-01/handler/a", signed("gw-01", "a", 3, 1), &["replayed gw-01"]);
    bench.check("gw-01/handler/a", signed("gw-01", "a", 4, 1), &["answer a 4 at 7"]);
    bench.check("gw-01/handler/a", signed("gw-01", "a", 5, 1), &["answer a 5 at 7"]);
    bench.gateways.save().expect("it is written");
    let mut next =
        Bench { gateways: Gateways::new(bench.state.clone()), state: bench.state.clone() };
    next.check("gw-01/handler/a", signed("gw-01", "a", 4, 1), &["replayed gw-01"]);
    next.check("gw-01/handler/b", signed("gw-01", "b", 9, 1), &["answer b 9 at 7"]);
}

#[test]
fn other_topics_say_nothing() {
    let mut bench = Bench::new("others");
    bench.check("gw-01/release/a", vec![1], &[]);
    bench.check("gw/01/key", key(1).public().to_file().into(), &[]);
    bench.check("gw-01/handler/a", Vec::new(), &[]);
}
