//! What `push`, `rollback` and `remove` have in common: look, ask, sign, send, wait.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use tidegate_release::answer::Stage;
use tidegate_release::manifest::{Install, Target, What};
use tidegate_release::trust::Trust;
use tidegate_release::{Name, PublicKey, SecretKey};

use crate::args::Args;
use crate::broker::{self, Server};
use crate::failure::Failure;
use crate::push::diff::Diff;
use crate::push::outcome::Outcome;
use crate::push::progress::Progress;
use crate::push::session::{Outgoing, Session};
use crate::push::sign::{Signer, Wanted};
use crate::push::{clean, runtime, targets};
use crate::state::State;
use crate::{key_files, passphrase};

const OPTIONS: [&str; 6] = ["to", "key", "trust", "timeout", "gateway-key", passphrase::OPTION];
/// The flags of commands that sign.
pub(super) const FLAGS: [&str; 4] = ["yes", "no-wait", "clean", "json"];
/// A gateway that is there answers within milliseconds; one behind a slow link within seconds.
const TIMEOUT_S: u64 = 30;

/// The options of commands that sign, and some more.
pub(super) fn options(more: &[&'static str]) -> Vec<&'static str> {
    [&broker::OPTIONS[..], &OPTIONS, more].concat()
}

/// Says what is to be sent, knowing how things are.
pub(super) type Choose<'a> = &'a dyn Fn(&Session) -> Result<Wanted, Failure>;

/// Who signs, for whom, over which broker.
pub(super) struct Signing {
    pub targets: Vec<Target>,
    pub trust: Trust,
    keys: Vec<SecretKey>,
    server: Server,
    pub state: State,
    gateway_key: Option<PublicKey>,
    timeout_s: u64,
    yes: bool,
    wait: bool,
    clean: bool,
    json: bool,
}

impl Signing {
    /// Everything that can be wrong with it is found before a broker is spoken to.
    pub(super) fn of(args: &Args) -> Result<Signing, Failure> {
        let targets = targets::of(args)?;
        let server = Server::of(args)?;
        let timeout_s = timeout(args)?;
        let gateway_key = args.option("gateway-key").map(key_files::public).transpose()?;
        if gateway_key.is_some() && !matches!(&targets[..], [Target::Gateway(_)]) {
            return Err(Failure::usage("--gateway-key goes with --to and one gateway"));
        }
        let trust = key_files::trust(args)?;
        let keys = key_files::signing_keys(args)?;
        check_keys(&trust, &keys)?;
        Ok(Signing {
            targets,
            trust,
            keys,
            server,
            state: State::of_user()?,
            gateway_key,
            timeout_s,
            yes: args.has("yes"),
            wait: !args.has("no-wait"),
            clean: args.has("clean"),
            json: args.has("json"),
        })
    }

    /// `choose` says what is to be sent, knowing how things are.
    pub(super) fn run(&self, handler: &Name, choose: Choose<'_>) -> Result<(), Failure> {
        runtime()?.run(self.play(handler, choose))
    }

    async fn play(&self, handler: &Name, choose: Choose<'_>) -> Result<(), Failure> {
        let mut progress = Progress::new(self.json);
        let by_hand = match (&self.targets[..], self.gateway_key) {
            ([Target::Gateway(gateway)], Some(key)) => Some((gateway, key)),
            _ => None,
        };
        let mut session = Session::open(
            &self.server,
            &self.state,
            handler,
            &self.targets,
            &self.trust,
            by_hand,
            &mut |news| progress.tell(&news),
        )
        .await?;
        let wanted = choose(&session)?;
        self.confirm(handler, &wanted, &session)?;
        let signer = Signer { trust: &self.trust, keys: &self.keys, state: &self.state };
        let signed = signer.sign(handler, &self.targets, &wanted, session.ranks())?;
        let release = signed.release;
        let outgoing = Outgoing { envelope: &signed.envelope, release, blobs: &wanted.blobs };
        let silence = Duration::from_secs(self.timeout_s);
        let sent =
            session.send(&outgoing, silence, self.wait, &mut |news| progress.tell(&news)).await;
        progress.end_line();
        let course = sent?;
        let (what, version) = match &wanted.what {
            What::Install(install) => ("install", Some(&install.version[..])),
            What::Remove => ("remove", None),
            What::Invoke(_) => ("invoke", None),
        };
        let named = (handler, what);
        let outcome = Outcome::new(named, version, release, &self.targets, &course, &session);
        session.close().await?;
        if self.clean {
            let removed = clean::clean(&self.server).await?;
            if !self.json {
                println!("{removed} chunks that no order refers to were taken from the broker");
            }
        }
        if self.json {
            println!("{}", serde_json::to_string(&outcome).expect("texts and numbers are JSON"));
        }
        if !self.wait {
            if !self.json {
                println!("the broker has it; `tidegate status` tells how it goes");
            }
            return Ok(());
        }
        outcome.verdict(self.timeout_s)
    }

    /// Shows what changes; a person says yes to more than another version of the same.
    fn confirm(&self, handler: &Name, wanted: &Wanted, session: &Session) -> Result<(), Failure> {
        let What::Install(new) = &wanted.what else {
            return Ok(());
        };
        let mut shown: Vec<(Diff, Vec<String>)> = Vec::new();
        for target in &self.targets {
            let diff = diff(new, session, target, &self.state);
            match shown.iter_mut().find(|(other, _)| *other == diff) {
                Some((_, targets)) => targets.push(target.to_string()),
                None => shown.push((diff, vec![target.to_string()])),
            }
        }
        let asks = shown.iter().any(|(diff, _)| !diff.asks.is_empty());
        for (diff, targets) in &shown {
            let lines: Vec<&String> = diff.lines().collect();
            // In JSON mode standard output has one line.
            if lines.is_empty() || (self.json && !asks) {
                continue;
            }
            eprintln!("{handler} on {}:", targets.join(", "));
            lines.iter().for_each(|line| eprintln!("  {line}"));
        }
        if !asks || self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(
                "it may do other things than what runs now (above), and nobody is here to ask; read them and give --yes",
            ));
        }
        eprint!("Push it? [y/N] ");
        std::io::stderr().flush().ok();
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        match (read, line.trim()) {
            (Ok(_), "y" | "Y" | "yes") => Ok(()),
            _ => Err(Failure::failed("not pushed")),
        }
    }
}

/// Against what runs there: as the gateway says, or else as the broker has kept it for the target.
fn diff(new: &Install, session: &Session, target: &Target, state: &State) -> Diff {
    let kept = session.kept.get(target);
    let answer = match target {
        Target::Gateway(gateway) => session.answers.get(gateway),
        Target::Group(_) => None,
    };
    if let Some(answer) = answer
        && matches!(answer.stage, Stage::Active | Stage::Probation { .. })
        && let Some((_, digest)) = answer.release
        && kept.is_none_or(|kept| kept.digest() != digest)
    {
        return match state.install(&digest.to_string()) {
            Some(old) => Diff::between(&old, new),
            None => Diff::with_unknown(answer.version.as_deref().unwrap_or("a version"), new),
        };
    }
    match kept.map(|verified| &verified.order().what) {
        Some(What::Install(old)) => Diff::between(old, new),
        Some(What::Remove | What::Invoke(_)) | None => Diff::first(new),
    }
}

pub(super) fn timeout(args: &Args) -> Result<u64, Failure> {
    match args.option("timeout").map(str::parse) {
        None => Ok(TIMEOUT_S),
        Some(Ok(seconds @ 1..=86_400)) => Ok(seconds),
        Some(_) => Err(Failure::usage("--timeout: use 1 to 86400 seconds")),
    }
}

/// Every key must be one that counts, and enough of them.
pub(super) fn check_keys(trust: &Trust, keys: &[SecretKey]) -> Result<(), Failure> {
    let role = &trust.content().release;
    for key in keys {
        let id = key.id();
        if role.key(id).is_none() {
            let ids: Vec<String> = role.keys.iter().map(|key| key.id().to_string()).collect();
            return Err(Failure::data(format!(
                "key {id} is no release key of fleet {} (trust file {}); sign with one of {}, or add it: `tidegate \
                 trust rotate FILE --add-release {id}.pub`",
                trust.fleet(),
                trust.version(),
                ids.join(", ")
            )));
        }
    }
    if keys.len() < role.threshold as usize {
        return Err(Failure::usage(format!(
            "{} keys must sign a push to fleet {}, {} would; give --key more than once",
            role.threshold,
            trust.fleet(),
            keys.len()
        )));
    }
    Ok(())
}
