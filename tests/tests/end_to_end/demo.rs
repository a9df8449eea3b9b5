//! `tidegate demo`, as a person, a pipe and a program see it.

use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;
use tidegate_tests::process::{self, Process};
use tidegate_tests::programs;

/// The demo's own time, and what it may need to build and to start.
const DEMO_MAX: Duration = Duration::from_secs(300);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(programs::tidegate());
    command
        .current_dir(programs::workspace())
        .env("CARGO_TARGET_DIR", programs::target_dir())
        .arg("demo")
        .args(arguments);
    command
}

fn finished(command: &mut Command) -> (Output, Vec<String>) {
    let output = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(str::to_owned).collect();
    assert!(
        output.status.success(),
        "{:?}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    (output, lines)
}

// One test: two demos at once would share the demo's folder.
#[test]
fn the_demo_works_for_programs_pipes_and_people() {
    // A program: one line of JSON.
    let (_, lines) = finished(&mut demo(&["--seconds", "2", "--json"]));
    let [line] = &lines[..] else {
        panic!("one line and not {lines:?}");
    };
    let summary: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
    let number = |key: &str| summary[key].as_u64().unwrap_or_else(|| panic!("{key}: {line}"));
    assert!(number("messages") >= 150 && number("reactions") > 0, "{line}");
    assert_eq!(number("lost"), 0, "{line}");
    assert!(number("p50_us") > 0 && number("p99_us") >= number("p50_us"), "{line}");
    assert!((1_000..100_000).contains(&number("rss_kb")), "{line}");
    assert_eq!(number("deploys"), 2, "{line}");
    assert!(summary["deploy_ms"].as_f64() > Some(0.0), "{line}");

    // A pipe: plain lines, no control characters.
    let (output, lines) = finished(&mut demo(&["--seconds", "2"]));
    assert!(!output.stdout.contains(&0x1b), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("mosquitto_pub -p ")));
    let ticks = lines.iter().filter(|line| line.contains(" messages  ")).count();
    assert!(ticks >= 2, "a line a second: {lines:?}");
    assert!(lines.iter().any(|line| line.contains(" 0 lost")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("2 versions pushed live")), "{lines:?}");

    // A person who has seen enough: a table that is drawn over itself, and Ctrl-C.
    ends_at_ctrl_c_on_a_terminal();
}

fn ends_at_ctrl_c_on_a_terminal() {
    // `script` gives it a terminal; `exec` makes the demo's status its own.
    let tidegate = programs::tidegate().display().to_string();
    let mut command = Command::new("script");
    command
        .current_dir(programs::workspace())
        .env("CARGO_TARGET_DIR", programs::target_dir())
        .args(["-qefc", &format!("exec '{tidegate}' demo"), "/dev/null"]);
    let mut script = Process::start("script", &mut command);
    let drawn = script.wait_for_lines(&["\x1b[J", "device", "p99 us"], 4, DEMO_MAX);
    assert!(drawn.len() >= 4, "drawn again and again: {}", script.text());
    check_columns(&script.text());
    let demo = child_of(script.pid()).expect("the demo runs under it");
    process::send(demo, Signal::INT);
    let status = script.wait(Duration::from_secs(10)).expect("it ends by itself");
    assert!(status.success(), "{status:?}\n{}", script.text());
    let last = script.text();
    assert!(last.lines().any(|line| line.contains(" 0 lost")), "{last}");
}

/// Each figure ends under the end of its column's name.
fn check_columns(text: &str) {
    let mut rows = text.lines().map(without_escapes);
    let head = rows.find(|row| row.starts_with("device ")).expect("there is a table");
    let row = rows.next().expect("a device below it");
    for (from, to) in [("device", "temp C"), ("temp C", "EWMA C"), ("p50 us", "p99 us")] {
        let end = head.find(to).expect("a column") + to.len();
        assert!(head.contains(from) && row.len() >= end, "{head}\n{row}");
        assert!(!row[..end].ends_with(' '), "{head}\n{row}");
        assert!(row.len() == end || row[end..].starts_with(' '), "{head}\n{row}");
    }
}

/// A line without its terminal sequences.
fn without_escapes(line: &str) -> String {
    let mut text = String::new();
    let mut parts = line.split("\x1b[");
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|char: char| char.is_ascii_alphabetic());
        text.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    text.trim_end().to_owned()
}

fn child_of(pid: u32) -> Option<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
