//! `tidegate rollback`: an earlier version again, signed anew.

use tidegate_release::answer::Stage;
use tidegate_release::manifest::{Target, What};

use super::Command;
use super::signing::{self, FLAGS, Signing};
use crate::args::Args;
use crate::failure::Failure;
use crate::push::session::Session;
use crate::push::sign::Wanted;
use crate::push::{package, targets};
use crate::state::{Pushed, PushedWhat, State};

pub const COMMAND: Command = Command {
    name: "rollback",
    usage: "rollback HANDLER --to GATEWAY|group:NAME --key F --broker URL",
    about: "push the version before again",
    help: "\
Takes the version that was pushed from this machine before the one that runs, signs it with the next seq, and
pushes it: a gateway never goes back to an old order, but it takes an old version in a new one.

Options:
  --digest D           this one instead: the first digits of a digest that `tidegate history` shows
  --to T               a gateway's id or group:NAME; more with commas
  --key F, --passphrase-file F, --trust F      as for `tidegate push`
@BROKER@  --gateway-key F      the gateway's gateway.pub, instead of believing the key that it shows first
  --yes                do not ask, though it may do other things than what runs
  --no-wait            end when the broker has it
  --timeout S          how long a gateway may say nothing (default: 30)
  --clean              afterwards, take chunks from the broker that no order on it refers to
  --json               the result as one JSON object

Example
  tidegate rollback overheat --to gw-01 --key ops.key --trust trust --broker mqtt://127.0.0.1:1883
",
    run,
};

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &FLAGS, &signing::options(&["digest"]))?;
    let handler = targets::handler(args.word("the handler's name")?)?;
    let signing = Signing::of(&args)?;
    let pushed = signing.state.pushed(signing.trust.fleet(), &handler);
    if pushed.is_empty() {
        return Err(Failure::failed(format!(
            "{handler} was never pushed to fleet {} from this machine, so nothing is kept to go back to; push the \
             older version from its folder",
            signing.trust.fleet()
        )));
    }
    let digest = args.option("digest");
    signing.run(&handler, &|session| {
        let before = match digest {
            Some(digest) => named(&pushed, digest)?,
            None => previous(&pushed, &signing.targets, session, &signing.state)?,
        };
        wanted(before, &signing.state)
    })
}

/// The one push whose digest begins like this.
fn named<'a>(pushed: &'a [Pushed], digest: &str) -> Result<&'a Pushed, Failure> {
    let is_it =
        |pushed: &&Pushed| pushed.what == PushedWhat::Install && pushed.digest.starts_with(digest);
    let mut found = pushed.iter().filter(is_it);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "--digest {digest}: more than one begins like that; give more digits"
        ))),
        (None, _) => Err(Failure::failed(format!(
            "--digest {digest}: no version that was pushed from here begins like that; `tidegate history` lists them"
        ))),
    }
}

/// The newest one before what runs that is another version.
fn previous<'a>(
    pushed: &'a [Pushed],
    targets: &[Target],
    session: &Session,
    state: &State,
) -> Result<&'a Pushed, Failure> {
    let running = running(targets, session);
    let is_ours = |pushed: &&Pushed| {
        targets.iter().any(|target| pushed.targets.contains(&target.to_string()))
    };
    let ours: Vec<&Pushed> = pushed.iter().filter(is_ours).collect();
    let at = running
        .and_then(|digest| ours.iter().position(|pushed| pushed.digest == digest))
        .or_else(|| ours.len().checked_sub(1));
    let nothing = || {
        Failure::failed(
            "nothing that was pushed there from this machine is older than what runs; name one with --digest, or \
             push the older version from its folder",
        )
    };
    let at = at.ok_or_else(nothing)?;
    let current = state.install(&ours[at].digest);
    let is_other = |pushed: &&&Pushed| {
        pushed.what == PushedWhat::Install && state.install(&pushed.digest) != current
    };
    ours[..at].iter().rev().find(is_other).copied().ok_or_else(nothing)
}

/// The digest of what runs at the first of the targets that says so; else of what the broker has kept for one.
fn running(targets: &[Target], session: &Session) -> Option<String> {
    let answered = targets::gateways(targets).find_map(|gateway| {
        let answer = session.answers.get(gateway)?;
        let is_running = matches!(answer.stage, Stage::Active | Stage::Probation { .. });
        answer.release.filter(|_| is_running).map(|(_, digest)| digest)
    });
    let kept = || targets.iter().find_map(|target| Some(session.kept.get(target)?.digest()));
    answered.or_else(kept).map(|digest| digest.to_string())
}

/// The same again; the bytes come from this machine.
fn wanted(before: &Pushed, state: &State) -> Result<Wanted, Failure> {
    let lost = |what: &str| {
        Failure::failed(format!(
            "{what} of {} is not on this machine any more; push that version from its folder",
            &before.digest[..before.digest.len().min(12)]
        ))
    };
    let install = state.install(&before.digest).ok_or_else(|| lost("the order"))?;
    let mut blobs = vec![state.blob(install.module.digest).ok_or_else(|| lost("the module"))?];
    if let Some(golden) = install.golden {
        blobs.push(state.blob(golden.digest).ok_or_else(|| lost("the golden events"))?);
    }
    let provenance = package::provenance(None);
    Ok(Wanted { what: What::Install(install), blobs, provenance })
}
