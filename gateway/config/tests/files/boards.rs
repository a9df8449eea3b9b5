//! The board files: the shipped ones, and what is said when one does not add up.

use std::fs;
use std::path::Path;

use crate::folder::Folder;
use tidegate_config::{BUILT_IN, read_board};
use tidegate_core::limits::{Caps, DoorLimits, Limits};

fn shipped() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .filter(|file| file.ends_with(".toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_shipped_board_adds_up_and_is_built_in() {
    let files = shipped();
    assert_eq!(files.len(), BUILT_IN.len());
    for file in files {
        let board = read_board(&file).unwrap_or_else(|problems| panic!("{problems}"));
        let stem = Path::new(&file).file_stem().unwrap().to_str().unwrap();
        assert_eq!(board.name, stem, "a board is named like its file");
        assert_eq!(read_board(stem).unwrap(), board);
        let worst_mib = board.worst_case().total_kib() / 1024;
        assert!(
            worst_mib <= board.memory.budget_mib
                && board.memory.budget_mib <= board.memory.total_mib
        );
    }
}

#[test]
fn dev_is_what_tests_use() {
    let dev = read_board("dev").unwrap();
    assert_eq!(dev.core_limits, Limits::DEV);
    assert_eq!(dev.door, DoorLimits::DEV);
    assert_eq!(dev.host.caps, Caps::DEV);
}

#[test]
fn the_readme_explains_every_key() {
    let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards");
    let readme = fs::read_to_string(boards.join("README.md")).unwrap();
    let dev = fs::read_to_string(boards.join("dev.toml")).unwrap();
    for line in dev.lines() {
        let line = line.trim_start_matches("# ");
        let Some((key, _)) = line.split_once(" = ") else {
            continue;
        };
        assert!(readme.contains(&format!("| `{key}` |")), "{key} is not in boards/README.md");
    }
}

#[test]
fn the_worst_case_adds_everything_up() {
    let mut board = read_board("dev").unwrap();
    board.memory.base_kib = 7;
    board.door.clients_max = 2;
    board.door.buffered_bytes_max = 3 * 1024;
    board.door.packet_bytes_max = 1024;
    board.door.retained_bytes_max = 5 * 1024;
    board.core_limits.messages_bytes_max = 11 * 1024;
    board.core_limits.handlers_max = 2;
    board.host.caps.module_bytes_max = 1024;
    board.host.caps.memory_kib_max = 64;
    board.host.caps.state_bytes_max = 10 * 1024;
    board.host.caps.stack_bytes_max = 4 * 1024;
    board.host.caps.effects_bytes_max = 2 * 1024;
    board.host.config_bytes_max = 1024;
    let worst = board.worst_case();
    // Two clients, and eight connections that are none yet.
    assert_eq!(worst.door_kib, 4 * 3 + 10 * (2 + 160) + 5);
    assert_eq!(worst.messages_kib, 11);
    assert_eq!(worst.handlers_kib, 2 * (5 + 128 + 10 + 4 + 2 + 1));
    assert_eq!(worst.total_kib(), 7 + 1637 + 11 + 300);
}

/// Changes lines of `dev.toml` (from, to) and expects exactly these messages.
#[track_caller]
fn check(test: &str, changes: &[(&str, &str)], expect: &str) {
    let mut text = BUILT_IN[0].1.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let folder = Folder::new(test);
    folder.write("b.toml", &text);
    let problems =
        read_board(folder.path.join("b.toml").to_str().unwrap()).expect_err("a bad board");
    // Where it stands matters, but a comment more in dev.toml must not break this test.
    let lines: Vec<String> = problems
        .0
        .iter()
        .map(|p| {
            let line = text.lines().nth(p.line - 1).unwrap();
            let key = p.key.rsplit('.').next().unwrap();
            let stands = line.starts_with(&format!("{key} =")) || line.starts_with('[');
            assert!(stands, "{p} is not about {line}");
            format!("{}: {}", p.key, p.what)
        })
        .collect();
    assert_eq!(lines.join("\n"), expect.trim_matches('\n'));
}

#[test]
fn slips_in_a_board() {
    check(
        "b-slips",
        &[
            ("name = \"dev\"", "name = \"Dev\""),
            ("cores = 2", "cores = 0"),
            ("has_rtc = true", "has_rtc = \"yes\""),
            ("hops_max = 8", "hops_max = 256"),
            ("clients_max = 1024", "client_max = 1024"),
            ("slice_us = 75", "slice_us = 75\nthread = 3"),
        ],
        r#"
name: "Dev" is not a name; use 1 to 32 of a-z, 0-9 and -
cores: 0 is out of range; use 1 to 1024
has_rtc: must be true or false, not a string
limits.hops_max: 256 is out of range; use 1 to 255
door.clients_max: is missing; add a whole number from 1 to 1048576
door.client_max: is not a key here; did you mean `clients_max`?
runner.thread: is not a key here; did you mean `threads`?
"#,
    );
}

#[test]
fn numbers_that_contradict_each_other() {
    check(
        "b-pairs",
        &[
            ("line_messages_max = 4096", "line_messages_max = 8193"),
            ("batch_messages_max = 32", "batch_messages_max = 9000"),
            ("backoff_min_ms = 100 ", "backoff_min_ms = 20000 "),
            ("quarantine_min_ms = 1000", "quarantine_min_ms = 400000"),
            ("subscriptions_max = 128", "subscriptions_max = 20000"),
            ("packet_bytes_max = 262144", "packet_bytes_max = 65536"),
            ("outbound_bytes_max = 1048576", "outbound_bytes_max = 65535"),
            ("buffered_bytes_max = 67108864", "buffered_bytes_max = 65534"),
            ("memory_kib_default = 256", "memory_kib_default = 2048"),
            ("fuel_default = 2000000", "fuel_default = 20000000"),
            ("deadline_ms_default = 50", "deadline_ms_default = 101"),
            ("publishes_default = 16", "publishes_default = 257"),
            ("effects_bytes_max = 262144", "effects_bytes_max = 65535"),
            ("threads = 2", "threads = 3"),
            ("total_mib = 8192", "total_mib = 6000"),
        ],
        r#"
memory.budget_mib: 7168 is above memory.total_mib = 6000; lower one or raise the other
limits.line_messages_max: 8193 is above limits.messages_max = 8192; lower one or raise the other
limits.batch_messages_max: 9000 is above limits.line_messages_max = 8193; lower one or raise the other
limits.backoff_min_ms: 20000 is above limits.backoff_max_ms = 10000; lower one or raise the other
limits.quarantine_min_ms: 400000 is above limits.quarantine_max_ms = 300000; lower one or raise the other
door.packet_bytes_max: 65536 is above door.outbound_bytes_max = 65535; lower one or raise the other
door.subscriptions_max: 20000 is above door.filters_max = 16384; lower one or raise the other
door.outbound_bytes_max: 65535 is above door.buffered_bytes_max = 65534; lower one or raise the other
handler.memory_kib_default: 2048 is above handler.memory_kib_max = 1024; lower one or raise the other
handler.fuel_default: 20000000 is above handler.fuel_max = 10000000; lower one or raise the other
handler.deadline_ms_default: 101 is above handler.deadline_ms_max = 100; lower one or raise the other
handler.publishes_default: 257 is above handler.publishes_max = 256; lower one or raise the other
handler.publish_bytes_max: 65536 is above handler.effects_bytes_max = 65535; lower one or raise the other
handler.publish_bytes_max: 65536 leaves no room for a topic in a packet of door.packet_bytes_max = 65536; lower one or raise the other
handler.record_bytes_max: 65536 is above handler.effects_bytes_max = 65535; lower one or raise the other
runner.threads: 3 is above cores = 2; a runner thread without a core only slows the others
"#,
    );
}

#[test]
fn a_budget_that_is_too_small() {
    let folder = Folder::new("b-budget");
    let text = BUILT_IN[0].1.replacen("budget_mib = 7168", "budget_mib = 64", 1);
    folder.write("b.toml", text);
    let problems = read_board(folder.path.join("b.toml").to_str().unwrap()).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert_eq!(problems.0[0].key, "memory.budget_mib");
    assert!(
        problems.0[0]
            .what
            .ends_with("but the budget is 65536 KiB; lower limits or raise the budget")
    );
}

#[test]
fn boards_that_are_not_there() {
    let say = |name: &str| read_board(name).unwrap_err().to_string();
    assert_eq!(say("dve"), "dve: there is no board \"dve\"; did you mean \"dev\"? Built in: dev");
    assert_eq!(
        say("pi"),
        "pi: there is no board \"pi\"; built in: dev; or write the path of a board file"
    );
    assert_eq!(
        say("./none.toml"),
        "./none.toml: cannot be read: no such file or directory; correct the path"
    );
}
