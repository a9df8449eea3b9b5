//! `tidegate push` and its like against the real daemon, as people type them.

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;
use tidegate_tests::handlers::Handler;
use tidegate_tests::mqtt::Client;
use tidegate_tests::programs;
use tidegate_tests::scratch::Scratch;

use crate::house::{GATEWAY, House, says};

/// Somebody at a desk, with the fleet's key.
pub struct Person {
    pub scratch: Scratch,
    pub broker: SocketAddr,
}

impl Person {
    pub fn new(house: &House) -> Person {
        let scratch = Scratch::new("person");
        scratch.write("ops.key", house.fleet.key.to_plain_file().as_bytes());
        scratch.write("trust", house.fleet.trust());
        Person { scratch, broker: house.upstream.unwrap_or(house.address) }
    }

    /// A handler that answers with `word`, and passes after one event or a second.
    pub fn writes(&self, word: &str, version: &str) {
        self.writes_handler(&says("echo", word), version);
    }

    /// The same of any handler.
    pub fn writes_handler(&self, handler: &Handler, version: &str) {
        let toml = format!(
            "{}\n[probation]\nevents = 1\nuptime_s = 1\n",
            handler.manifest().replace("\"1.0.0\"", &format!("{version:?}"))
        );
        self.scratch.write("handler.toml", toml);
        self.scratch.write("module.wasm", &handler.module);
    }

    pub fn types(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it starts")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(programs::tidegate());
        command
            .args(args)
            .current_dir(self.scratch.path())
            .env("XDG_STATE_HOME", self.scratch.path().join("state"))
            .env("TIDEGATE_TRUST", "trust")
            .env("TIDEGATE_BROKER", format!("mqtt://{}", self.broker));
        command
    }

    #[track_caller]
    pub fn does(&self, args: &[&str]) -> String {
        let output = self.types(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    #[track_caller]
    pub fn signs(&self, args: &[&str]) -> Value {
        let signed = [args, &["--key", "ops.key", "--to", GATEWAY, "--yes", "--json"]].concat();
        serde_json::from_str(&self.does(&signed)).expect("one object")
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.does(&["status", "--to", GATEWAY, "--json"])).expect("one line")
    }
}

fn goes_all_the_way(house: &House) {
    let person = Person::new(house);
    person.writes("one", "1.0");
    let pushed = person.signs(&["push", "."]);
    assert_eq!((&pushed["ok"], &pushed["seq"]), (&true.into(), &1.into()), "{pushed}");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
    person.writes("two", "2.0");
    assert_eq!(person.signs(&["push", "."])["gateways"][0]["stage"], "active");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"two"[..]));
    let status = person.status();
    assert_eq!((&status["version"], &status["phase"]), (&"2.0".into(), &"active".into()));
    assert!(status["events"].as_u64() >= Some(1), "{status}");
    assert_eq!(status["fresh"], true, "{status}");
    let back = person.signs(&["rollback", "echo"]);
    assert_eq!((&back["version"], &back["seq"]), (&"1.0".into(), &3.into()), "{back}");
    assert_eq!(house.react("in", b"x", "out").as_deref(), Some(&b"one"[..]));
    assert_eq!(person.signs(&["remove", "echo"])["gateways"][0]["stage"], "removed");
    assert_eq!(house.react("in", b"x", "out"), None);
    let history = person.does(&["history", "echo", "--json"]);
    assert_eq!(history.lines().count(), 4, "{history}");
    let newest: Value = serde_json::from_str(history.lines().next().expect("four")).expect("JSON");
    assert_eq!((&newest["what"], &newest["kept_for"][0]), (&"remove".into(), &GATEWAY.into()));
}

#[test]
fn a_person_pushes_over_the_front_door() {
    goes_all_the_way(&House::start());
}

#[test]
fn a_person_pushes_behind_a_broker_and_cleans_up() {
    let house = House::start_behind();
    goes_all_the_way(&house);
    let person = Person::new(&house);
    // Its own first push: the seq goes on behind what the broker and the gateway know.
    person.writes("three", "3.0");
    let pushed = person.signs(&["push", ".", "--clean"]);
    assert_eq!(pushed["seq"], 5, "{pushed}");
    let mut client = Client::connect(house.address, "looker").expect("a broker");
    client.subscribe("tidegate/1/blob/#", 0).expect("a subscription");
    let mut kept = 0;
    while client.message(std::time::Duration::from_secs(1)).expect("a connection").is_some() {
        kept += 1;
    }
    assert_eq!(kept, 1, "one module is referred to, and has one chunk");
}
