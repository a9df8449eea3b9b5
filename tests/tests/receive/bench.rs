//! A broker, a receiver that can be killed, and somebody who sends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_core::record::{Record, Sending, Stamp, StreamId};
use tidegate_core::stream::Format;
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_envelope::{Envelope, Identity, decode, encode};
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::mqtt::{Client, Packet};
use tidegate_tests::process::Process;
use tidegate_tests::programs;
use tidegate_tests::scratch::Scratch;

pub const PATIENCE: Duration = Duration::from_secs(20);
/// Messages sent and not acked: mosquitto takes more, but this is what gateways do.
const WINDOW: usize = 32;

pub struct Bench {
    pub mosquitto: Mosquitto,
    pub scratch: Scratch,
}

impl Bench {
    pub fn new() -> Bench {
        Bench { mosquitto: Mosquitto::start(), scratch: Scratch::new("receive") }
    }

    pub fn output(&self) -> PathBuf {
        self.scratch.path().join("records.jsonl")
    }

    /// The receiver's command line, with the output in a file.
    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(programs::tidegate());
        command.args(["receive", "--broker", &format!("mqtt://{}", self.mosquitto.address)]);
        command.arg("--from-start").arg("--to").arg(self.output()).args(more);
        command
    }

    /// Starts a receiver and waits until the broker knows its session.
    pub fn start(&self, more: &[&str]) -> Process {
        let process = Process::start("receive", &mut self.command(more));
        let before = self.probes();
        let mut probe = Client::connect(self.mosquitto.address, "probe").unwrap();
        let end = Instant::now() + PATIENCE;
        // The first record of an epoch of its own, until one comes out.
        for epoch in 1.. {
            assert!(Instant::now() < end, "the receiver receives nothing");
            let sending = record(1, "probe", b"1");
            let payload =
                encode(&sending, &identity("probe", epoch), "probe", Format::Cbor).payload;
            probe.publish_acked("probe", &payload).unwrap();
            assert!(is_ack(&mut probe));
            if self.probes() > before {
                return process;
            }
        }
        unreachable!("epochs do not end")
    }

    /// Runs a receiver until nothing has come for a second: its exit status and what it said.
    pub fn finish(&self, more: &[&str]) -> (i32, String) {
        let mut command = self.command(more);
        command.args(["--once-idle", "1", "--json"]);
        let mut process = Process::start("receive", &mut command);
        let status = process.wait(PATIENCE).expect("it ends when nothing comes");
        (status.code().unwrap_or(-1), process.text())
    }

    /// Every whole line of the output.
    fn envelopes_if_whole(&self) -> Vec<Envelope> {
        let text = std::fs::read(self.output()).unwrap_or_default();
        text.split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| decode(line.strip_suffix(b"\n")?, &[]).ok())
            .collect()
    }

    fn probes(&self) -> usize {
        let seen = self.envelopes_if_whole();
        seen.iter().filter(|envelope| envelope.gateway == "probe").count()
    }

    /// What is in the output, probes left out; every byte of it must belong to a line.
    pub fn envelopes(&self) -> Vec<Envelope> {
        let text = std::fs::read(self.output()).unwrap();
        assert_eq!(text.last(), Some(&b'\n'), "the last line is whole");
        let mut all = self.envelopes_if_whole();
        assert_eq!(all.len(), text.iter().filter(|byte| **byte == b'\n').count());
        all.retain(|envelope| envelope.gateway != "probe");
        all
    }

    /// How often each seq of `gw` is in the output.
    pub fn counted(&self) -> BTreeMap<u64, usize> {
        let mut counted = BTreeMap::new();
        for envelope in self.envelopes().iter().filter(|envelope| envelope.gateway == "gw") {
            *counted.entry(envelope.seq).or_default() += 1;
        }
        counted
    }

    /// Publishes with QoS 1, some under way at once.
    pub fn publish(&self, payloads: impl IntoIterator<Item = Vec<u8>>) {
        let mut client = Client::connect(self.mosquitto.address, "gateway").unwrap();
        let mut under_way = 0;
        for payload in payloads {
            client.publish_acked("gw/records", &payload).unwrap();
            under_way += 1;
            while under_way >= WINDOW {
                under_way -= usize::from(is_ack(&mut client));
            }
        }
        while under_way > 0 {
            under_way -= usize::from(is_ack(&mut client));
        }
    }
}

fn is_ack(client: &mut Client) -> bool {
    matches!(client.read(PATIENCE).unwrap().expect("an ack comes"), Packet::PubAck { .. })
}

pub fn identity(gateway: &str, epoch: u64) -> Identity {
    Identity { gateway: gateway.to_owned(), epoch }
}

pub fn record(seq: u64, stream: &str, payload: &[u8]) -> Sending {
    let at = WallTime { unix_us: 1_790_000_000_000_000, quality: ClockQuality::Ntp };
    let record = Record {
        seq,
        stream: StreamId::of(stream),
        priority: 0,
        ttl_s: 0,
        stamp: Stamp { boot: 1, mono_ms: seq, wall: at },
        topic: None,
        payload: Arc::from(payload),
    };
    Sending { record: Arc::new(record), at, historical: false }
}

/// Envelopes of the gateway `gw`, every other in JSON.
pub fn envelopes(seqs: impl IntoIterator<Item = u64>) -> impl Iterator<Item = Vec<u8>> {
    seqs.into_iter().map(|seq| {
        let format = if seq % 2 == 0 { Format::Json } else { Format::Cbor };
        let sending = record(seq, "raw", format!("{{\"n\": {seq}}}").as_bytes());
        encode(&sending, &identity("gw", 1), "raw", format).payload
    })
}
