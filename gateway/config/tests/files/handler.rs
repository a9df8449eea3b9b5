//! `handler.toml`: what it means, and word for word what is said when it is wrong.

use crate::folder::Folder;
use tidegate_config::{HandlerDir, read_board, read_handler, read_manifest};
use tidegate_core::manifest::{HandlerLimits, Isolation, React};
use tidegate_core::release::Probation;

const GOOD: &str = "name = \"overheat\"\nversion = \"0.1.0\"\nmodule = \"m.wasm\"\nabi = 1\n\
                    [[trigger]]\nmqtt = \"devices/+/telemetry\"\n";

fn read(folder: &Folder, text: &str) -> Result<HandlerDir, String> {
    folder.write("handler.toml", text);
    let board = read_board("dev").unwrap();
    read_manifest(&folder.path, &board).map_err(|p| folder.show(&p.0))
}

#[track_caller]
fn check(test: &str, text: &str, expect: &str) {
    let messages = read(&Folder::new(test), text).expect_err("something is wrong");
    assert_eq!(messages, expect.trim_matches('\n'));
}

/// [`check`] with a good start before `text`, which starts at line 7.
#[track_caller]
fn check_more(test: &str, text: &str, expect: &str) {
    check(test, &format!("{GOOD}{text}"), expect);
}

#[test]
fn everything_is_found_at_once() {
    check(
        "h-everything",
        r#"name = "Over_heat"
version = "one two"
module = ""
abi = 2
isolation = "evnt"
react = "later"
triger = 1
[[trigger]]
mqtt = "devices/#/telemetry"
[[trigger]]
mqtt = "a+"
qos = 1
[[trigger]]
[limits]
fuel = 10000001
memory_kib = 63
deadline_ms = -1
publishes = 1.5
fule = 1
[grants]
publish = ["$SYS/x", "tidegate/1/gw/release/x", "devices/+/cmd", "", 7]
send = ["alerts", "Alerts"]
subscribe = []
[config]
alpha = 0.2
beta = [1]
gamma.delta = "1"
"#,
        r#"
handler.toml:1: name: "Over_heat" is not a name; use 1 to 32 of a-z, 0-9 and -
handler.toml:2: version: "one two" is not a version; use 1 to 32 letters, digits, `.`, `-` and `+`
handler.toml:3: module: is empty; write the module's file name
handler.toml:4: abi: this gateway speaks abi 1, not 2; build the handler with an SDK for abi 1
handler.toml:5: isolation: "evnt" is not a choice here; use "event" or "instance"
handler.toml:6: react: "later" is not a choice here; use "now" or "durable"
handler.toml:7: triger: is not a key here; did you mean `trigger`?
handler.toml:9: trigger[0].mqtt: "devices/#/telemetry" is no topic filter: it has a `#` before its last level; for example devices/+/telemetry
handler.toml:11: trigger[1].mqtt: "a+" is no topic filter: it has a `+` or `#` where none may stand; for example devices/+/telemetry
handler.toml:12: trigger[1].qos: is not a key here; the keys are gpio, mqtt
handler.toml:13: trigger[2].mqtt: is missing; add it, for example mqtt = "devices/+/telemetry"
handler.toml:15: limits.fuel: 10000001 is out of range; use 1 to 10000000 (the board's handler.fuel_max)
handler.toml:16: limits.memory_kib: 63 is out of range; use 64 to 1024 (the board's handler.memory_kib_max)
handler.toml:17: limits.deadline_ms: -1 is out of range; use 1 to 100 (the board's handler.deadline_ms_max)
handler.toml:18: limits.publishes: must be a whole number from 0 to 256, not a number with a fraction
handler.toml:19: limits.fule: is not a key here; did you mean `fuel`?
handler.toml:21: grants.publish[0]: "$SYS/x" is a control topic, and those are never granted; use a topic that starts with neither `$` nor `tidegate/`
handler.toml:21: grants.publish[1]: "tidegate/1/gw/release/x" is a control topic, and those are never granted; use a topic that starts with neither `$` nor `tidegate/`
handler.toml:21: grants.publish[3]: "" is no topic filter: it is empty; for example devices/+/telemetry
handler.toml:21: grants.publish[4]: must be a string, not a whole number; for example publish = ["devices/+/cmd"]
handler.toml:22: grants.send[1]: "Alerts" is no stream's name: use 1 to 32 of a-z, 0-9 and `-`, as in the gateway's [[stream]]
handler.toml:23: grants.subscribe: is not a key here; the keys are publish, send, gpio
handler.toml:25: config.alpha: must be a string, not a number with a fraction; write alpha = "0.2"
handler.toml:26: config.beta: must be a string, not a list
handler.toml:27: config.gamma: must be a string, not a table
"#,
    );
}

#[test]
fn an_empty_file_says_what_belongs_in() {
    check(
        "h-empty",
        "",
        r#"
handler.toml:1: name: is missing; add it, for example name = "overheat"
handler.toml:1: version: is missing; add it, for example version = "0.1.0"
handler.toml:1: module: is missing; add it, for example module = "overheat.wasm"
handler.toml:1: abi: is missing; add it, for example abi = 1
handler.toml:1: trigger: is missing; nothing would wake the handler: add [[trigger]] with mqtt = "devices/+/telemetry"
"#,
    );
}

#[test]
fn triggers() {
    check_more(
        "h-trigger-twice",
        "[[trigger]]\nmqtt = \"devices/+/telemetry\"\n",
        "handler.toml:8: trigger[1].mqtt: \"devices/+/telemetry\" is a trigger already; remove one of the two",
    );
    check(
        "h-trigger-string",
        &GOOD.replace("[[trigger]]\nmqtt", "trigger"),
        "handler.toml:5: trigger: must be a list of tables [[trigger]], not a string",
    );
    check(
        "h-trigger-none",
        &GOOD.replace("[[trigger]]\nmqtt = \"devices/+/telemetry\"", "trigger = []"),
        "handler.toml:5: trigger: is missing; nothing would wake the handler: add [[trigger]] with \
         mqtt = \"devices/+/telemetry\"",
    );
}

#[test]
fn config_is_bounded() {
    check_more(
        "h-config",
        &format!("[config]\nkey = {:?}\n", "x".repeat(16_384)),
        "handler.toml:7: config: holds 16387 bytes of keys and strings; use at most 16384 (the board's \
         handler.config_bytes_max)",
    );
}

#[test]
fn what_is_not_said_comes_from_the_board() {
    let folder = Folder::new("h-defaults");
    let handler = read(&folder, GOOD).unwrap();
    assert_eq!(handler.module_path, folder.path.join("m.wasm"));
    let manifest = handler.manifest;
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("overheat", "0.1.0"));
    assert_eq!(manifest.triggers.len(), 1);
    assert_eq!((manifest.isolation, manifest.react), (Isolation::Event, React::Now));
    assert!(manifest.grants.publish.is_empty() && manifest.config.is_empty());
    let expect = HandlerLimits { fuel: 2_000_000, memory_kib: 256, deadline_ms: 50, publishes: 16 };
    assert_eq!(manifest.limits, expect);
}

#[test]
fn what_is_said_holds() {
    let folder = Folder::new("h-full");
    let text = format!(
        "isolation = \"instance\"\nreact = \"durable\"\n{GOOD}[limits]\nfuel = 1_000\nmemory_kib = 0x40\n\
         deadline_ms = 1\npublishes = 0\n[grants]\npublish = [\"devices/+/cmd\", \"#\"]\n[config]\n\"a b\" = \"c\"\n"
    );
    let manifest = read(&folder, &text).unwrap().manifest;
    let expect = HandlerLimits { fuel: 1000, memory_kib: 64, deadline_ms: 1, publishes: 0 };
    assert_eq!(manifest.limits, expect);
    assert_eq!((manifest.isolation, manifest.react), (Isolation::Instance, React::Durable));
    assert_eq!(manifest.config["a b"], "c");
    assert!(manifest.grants.may_publish("devices/7/cmd"));
    assert!(!manifest.grants.may_publish("tidegate/x"));
}

#[test]
fn running_needs_the_module_and_building_does_not() {
    let folder = Folder::new("h-module");
    read(&folder, GOOD).unwrap();
    let board = read_board("dev").unwrap();
    let problems = read_handler(&folder.path, &board).unwrap_err();
    assert_eq!(
        problems.to_string(),
        format!(
            "{dir}/m.wasm: the module is not there; run `tidegate build {dir}`",
            dir = folder.path.display()
        )
    );
    folder.write("m.wasm", b"\0asm\x01\0\0\0rest");
    read_handler(&folder.path, &board).unwrap();
}

#[test]
fn what_a_probation_may_be_is_said() {
    check_more(
        "h-probation",
        "[probation]\nuptime_s = 0\nfailed_per_mille_max = 1001\nevent = 3\n",
        r#"
handler.toml:8: probation.uptime_s: 0 is out of range; use 1 to 2678400
handler.toml:9: probation.failed_per_mille_max: 1001 is out of range; use 0 to 1000
handler.toml:10: probation.event: is not a key here; did you mean `events`?
"#,
    );
    let read = |text: &str| {
        let text = format!("{GOOD}{text}");
        read(&Folder::new("h-probation-good"), &text).expect("it is good").probation
    };
    assert_eq!(read(""), Probation::DEFAULT);
    let written = "[probation]\nevents = 0\nuptime_s = 2\nfailed_per_mille_max = 5\n\
                   deadline_misses_max = 1\np99_us_max = 900\nmemory_kib_max = 128\n";
    let expect = Probation {
        events: 0,
        uptime_ms: 2_000,
        failed_per_mille_max: 5,
        deadline_misses_max: 1,
        p99_us_max: 900,
        memory_kib_max: 128,
    };
    assert_eq!(read(written), expect);
}

#[test]
fn the_version_to_migrate_from_is_one() {
    let text = format!("migrate_from = \"1.0.0\"\n{GOOD}");
    let handler = read(&Folder::new("h-migrate"), &text).expect("it is good");
    assert_eq!(handler.migrate_from.as_deref(), Some("1.0.0"));
    let text = format!("migrate_from = \"one/two\"\n{GOOD}");
    let problems = read(&Folder::new("h-migrate-bad"), &text).expect_err("it is not").to_string();
    assert!(problems.contains("migrate_from: \"one/two\" is not a version"), "{problems}");
}

#[test]
fn pins_wake_and_are_granted_by_name() {
    check_more(
        "h-pins",
        r#"[[trigger]]
gpio = "button1"
[[trigger]]
gpio = "button1"
[[trigger]]
gpio = "Button"
[[trigger]]
gpio = "b2"
mqtt = "a"
[[trigger]]
mqtt = "$pin/b3"
[grants]
gpio = ["relay1", "gpiochip0/17", 17]
"#,
        r#"
handler.toml:10: trigger[2].gpio: "button1" is a trigger already; remove one of the two
handler.toml:12: trigger[3].gpio: "Button" is no pin's name: use 1 to 32 of a-z, 0-9 and `-`, as in the board's [pins]
handler.toml:14: trigger[4].gpio: stands beside mqtt; make a [[trigger]] of each
handler.toml:17: trigger[5].mqtt: is how pins are known inside; write gpio = "button1"
handler.toml:19: grants.gpio[1]: "gpiochip0/17" is no pin's name: use 1 to 32 of a-z, 0-9 and `-`, as in the board's [pins]
handler.toml:19: grants.gpio[2]: must be a string, not a whole number; for example gpio = ["relay1"]
"#,
    );
}
