//! `tidegate keygen`, `trust`, `push` and what belongs to them: the real binary against a broker and a gateway that do
//! what a test says.

mod house;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use house::{Gateway, House};

/// Publishes nothing, whatever comes.
const QUIET: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "tidegate_inbox") (result i64) (i64.const 0x20000000000))
    (func (export "on_event") (param i32) (result i32) (i32.const 0)))"#;

const TOML: &str = "name = \"quiet\"\nversion = \"1.0\"\nmodule = \"quiet.wasm\"\nabi = 1\n\
                    [[trigger]]\nmqtt = \"in/#\"\n";

/// A folder with a key, a trust file and a handler; the state that pushes leave is there, too.
struct Desk {
    dir: PathBuf,
}

impl Desk {
    fn new(name: &str) -> Desk {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("push-{name}"));
        if dir.exists() {
            fs::remove_dir_all(&dir).expect("it was ours");
        }
        fs::create_dir_all(dir.join("quiet")).expect("a folder");
        fs::write(dir.join("quiet/handler.toml"), TOML).expect("written");
        fs::write(dir.join("quiet/quiet.wasm"), wat::parse_str(QUIET).expect("a module"))
            .expect("written");
        let desk = Desk { dir };
        desk.good(&["keygen", "ops", "--no-passphrase"]);
        let trust = desk.good(&["trust", "init", "--root", "ops.pub", "--fleet", "plant"]).stdout;
        fs::write(desk.dir.join("trust"), trust).expect("written");
        desk
    }

    fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        Command::new("setsid")
            .arg(env!("CARGO_BIN_EXE_tidegate"))
            .args(args)
            .current_dir(&self.dir)
            .env("XDG_STATE_HOME", self.dir.join("state"))
            .env("TIDEGATE_TRUST", "trust")
            .env_remove("TIDEGATE_BROKER")
            .env_remove("TIDEGATE_PASSPHRASE")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs")
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, &[])
    }

    #[track_caller]
    fn good(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        output
    }

    #[track_caller]
    fn bad(&self, args: &[&str], code: i32, says: &[&str]) {
        check_bad(&self.run(args), args, code, says);
    }

    fn push<'a>(&self, house: &'a House, more: &[&'a str]) -> Vec<&'a str> {
        let push = ["push", "quiet", "--key", "ops.key", "--to", "gw-01", "--broker", &house.url];
        [&push[..], more].concat()
    }
}

#[track_caller]
fn check_bad(output: &Output, args: &[&str], code: i32, says: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    for part in says {
        assert!(text.contains(part), "{args:?} does not say {part:?}: {text}");
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let desk = Desk::new("keys");
    let mode = |name: &str| {
        fs::metadata(desk.dir.join(name)).expect("it is there").permissions().mode() & 0o777
    };
    assert_eq!(mode("ops.key"), 0o600);
    desk.bad(&["keygen", "ops", "--no-passphrase"], 1, &["ops.key is there already", "--force"]);
    desk.bad(&["keygen", "ops.pub", "--no-passphrase"], 1, &["ops.key is there already"]);
    let before = fs::read(desk.dir.join("ops.key")).expect("it is there");
    desk.good(&["keygen", "ops", "--no-passphrase", "--force"]);
    assert_ne!(before, fs::read(desk.dir.join("ops.key")).expect("it is there"));
    desk.bad(
        &["keygen", "sealed"],
        64,
        &["no terminal", "--passphrase-file", "TIDEGATE_PASSPHRASE"],
    );
    desk.bad(&["keygen"], 64, &["the key's name is missing"]);
    fs::write(desk.dir.join("empty"), "\n").expect("written");
    desk.bad(&["keygen", "sealed", "--passphrase-file", "empty"], 65, &["passphrase is empty"]);
    assert!(!desk.dir.join("sealed.key").exists());
}

#[test]
fn a_wrong_passphrase_and_a_key_of_another_kind_are_named() {
    let desk = Desk::new("passphrase");
    let house = House::start(Gateway::Takes, true, 1);
    let made = desk.run_with(&["keygen", "sealed"], &[("TIDEGATE_PASSPHRASE", "tide")]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let trust =
        desk.good(&["trust", "init", "--root", "ops.pub", "--release", "sealed.pub"]).stdout;
    fs::write(desk.dir.join("trust"), trust).expect("written");
    let push = ["push", "quiet", "--key", "sealed.key", "--to", "gw-01", "--broker", &house.url];
    let wrong = desk.run_with(&push, &[("TIDEGATE_PASSPHRASE", "ebb")]);
    check_bad(&wrong, &push, 65, &["sealed.key: the passphrase is wrong", "try again"]);
    desk.bad(&push, 64, &["sealed.key needs a passphrase", "no terminal"]);
    let with_key = |key: &'static str| {
        ["push", "quiet", "--key", key, "--to", "gw-01", "--broker", &house.url].map(str::to_owned)
    };
    fs::write(desk.dir.join("pem"), "-----BEGIN PRIVATE KEY-----\n").expect("written");
    for (key, code, says) in [
        ("ops.pub", 65, "this is a public key"),
        ("pem", 65, "PEM or SSH key"),
        ("quiet/handler.toml", 65, "quiet/handler.toml: this"),
        ("quiet/quiet.wasm", 65, "no key of Tidegate"),
        ("nowhere.key", 65, "cannot be read"),
        ("ops.key", 65, "is no release key of fleet"),
    ] {
        let args = with_key(key);
        desk.bad(&args.each_ref().map(String::as_str), code, &[says]);
    }
    assert!(house.published.lock().expect("no panic").is_empty(), "nothing was sent");
    let right = desk.run_with(&push, &[("TIDEGATE_PASSPHRASE", "tide")]);
    assert_eq!(right.status.code(), Some(0), "{}", stderr(&right));
}

#[test]
fn what_is_wrong_with_a_push_is_said_before_anything_is_sent() {
    let desk = Desk::new("wrong");
    let house = House::start(Gateway::Takes, true, 1);
    let push = |to: &'static str| {
        ["push", "quiet", "--key", "ops.key", "--to", to, "--broker", &house.url].map(str::to_owned)
    };
    for to in ["gw/01", "group:a/b", "GW", ""] {
        let args = push(to);
        desk.bad(&args.each_ref().map(String::as_str), 64, &["is no name", "group:NAME"]);
    }
    desk.bad(&["push", "quiet"], 64, &["--to is missing"]);
    desk.bad(&["push", "quiet", "--to", "gw-01"], 64, &["--broker is missing"]);
    desk.bad(&["remove", "a/b", "--to", "gw-01"], 64, &["\"a/b\" is no name", "not a folder"]);
    desk.bad(&desk.push(&house, &["--timeout", "0"]), 64, &["1 to 86400"]);
    desk.bad(&desk.push(&house, &["--trust", "ops.pub"]), 65, &["no trust file"]);
    desk.bad(&desk.push(&house, &["--gateway-key", "ops.key"]), 65, &["this is a secret key"]);
    let module = desk.dir.join("quiet/quiet.wasm");
    let good = fs::read(&module).expect("it is there");
    // A custom section of two megabytes: good Wasm, and more than the board takes.
    let mut large = good.clone();
    large.extend([0, 0x80, 0x80, 0x80, 0x01, 0]);
    large.extend(vec![0; 2 * 1024 * 1024 - 1]);
    fs::write(&module, &large).expect("written");
    desk.bad(&desk.push(&house, &[]), 78, &["quiet.wasm", "the board allows"]);
    fs::write(&module, &good[..good.len() - 1]).expect("written");
    desk.bad(&desk.push(&house, &[]), 65, &["quiet.wasm"]);
    fs::write(&module, &good).expect("written");
    fs::write(desk.dir.join("quiet/golden.json"), "[{\"topic\": \"in/+\"}]").expect("written");
    desk.bad(&desk.push(&house, &[]), 65, &["golden.json", "in/+"]);
    fs::remove_file(desk.dir.join("quiet/golden.json")).expect("it was there");
    fs::write(
        desk.dir.join("quiet/handler.toml"),
        format!("{TOML}[limits]\nmemory_kib = 9000000\n"),
    )
    .expect("written");
    desk.bad(&desk.push(&house, &[]), 78, &["handler.toml:8", "memory_kib"]);
    assert!(house.published.lock().expect("no panic").is_empty(), "nothing was sent");
    let down =
        ["push", "quiet", "--key", "ops.key", "--to", "gw-01", "--broker", "mqtt://127.0.0.1:1"];
    fs::write(desk.dir.join("quiet/handler.toml"), TOML).expect("written");
    desk.bad(&down, 69, &["mqtt://127.0.0.1:1", "Connection refused", "check the address"]);
}

#[test]
fn a_gateway_that_never_answers_and_a_group_without_members_end_it() {
    let desk = Desk::new("silent");
    let house = House::start(Gateway::Absent, true, 1);
    let silent = ["the broker has it", "gw-01", "never seen here", "tidegate status --to gw-01"];
    desk.bad(&desk.push(&house, &["--timeout", "1"]), 75, &silent);
    let group = [
        "push",
        "quiet",
        "--key",
        "ops.key",
        "--to",
        "group:none",
        "--timeout",
        "1",
        "--broker",
        &house.url,
    ];
    desk.bad(&group, 75, &["no member that is connected", "[gateway] groups"]);
    desk.bad(
        &["status", "--to", "gw-01", "--wait", "1", "--broker", &house.url],
        75,
        &["gw-01 was not heard"],
    );
    // Whoever does not want to wait is told so, and it is written down.
    let sent = desk.good(&desk.push(&house, &["--no-wait"]));
    assert!(stdout(&sent).contains("tidegate status"), "{}", stdout(&sent));
    let history = stdout(&desk.good(&["history", "quiet", "--json"]));
    let seqs: Vec<u64> = history
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|pushed| pushed["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs, [3, 2, 1], "each push has the next seq, whatever came of the one before");
}

#[test]
fn a_push_is_followed_to_its_end() {
    let desk = Desk::new("good");
    let house = House::start(Gateway::Takes, true, 1);
    let output = desk.good(&desk.push(&house, &[]));
    let text = stdout(&output);
    assert!(text.starts_with("gw-01 is new here"), "{text}");
    for part in [
        "sending 1 of 1 chunks (",
        "gw-01 checking",
        " ... installing ... probation 1 s ... active in 0.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = stdout(&desk.good(&desk.push(&house, &["--json"])));
    let outcome: serde_json::Value = serde_json::from_str(&json).expect("one object");
    assert_eq!((&outcome["ok"], &outcome["seq"]), (&true.into(), &2.into()), "{json}");
    assert_eq!(outcome["gateways"][0]["stage"], "active");
    desk.good(&["remove", "quiet", "--key", "ops.key", "--to", "gw-01", "--broker", &house.url]);
    // A gateway whose counter is lost is not believed, and that is said; a missing chunk is sent again, and a broker
    // that keeps nothing is told of.
    let lossy = House::start(Gateway::LosesAChunk, false, 1);
    desk.bad(&desk.push(&lossy, &["--timeout", "4"]), 75, &["older than ones", "gw-01.seen"]);
    fs::remove_file(desk.dir.join("state/tidegate/gateways/gw-01.seen")).expect("it was there");
    lossy.published.lock().expect("no panic").clear();
    let text = stdout(&desk.good(&desk.push(&lossy, &[])));
    assert!(text.contains("served from here"), "{text}");
    let published = lossy.published.lock().expect("no panic");
    let chunks = published.iter().filter(|(topic, _)| topic.contains("/blob/")).count();
    assert_eq!(chunks, 2, "{published:?}");
}

#[test]
fn a_gateway_that_refuses_or_takes_back_says_why() {
    let desk = Desk::new("refused");
    let refuses = House::start(Gateway::Refuses, true, 1);
    desk.bad(
        &desk.push(&refuses, &[]),
        1,
        &["1 of 1 gateways do not run it", "rejected: push again"],
    );
    let back = House::start(Gateway::TakesBack, true, 1);
    // Its counter begins anew: what this gateway said before was with higher ones.
    fs::remove_file(desk.dir.join("state/tidegate/gateways/gw-01.seen")).expect("it was there");
    let output = desk.run(&desk.push(&back, &[]));
    check_bad(&output, &[], 1, &["rolled-back: 1 of 10 events failed"]);
    assert!(stdout(&output).contains("rolled back (failed)"), "{}", stdout(&output));
}

#[test]
fn answers_under_another_key_do_not_count() {
    let desk = Desk::new("forged");
    let forged = House::start(Gateway::Forged, true, 1);
    desk.bad(&desk.push(&forged, &["--timeout", "1"]), 75, &["not signed with the key of gw-01"]);
    let other = House::start(Gateway::Takes, true, 2);
    let says = ["another key than the one known here", "gw-01.pub", "--gateway-key"];
    desk.bad(&desk.push(&other, &["--timeout", "1"]), 75, &says);
    let public = tidegate_release::SecretKey::generate([2; 32]).public().to_file();
    fs::write(desk.dir.join("gw-01.pub"), public).expect("written");
    desk.good(&desk.push(&other, &["--gateway-key", "gw-01.pub"]));
    desk.good(&desk.push(&other, &[]));
}

#[test]
fn a_rollback_needs_a_version_before() {
    let desk = Desk::new("rollback");
    let house = House::start(Gateway::Takes, true, 1);
    let rollback =
        ["rollback", "quiet", "--key", "ops.key", "--to", "gw-01", "--broker", &house.url];
    desk.bad(&rollback, 1, &["quiet was never pushed to fleet plant"]);
    desk.good(&desk.push(&house, &[]));
    desk.bad(&rollback, 1, &["nothing that was pushed there", "--digest"]);
    fs::write(desk.dir.join("quiet/handler.toml"), TOML.replace("1.0", "2.0")).expect("written");
    desk.good(&desk.push(&house, &[]));
    desk.good(&rollback);
    let history = stdout(&desk.good(&["history", "quiet", "--json"]));
    let versions: Vec<String> = history
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|pushed| pushed["version"].as_str().expect("a text").to_owned())
        .collect();
    assert_eq!(versions, ["1.0", "2.0", "1.0"]);
    desk.bad(&[&rollback[..], &["--digest", "0000"]].concat(), 1, &["no version that was pushed"]);
}

#[test]
fn a_trust_file_is_changed_step_by_step() {
    let desk = Desk::new("trust");
    for key in ["root", "eve"] {
        desk.good(&["keygen", key, "--no-passphrase"]);
    }
    let write = |name: &str, output: Output| {
        fs::write(desk.dir.join(name), output.stdout).expect("written");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let show = |name: &str| {
        let json = stdout(&desk.good(&["trust", "show", name, "--json"]));
        serde_json::from_str::<serde_json::Value>(&json).expect("one object")
    };
    let init = [
        "trust",
        "init",
        "--root",
        "ops.pub",
        "--root",
        "root.pub",
        "--threshold",
        "2",
        "--key",
        "ops.key",
    ];
    let said = write("t1", desk.good(&init));
    assert!(said.contains("no gateway takes it yet: 1 of its own roots"), "{said}");
    assert!(show("t1")["wrong"].as_str().is_some_and(|why| why.contains("2 must")));
    write("t1", desk.good(&["trust", "sign", "t1", "--key", "root.key"]));
    assert_eq!(show("t1")["wrong"], serde_json::Value::Null);
    let keys = ["--key", "ops.key", "--key", "root.key"];
    let added = [&["trust", "rotate", "t1", "--add-release", "eve.pub"], &keys[..]].concat();
    write("t2", desk.good(&added));
    let id = show("t2")["release"]["keys"].as_array().map(Vec::len);
    assert_eq!((id, &show("t2")["version"]), (Some(3), &2.into()));
    let eve = stdout(&desk.good(&["trust", "show", "t2"]));
    let public = fs::read_to_string(desk.dir.join("eve.pub")).expect("it is there");
    let public = public.lines().last().expect("its line").to_owned();
    let eve = eve.lines().find(|line| line.contains(&public)).expect("it is listed");
    let eve = eve.split_whitespace().next().expect("its id").to_owned();
    write("t3", desk.good(&[&["trust", "revoke", &eve, "t2"], &keys[..]].concat()));
    let third = show("t3");
    assert_eq!((&third["version"], &third["key_epoch"]), (&3.into(), &2.into()));
    assert_eq!(third["revoked"][0], eve.as_str());
    desk.bad(&[&["trust", "revoke", &eve, "t3"], &keys[..]].concat(), 65, &["names no key"]);
    desk.bad(&[&["trust", "rotate", "t3"], &keys[..]].concat(), 64, &["nothing would change"]);
    desk.bad(&["trust", "frob"], 64, &["`frob` is none of init"]);
    desk.bad(&["trust", "revoke", "xyz", "t3"], 64, &["is no key id"]);
    let house = House::start(Gateway::Absent, true, 1);
    desk.good(&["trust", "send", "t2", "t3", "--to", "gw-01,group:all", "--broker", &house.url]);
    let published = house.published.lock().expect("no panic");
    let topics: Vec<&str> = published.iter().map(|(topic, _)| &topic[..]).collect();
    assert_eq!(topics, ["tidegate/1/gw-01/trust", "tidegate/1/group:all/trust"]);
}

#[test]
fn golden_events_are_tried_here() {
    let desk = Desk::new("golden");
    desk.bad(&["test", "quiet"], 65, &["golden.json is not there", "tidegate test --help"]);
    let golden = desk.dir.join("quiet/golden.json");
    fs::write(&golden, "[{\"topic\": \"in/a\"}, {\"topic\": \"in/b\", \"expect\": [\"fails\"]}]")
        .expect("written");
    let output = desk.run(&["test", "quiet"]);
    check_bad(&output, &["test"], 1, &["1 of 2 golden events"]);
    let text = stdout(&output);
    assert!(
        text.starts_with("ok      1  in/a  (") && text.contains("FAILED  2  in/b: it should fail"),
        "{text}"
    );
    fs::write(&golden, "[{\"topic\": \"in/a\", \"expect\": [\"nothing\"]}]").expect("written");
    desk.good(&["test", "quiet"]);
}
