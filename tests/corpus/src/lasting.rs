//! What comes of outcomes: frames and commits on a disk, the same after a power cut, and envelopes.

use std::sync::Arc;

use tidegate_core::commit::{Change, Commit, CommitId, Seen, StateChange};
use tidegate_core::record::{Record, Sending, Stamp};
use tidegate_core::stream::Format;
use tidegate_envelope::{Identity, encode};
use tidegate_journal::{Disk, Fate, Journal, ModelDisk, Settings};
use tidegate_store::{ModelShelf, Store};

use crate::Lines;
use crate::guests::{Outcomes, streams};

const SEGMENT: u32 = 16 * 1024;

fn journal_settings(segments: u64) -> Settings {
    Settings {
        segment_bytes: SEGMENT,
        quota_bytes: segments * u64::from(SEGMENT),
        ..Settings::default()
    }
}

/// Every file's name and content.
fn contents(disk: &mut ModelDisk) -> Vec<u8> {
    let mut names = disk.list().expect("a good disk");
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let len = disk.len(&name).expect("it is there") as usize;
        let mut bytes = vec![0; len];
        disk.read_at(&name, 0, &mut bytes).expect("it is there");
        all.extend_from_slice(name.as_bytes());
        all.extend_from_slice(&bytes);
    }
    all
}

/// The journal by itself: frames of all lengths, segments that are used again, an eviction, a power cut.
pub fn frames(lines: &mut Lines) {
    let epoch = 0x1122_3344_5566_7788;
    let mut journal =
        Journal::open(ModelDisk::new(7), journal_settings(6), epoch).expect("a new journal");
    for n in 0..400u64 {
        while journal.is_full(2000) {
            journal
                .evict(|frame, judge| {
                    judge.lose(7, 1, frame.seq, frame.payload.len() as u64);
                    Fate::Drop
                })
                .expect("a good disk");
        }
        let payload: Vec<u8> = (0..n * 37 % 1900).map(|at| (at * n) as u8).collect();
        let seq = journal.append((n % 62 + 1) as u8, &payload).expect("room");
        if n % 3 != 0 {
            journal.commit().expect("a good disk");
        }
        if n % 50 == 0 {
            journal.forget(seq.saturating_sub(60));
        }
    }
    journal.commit().expect("a good disk");
    let mut disk = journal.into_disk();
    lines.add("journal/files", contents(&mut disk));
    disk.damage("00000001.seg", |bytes| bytes[9000] ^= 0x40);
    let journal = Journal::open(disk, journal_settings(6), 9).expect("no content fails");
    let found = format!("{} {:?}", journal.last_seq(), journal.recovery());
    lines.add("journal/recovery", found);
}

/// A commit for each outcome that has something that lasts; the disk, the shelf, and what a start makes of them.
pub fn commits(lines: &mut Lines, outcomes: &Outcomes) {
    let settings = tidegate_store::Settings {
        journal: journal_settings(64),
        streams: streams(),
        ..tidegate_store::Settings::default()
    };
    let disk = ModelDisk::new(3);
    let shelf = ModelShelf::new(3, disk.power());
    let (mut store, opened) =
        Store::open(disk, shelf, settings.clone(), 5).expect("a folder that can be listed");
    let boot = opened.restored.boot;
    let commits = all_commits(outcomes, boot, opened.restored.next_seq);
    let half = commits.len() / 2;
    for (n, commit) in commits.into_iter().enumerate() {
        store.take(commit).expect("it is small");
        if n % 4 == 0 {
            store.commit().expect("a good disk");
        }
        if n == half {
            store.commit().expect("a good disk");
            store.checkpoint().expect("a good shelf");
        }
    }
    store.commit().expect("a good disk");
    let (mut disk, shelf) = store.into_parts();
    lines.add("store/files", contents(&mut disk));
    lines.add("store/shelf", format!("{:?}", shelf.rows()));
    disk.cut();
    let (_, opened) = Store::open(disk, shelf, settings, 6).expect("a folder that can be listed");
    lines.add("store/start", format!("{opened:?}"));
}

fn all_commits(outcomes: &Outcomes, boot: u32, mut seq: u64) -> Vec<Commit> {
    let mut commits = Vec::new();
    for (name, event, outcome) in outcomes {
        let at = event.message.at;
        let mut commit = Commit { id: CommitId(commits.len() as u64 + 1), ..Commit::default() };
        for send in &outcome.sends {
            commit.records.push(Arc::new(Record {
                seq,
                stream: send.stream,
                priority: send.priority.unwrap_or(3),
                ttl_s: send.ttl_s,
                stamp: Stamp { boot, mono_ms: event.id * 1500, wall: at },
                topic: (event.id % 3 == 0).then(|| Arc::from(event.message.topic.as_str())),
                payload: Arc::clone(&send.payload),
            }));
            seq += 1;
        }
        if !outcome.writes.is_empty() {
            let version = outcome.version;
            let change = |write| Change::of(write, version, at.unix_us);
            let mut changes: Vec<Change> = outcome.writes.iter().map(change).collect();
            changes.sort_by(|a, b| a.key.cmp(&b.key));
            commit.states.push(StateChange { handler: (*name).into(), version, changes });
        }
        if event.id % 4 == 0 {
            commit.seen.push(Seen(event.id * 0x0123_4567_89ab_cdef));
        }
        if !commit.records.is_empty() || !commit.states.is_empty() {
            commits.push(commit);
        }
    }
    commits
}

/// Every record in every format, and what the properties say.
pub fn envelopes(lines: &mut Lines, outcomes: &Outcomes) {
    let identity = Identity { gateway: "gw-01".to_owned(), epoch: 0x00c0_ffee_0000_0001 };
    let commits = all_commits(outcomes, 3, 4_294_967_290);
    for (name, format) in [("cbor", Format::Cbor), ("json", Format::Json), ("raw", Format::Raw)] {
        let mut all = String::new();
        for record in commits.iter().flat_map(|commit| &commit.records) {
            let sending = Sending {
                record: Arc::clone(record),
                at: record.stamp.wall,
                historical: record.seq % 2 == 0,
            };
            let encoded = encode(&sending, &identity, "raw", format);
            all.push_str(&format!("{:?} {:?}\n", encoded.payload, encoded.properties));
        }
        lines.add(&format!("envelope/{name}"), all);
    }
}
