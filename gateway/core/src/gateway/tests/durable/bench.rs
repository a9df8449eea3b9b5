//! A gateway, a model of its store, and scripts for both.

use alloc::vec;
use core::fmt::Write as _;

use super::super::*;
use crate::commit::{Commit, CommitId, LedgerLine, Seen};
use crate::job::{Send, Write};
use crate::record::{Place, Record, Refusal, StreamId};
use crate::store::{Committed, Evicted, Fetch, Fetched, LossTotal};
use crate::stream::{Forward, Stream, WhenFull};

/// A journal that keeps every frame: commit n is frame n.
#[derive(Default)]
pub struct Store {
    pub frames: Vec<Commit>,
    pub durable: u64,
    asked: VecDeque<Fetch>,
}

impl Store {
    pub fn commit(&mut self, all: usize) -> Committed {
        let up_to = (self.durable as usize).saturating_add(all).min(self.frames.len());
        let frames = self.frames[self.durable as usize..up_to]
            .iter()
            .filter(|commit| !commit.records.is_empty())
            .map(|commit| (commit.id, commit.id.0))
            .collect();
        self.durable = up_to as u64;
        let up_to = CommitId(self.durable);
        Committed { up_to, frames, last_frame: self.durable, ..Committed::default() }
    }

    /// Two records at a time.
    pub fn fetch(&mut self) -> Fetched {
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

pub struct Bench {
    pub gateway: Gateway,
    now: Timestamp,
    pub job: Option<Job>,
    pub store: Store,
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
    pub fn new(react: React) -> Bench {
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
        bench.input(Input::Checked { handler, check: CheckId(1), result: Ok(()) });
        bench.gateway.handle_timeout(Timestamp(0));
        while bench.gateway.poll_effect().is_some() {}
        bench
    }

    pub fn input(&mut self, input: Input) {
        self.gateway.handle_input(self.now, input);
    }

    /// Runs a script and writes down the effects.
    ///
    /// `a/b` and `raw/x` QoS 0 messages, `!5` behind them QoS 1, `!5#9` with an id of its own. How the running event ends: `=w` it writes state,
    /// `=alerts` (or another stream) it sends, `=>` it publishes, `=w>` both, `=.` nothing. `c` the store commits
    /// all, `c1` one; `f` it answers a fetch; `full`, `room0` it evicts up to frame 0. `up`, `down`; `d3` record 3 is
    /// delivered, `r3` refused; `t100` time.
    pub fn run(&mut self, script: &str) -> String {
        let mut seen = String::new();
        for word in script.split_whitespace() {
            self.step(word);
            while let Some(effect) = self.gateway.poll_effect() {
                self.write_down(effect, &mut seen);
            }
        }
        seen.trim_end().into()
    }

    pub fn step(&mut self, word: &str) {
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
                let (packet, mark) = match packet.and_then(|packet| packet.split_once('#')) {
                    Some((packet, mark)) => (Some(packet), Some(Seen(number(mark)))),
                    None => (packet, None),
                };
                let ack = packet
                    .map(|packet| AckTo { source: SourceId(1), packet_id: number(packet) as u16 });
                let qos = if ack.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
                Input::Message { message: Message { mark, ..message(topic, qos) }, ack }
            }
        };
        self.input(input);
    }

    /// Ends the running job, each event the same way.
    pub fn end(&mut self, how: &str) {
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

    pub fn write_down(&mut self, effect: Effect, seen: &mut String) {
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
            | Effect::SetPin(_)
            | Effect::Check { .. }
            | Effect::Migrate { .. }
            | Effect::Switch { .. }
            | Effect::Undeploy { .. }
            | Effect::Examine { .. }
            | Effect::Sign { .. }
            | Effect::Keep(_)
            | Effect::SignReport(_)
            | Effect::Unretain
            | Effect::Note(_)
            | Effect::Settle(_)
            | Effect::ListenUpstream(_)
            | Effect::TellUpstream(_)
            | Effect::Subscribe { .. }
            | Effect::Pause(_)
            | Effect::Resume(_)
            | Effect::HangUp(_)
            | Effect::ConnectLocal => Ok(()),
        }
        .expect("a string takes everything");
    }
}
