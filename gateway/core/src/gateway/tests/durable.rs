//! Commits, records and the link, against a model of the store.

use alloc::vec;
use core::fmt::Write as _;

use super::*;
use crate::commit::{Commit, CommitId, LedgerLine, Progress};
use crate::job::{Send, Write};
use crate::record::{Place, Record, Refusal, StreamId};
use crate::store::{Committed, Evicted, Fetch, Fetched, LossTotal, Restored};
use crate::stream::{Forward, Stream, WhenFull};

/// A journal that keeps every frame: commit n is frame n.
#[derive(Default)]
struct Store {
    frames: Vec<Commit>,
    durable: u64,
    asked: VecDeque<Fetch>,
}

impl Store {
    fn commit(&mut self, all: usize) -> Committed {
        let up_to = (self.durable as usize).saturating_add(all).min(self.frames.len());
        let frames = self.frames[self.durable as usize..up_to]
            .iter()
            .filter(|commit| !commit.records.is_empty())
            .map(|commit| (commit.id, commit.id.0))
            .collect();
        self.durable = up_to as u64;
        Committed { up_to: CommitId(self.durable), frames, last_frame: self.durable }
    }

    /// Two records at a time.
    fn fetch(&mut self) -> Fetched {
        let Fetch { priority, from, until, .. } =
            self.asked.pop_front().expect("something was asked");
        let mut records: Vec<(Place, Arc<Record>)> = self.frames[..self.durable as usize]
            .iter()
            .flat_map(|commit| {
                let place = move |index| Place { frame: commit.id.0, index: index as u16 };
                commit.records.iter().enumerate().map(move |(i, r)| (place(i), Arc::clone(r)))
            })
            .filter(|(place, record)| {
                record.priority == priority
                    && *place >= from
                    && until.is_none_or(|until| *place < until)
            })
            .collect();
        let is_end = records.len() <= 2;
        records.truncate(2);
        let next = match (is_end, records.last()) {
            (false, Some((place, _))) => Place { index: place.index + 1, ..*place },
            _ => until.unwrap_or(Place::of(self.durable + 1)),
        };
        Fetched { priority, from, until, records, next, is_end }
    }
}

struct Bench {
    gateway: Gateway,
    now: Timestamp,
    job: Option<Job>,
    store: Store,
    version: u64,
}

fn streams() -> Streams {
    let stream = |name: &str, priority, ttl_s, when_full| Stream {
        id: StreamId::of(name),
        name: name.into(),
        priority,
        ttl_s,
        when_full,
    };
    let forward =
        Forward { from: Filter::new("raw/#").expect("a filter"), stream: StreamId::of("bulk") };
    Streams::new(
        vec![
            stream("alerts", 7, 0, WhenFull::DropOldest),
            stream("bulk", 0, 0, WhenFull::DropNewest),
            stream("short", 0, 10, WhenFull::DropOldest),
            stream("losses", 7, 0, WhenFull::DropOldest),
            stream("dead-letters", 0, 0, WhenFull::DropOldest),
        ],
        vec![forward],
    )
    .expect("no two alike")
}

impl Bench {
    /// One handler, 1, on `a/+`; a window of two.
    fn new(react: React) -> Bench {
        let outbox = OutboxLimits { window: 2, ..OutboxLimits::DEV };
        let durability = Durability {
            commits: CommitLimits::DEV,
            outbox,
            streams: Arc::new(streams()),
            has_uplink: true,
        };
        let gateway = Gateway::new(Limits::DEV, LocalSide::FrontDoor, durability, 7);
        let store = Store::default();
        let mut bench = Bench { gateway, now: Timestamp(0), job: None, store, version: 0 };
        let handler = HandlerId(1);
        let manifest = Manifest { react, ..(*manifest("1", "a/+")).clone() };
        bench.input(Input::Deploy { handler, manifest: Arc::new(manifest) });
        bench.input(Input::Checked { handler, result: Ok(()) });
        bench.gateway.handle_timeout(Timestamp(0));
        while bench.gateway.poll_effect().is_some() {}
        bench
    }

    fn input(&mut self, input: Input) {
        self.gateway.handle_input(self.now, input);
    }

    /// Runs a script and writes down the effects.
    ///
    /// `a/b` and `raw/x` QoS 0 messages, `!5` behind them QoS 1. How the running event ends: `=w` it writes state,
    /// `=alerts` (or another stream) it sends, `=>` it publishes, `=w>` both, `=.` nothing. `c` the store commits
    /// all, `c1` one; `f` it answers a fetch; `full`, `room0` it evicts up to frame 0. `up`, `down`; `d3` record 3 is
    /// delivered, `r3` refused; `t100` time.
    fn run(&mut self, script: &str) -> String {
        let mut seen = String::new();
        for word in script.split_whitespace() {
            self.step(word);
            while let Some(effect) = self.gateway.poll_effect() {
                self.write_down(effect, &mut seen);
            }
        }
        seen.trim_end().into()
    }

    fn step(&mut self, word: &str) {
        let number = |rest: &str| rest.parse::<u64>().expect("a number");
        let input = match word.split_at(1) {
            ("=", how) => return self.end(how),
            ("t", ms) => {
                self.now = Timestamp(number(ms));
                return self.gateway.handle_timeout(self.now);
            }
            ("c", "") => Input::Committed(self.store.commit(usize::MAX)),
            ("c", count) => Input::Committed(self.store.commit(number(count) as usize)),
            ("f", "") => Input::Fetched(self.store.fetch()),
            ("f", "ull") => Input::StoreFull,
            ("u", "p") => Input::UplinkUp,
            ("d", "own") => Input::UplinkDown { reason: "cut".into() },
            ("d", seq) => Input::Delivered { seq: number(seq) },
            ("s", "top") => Input::Stopping,
            ("r", rest) if rest.starts_with("oom") => {
                let up_to = number(&rest[3..]);
                let loss = LossTotal {
                    stream: StreamId::of("short"),
                    reason: crate::record::LossReason::DroppedOldest,
                    records: 1,
                    bytes: 1,
                };
                let losses = if up_to > 0 { vec![loss] } else { vec![] };
                let line = LedgerLine {
                    stream: loss.stream,
                    reason: loss.reason,
                    count: 1,
                    told: 0,
                    first_seq: 1,
                    last_seq: 1,
                    bytes: 1,
                };
                let ledger = vec![line];
                let evicted =
                    Evicted { up_to, losses, ledger, has_room: true, ..Evicted::default() };
                Input::Evicted(evicted)
            }
            ("r", seq) if seq.starts_with(|c: char| c.is_ascii_digit()) => {
                Input::Refused { seq: number(seq), refusal: Refusal::Code(0x87) }
            }
            _ => {
                let (topic, packet) =
                    word.split_once('!').map_or((word, None), |(t, p)| (t, Some(p)));
                let ack = packet
                    .map(|packet| AckTo { source: SourceId(1), packet_id: number(packet) as u16 });
                let qos = if ack.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                Input::Message { message: message(topic, qos), ack }
            }
        };
        self.input(input);
    }

    /// Ends the running job, each event the same way.
    fn end(&mut self, how: &str) {
        let job = self.job.take().expect("a running job");
        let mut events = Vec::new();
        for event in &job.events {
            let mut outcome = EventOutcome::default();
            let sends = how.trim_matches(['w', '>', '.']);
            if how.contains('w') {
                self.version += 1;
                let key = Arc::from(event.message.topic.as_str().as_bytes());
                let value = Some(Arc::from(&b"v"[..]));
                outcome.writes.push(Write { key, value, ttl_s: 0 });
                outcome.version = self.version;
            }
            if !sends.is_empty() {
                let stream = StreamId::of(sends);
                let payload = Arc::from(&b"x"[..]);
                outcome.sends.push(Send { stream, payload, priority: None, ttl_s: 0 });
            }
            if how.contains('>') {
                outcome.publishes.push(Publish {
                    topic: Topic::new("out").expect("a topic"),
                    payload: Arc::from(&b"x"[..]),
                    qos: QoS::AtMostOnce,
                    retain: false,
                });
            }
            events.push(outcome);
        }
        self.input(Input::Outcome(Outcome { job, events }));
    }

    fn write_down(&mut self, effect: Effect, seen: &mut String) {
        match effect {
            Effect::Run(job) => {
                self.job = Some(job);
                Ok(())
            }
            Effect::Publish(_) => write!(seen, "pub "),
            Effect::Ack(to) => write!(seen, "ack{} ", to.packet_id),
            Effect::Commit(commit) => {
                assert_eq!(commit.id.0, self.store.frames.len() as u64 + 1, "commits are dense");
                write!(seen, "commit(").expect("a string takes everything");
                for state in &commit.states {
                    write!(seen, "w{}v{},", state.changes.len(), state.version).expect("it does");
                }
                let seqs: Vec<String> = commit.records.iter().map(|r| r.seq.to_string()).collect();
                let lost: Vec<String> =
                    commit.losses.iter().map(|l| format!("-{}", l.seq)).collect();
                let told: Vec<String> =
                    commit.told.iter().map(|t| format!("told{}", t.count)).collect();
                let parts = [seqs, lost, told].concat().join(",");
                let progress = if commit.progress.is_some() { "*" } else { "" };
                self.store.frames.push(commit);
                write!(seen, "{parts}{progress}) ")
            }
            Effect::Fetch(fetch) => {
                self.store.asked.push_back(fetch);
                write!(seen, "fetch{} ", fetch.priority)
            }
            Effect::Evict(evict) => write!(seen, "evict{:?} ", evict.under_way),
            Effect::ConnectUplink => write!(seen, "dial "),
            Effect::DropUplink => write!(seen, "hang-up "),
            Effect::Send(sending) => {
                let old = if sending.historical { "~" } else { "" };
                write!(seen, "send{}{old} ", sending.record.seq)
            }
            Effect::Report(_)
            | Effect::Check { .. }
            | Effect::Subscribe { .. }
            | Effect::Pause(_)
            | Effect::Resume(_)
            | Effect::ConnectLocal => Ok(()),
        }
        .expect("a string takes everything");
    }
}

#[track_caller]
fn check(script: &str, expect: &str) -> Bench {
    let mut bench = Bench::new(React::Now);
    assert_eq!(bench.run(script), expect, "{script}");
    bench
}

#[track_caller]
fn check_durable(script: &str, expect: &str) {
    let mut bench = Bench::new(React::Durable);
    assert_eq!(bench.run(script), expect, "{script}");
}

#[test]
fn an_ack_waits_for_its_commit_and_a_reaction_does_not() {
    check("a/b!5 =w> c", "pub commit(w1v1,) ack5");
    check("a/b!5 => ", "pub ack5");
    check("a/b!5 =w a/b!6 =w c1 c1", "commit(w1v1,) commit(w1v2,) ack5 ack6");
}

#[test]
fn a_durable_reaction_waits_and_keeps_its_place() {
    check_durable("a/b!5 =w> c", "commit(w1v1,) pub ack5");
    check_durable("a/b =w> c", "commit(w1v1,) pub");
    check_durable("a/b =>", "pub");
    check_durable("a/b =w> a/b => c", "commit(w1v1,) pub pub");
}

#[test]
fn state_from_qos_0_waits_for_its_time_or_for_somebody_who_relies_on_it() {
    check("a/b =w a/c =w a/b =w t1999 t2000", "commit(w2v3,)");
    check("a/b =w a/c!5 =w c t2000", "commit(w2v2,) ack5");
    check("a/b =w a/c =alerts c t2000", "commit(w1v1,1)");
    check("a/b =w stop", "commit(w1v1,)");
}

#[test]
fn records_go_up_once_they_are_durable_and_in_a_window() {
    check("up a/b =alerts", "commit(1)");
    check(
        "up a/b =alerts a/b =alerts a/b =alerts c d1 d2 d3",
        "commit(1) commit(2) commit(3) send1 send2 send3",
    );
}

#[test]
fn what_waited_goes_when_the_link_is_there_and_after_what_comes_now() {
    check("a/b =alerts a/b =alerts c t1 up f", "commit(1) commit(2) fetch7 send1~ send2~");
    check(
        "a/b =alerts a/b =alerts a/b =alerts c t1 up a/b =alerts c f d4 d1 f d2 d3",
        "commit(1) commit(2) commit(3) fetch7 commit(4) send4 send1~ fetch7 send2~ send3~",
    );
}

#[test]
fn a_lost_link_means_everything_under_way_again() {
    check(
        "up a/b =alerts a/b =alerts c d1 down t4000 up f d2 t20000",
        "commit(1) commit(2) send1 send2 dial fetch7 send2~ commit(*)",
    );
}

#[test]
fn higher_priorities_go_first() {
    check("raw/x a/b =alerts c t1 up f f", "commit(1) commit(2) fetch7 fetch0 send2~ send1~");
}

#[test]
fn forwarded_messages_are_acked_when_durable() {
    check("raw/x!5 c t1 up f", "commit(1) ack5 fetch0 send1~");
    let bench = check("raw/x c", "commit(1)");
    assert_eq!(bench.gateway.messages(), 0, "its credit came back");
}

#[test]
fn a_refused_record_is_given_up_and_accounted_for() {
    let bench = check("up a/b =bulk c r1 d9", "commit(1) send1 commit(2,3,-1,told1)");
    let lost: Vec<_> = bench.gateway.losses().map(|line| (line.count, line.last_seq)).collect();
    assert_eq!(lost, [(1, 1)]);
}

#[test]
fn what_outlived_its_time_is_not_sent() {
    check("a/b =short c t10001 up f", "commit(1) fetch0 commit(2,-1,told1*)");
    check("a/b =short c t10000 up f", "commit(1) fetch0 send1~");
}

#[test]
fn progress_is_committed_when_nothing_else_is() {
    check("up a/b =bulk c d1 t4999 t5000", "commit(1) send1 commit(*)");
    let mut bench = check("up a/b =bulk c d1 t5000 c", "commit(1) send1 commit(*)");
    let progress = bench.store.frames[1].progress.take().expect("it says how far");
    let of_one = |priority| Place { frame: priority, index: 0 };
    assert!(progress.is_settled(0, of_one(1)));
    assert!(!progress.is_settled(0, of_one(2)));
    assert_eq!(progress.waiting[0].records, 0);
    assert_eq!(progress.waiting[0].delivered, 1);
}

#[test]
fn a_restart_goes_on_where_progress_says() {
    let mut bench = Bench::new(React::Now);
    bench.run("up a/b =bulk a/b =bulk a/b =bulk c d1 t5000 c");
    let progress = bench.store.frames.last_mut().and_then(|commit| commit.progress.take());
    let restored = Restored {
        boot: 2,
        next_seq: 4,
        progress: progress.unwrap_or_else(Progress::default),
        last_frame: 4,
        ..Restored::default()
    };
    let store = core::mem::take(&mut bench.store);
    bench = Bench::new(React::Now);
    bench.store = store;
    bench.store.frames.truncate(3);
    bench.store.durable = 3;
    bench.input(Input::Restored(restored));
    let all = "fetch7 fetch6 fetch5 fetch4 fetch3 fetch2 fetch1 fetch0";
    assert_eq!(bench.run("up f f f f f f f"), all);
    assert_eq!(bench.run("f"), "send2~ send3~");
}

#[test]
fn a_full_journal_evicts_once_and_goes_on() {
    check("up a/b =bulk c full full room0 d1", "commit(1) send1 evict[1]");
    check("a/b =bulk c full a/b =bulk c room0 a/b =bulk", "commit(1) evict[] commit(-2) commit(3)");
}

#[test]
fn losses_are_announced_when_the_link_is_there() {
    check(
        "a/b =short a/b =short c full room1 c up",
        "commit(1) commit(2) evict[] commit(*) fetch0 commit(3,told1)",
    );
}

#[test]
fn a_record_that_upstream_hangs_up_on_is_given_up_when_others_pass() {
    check(
        "up a/b =bulk a/b =bulk c down t3000 up f down t9000 up f down t20000 up f d2 down",
        "commit(1) commit(2) send1 send2 dial fetch0 send1~ dial fetch0 send1~ dial fetch0 send2~ send1~ commit(3,-1*)",
    );
}

#[test]
fn a_stalled_link_is_given_up() {
    check("up a/b =bulk c t29999 t30000", "commit(1) send1 hang-up");
}

#[test]
fn the_store_holds_back_jobs_when_it_falls_behind() {
    let durability = Durability {
        commits: CommitLimits { held_bytes_max: 10, ..CommitLimits::DEV },
        ..Durability::default()
    };
    let mut bench = Bench::new(React::Now);
    bench.gateway = Gateway::new(Limits::DEV, LocalSide::FrontDoor, durability, 7);
    let handler = HandlerId(1);
    bench.input(Input::Deploy { handler, manifest: manifest("1", "a/+") });
    bench.input(Input::Checked { handler, result: Ok(()) });
    assert_eq!(bench.run("a/b!1 =w a/b!2"), "commit(w1v1,)");
    assert!(bench.job.is_none(), "it waits for the store");
    assert_eq!(bench.run("c"), "ack1");
    assert!(bench.job.is_some());
}
