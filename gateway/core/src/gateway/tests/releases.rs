//! Pushed handlers: what a gateway does with orders, in scripts.

use alloc::vec;

use super::*;
use crate::commit::{Commit, CommitId};
use crate::job::Invoke;
use crate::release::{
    Answer, Decision, Digest, ExamineId, Examined, GatewayReport, Migration, Probation, Rank,
    Registered, RegisteredHandler, Release, Row, RowPhase, Stage, Version,
};
use crate::store::Committed;

mod migration;
mod newer;
mod noted;
mod said;
mod starts;

use noted::noted;

/// A gateway with the registry, and what it has asked for.
struct House {
    gateway: Gateway,
    now: Timestamp,
    examined: Vec<ExamineId>,
    checks: VecDeque<(HandlerId, CheckId)>,
    jobs: BTreeMap<HandlerId, Job>,
    commits: Vec<Commit>,
    version: Option<Version>,
    /// What goes into the audit log.
    noted: Vec<String>,
    /// The files that are to stay, as they were told last.
    kept: Option<Vec<Digest>>,
    report: Option<GatewayReport>,
    migrations: VecDeque<(HandlerId, Migration)>,
}

fn digest(seq: u64) -> Digest {
    Digest([seq as u8; 32])
}

/// Release `seq` of the handler `p`, woken by `a/+`, on probation for three events or a second.
fn release(seq: u64) -> Arc<Release> {
    let manifest = Manifest { version: seq.to_string(), ..(*manifest("p", "a/+")).clone() };
    let (digest, module) = (digest(seq), digest(100 + seq));
    let probation = Probation { events: 3, uptime_ms: 1_000, ..Probation::DEFAULT };
    let rank = Rank { key_epoch: 1, seq };
    let manifest = Arc::new(manifest);
    let migrate_from = None;
    Arc::new(Release { digest, rank, manifest, module, golden: None, migrate_from, probation })
}

fn row(phase: RowPhase, tries: u8, running: Option<u64>, previous: Option<u64>) -> Row {
    let highest = running.unwrap_or(9);
    let highest = (Rank { key_epoch: 1, seq: highest }, digest(highest));
    let (running, previous) = (running.map(digest), previous.map(digest));
    Row { phase, tries, highest, running, previous, refused: vec![], tables: (0, 0) }
}

impl House {
    fn new(registered: Registered) -> House {
        let gateway = Gateway::new(Limits::DEV, LocalSide::FrontDoor, Durability::default(), 7);
        let mut house = House {
            gateway,
            now: Timestamp(0),
            examined: vec![],
            checks: VecDeque::new(),
            jobs: BTreeMap::new(),
            commits: vec![],
            version: None,
            noted: vec![],
            kept: None,
            report: None,
            migrations: VecDeque::new(),
        };
        let registered = Registered { gateway: Some("gw".into()), ..registered };
        house.input(Input::Registered(registered));
        house
    }

    fn input(&mut self, input: Input) {
        self.gateway.handle_input(self.now, input);
    }

    /// `conf` deploys `p` from the configuration; `push2` an order that turns out to be release 2, `rm3` to remove,
    /// `invoke4` to run an event of a person's;
    /// `ok`/`bad` what the check in turn came to, `newest-ok` the last one; `a/b!5` a message, `+`/`-` how the running job ends; `c` all commits are durable; `t100` time; `stop`.
    fn run(&mut self, script: &str) -> String {
        let mut seen = vec![];
        while let Some(effect) = self.gateway.poll_effect() {
            seen.extend(self.write_down(effect));
        }
        for word in script.split_whitespace() {
            self.step(word);
            while let Some(effect) = self.gateway.poll_effect() {
                seen.extend(self.write_down(effect));
            }
        }
        seen.join(" ")
    }

    fn step(&mut self, word: &str) {
        let number = |rest: &str| rest.parse::<u64>().expect("a number");
        if word == "conf" {
            self.input(Input::Deploy { handler: HandlerId(1), manifest: manifest("p", "a/+") });
        } else if let Some(migrates) = migration::Word::read(word) {
            self.migrate(migrates);
        } else if let Some(seq) = word.strip_prefix("push") {
            self.order(Examined::Install { release: release(number(seq)) });
        } else if let Some(seq) = word.strip_prefix("rm") {
            let (rank, digest) = (Rank { key_epoch: 1, seq: number(seq) }, digest(number(seq)));
            self.order(Examined::Remove { handler: "p".into(), rank, digest });
        } else if let Some(seq) = word.strip_prefix("invoke") {
            let (rank, digest) = (Rank { key_epoch: 1, seq: number(seq) }, digest(number(seq)));
            let message = message("a/person", QoS::AtMostOnce);
            let invoke = Invoke { nonce: [7; 16], is_dry: false };
            self.order(Examined::Invoke { handler: "p".into(), rank, digest, message, invoke });
        } else if word == "again" {
            self.order(Examined::Again { handler: "p".into() });
        } else if word == "ok" || word == "bad" || word == "newest-ok" {
            let is_newest = word == "newest-ok";
            let next = if is_newest { self.checks.pop_back() } else { self.checks.pop_front() };
            let (handler, check) = next.expect("a check");
            let result = if word == "bad" { Err("bad".to_string()) } else { Ok(()) };
            self.input(Input::Checked { handler, check, result });
        } else if word == "+" || word == "-" {
            let (_, job) = self.jobs.pop_first().expect("a running job");
            let verdict = match word {
                "+" => Verdict::Done,
                _ => Verdict::Failed(Failure::Trap("unreachable")),
            };
            let one = || EventOutcome { verdict: verdict.clone(), ..EventOutcome::default() };
            let events = job.events.iter().map(|_| one()).collect();
            self.input(Input::Outcome(Outcome { job, events }));
        } else if word == "c" {
            let up_to = self.commits.last().map_or(CommitId(0), |commit| commit.id);
            self.input(Input::Committed(Committed { up_to, ..Committed::default() }));
        } else if word == "stop" {
            self.input(Input::Stopping);
        } else if let Some(ms) = word.strip_prefix('t') {
            self.now = Timestamp(number(ms));
            self.gateway.handle_timeout(self.now);
        } else {
            let (topic, packet) = word.split_once('!').expect("a topic and a packet");
            let ack = AckTo { source: SourceId(1), packet_id: number(packet) as u16 };
            let message = message(topic, QoS::AtLeastOnce);
            self.input(Input::Message { message, ack: Some(ack) });
        }
    }

    /// An order comes as a message, is examined, and turns out to be this.
    fn order(&mut self, examined: Examined) {
        let message = message("tidegate/1/gw/release/p", QoS::AtMostOnce);
        self.input(Input::Message { message, ack: None });
        while let Some(effect) = self.gateway.poll_urgent() {
            self.write_down(effect);
        }
        let id = self.examined.pop().expect("it is examined");
        self.input(Input::Examined { id, examined });
    }

    fn write_down(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Examine { id, .. } => {
                self.examined.push(id);
                return None;
            }
            Effect::Check { handler, check, version } => {
                self.checks.push_back((handler, check));
                let text = format!("load:{}", version.manifest().version);
                self.version = Some(version);
                text
            }
            Effect::Migrate { handler, migration } => {
                let seen =
                    format!("migrate:{}:{}", migration.from, migration::short(&migration.table));
                self.migrations.push_back((handler, migration));
                seen
            }
            Effect::Switch { table, .. } if &*table == "p" => "switch".into(),
            Effect::Switch { table, .. } => format!("switch:{}", migration::short(&table)),
            Effect::Undeploy { .. } => "undeploy".into(),
            Effect::Run(job) => {
                let text = format!("run{}", job.events.len());
                self.jobs.insert(job.handler, job);
                text
            }
            Effect::Ack(to) => format!("ack{}", to.packet_id),
            Effect::Commit(commit) => {
                self.commits.push(commit);
                "commit".into()
            }
            Effect::Sign { answer: Answer { stage, version, .. }, .. } => match stage {
                Stage::Rejected(refusal) | Stage::RolledBack { refusal, .. } => {
                    format!("{version}:{}", refusal.code)
                }
                Stage::Checking { .. }
                | Stage::Installing
                | Stage::Probation { .. }
                | Stage::Active
                | Stage::Removed
                | Stage::Invoked(_)
                | Stage::SafeMode => format!("{version}:{}", stage.name()),
            },
            Effect::Note(decision) => {
                self.noted.push(noted(&decision));
                return None;
            }
            Effect::Settle(settled) => {
                self.kept = Some(settled.keep);
                return None;
            }
            Effect::SignReport(report) => {
                self.report = Some(report);
                return None;
            }
            Effect::Report(_) | Effect::Subscribe { .. } => return None,
            effect => panic!("unexpected {effect:?}"),
        })
    }

    /// The handler's row as it was committed last.
    fn row(&self) -> Row {
        let changes = self.commits.iter().flat_map(|commit| &commit.states);
        let mut changes = changes.flat_map(|state| &state.changes);
        let change = changes.rfind(|change| &*change.key == b"p").expect("a row");
        Row::decode(&change.value.as_ref().expect("a value").bytes).expect("a good row")
    }
}

#[track_caller]
fn check(script: &str, expect: &str) -> House {
    let mut house = House::new(Registered::default());
    assert_eq!(house.run(script), expect, "{script}");
    house
}

#[track_caller]
fn check_start(row: Row, script: &str, expect: &str) -> House {
    let of = |digest: Option<Digest>| digest.map(|digest| release(u64::from(digest.0[0])));
    let (running, previous) = (of(row.running), of(row.previous));
    let handlers = vec![RegisteredHandler { name: "p".into(), row, running, previous }];
    let mut house = House::new(Registered { handlers, ..Registered::default() });
    assert_eq!(house.run(script), expect, "{script}");
    house
}

/// A first release, up to the end of its probation.
const FIRST: &str = "push1 ok c a/b!1 + a/b!2 + a/b!3 +";
const FIRST_SEEN: &str =
    "1:installing load:1 commit switch 1:probation run1 ack1 run1 ack2 run1 ack3 1:active commit";

#[test]
fn a_release_is_durable_before_it_runs_and_passes() {
    let house = check(FIRST, FIRST_SEEN);
    assert_eq!(house.row(), row(RowPhase::Active, 0, Some(1), None));
    check("push1 ok a/b!1", "1:installing load:1 commit ack1");
    check("push1 ok c t1000", "1:installing load:1 commit switch 1:probation 1:active commit");
}

#[test]
fn a_bad_module_is_refused_for_good() {
    let house = check("push1 bad c", "1:installing load:1 commit 1:does-not-load");
    assert_eq!(house.row().refused, [digest(1)]);
    let script = [FIRST, "c push2 bad c a/b!4"].join(" ");
    let seen = [FIRST_SEEN, "2:installing load:2 commit 2:does-not-load run1"].join(" ");
    let house = check(&script, &seen);
    assert_eq!((house.row().running, house.row().highest.1), (Some(digest(1)), digest(2)));
}

#[test]
fn what_a_person_tries_breaks_and_passes_nothing() {
    let script = [FIRST, "c push2 ok c invoke1 c - invoke2 c + a/b!4 +"].join(" ");
    let seen = [
        FIRST_SEEN,
        "2:installing load:2 commit switch 2:probation commit run1 :invoked commit run1 :invoked run1 ack4",
    ];
    let house = check(&script, &seen.join(" "));
    assert_eq!(house.row().phase, RowPhase::Probation, "one of three events has counted");
    // Without a handler it is refused, and what the handler does stays with the brokers.
    check("invoke1", ":no-such-handler");
    let script = [FIRST, "c rm2 c invoke1"].join(" ");
    let seen = [FIRST_SEEN, "commit undeploy :removed :no-such-handler :removed"].join(" ");
    check(&script, &seen);
}

#[test]
fn a_persons_event_whose_handler_goes_is_answered() {
    let script = [FIRST, "c a/b!4 invoke1 c rm2 c +"].join(" ");
    let seen = [FIRST_SEEN, "run1 commit commit :removed ack4 undeploy :invoked"];
    check(&script, &seen.join(" "));
}

#[test]
fn a_persons_events_that_fail_put_nothing_into_quarantine() {
    let tries: String = (1..=9).map(|seq| format!(" invoke{seq} c -")).collect();
    let mut house = House::new(Registered::default());
    house.run(&[FIRST, "c", &tries].join(" "));
    assert_eq!(house.run("a/b!4 +"), "run1 ack4");
}

#[test]
fn a_broken_one_is_taken_back_and_its_event_runs_again() {
    let script = [FIRST, "c push2 ok c a/b!4 - a/b!5 ok +"].join(" ");
    let seen = [
        FIRST_SEEN,
        "2:installing load:2 commit switch 2:probation run1 load:1 commit switch 2:failed-events run2 ack4 ack5",
    ];
    let house = check(&script, &seen.join(" "));
    let row = house.row();
    assert_eq!((row.running, row.previous, row.phase), (Some(digest(1)), None, RowPhase::Active));
    assert_eq!((row.highest.1, row.refused), (digest(2), vec![digest(2)]));
}

#[test]
fn without_one_before_nothing_is_left() {
    check(
        "push1 ok c a/b!1 -",
        "1:installing load:1 commit switch 1:probation run1 ack1 undeploy 1:failed-events commit",
    );
    check(
        "conf ok push1 ok c a/b!1 - ok +",
        "load:1 switch 1:active 1:installing load:1 commit switch 1:probation run1 load:1 commit switch 1:failed-events run1 ack1",
    );
}

#[test]
fn a_version_changes_between_two_jobs() {
    let script = [FIRST, "c a/b!4 push2 ok a/b!5 c + + c t2000"].join(" ");
    let seen = [
        FIRST_SEEN,
        "run1 2:installing load:2 commit ack4 switch 2:probation run1 ack5 2:active commit",
    ];
    check(&script, &seen.join(" "));
}

#[test]
fn an_order_that_comes_meanwhile_waits() {
    check(
        "push1 push2 push3 ok c ok c t1000",
        "1:installing load:1 commit switch 1:probation 3:installing load:3 commit switch 3:probation 3:active commit",
    );
    check(
        "push1 ok rm2 c c",
        "1:installing load:1 commit switch 1:probation commit undeploy :removed",
    );
}
