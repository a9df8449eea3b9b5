//! `tidegate history`: what was pushed, when, and who signed it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use tidegate_release::Name;
use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use tidegate_release::keys::Domain;
use tidegate_release::manifest::{Order, Target, What};
use tidegate_release::open::verify;
use tidegate_release::topics::{ControlTopic, ROOT};
use tidegate_release::trust::Trust;
use tokio::time::timeout_at;

use super::Command;
use crate::args::Args;
use crate::broker::{self, Heard, Link, Server};
use crate::columns::columns;
use crate::duration;
use crate::failure::Failure;
use crate::key_files;
use crate::push::session::unix_s;
use crate::push::{refused, runtime, targets, unreachable};
use crate::state::{Pushed, State};

pub const COMMAND: Command = Command {
    name: "history",
    usage: "history HANDLER [--to T] [--broker URL] [--json]",
    about: "what was pushed, and who signed it",
    help: "\
Lists what was pushed from this machine, newest first, and, with --broker, what the broker has kept for gateways
and groups, whoever pushed it.

Options:
  --to T               only what was for this gateway or group
  --trust F            the fleet's trust file: orders at the broker are checked against it (or TIDEGATE_TRUST)
@BROKER@  --json               a JSON object for each

Example
  tidegate history overheat --to gw-01
",
    run,
};

/// What a broker has kept comes in one go.
const QUIET: Duration = Duration::from_millis(300);

/// One order.
#[derive(Debug, Serialize)]
struct Shown {
    /// Seconds since 1970; none: pushed by somebody else.
    at: Option<u64>,
    fleet: String,
    what: &'static str,
    version: Option<String>,
    key_epoch: u32,
    seq: u64,
    digest: String,
    targets: Vec<String>,
    signed_by: Vec<String>,
    author: Option<String>,
    /// Where the broker has it now.
    kept_for: Vec<String>,
    /// Whether the signatures were checked.
    verified: bool,
}

fn run(words: Vec<String>) -> Result<(), Failure> {
    let options = [&broker::OPTIONS[..], &["to", "trust"]].concat();
    let args = Args::read(words, &["json"], &options)?;
    let handler = targets::handler(args.word("the handler's name")?)?;
    let wanted = targets::some(&args)?;
    let has_trust = args.option("trust").is_some() || std::env::var_os("TIDEGATE_TRUST").is_some();
    let trust = if has_trust { Some(key_files::trust(&args)?) } else { None };
    let mut shown = pushed(&State::of_user()?, &handler);
    if args.option("broker").is_some() || std::env::var_os("TIDEGATE_BROKER").is_some() {
        let server = Server::of(&args)?;
        let kept = runtime()?.run(kept(&server, &handler))?;
        kept.into_iter()
            .for_each(|(target, envelope)| add(&mut shown, &target, &envelope, trust.as_ref()));
    }
    shown.retain(|shown| {
        wanted.is_empty() || wanted.iter().any(|target| shown.targets.contains(&target.to_string()))
    });
    shown.sort_by_key(|shown| std::cmp::Reverse((shown.key_epoch, shown.seq)));
    if args.has("json") {
        for shown in &shown {
            println!("{}", serde_json::to_string(shown).expect("texts and numbers are JSON"));
        }
    } else if shown.is_empty() {
        println!(
            "{handler} was never pushed from here; --broker URL looks at what a broker has kept"
        );
    } else {
        print!("{}", table(&shown, unix_s()));
    }
    Ok(())
}

fn pushed(state: &State, handler: &Name) -> Vec<Shown> {
    let mut all = Vec::new();
    for fleet in state.fleets(handler) {
        for pushed in state.pushed(&fleet, handler) {
            let Pushed { at, what, version, key_epoch, seq, digest, targets, signers } = pushed;
            all.push(Shown {
                at: Some(at),
                fleet: fleet.to_string(),
                what: what.name(),
                version,
                key_epoch,
                seq,
                digest,
                targets,
                signed_by: signers,
                author: None,
                kept_for: Vec::new(),
                verified: true,
            });
        }
    }
    all
}

/// An order that a broker has kept: one of ours, or another's.
fn add(shown: &mut Vec<Shown>, target: &Target, bytes: &[u8], trust: Option<&Trust>) {
    let Ok(envelope) = Envelope::decode(bytes, ENVELOPE_BYTES_MAX) else {
        return;
    };
    let digest = envelope.digest(Domain::Release).to_string();
    if let Some(known) = shown.iter_mut().find(|shown| shown.digest == digest) {
        return known.kept_for.push(target.to_string());
    }
    let Ok(order) = Order::decode(envelope.payload) else {
        return;
    };
    let (what, version) = match order.what {
        What::Install(install) => ("install", Some(install.version)),
        What::Remove => ("remove", None),
        What::Invoke(_) => ("invoke", None),
    };
    shown.push(Shown {
        at: None,
        fleet: order.fleet.to_string(),
        what,
        version,
        key_epoch: order.rank.key_epoch,
        seq: order.rank.seq,
        digest,
        targets: order.targets.iter().map(Target::to_string).collect(),
        signed_by: envelope.signatures.iter().map(|(id, _)| id.to_string()).collect(),
        author: Some(order.provenance.author).filter(|author| !author.is_empty()),
        kept_for: vec![target.to_string()],
        verified: trust.is_some_and(|trust| verify(bytes, trust).is_ok()),
    });
}

async fn kept(server: &Server, handler: &Name) -> Result<Vec<(Target, Vec<u8>)>, Failure> {
    let filter = [format!("{ROOT}+/release/{handler}")];
    let mut link = Link::open(server, &filter).await.map_err(|why| unreachable(server, &why))?;
    let mut kept = Vec::new();
    loop {
        match timeout_at((Instant::now() + QUIET).into(), link.heard()).await {
            Ok(Heard::Message(message)) => {
                if let Ok(ControlTopic::Release { target, .. }) =
                    ControlTopic::parse(&message.topic)
                {
                    kept.push((target, message.payload));
                }
            }
            Ok(Heard::Acked(Ok(()))) => {}
            Ok(Heard::Acked(Err(why))) => return Err(refused(server, &why)),
            Ok(Heard::Lost(why)) => return Err(unreachable(server, &why)),
            Err(_) => break,
        }
    }
    link.close().await;
    Ok(kept)
}

fn table(shown: &[Shown], now_s: u64) -> String {
    let fleets: BTreeSet<&String> = shown.iter().map(|shown| &shown.fleet).collect();
    let mut rows = vec![
        ["when", "what", "version", "seq", "digest", "for", "signed by", "kept for"]
            .map(str::to_owned),
    ];
    for shown in shown {
        let when = match shown.at {
            Some(at) => format!("{} ago", duration::describe(now_s.saturating_sub(at) as f64)),
            None => "by others".to_owned(),
        };
        let mut signed = shown.signed_by.join(" ");
        if let Some(author) = &shown.author {
            signed.push_str(&format!(" ({author})"));
        }
        if !shown.verified {
            signed.push_str(" (not checked: --trust)");
        }
        let fleet = if fleets.len() > 1 { format!(" [{}]", shown.fleet) } else { String::new() };
        rows.push([
            when,
            shown.what.to_owned(),
            shown.version.clone().unwrap_or_default(),
            format!("{}.{}", shown.key_epoch, shown.seq),
            shown.digest.chars().take(12).collect(),
            shown.targets.join(",") + &fleet,
            signed,
            shown.kept_for.join(","),
        ]);
    }
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use tidegate_release::manifest::Provenance;
    use tidegate_release::{Rank, SecretKey};

    use super::*;

    #[test]
    fn an_order_at_the_broker_is_ours_or_anothers() {
        let name = |text: &str| Name::new(text).expect("a name");
        let target = Target::Gateway(name("gw-01"));
        let order = Order {
            fleet: name("plant"),
            handler: name("overheat"),
            rank: Rank { key_epoch: 1, seq: 3 },
            targets: vec![target.clone()],
            what: What::Remove,
            provenance: Provenance { author: "ann".to_owned(), ..Provenance::default() },
        };
        let bytes = order.sign(&[&SecretKey::generate([1; 32])]).expect("it signs");
        let mut shown = Vec::new();
        add(&mut shown, &target, b"junk", None);
        assert!(shown.is_empty());
        add(&mut shown, &target, &bytes, None);
        add(&mut shown, &Target::Group(name("boilers")), &bytes, None);
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].kept_for, ["gw-01", "group:boilers"]);
        shown[0].at = Some(40);
        let text = table(&shown, 100);
        let line = text.lines().nth(1).expect("a row");
        for part in ["1 min ago", "remove", "1.3", "gw-01", "(ann)", "not checked"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
