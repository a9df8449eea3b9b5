use std::path::{Path, PathBuf};

use tidegate_core::release::{Row, RowPhase};
use tidegate_release::chunks::split;
use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use tidegate_release::keys::{Domain, SecretKey};
use tidegate_release::manifest::{Grants, Isolation, Limits, Order, Probation, React, Target};
use tidegate_release::ratchet::Rank;
use tidegate_release::trust::{Content, Role};

use super::*;

/// A desk on a disk of its own, and who pushes `p` to it.
struct Bench {
    desk: Desk,
    files: Files,
    key: SecretKey,
    folder: PathBuf,
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// The module of an order: nobody here looks into it.
fn module(seq: u64) -> Vec<u8> {
    format!("module {seq}").into_bytes()
}

impl Bench {
    fn new(test: &str) -> Bench {
        let folder =
            std::env::temp_dir().join(format!("tidegated-desk-{test}-{}", std::process::id()));
        let key = SecretKey::generate([1; 32]);
        let (files, desk) = open(&folder, &key);
        Bench { desk, files, key, folder }
    }

    /// The gateway starts again; its registry has this row.
    fn start(&mut self, row: &Row) -> String {
        self.desk = open(&self.folder, &self.key).1;
        self.desk.know(name("p"), Some(row));
        self.desk.resume(When::default());
        self.said()
    }

    fn order(&self, seq: u64) -> Order {
        let module = module(seq);
        let install = Install {
            module: Blob { digest: digest_of(&module), bytes: module.len() as u64 },
            version: seq.to_string(),
            events: vec!["a/+".to_owned()],
            grants: Grants { publish: Vec::new(), streams: Vec::new(), pins: Vec::new() },
            limits: Limits { fuel: 1_000, memory_kib: 64, deadline_ms: 50, publishes: 0 },
            settings: BTreeMap::new(),
            isolation: Isolation::Event,
            react: React::Now,
            golden: None,
            migrate_from: None,
            probation: Probation {
                events: 1,
                uptime_ms: 1,
                failed_per_mille_max: 0,
                deadline_misses_max: 0,
                p99_us_max: 1,
                memory_kib_max: 64,
            },
        };
        Order {
            fleet: name("fleet"),
            handler: name("p"),
            rank: Rank { key_epoch: 1, seq },
            targets: vec![Target::Gateway(name("gw"))],
            what: What::Install(install),
            provenance: Default::default(),
        }
    }

    /// `push1` an order to install, `rm2` to remove, `chunk1` the module of order 1; what the desk says.
    fn run(&mut self, script: &str) -> String {
        let said = script.split_whitespace().map(|word| self.step(word)).collect::<Vec<_>>();
        said.join(" ")
    }

    fn step(&mut self, word: &str) -> String {
        let seq = |text: &str| text.parse::<u64>().expect("a number");
        let sign = |order: Order| order.sign(&[&self.key]).expect("a good order");
        let release = "tidegate/1/gw/release/p".to_owned();
        let (topic, payload) = if let Some(text) = word.strip_prefix("push") {
            (release, sign(self.order(seq(text))))
        } else if let Some(text) = word.strip_prefix("rm") {
            (release, sign(Order { what: What::Remove, ..self.order(seq(text)) }))
        } else {
            let blob = module(seq(word.strip_prefix("chunk").expect("a word of the script")));
            let chunk = split(&blob).next().expect("one").to_vec();
            (ControlTopic::Blob { digest: digest_of(&blob), n: 0 }.to_string(), chunk)
        };
        let (id, topic) = (ExamineId(1), Topic::new(&topic).expect("a topic"));
        let payload = payload.into();
        self.desk.take(When::default(), ToReleases::Examine { id, topic, payload });
        self.said()
    }

    fn said(&mut self) -> String {
        let mut said = Vec::new();
        while let Some(input) = self.desk.poll_said() {
            let Input::Examined { examined, .. } = input else {
                continue;
            };
            said.push(match examined {
                Examined::Nothing => continue,
                Examined::Refused { refusal, .. } => refusal.code,
                Examined::Checking { release, .. } => format!("waits{}", release.0.seq),
                Examined::Install { release } => format!("install{}", release.rank.seq),
                Examined::Remove { rank, .. } => format!("remove{}", rank.seq),
                Examined::Again { .. } => "again".to_owned(),
                other => format!("{other:?}"),
            });
        }
        said.join("+")
    }

    fn digest(&self, seq: u64) -> core::Digest {
        let envelope = self.order(seq).sign(&[&self.key]).expect("a good order");
        let envelope = Envelope::decode(&envelope, ENVELOPE_BYTES_MAX).expect("just made");
        core::Digest(envelope.digest(Domain::Release).0)
    }

    /// The core is done with this order, and with those before it.
    fn settle(&mut self, order: u64, keep: &[u64]) {
        let keep: Vec<core::Digest> = keep.iter().map(|seq| self.digest(*seq)).collect();
        let settled = Settled { handler: "p".into(), order: self.digest(order), keep };
        self.desk.take(When::default(), ToReleases::Settle(settled));
    }

    /// The orders whose modules are on the disk.
    fn files(&self) -> Vec<u64> {
        (1..9).filter(|seq| self.files.has_blob(digest_of(&module(*seq)))).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn open(folder: &Path, key: &SecretKey) -> (Files, Desk) {
    let files = Files::at(folder);
    files.make_folders().expect("a disk");
    let role = || Role { keys: vec![key.public()], threshold: 1 };
    let trust = Content {
        fleet: name("fleet"),
        version: 1,
        key_epoch: 1,
        roots: role(),
        release: role(),
        revoked: BTreeSet::new(),
    };
    let trust = Trust::first(&trust.sign(&[key]).expect("a good trust file")).expect("the same");
    let setting = Setting {
        gateway: name("gw"),
        groups: BTreeSet::new(),
        caps: Caps::DEV,
        pins: Arc::default(),
        trust: Some(trust),
    };
    let identity = Identity::passing([7; 32], folder);
    (files.clone(), Desk::new(files, identity, Audit::none(), setting))
}

#[track_caller]
fn check(test: &str, script: &str, expect: &str) -> Bench {
    let mut bench = Bench::new(test);
    assert_eq!(bench.run(script), expect, "{script}");
    bench
}

/// What waits for its chunks when something newer is accepted never turns the ratchet back.
#[test]
fn an_order_that_waits_is_dropped_when_a_newer_one_is_followed() {
    check("removed", "push1 rm2 chunk1 push1", "waits1 remove2  older");
    check("at-once", "push1 chunk1 push2 rm3 chunk2", "waits1 install1 waits2 remove3 ");
    // Its module is the one of 1, which is here.
    let mut bench = check("here", "push1 chunk1 push2", "waits1 install1 waits2");
    let mut order = bench.order(3);
    order.what = bench.order(1).what;
    let payload = order.sign(&[&bench.key]).expect("a good order").into();
    let topic = Topic::new("tidegate/1/gw/release/p").expect("a topic");
    bench.desk.take(When::default(), ToReleases::Examine { id: ExamineId(1), topic, payload });
    assert_eq!(bench.said(), "install3");
    assert_eq!(bench.run("chunk2"), "");
}

/// Retained orders come in any order: the newest is waited for.
#[test]
fn an_older_order_does_not_take_the_place_of_one_that_waits() {
    check("order", "push2 push1 chunk1 chunk2", "waits2 older  install2");
    check("older-removal", "push2 rm1 chunk2", "waits2 older install2");
}

/// The registry's row tells whether what was accepted last has had its turn.
#[test]
fn an_order_that_waited_for_its_turn_when_the_power_went_has_it_after_the_start() {
    let mut bench = check("turn", "push1 chunk1 push2 chunk2", "waits1 install1 waits2 install2");
    let highest = (core::Rank { key_epoch: 1, seq: 2 }, bench.digest(2));
    let running = Some(bench.digest(1));
    let row = Row { phase: RowPhase::Active, running, ..Row::first(highest) };
    assert_eq!(bench.start(&row), "install2");
    assert_eq!(bench.run("push2"), "again");
    let refused = vec![bench.digest(2)];
    assert_eq!(bench.start(&Row { refused, ..row.clone() }), "again");
    let (running, previous) = (Some(bench.digest(2)), running);
    assert_eq!(bench.start(&Row { running, previous, ..row }), "");
}

/// Orders in a row, and the core is done with the first of them: those that it has not heard of yet keep their files.
#[test]
fn what_the_core_is_not_done_with_keeps_its_files() {
    let script = "push1 chunk1 push2 chunk2 push3 chunk3";
    let mut bench = check("kept", script, "waits1 install1 waits2 install2 waits3 install3");
    bench.settle(1, &[1]);
    assert_eq!(bench.files(), [1, 2, 3]);
    bench.settle(2, &[1]);
    assert_eq!(bench.files(), [1, 3], "2 was refused");
    bench.settle(3, &[3]);
    assert_eq!(bench.files(), [3]);
}
