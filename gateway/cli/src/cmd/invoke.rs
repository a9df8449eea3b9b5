//! `tidegate invoke`: one event for a handler where it runs, and what comes of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_release::answer::Invoked;
use tidegate_release::golden::Expect;
use tidegate_release::keys::nonce;
use tidegate_release::manifest::{INVOKE_BYTES_MAX, Invoke, Target};
use tidegate_release::{Name, PublicKey};

use super::Command;
use super::signing::{check_keys, timeout};
use crate::args::Args;
use crate::broker::{self, Server};
use crate::failure::Failure;
use crate::push::gateways::Gateways;
use crate::push::invoking::{Came, Sender};
use crate::push::{runtime, targets};
use crate::state::State;
use crate::{key_files, passphrase};

pub const COMMAND: Command = Command {
    name: "invoke",
    usage: "invoke HANDLER --to GATEWAY --topic T --payload P --key F --broker URL",
    about: "run one event in a handler where it runs, and see what comes of it",
    help: "\
Signs one event for a pushed handler and sends it to its gateway. It takes its turn in the handler's line, like a
device's message, whether or not the topic is one that wakes the handler. What it published, sent and used comes
back, signed by the gateway. It counts in no statistics, and takes no release on probation back.

Options:
  --to T               a gateway's id; more with commas
  --topic T            the topic that the handler sees
  --payload P          the payload; @FILE reads a file, @- standard input (default: empty)
  --dry                nothing of it is kept or let out: it only tells what would come of it
  --key F, --passphrase-file F, --trust F      as for `tidegate push`
@BROKER@  --gateway-key F      the gateway's gateway.pub, instead of believing the key that it shows first
  --timeout S          how long to wait for the answer (default: 30)
  --json               a JSON object for each gateway

Exit status: 0 when it ended well on every gateway; 1 when it failed or was refused on one; 69 when the broker
cannot be reached; 75 when a gateway has not answered.

Example
  tidegate invoke overheat --to gw-01 --topic devices/7/telemetry --payload '{\"temp\": 71.3}' --dry \\
      --key ops.key --trust trust --broker mqtt://127.0.0.1:1883
",
    run,
};

const OPTIONS: [&str; 8] =
    ["to", "topic", "payload", "key", "trust", "timeout", "gateway-key", passphrase::OPTION];

fn run(words: Vec<String>) -> Result<(), Failure> {
    let options = [&broker::OPTIONS[..], &OPTIONS].concat();
    let args = Args::read(words, &["dry", "json"], &options)?;
    let handler = targets::handler(args.word("the handler's name")?)?;
    let to = targets::of(&args)?;
    if let Some(group) = to.iter().find(|target| matches!(target, Target::Group(_))) {
        return Err(Failure::usage(format!(
            "--to {group}: name gateways; an event is for one handler on one of them"
        )));
    }
    let topic = args.option("topic").ok_or_else(|| Failure::usage("--topic is missing"))?;
    let payload = payload(args.option("payload").unwrap_or_default())?;
    let server = Server::of(&args)?;
    let timeout_s = timeout(&args)?;
    let by_hand = args.option("gateway-key").map(key_files::public).transpose()?;
    let trust = key_files::trust(&args)?;
    let keys = key_files::signing_keys(&args)?;
    check_keys(&trust, &keys)?;
    let state = State::of_user()?;
    let gateways = gateways(&state, &to, by_hand)?;
    let invoke = Invoke {
        nonce: nonce().map_err(|error| Failure::failed(error.to_string()))?,
        topic: topic.to_owned(),
        payload,
        is_dry: args.has("dry"),
    };
    let sender = Sender { trust: &trust, keys: &keys, state: &state, server: &server };
    let wait = Duration::from_secs(timeout_s);
    let (came, notes) = runtime()?.run(sender.invoke(&handler, &to, invoke, gateways, wait))?;
    notes.iter().for_each(|note| eprintln!("{note}"));
    for (gateway, came) in &came {
        if args.has("json") {
            println!("{}", line(gateway, &handler, came));
        } else {
            print!("{}", describe(gateway, &handler, came));
        }
    }
    verdict(&to, &came, timeout_s)
}

fn gateways(state: &State, to: &[Target], by_hand: Option<PublicKey>) -> Result<Gateways, Failure> {
    let mut gateways = Gateways::new(state.clone());
    match (to, by_hand) {
        (_, None) => {}
        ([Target::Gateway(gateway)], Some(key)) => gateways.pin(gateway, key)?,
        (_, Some(_)) => {
            return Err(Failure::usage("--gateway-key goes with --to and one gateway"));
        }
    }
    Ok(gateways)
}

fn payload(written: &str) -> Result<Vec<u8>, Failure> {
    let unread = |error: std::io::Error| {
        Failure::data(format!("--payload {written}: it cannot be read: {error}"))
    };
    let payload = match written.strip_prefix('@') {
        None => written.as_bytes().to_vec(),
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map_err(unread)?;
            bytes
        }
        Some(file) => fs::read(file).map_err(unread)?,
    };
    if payload.len() > INVOKE_BYTES_MAX {
        return Err(Failure::data(format!(
            "the payload has {} bytes, and {INVOKE_BYTES_MAX} fit a signed event; publish it as a device would",
            payload.len()
        )));
    }
    Ok(payload)
}

fn describe(gateway: &Name, handler: &Name, came: &Came) -> String {
    match came {
        Came::Refused { code, text } => format!("{gateway} {handler}: refused ({code}): {text}\n"),
        Came::Ran(invoked) => {
            let dry = if invoked.is_dry { ", nothing of it was kept" } else { "" };
            let how =
                invoked.failed.as_ref().map_or("done".to_owned(), |why| format!("failed: {why}"));
            let mut text = format!("{gateway} {handler}: {how}, {} fuel{dry}\n", invoked.fuel);
            for effect in &invoked.effects {
                text.push_str(&format!("  {}\n", shown(effect)));
            }
            if invoked.left_off > 0 {
                text.push_str(&format!(
                    "  and {} more that did not fit the answer\n",
                    invoked.left_off
                ));
            }
            text
        }
    }
}

fn shown(effect: &Expect) -> String {
    match effect {
        Expect::Publish { topic, payload } => {
            format!("publish {topic} {}", String::from_utf8_lossy(payload))
        }
        Expect::Send { stream, payload } => {
            format!("send {stream} {}", String::from_utf8_lossy(payload))
        }
        Expect::Pin { name, on } => format!("pin {name} {}", if *on { "on" } else { "off" }),
        Expect::Nothing => "nothing".to_owned(),
        Expect::Fails => "failed".to_owned(),
    }
}

fn line(gateway: &Name, handler: &Name, came: &Came) -> Value {
    let (gateway, handler) = (gateway.as_str(), handler.as_str());
    match came {
        Came::Refused { code, text } => {
            json!({ "gateway": gateway, "handler": handler, "ok": false, "refused": code, "text": text })
        }
        Came::Ran(invoked) => ran(gateway, handler, invoked),
    }
}

fn ran(gateway: &str, handler: &str, invoked: &Invoked) -> Value {
    let effects: Vec<Value> = invoked
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Expect::Publish { topic, payload } => {
                Some(json!({ "publish": topic, "payload": String::from_utf8_lossy(payload) }))
            }
            Expect::Send { stream, payload } => Some(
                json!({ "send": stream.as_str(), "payload": String::from_utf8_lossy(payload) }),
            ),
            Expect::Pin { name, on } => Some(json!({ "pin": name.as_str(), "on": on })),
            Expect::Nothing | Expect::Fails => None,
        })
        .collect();
    json!({
        "gateway": gateway, "handler": handler, "ok": invoked.failed.is_none(), "dry": invoked.is_dry,
        "fuel": invoked.fuel, "failed": invoked.failed, "effects": effects, "left_off": invoked.left_off,
    })
}

fn verdict(to: &[Target], came: &BTreeMap<Name, Came>, timeout_s: u64) -> Result<(), Failure> {
    let silent: Vec<&str> = targets::gateways(to)
        .filter(|gateway| !came.contains_key(*gateway))
        .map(Name::as_str)
        .collect();
    if !silent.is_empty() {
        return Err(Failure::silent(format!(
            "{} did not answer within {timeout_s} s; the event may have run. `tidegate status` tells whether it is there",
            silent.join(", ")
        )));
    }
    let bad = came.values().filter(|came| match came {
        Came::Ran(invoked) => invoked.failed.is_some(),
        Came::Refused { .. } => true,
    });
    match bad.count() {
        0 => Ok(()),
        count => {
            Err(Failure::failed(format!("it did not end well on {count} of {} gateways", to.len())))
        }
    }
}
