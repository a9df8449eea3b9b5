//! `tidegate outbox`, as people run it: over a folder that a store has left, and over a socket.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tidegate_core::commit::{Commit, CommitId, Lost, Progress, Span, Waiting};
use tidegate_core::record::{LossReason, Place, Record, Stamp, StreamId};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_journal::RealDisk;
use tidegate_store::{ModelShelf, Settings, Store};

/// A folder of its own for each test, empty at the start. Short: a socket's path has 107 bytes at most.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("it was ours");
    }
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn outbox(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("outbox")
        .args(args)
        .output()
        .expect("the binary runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[track_caller]
fn refused(args: &[&str], code: i32, says: &[&str]) {
    let output = outbox(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    for part in says {
        assert!(stderr.contains(part), "{args:?} does not say {part:?}: {stderr}");
    }
    assert!(output.stdout.is_empty(), "{args:?}");
}

#[track_caller]
fn seen(args: &[&str]) -> Value {
    let output = outbox(&[args, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("one object")
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 294,000")
}

fn record(seq: u64, stream: &str, priority: u8, age_s: i64) -> Arc<Record> {
    let wall = WallTime { unix_us: now_us() - age_s * 1_000_000, quality: ClockQuality::Ntp };
    Arc::new(Record {
        seq,
        stream: StreamId::of(stream),
        priority,
        ttl_s: 0,
        stamp: Stamp { boot: 1, mono_ms: seq, wall },
        topic: None,
        payload: (*b"0123456789").into(),
    })
}

/// A data folder in which three commits were made durable, and then the power went.
fn left_behind(name: &str) -> PathBuf {
    let folder = folder(name);
    let disk = RealDisk::open(&folder.join("journal")).expect("a folder");
    let shelf = ModelShelf::new(1, Default::default());
    let (mut store, _) = Store::open(disk, shelf, Settings::default(), 0xabc).expect("a new store");
    let raw = StreamId::of("raw");
    let span = |priority, frame| Span { priority, from: Place { frame, index: 1 }, until: None };
    let commits = [
        Commit {
            records: vec![record(1, "raw", 0, 7200), record(2, "raw", 0, 3600)],
            ..Commit::default()
        },
        Commit {
            records: vec![record(3, "alerts", 7, 60)],
            losses: vec![Lost { stream: raw, reason: LossReason::Expired, seq: 9, bytes: 10 }],
            ..Commit::default()
        },
        // The first is delivered.
        Commit {
            progress: Some(Progress {
                known: 2,
                spans: vec![span(0, 1), Span { priority: 7, from: Place::of(2), until: None }],
                waiting: vec![
                    Waiting { stream: raw, records: 1, bytes: 10, delivered: 1 },
                    Waiting { stream: StreamId::of("alerts"), records: 1, bytes: 10, delivered: 0 },
                ],
            }),
            ..Commit::default()
        },
    ];
    for (commit, id) in commits.into_iter().zip(1..) {
        store.take(Commit { id: CommitId(id), ..commit }).expect("small");
        store.commit().expect("a disk that works");
    }
    folder
}

/// Every name in it, with the time of its last change, and the contents of files.
fn files(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("read").path();
        let about = fs::metadata(&path).expect("it is there");
        let bytes = if about.is_file() { fs::read(&path).expect("read") } else { Vec::new() };
        if about.is_dir() {
            files.extend(self::files(&path));
        }
        files.insert(path, (about.modified().expect("Linux knows"), bytes));
    }
    files
}

fn stream<'a>(seen: &'a Value, name: &str) -> &'a Value {
    let number = u64::from(StreamId::of(name).0);
    let streams = seen["streams"].as_array().expect("a list");
    let found = streams.iter().find(|stream| stream["number"] == number);
    found.unwrap_or_else(|| panic!("{name} is not in {seen}"))
}

#[test]
fn what_is_wrong_is_said_with_an_exit_status() {
    let folder = folder("outbox-wrong");
    let nowhere = folder.join("nowhere");
    refused(&[], 64, &["--data-dir", "--help"]);
    refused(&["/data"], 64, &["--data-dir /data"]);
    refused(&["--data-dir", "a", "--socket", "b"], 64, &["one of"]);
    refused(&["--data-dir", text(&nowhere)], 1, &[text(&nowhere), "no such folder"]);
    refused(&["--data-dir", text(&folder)], 1, &["journal", "gateway.data_dir"]);
    refused(&["--socket", text(&nowhere)], 1, &["no such socket", "running?"]);
    refused(&["--config", text(&nowhere)], 78, &[text(&nowhere)]);
    let file = folder.join("file");
    fs::write(&file, "").expect("written");
    refused(&["--data-dir", text(&file)], 1, &["that is a file"]);
    let socket = folder.join("control.sock");
    drop(UnixListener::bind(&socket).expect("a socket"));
    refused(&["--socket", text(&socket)], 1, &["nobody listens", "--data-dir"]);
    assert!(!folder.join("journal").exists(), "nothing is made");
    fs::remove_dir_all(&folder).expect("it was ours");
}

#[test]
fn a_folder_is_read_and_not_changed() {
    let folder = left_behind("outbox-disk");
    // As a killed daemon leaves it.
    drop(UnixListener::bind(folder.join("control.sock")).expect("a socket"));
    let before = files(&folder);
    let seen = seen(&["--data-dir", text(&folder)]);
    assert_eq!(files(&folder), before);
    assert_eq!((&seen["source"], &seen["epoch"]), (&"disk".into(), &"0000000000000abc".into()));
    let raw = stream(&seen, "raw");
    assert_eq!((&raw["waiting"], &raw["waiting_bytes"]), (&1.into(), &10.into()));
    assert_eq!((&raw["delivered"], &raw["oldest"]), (&1.into(), &"exact".into()));
    assert_eq!(raw["lost"]["expired"], 1, "{seen}");
    let age_s = raw["oldest_s"].as_u64().expect("known");
    assert!((3600..3700).contains(&age_s), "the second record's: {age_s}");
    let age_s = stream(&seen, "alerts")["oldest_s"].as_u64().expect("known");
    assert!((60..160).contains(&age_s), "{age_s}");
    assert_eq!(raw["name"], Value::Null);

    let table = String::from_utf8(outbox(&["--data-dir", text(&folder)]).stdout).expect("text");
    for part in
        ["no daemon answers", &format!("#{}", raw["number"]), "1 h", "lost 1 expired", "note:"]
    {
        assert!(table.contains(part), "{part}: {table}");
    }
    fs::remove_dir_all(&folder).expect("it was ours");
}

#[test]
fn a_configuration_names_the_streams() {
    let folder = left_behind("outbox-config");
    let config = folder.join("gateway.toml");
    let toml = format!(
        "[gateway]\nid = \"gw-9\"\ndata_dir = {:?}\nboard = \"dev\"\n[store]\nquota_mb = 64\n[uplink]\n\
         broker = \"mqtt://127.0.0.1:1\"\ninsecure = true\n[[stream]]\nname = \"raw\"\n[[stream]]\nname = \"alerts\"\n",
        text(&folder)
    );
    fs::write(&config, toml).expect("written");
    let seen = seen(&["--config", text(&config)]);
    assert_eq!(seen["gateway"], "gw-9");
    assert_eq!(seen["journal"]["quota_bytes"], 64_000_000);
    assert_eq!(stream(&seen, "raw")["name"], "raw");
    assert_eq!(stream(&seen, "losses")["waiting"], 0, "streams without a record are there, too");
    fs::remove_dir_all(&folder).expect("it was ours");
}

#[test]
fn damage_is_told() {
    let folder = left_behind("outbox-damage");
    let mut names = files(&folder).into_keys();
    let segment = names.find(|path| path.extension().is_some_and(|end| end == "seg"));
    let segment = segment.expect("the first one");
    let mut bytes = fs::read(&segment).expect("a segment");
    // The first frame stands behind the header's block.
    bytes[4096 + 30] ^= 1;
    fs::write(&segment, bytes).expect("written");
    let seen = seen(&["--data-dir", text(&folder)]);
    assert!(seen["notes"].to_string().contains("damaged (1 gaps, 1 frames)"), "{seen}");
    fs::remove_dir_all(&folder).expect("it was ours");
}

#[test]
fn a_daemon_is_asked_where_one_answers() {
    const ANSWER: &str = r#"{"gateway":"gw-1","epoch":"00000000000000ff","uplink":{"state":"up","since_s":61},
        "under_way":4,"journal":{"used_bytes":8388608,"quota_bytes":256000000},"streams":[]}"#;
    let folder = folder("outbox-socket");
    let socket = folder.join("control.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let daemon = std::thread::spawn(move || {
        for answer in [ANSWER, ANSWER, ""] {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).expect("a line");
            assert_eq!(request, "outbox\n");
            stream.write_all(answer.as_bytes()).expect("it is read");
        }
    });
    let by_folder = seen(&["--data-dir", text(&folder)]);
    let by_socket = seen(&["--socket", text(&socket)]);
    assert_eq!(by_folder, by_socket);
    assert_eq!((&by_socket["source"], &by_socket["under_way"]), (&"daemon".into(), &4.into()));
    refused(&["--socket", text(&socket)], 1, &["hung up", "try again"]);
    daemon.join().expect("all was asked as it should be");
    fs::remove_dir_all(&folder).expect("it was ours");
}
