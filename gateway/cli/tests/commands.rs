//! The real binary, as people run it: what it prints, and its exit status.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Echoes the payload to the topic `out`, sets `k`, and fails with -1 when the payload is empty.
const ECHO: &str = r#"(module
    (import "tidegate1" "publish" (func $publish (param i32 i32 i32 i32 i32) (result i32)))
    (import "tidegate1" "ev_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 4000) "out")
    (func (export "tidegate_inbox") (result i64) (i64.const 0x20000000000))
    (func (export "on_event") (param i32) (result i32) (local i32)
        (local.set 1 (call $read (i32.const 1) (i32.const 0) (i32.const 5000) (i32.const 1000)))
        (if (i32.eqz (local.get 1)) (then (return (i32.const -1))))
        (call $publish (i32.const 4000) (i32.const 3) (i32.const 5000) (local.get 1) (i32.const 0))))"#;

const TOML: &str = r#"
name = "echo"
version = "1.0"
module = "echo.wasm"
abi = 1
[[trigger]]
mqtt = "in/#"
[limits]
memory_kib = 64
publishes = 1
[grants]
publish = ["out"]
"#;

/// A folder of its own for each test, empty at the start.
fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).expect("it was ours");
    }
    fs::create_dir_all(&dir).expect("a folder");
    dir
}

fn handler(name: &str, module: &[u8]) -> PathBuf {
    let dir = folder(name);
    fs::write(dir.join("handler.toml"), TOML).expect("written");
    fs::write(dir.join("echo.wasm"), module).expect("written");
    dir
}

fn echo(name: &str) -> PathBuf {
    handler(name, &wat::parse_str(ECHO).expect("a module"))
}

fn tidegate(args: &[&str], dir: &Path, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("piped");
    // A command that refuses its arguments does not wait for its input.
    stdin
        .write_all(input.as_bytes())
        .or_else(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })
        .expect("input");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[track_caller]
fn refused(args: &[&str], dir: &Path, code: i32, says: &[&str]) {
    let output = tidegate(args, dir, "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    for part in says {
        assert!(stderr.contains(part), "{args:?} does not say {part:?}: {stderr}");
    }
    assert!(output.stdout.is_empty(), "{args:?}");
}

#[test]
fn what_is_wrong_is_said_with_an_exit_status() {
    let dir = echo("wrong");
    refused(&[], &dir, 64, &["Usage"]);
    refused(&["frob"], &dir, 64, &["no command `frob`", "--help"]);
    refused(&["try"], &dir, 64, &["folder is missing"]);
    refused(&["try", ".", "--topik", "x"], &dir, 64, &["`--topik`"]);
    refused(&["try", ".", "--payload", "x"], &dir, 64, &["--topic"]);
    refused(&["try", ".", "--topic", "in/+"], &dir, 64, &["in/+"]);
    refused(&["try", ".", "--topic", "elsewhere"], &dir, 1, &["does not wake", "in/#"]);
    refused(&["try", "nowhere"], &dir, 78, &["nowhere/handler.toml", "tidegate new"]);
    refused(&["try", ".", "--board", "pico", "--topic", "in/x"], &dir, 78, &["pico"]);
    refused(&["build", "."], &dir, 78, &["no Cargo.toml", "echo.wasm"]);
    refused(&["new", "Bad Name"], &dir, 64, &["a-z"]);
    fs::remove_file(dir.join("echo.wasm")).expect("it was there");
    refused(&["try", ".", "--topic", "in/x"], &dir, 65, &["echo.wasm", "tidegate build"]);
    let bad = handler("wrong-module", b"\0asm\x01\0\0\0");
    refused(&["try", ".", "--topic", "in/x"], &bad, 65, &["echo.wasm", "memor"]);
    fs::write(bad.join("handler.toml"), "name = 7\nnaem = 1\n").expect("written");
    refused(&["try", ".", "--topic", "in/x"], &bad, 78, &["handler.toml:1", "handler.toml:2"]);
}

#[test]
fn lines_run_in_order_and_a_failed_event_shows_in_the_status() {
    let input = "in/a hello world\r\nelsewhere x\n\nin/b {\"a\": 1}\nin/c\n";
    let output = tidegate(&["try", ".", "--json"], &echo("lines"), input);
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).expect("text");
    let events: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 3, "{stdout}");
    assert_eq!(events[0]["effects"][0]["payload"], "hello world");
    assert_eq!(events[1]["effects"][0]["payload"], "{\"a\": 1}");
    assert_eq!(events[1]["effects"][0]["topic"], "out");
    assert_eq!(events[2]["verdict"], "failed");
    assert_eq!(events[2]["effects"].as_array().map(Vec::len), Some(0));
    assert!(events.iter().all(|event| event["fuel"].as_u64() > Some(0)), "{stdout}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("1 of 3 events"), "{stderr}");
}

#[test]
fn one_message_is_tried_from_the_command_line() {
    let output = tidegate(&["try", ".", "--topic=in/x", "--payload", "p"], &echo("one"), "");
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert!(stdout.starts_with("in/x  done  ("), "{stdout}");
    assert!(stdout.contains(r#""effect":"publish","topic":"out","payload":"p""#), "{stdout}");
}

/// Sends its payload to `alerts` (priority 7, a minute) and to `raw`, and returns what the second answers.
const SENDER: &str = r#"(module
    (import "tidegate1" "send" (func $send (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 4000) "alerts") (data (i32.const 4010) "raw") (data (i32.const 4020) "hot")
    (func (export "tidegate_inbox") (result i64) (i64.const 0x20000000000))
    (func (export "on_event") (param i32) (result i32)
        (drop (call $send (i32.const 4000) (i32.const 6) (i32.const 4020) (i32.const 3) (i32.const 7) (i32.const 60)))
        (call $send (i32.const 4010) (i32.const 3) (i32.const 4020) (i32.const 3) (i32.const -1) (i32.const 0))))"#;

#[test]
fn records_are_shown_and_granted_streams_count_as_configured() {
    let dir = handler("sender", &wat::parse_str(SENDER).expect("a module"));
    let grant = |streams: &str| {
        let toml = TOML.replace("publish = [\"out\"]", &format!("send = [{streams}]"));
        fs::write(dir.join("handler.toml"), toml).expect("written");
        tidegate(&["try", ".", "--topic", "in/x", "--json"], &dir, "")
    };
    let output = grant(r#""raw", "alerts", "raw""#);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let alert = r#"{"effect":"send","stream":"alerts","payload":"hot","priority":7,"ttl_s":60}"#;
    let raw = r#"{"effect":"send","stream":"raw","payload":"hot"}"#;
    let expect: Vec<serde_json::Value> =
        [alert, raw].map(|json| serde_json::from_str(json).expect("JSON")).into();
    assert_eq!(shown["effects"].as_array(), Some(&expect));

    let output = grant(r#""alerts""#);
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("it returned -4 (NotPermitted)"), "{stdout}");
    let output = grant("");
    assert_eq!(output.status.code(), Some(65));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("tidegate1.send") && stderr.contains("[grants] send"), "{stderr}");
}

#[test]
fn bad_lines_name_their_number() {
    let output = tidegate(&["try", "."], &echo("bad-lines"), "in/a x\nin/+ x\n");
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2"));
}

#[test]
fn a_plan_needs_a_board_and_numbers() {
    let dir = folder("plan-wrong");
    refused(&["plan", "--rate", "1", "--bytes", "1"], &dir, 64, &["--board is missing", "dev"]);
    refused(
        &["plan", "--board", "pico"],
        &dir,
        78,
        &["no board \"pico\"", "built in: beaglebone-black"],
    );
    refused(
        &["plan", "--board", "dve"],
        &dir,
        78,
        &["did you mean \"dev\"", "Built in: beaglebone-black"],
    );
    refused(&["plan", "--board", "no/file.toml"], &dir, 78, &["no/file.toml"]);
    let numbers = ["plan", "--board", "dev", "--bytes", "200"];
    refused(&numbers, &dir, 64, &["--rate is missing"]);
    refused(&[&numbers[..], &["--rate", "20", "--outage", "6"]].concat(), &dir, 64, &["no unit"]);
    refused(&[&numbers[..], &["--rate", "20", "more"]].concat(), &dir, 64, &["`more`"]);
}

#[test]
fn a_plan_is_a_table_or_one_json_object() {
    let dir = folder("plan");
    let line = ["plan", "--board", "dev", "--rate", "20", "--bytes", "200", "--outage", "6h"];
    let table = tidegate(&line, &dir, "");
    let table = String::from_utf8(table.stdout).expect("text");
    for part in ["An outage of 6 h", "Flash, a day", "Memory", "Reckoned with", "Measured on"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let output = tidegate(&[&line[..], &["--json"]].concat(), &dir, "");
    assert_eq!(output.status.code(), Some(0));
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(plan["journal"]["records"], 432_000);
    assert_eq!(plan["asked"]["outage_s"], 21_600);
    for pointer in ["/flash/years", "/memory/total_bytes", "/drain/time_s", "/constants/0/source"] {
        assert!(plan.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer}: {plan}");
    }
}

#[test]
fn help_and_version_are_there() {
    let dir = folder("help");
    for (args, part) in [
        (&["--help"][..], "tidegate try DIR"),
        (&["build", "--help"], "--board"),
        (&["help", "new"], "TIDEGATE_SDK"),
        (&["plan", "--help"], "--state-keys"),
        (&["outbox", "--help"], "--data-dir"),
    ] {
        let output = tidegate(args, &dir, "");
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains(part), "{args:?}");
    }
    let version = String::from_utf8(tidegate(&["--version"], &dir, "").stdout).expect("text");
    assert!(
        version.starts_with(concat!("tidegate ", env!("CARGO_PKG_VERSION"), " (")),
        "{version}"
    );
}

#[test]
fn boards_are_listed_shown_and_offered() {
    let here = folder("boards");
    let list = tidegate(&["board", "list"], &here, "");
    let list = String::from_utf8(list.stdout).expect("text");
    assert_eq!(list.lines().count(), 1 + tidegate_config::BUILT_IN.len(), "{list}");
    assert!(list.contains("\npi-zero-2w  "), "{list}");

    let shown = tidegate(&["board", "show", "pi-4", "--json"], &here, "");
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(shown["triple"], "aarch64-unknown-linux-gnu");
    assert_eq!(shown["pins"]["relay1"]["line"], 17);
    assert_eq!(shown["image"]["kernel"], "linux-image-arm64");
    assert_eq!(shown["handler"]["fuel_max"], 3_000_000, "its own, not its class's");

    let unknown = tidegate(&["board", "show", "pi4"], &here, "");
    assert_eq!(unknown.status.code(), Some(78));
    let said = String::from_utf8(unknown.stderr).expect("text");
    assert!(said.contains("did you mean \"pi-4\"?"), "{said}");
    assert_eq!(tidegate(&["board", "shwo"], &here, "").status.code(), Some(64));
}
