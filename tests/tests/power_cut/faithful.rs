//! The folder that the whole log gives is the folder that is there.

use std::process::Command;

use tidegate_tests::power_cut::{Disk, Image, Log, Op, Replay};

use crate::Bench;

#[track_caller]
fn check_rebuilt(bench: &Bench, log: &Log, before: Disk) {
    let mut replay = Replay::new(log, before);
    replay.go_to(log.records().len());
    let (rebuilt, real) = (replay.seen(), Image::of(&bench.watched()));
    assert_eq!(rebuilt.difference(&real), None, "the log's folder, and the real one");
    assert!(!real.files.is_empty(), "it did something");
}

#[test]
fn everything_that_std_does_is_recorded() {
    for seed in 1..=12 {
        let bench = Bench::new("exercise");
        let status = bench.subject("exercise", &[&seed.to_string()]).status().expect("it starts");
        assert!(status.success(), "seed {seed}: {status}");
        check_rebuilt(&bench, &bench.recorder.log(), Disk::new());
    }
}

#[test]
fn what_was_there_before_is_known() {
    let bench = Bench::new("before");
    for seed in 1..=2 {
        let before = Disk::of(&bench.watched());
        let log = bench.recorder.log().records().len();
        let status = bench.subject("exercise", &[&seed.to_string()]).status().expect("it starts");
        assert!(status.success(), "seed {seed}: {status}");
        if seed == 2 {
            let whole = bench.recorder.log();
            check_rebuilt(&bench, &whole.since(log), before);
            check_rebuilt(&bench, &whole, Disk::new());
        }
    }
}

#[test]
fn records_come_one_after_the_other_from_each_process() {
    let bench = Bench::new("order");
    bench.subject("exercise", &["3"]).status().expect("it starts");
    let log = bench.recorder.log();
    let mut last = std::collections::BTreeMap::new();
    let mut kinds = std::collections::BTreeSet::new();
    for record in log.records() {
        let before = last.insert(record.pid, record.seq).unwrap_or(0);
        assert!(record.seq > before, "{record:?} after {before}");
        let shown = format!("{:?}", record.op);
        kinds.insert(shown.split(' ').next().expect("a name").to_owned());
    }
    assert!(last.len() > 1, "a child was recorded too");
    let syncs = log.records().iter().filter(|record| matches!(record.op, Op::SyncDone { .. }));
    assert!(syncs.count() > 20);
    for kind in ["Start", "Open", "Close", "Write", "Truncate", "SyncStart", "SyncDone", "Rename"] {
        assert!(kinds.contains(kind), "{kind} in {kinds:?}");
    }
}

#[test]
fn what_cannot_be_recorded_stops_the_program() {
    let bench = Bench::new("refused");
    std::fs::write(bench.watched().join("a"), "12345678").expect("a folder of our own");
    let link = bench.subject("link", &[]).output().expect("it starts");
    assert!(!link.status.success());
    let said = String::from_utf8_lossy(&link.stderr);
    assert!(said.contains("recorder: links are not recorded"), "{said}");
    assert!(!bench.watched().join("b").exists());

    let python = std::env::var("TIDEGATE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mapped = |mode: &str| {
        let script = format!(
            "import mmap, os; fd = os.open('{}/a', os.O_RDWR); mmap.mmap(fd, 8, {mode})",
            bench.watched().display()
        );
        let mut command = Command::new(&python);
        command.args(["-c", &script]);
        bench.recorder.watch(&mut command);
        command.output().expect("there is a Python")
    };
    let writable = mapped("mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE");
    let said = String::from_utf8_lossy(&writable.stderr);
    assert!(!writable.status.success() && said.contains("writable mappings"), "{said}");
    let readable = mapped("mmap.MAP_SHARED, mmap.PROT_READ");
    assert!(readable.status.success(), "{}", String::from_utf8_lossy(&readable.stderr));
}
