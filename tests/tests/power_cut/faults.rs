//! Calls that fail because the test wants it.

use std::io::Write;
use std::process::Stdio;

use tidegate_tests::power_cut::{Cut, Disk, Image, Mood, Op, Recorder, Replay, subject};

use crate::Bench;

/// Runs `append` of ten records with a fault; what it said to standard output and error.
fn append(fault: &str) -> (Bench, String, String) {
    let mut bench = Bench::new("fault");
    let (watched, log) = (bench.watched(), bench.scratch.path().join("recorded"));
    bench.recorder = Recorder::new(&watched, &log).with_fault(fault);
    let mut child = bench
        .subject("append", &["10"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(&[b'\n'; 10]).expect("a pipe holds ten lines");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = (text(&output.stdout), text(&output.stderr));
    (bench, said.0, said.1)
}

#[test]
fn a_full_disk_fails_the_write_that_it_was_said_of() {
    const ENOSPC: i32 = 28;
    let (bench, out, err) = append(&format!("write:4:{ENOSPC}"));
    assert!(out.ends_with("acked 2\n") && err.contains("No space left"), "{out}{err}");
    assert_eq!(subject::appended(&Image::of(&bench.watched())), 3);
}

#[test]
fn what_a_failed_sync_was_for_is_gone() {
    const EIO: i32 = 5;
    // The first sync is the folder's.
    let (bench, out, err) = append(&format!("sync:4+:{EIO}"));
    assert!(out.ends_with("acked 1\n") && err.contains("Input/output"), "{out}{err}");
    let log = bench.recorder.log();
    let bad = |op: &Op| matches!(op, Op::SyncDone { is_good: false, .. });
    assert_eq!(log.records().iter().filter(|record| bad(&record.op)).count(), 1);
    let end = log.records().len();
    let mut replay = Replay::new(&log, Disk::new());
    // A program reads what it wrote; the disk does not have it, whatever luck.
    let image = replay.image(&Cut { at: end, mood: Mood::AllKept });
    assert_eq!(subject::appended(&image), 2);
    assert_eq!(subject::appended(&replay.seen()), 3);
}
