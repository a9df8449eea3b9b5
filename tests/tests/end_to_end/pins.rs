//! Pins: from a board's file to a relay and back from a button, over a folder that stands for a chip. The kernel's own
//! chips are tried where there are some, in a machine of their own.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_tests::daemon::{Local, counters_in, tidegated, write_config};
use tidegate_tests::mqtt::Client;
use tidegate_tests::ports;
use tidegate_tests::process::Process;
use tidegate_tests::programs;
use tidegate_tests::scratch::Scratch;

use crate::house::PATIENCE;

/// A daemon with the example `pump`, on a board with a relay at line 0 and a button at line 3.
struct Plant {
    scratch: Scratch,
    local: Local,
    process: Process,
}

impl Plant {
    fn start() -> Plant {
        let scratch = Scratch::new("pins");
        fs::create_dir(scratch.path().join("chip")).expect("a folder");
        scratch.write("chip/3", "0");
        let dev = programs::workspace().join("boards/dev.toml");
        let chip = scratch.path().join("chip").display().to_string();
        let board = format!(
            "{}\n[pins]\nrelay1 = {{ chip = {chip:?}, line = 0, direction = \"out\" }}\n\
             button1 = {{ chip = {chip:?}, line = 3, direction = \"in\" }}\n\
             absent = {{ chip = \"no-such-chip\", line = 0, direction = \"out\" }}\n",
            fs::read_to_string(dev).expect("it is there")
        );
        scratch.write("board.toml", board);
        let local = Local::Listen(ports::free());
        let process = launch(&scratch, &local);
        Plant { scratch, local, process }
    }

    fn client(&self) -> Client {
        let (Local::Listen(address) | Local::Broker(address)) = self.local;
        let mut client = Client::connect(address, "tank").expect("the front door is open");
        client.subscribe("tank/pump", 0).expect("subscribed");
        client
    }

    fn press(&self, down: bool) {
        self.scratch.write("chip/3", if down { "1" } else { "0" });
    }

    /// Waits until the relay's line is at this level.
    #[track_caller]
    fn expect_relay(&self, level: &str) {
        let relay = self.scratch.path().join("chip/0");
        let until = Instant::now() + PATIENCE;
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        while read(&relay) != level {
            assert!(Instant::now() < until, "{:?}: {}", read(&relay), self.process.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn says(&self, words: &[&str]) {
        let line = self.process.wait_for_line(words, PATIENCE * 2);
        assert!(line.is_some(), "{words:?}: {}", self.process.text());
    }
}

fn launch(scratch: &Scratch, local: &Local) -> Process {
    let config = write_config(scratch, local, &[programs::example("pump")], "");
    let text = fs::read_to_string(&config).expect("it was just written");
    fs::write(&config, text.replace("\"dev\"", "\"board.toml\"")).expect("written");
    let process = Process::start("tidegated", &mut tidegated(&[], &config));
    let active = process.wait_for_line(&["handler is active"], Duration::from_secs(20));
    assert!(active.is_some(), "{}", process.text());
    process
}

fn level(client: &mut Client, level: u32) {
    let payload = format!("{{\"level\":{level}}}");
    client.publish_acked("tank/level", payload.as_bytes()).expect("sent");
}

#[track_caller]
fn expect(client: &mut Client, payload: &[u8]) {
    let message = client.message(PATIENCE).expect("connected").expect("in time");
    assert_eq!(message.payload, payload);
}

#[test]
fn a_level_turns_a_relay_and_a_button_turns_it_back() {
    let mut plant = Plant::start();
    plant.expect_relay("0");
    plant.says(&["WARN", "a pin cannot be used", "absent", "no-such-chip"]);
    let mut client = plant.client();
    level(&mut client, 90);
    expect(&mut client, b"on");
    plant.expect_relay("1");
    plant.press(true);
    expect(&mut client, b"off");
    plant.expect_relay("0");

    // A device that speaks for a pin is not heard.
    client.publish("$pin/button1", b"1").expect("sent");
    // A line that breaks stops nothing, and nobody takes it for pressed when it is back.
    fs::remove_file(plant.scratch.path().join("chip/3")).expect("it was there");
    plant.says(&["WARN", "a pin cannot be used", "button1"]);
    level(&mut client, 10);
    plant.press(false);
    plant.says(&["INFO", "a pin can be used again", "button1"]);
    level(&mut client, 90);
    level(&mut client, 10);
    assert!(client.message(Duration::from_millis(300)).expect("connected").is_none(), "stopped");

    // What the button said is state: it holds over a power cut, and the relay is off after it.
    plant.scratch.write("chip/0", "1");
    plant.process.kill();
    plant.process = launch(&plant.scratch, &plant.local);
    plant.expect_relay("0");
    let mut client = plant.client();
    level(&mut client, 90);
    plant.press(true);
    std::thread::sleep(Duration::from_millis(300));
    level(&mut client, 90);
    expect(&mut client, b"on");
    plant.expect_relay("1");

    plant.process.terminate(PATIENCE * 2).expect("it ends");
    let lines = plant.process.lines();
    let told = lines.iter().rev().find(|line| line.text.contains("counters "));
    let counters = counters_in(&told.expect("all is told at the end").text);
    assert_eq!(counters.get("handler.pump.pins"), Some(&1), "{counters:?}");
    assert_eq!(counters.get("pins.away"), Some(&1), "the absent one: {counters:?}");
}
