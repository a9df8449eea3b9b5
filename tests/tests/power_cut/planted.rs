//! Programs that forget a sync are found, those that do not are not.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use tidegate_tests::power_cut::{Cut, Disk, Image, Log, Replay, cuts, every_cut, subject};

use crate::Bench;

/// What a recording shows.
struct Verdict {
    cuts: usize,
    /// Cuts after which something acked was not there.
    lossy: Vec<String>,
}

/// Runs the subject, and takes note of where the log stood at each ack.
fn recorded(what: &str, count: u64, rest: &[&str]) -> (Log, Vec<u64>) {
    let bench = Bench::new(what);
    let count = count.to_string();
    let words = [&[count.as_str()], rest].concat();
    let mut child = bench
        .subject(what, &words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut marks = Vec::new();
    for line in stdout.lines() {
        assert_eq!(line.expect("text"), format!("acked {}", marks.len()));
        marks.push(bench.recorder.mark());
        stdin.write_all(b"\n").expect("it reads");
    }
    assert!(child.wait().expect("it ends").success());
    let log = bench.recorder.log();
    let mut replay = Replay::new(&log, Disk::new());
    replay.go_to(log.records().len());
    assert_eq!(replay.seen().difference(&Image::of(&bench.watched())), None);
    (log, marks)
}

/// Looks at every disk that the cuts leave.
fn judge(
    log: &Log,
    marks: &[u64],
    cuts: impl Iterator<Item = Cut>,
    found: fn(&Image) -> u64,
) -> Verdict {
    let mut replay = Replay::new(log, Disk::new());
    let mut verdict = Verdict { cuts: 0, lossy: Vec::new() };
    for cut in cuts {
        verdict.cuts += 1;
        let acked = marks.iter().take_while(|mark| log.holds(**mark, cut.at)).count() as u64;
        let there = found(&replay.image(&cut));
        if there < acked {
            verdict.lossy.push(format!("{cut:?}: {there} of {acked}"));
        }
    }
    verdict
}

#[track_caller]
fn check(what: &str, rest: &[&str], is_safe: bool) {
    let found = if what == "append" { subject::appended } else { subject::replaced };
    let (log, marks) = recorded(what, 40, rest);
    assert_eq!(marks.len(), 40);
    let every = judge(&log, &marks, every_cut(&log, 1), found);
    let some = judge(&log, &marks, cuts(&log, 500, 2), found);
    assert_eq!(some.cuts, 500);
    assert!(every.cuts > 3 * 40, "{} cuts", every.cuts);
    if is_safe {
        assert_eq!((every.lossy, some.lossy), (Vec::new(), Vec::new()));
    } else {
        assert!(every.lossy.len() > 40, "{what} {rest:?}: found in {}", every.lossy.len());
        assert!(some.lossy.len() > 20, "{what} {rest:?}: found in {}", some.lossy.len());
    }
}

#[test]
fn who_syncs_loses_nothing() {
    check("append", &[], true);
    check("replace", &[], true);
}

#[test]
fn a_record_that_was_not_synced_is_missed() {
    check("append", &["no-sync"], false);
    check("replace", &["no-sync"], false);
}

#[test]
fn a_name_that_was_not_synced_is_missed() {
    check("append", &["no-folder-sync"], false);
    check("replace", &["no-folder-sync"], false);
}

#[test]
fn the_same_seed_leaves_the_same_disk() {
    let (log, _) = recorded("append", 20, &["no-sync"]);
    let images = |seed| {
        let mut replay = Replay::new(&log, Disk::new());
        cuts(&log, 100, seed).map(|cut| replay.image(&cut)).collect::<Vec<_>>()
    };
    assert!(images(7) == images(7));
    let different = images(7).iter().zip(images(8)).filter(|(a, b)| **a != *b).count();
    assert!(different > 20, "{different} of 100");
}
