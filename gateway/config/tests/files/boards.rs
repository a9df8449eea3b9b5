//! The board files: the shipped ones, and what is said when one does not add up.

use std::fs;
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use tidegate_config::{BUILT_IN, read_board};
use tidegate_core::limits::{Caps, DoorLimits, Limits};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards")
}

/// A file of `boards/` as it is written.
pub fn written(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

fn shipped(folder: &Path) -> Vec<String> {
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .filter(|file| file.ends_with(".toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_shipped_board_is_built_in_and_means_the_same_there() {
    let files = shipped(&folder());
    assert!(files.len() >= 9, "{files:?}");
    assert_eq!(files.len(), BUILT_IN.len());
    for file in files {
        let board = read_board(&file).unwrap_or_else(|problems| panic!("{problems}"));
        let stem = Path::new(&file).file_stem().unwrap().to_str().unwrap();
        assert_eq!(board.name, stem, "a board is named like its file");
        assert_eq!(read_board(stem).unwrap(), board, "comments are left out, and nothing else");
    }
}

/// Each sum by itself, so that the reader's own check is not the only one.
#[test]
fn the_budgets_of_every_shipped_board_add_up() {
    for (name, _) in BUILT_IN {
        let board = read_board(name).unwrap_or_else(|problems| panic!("{problems}"));
        let memory = &board.memory;
        let worst_mib = board.worst_case().total_kib().div_ceil(1024);
        assert!(worst_mib <= memory.budget_mib, "{name}: the limits take {worst_mib} MiB");
        assert!(memory.budget_mib + memory.system_mib <= memory.total_mib, "{name}: memory");
        // A limit that is far below its budget is a slip, too: somebody goes without for nothing.
        assert!(worst_mib * 3 >= memory.budget_mib, "{name}: the limits take only {worst_mib} MiB");
        assert!(board.runner.threads <= board.cores, "{name}: threads");
        let five_years_mib = board.flash.write_mib_per_day_max * 5 * 365;
        let writes = five_years_mib / board.flash.total_mib;
        assert!((100..=3000).contains(&writes), "{name}: its flash is written {writes} times");
        let Some(image) = &board.image else {
            continue;
        };
        let parts_mib = image.boot_mib + 2 * image.root_mib + image.data_mib_min;
        assert!(parts_mib <= board.flash.total_mib, "{name}: partitions of {parts_mib} MiB");
        // The journal's quota where gateway.toml says nothing, and as much again for state and modules.
        assert!(image.data_mib_min >= 2 * 256, "{name}: no room for the journal");
    }
}

/// The part of a target's name that says what a board's processor must understand.
#[test]
fn every_board_has_the_triple_of_its_image() {
    for (name, _) in BUILT_IN {
        let board = read_board(name).unwrap();
        let Some(image) = &board.image else {
            continue;
        };
        let debian = match board.triple.split_once('-').unwrap().0 {
            "aarch64" => "arm64",
            "armv7" => "armhf",
            other => panic!("{name}: {other}"),
        };
        assert_eq!(image.architecture, debian, "{name}");
    }
}

#[test]
fn every_class_has_the_limits_of_a_board_and_no_others() {
    let keys = |text: &str| -> Vec<String> {
        let mut table = String::new();
        let mut keys = Vec::new();
        for line in text.lines() {
            if line.starts_with('[') {
                table = line.to_owned();
            } else if let Some((key, _)) = line.split_once(" = ")
                && !line.starts_with('#')
            {
                keys.push(format!("{table}{key}"));
            }
        }
        keys
    };
    let dev = written("dev.toml");
    let limits: Vec<String> = keys(&dev[dev.find("[limits]").unwrap()..]);
    let classes = shipped(&folder().join("classes"));
    assert!(!classes.is_empty());
    for class in classes {
        assert_eq!(keys(&fs::read_to_string(&class).unwrap()), limits, "{class}");
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
    let readme = written("README.md");
    for file in shipped(&folder()) {
        // Pins and buses have names of their own; what a pin has is explained once.
        let text = fs::read_to_string(&file).unwrap();
        let mut own = false;
        for line in text.lines() {
            own = if line.starts_with('[') { matches!(line, "[pins]" | "[buses]") } else { own };
            let line = line.trim_start_matches("# ");
            let Some((key, _)) = line.split_once(" = ").filter(|_| !own) else {
                continue;
            };
            assert!(readme.contains(&format!("| `{key}` |")), "{key} is not in boards/README.md");
        }
        let name = Path::new(&file).file_name().unwrap().to_str().unwrap();
        assert!(readme.contains(&format!("]({name}) |")), "{name} is not in boards/README.md");
    }
    for key in ["chip", "line", "direction", "active_low", "bias", "debounce_ms", "on"] {
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
    let mut text = written("dev.toml");
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
memory.budget_mib: 7168 and memory.system_mib = 1024 are above memory.total_mib = 6000; lower one or raise the total
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
    let text = written("dev.toml").replacen("budget_mib = 7168", "budget_mib = 64", 1);
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
