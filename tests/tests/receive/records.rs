//! What it writes, counts and says.

use std::process::{Command, Stdio};

use serde_json::Value;
use tidegate_core::commit::LedgerLine;
use tidegate_core::notice;
use tidegate_core::record::{LossReason, StreamId};
use tidegate_core::stream::Format;
use tidegate_envelope::encode;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::programs;

use crate::bench::{Bench, PATIENCE, envelopes, identity, record};

fn summary(said: &str) -> Value {
    let line = said.lines().find(|line| line.starts_with('{')).expect("a summary");
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn every_format_becomes_a_line() {
    let bench = Bench::new();
    let mut receiver = bench.start(&["--topic", "gw/#", "--topic", "probe"]);
    let gw = identity("gw", 0xabc);
    bench.publish([Format::Cbor, Format::Json].into_iter().zip(1..).map(|(format, seq)| {
        encode(&record(seq, "raw", b"{\"a\":\n1}"), &gw, "raw", format).payload
    }));
    let raw = encode(&record(3, "raw", b"\xff\x00"), &gw, "raw", Format::Raw);
    let file = bench.scratch.write("payload", &raw.payload);
    let mut publish = Mosquitto::client("mosquitto_pub", bench.mosquitto.address);
    publish.args(["-V", "5", "-q", "1", "-t", "gw/raw", "-f"]).arg(file);
    for (name, value) in &raw.properties {
        publish.args(["-D", "publish", "user-property", name, value]);
    }
    assert!(publish.status().unwrap().success());
    // Not subscribed to, and no record.
    publish_plain(&bench, "elsewhere", b"hello");
    publish_plain(&bench, "gw/hello", b"hello");
    receiver.terminate(PATIENCE).expect("it ends at SIGTERM");
    let (status, said) = bench.finish(&["--topic", "gw/#", "--topic", "probe"]);
    assert_eq!(status, 0, "{said}");

    let lines: Vec<Value> = std::fs::read_to_string(bench.output())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .filter(|line: &Value| line["gateway"] == "gw")
        .collect();
    assert_eq!(lines.len(), 3);
    for (line, seq) in lines.iter().zip(1..) {
        assert_eq!(line["seq"], seq);
        assert_eq!(line["epoch"], "0000000000000abc");
        assert_eq!(line["stream"], "raw");
        assert_eq!(line["ts"], 1_790_000_000_000_000_u64);
        assert_eq!(line["clock_quality"], "ntp");
    }
    assert_eq!(lines[0]["payload"], serde_json::json!({"a": 1}));
    assert_eq!(lines[1]["payload"], lines[0]["payload"]);
    assert_eq!(lines[2]["payload_base64"], "/wA=");
}

fn publish_plain(bench: &Bench, topic: &str, payload: &[u8]) {
    let address = bench.mosquitto.address;
    let mut client = tidegate_tests::mqtt::Client::connect(address, "elsewhere").unwrap();
    client.publish_acked(topic, payload).unwrap();
    assert!(client.read(PATIENCE).unwrap().is_some(), "an ack");
}

#[test]
fn gaps_are_held_against_what_was_announced() {
    let bench = Bench::new();
    let mut receiver = bench.start(&[]);
    let seqs = (1..=100).filter(|seq| seq % 10 != 0);
    bench.publish(envelopes(seqs.clone().chain(seqs.take(20))));
    receiver.terminate(PATIENCE).expect("it ends at SIGTERM");
    let (status, said) = bench.finish(&[]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("9 records are missing"), "{said}");
    let sums = summary(&said);
    for (name, count) in [("missing", 9), ("announced", 0), ("unexplained", 9), ("duplicates", 20)]
    {
        assert_eq!(sums[name], count, "{name} in {said}");
    }

    let announce = |seq, reason, count| {
        let stream = StreamId::of("raw");
        let line =
            LedgerLine { stream, reason, count, told: 0, first_seq: 1, last_seq: 99, bytes: 0 };
        let payload = notice::loss("raw", &line);
        encode(&record(seq, "losses", &payload), &identity("gw", 1), "losses", Format::Cbor).payload
    };
    bench.publish([
        announce(101, LossReason::DroppedOldest, 4),
        announce(102, LossReason::Expired, 6),
    ]);
    let (status, said) = bench.finish(&[]);
    assert_eq!(status, 0, "{said}");
    let sums = summary(&said);
    for (name, count) in [("missing", 10), ("announced", 10), ("unexplained", 0)] {
        assert_eq!(sums[name], count, "{name} in {said}");
    }
    // What was seen is remembered without the output, and the output without what was seen.
    std::fs::remove_file(bench.output()).unwrap();
    bench.publish(envelopes(1..=9));
    let (_, said) = bench.finish(&[]);
    assert_eq!(summary(&said)["missing"], 10);
    assert_eq!(std::fs::read(bench.output()).unwrap(), b"", "nothing new");
}

#[test]
fn standard_output_does_as_well() {
    let bench = Bench::new();
    let state = bench.scratch.path().join("state");
    let receive = || {
        let mut command = Command::new(programs::tidegate());
        command
            .args(["receive", "--once-idle", "1", "--broker"])
            .arg(format!("mqtt://{}", bench.mosquitto.address))
            .arg("--state")
            .arg(&state);
        command.stdin(Stdio::null()).output().unwrap()
    };
    // The first time leaves the session behind.
    assert!(receive().status.success());
    bench.publish(envelopes(1..=50));
    let output = receive();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 50);
    assert!(stderr.contains("50 records of 1 gateways"), "{stderr}");
    bench.publish(envelopes(40..=60));
    let output = receive();
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 10);
}

#[test]
fn mqtt_311_does_as_well() {
    let bench = Bench::new();
    let mut receiver = bench.start(&["--protocol", "3.1.1"]);
    bench.publish(envelopes(1..=2000));
    receiver.kill();
    let (status, said) = bench.finish(&["--protocol", "3.1.1"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(bench.counted(), (1..=2000).map(|seq| (seq, 1)).collect());
}

#[track_caller]
fn refused(args: &[&str], status: i32, part: &str) {
    let output = Command::new(programs::tidegate()).arg("receive").args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    assert!(stderr.contains(part), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_is_wrong_is_said_with_an_exit_status() {
    let nobody = format!("mqtt://{}", tidegate_tests::ports::free());
    refused(&[], 64, "--broker is missing");
    refused(&["--broker", "127.0.0.1"], 64, "use mqtt://HOST:PORT");
    refused(&["--broker", "mqtt://me:secret@b"], 64, "...@b");
    refused(&["--broker", &nobody, "x"], 64, "`x` is not wanted");
    refused(&["--broker", &nobody, "--topic", "a/#/b"], 64, "--topic");
    refused(&["--broker", &nobody, "--once-idle", "0"], 64, "--once-idle");
    refused(&["--broker", &nobody, "--protocol", "4"], 64, "3.1.1");
    refused(&["--broker", &nobody, "--ca", "x"], 64, "mqtts://");
    refused(&["--broker", &nobody, "--password-file", "x"], 64, "--username");
    refused(&["--broker", "mqtts://b"], 64, "--ca is missing");
    refused(&["--broker", "mqtts://b", "--ca", "none.pem"], 78, "none.pem");
    refused(&["--broker", &nobody, "--username", "u", "--password-file", "none"], 78, "none");
    refused(&["--broker", &nobody], 1, "cannot be reached");
    let scratch = tidegate_tests::scratch::Scratch::new("receive");
    let file = scratch.write("notes.txt", "my notes\n").display().to_string();
    refused(&["--broker", &nobody, "--to", &file], 65, "something else");
    refused(&["--broker", &nobody, "--state", &file], 65, "no mark");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "my notes\n");

    let bench = Bench::new();
    drop(bench.start(&[]));
    let url = format!("mqtt://{}", bench.mosquitto.address);
    let output = bench.output().display().to_string();
    let _first = bench.start(&[]);
    refused(&["--broker", &url, "--to", &output], 1, "another receiver");
}
