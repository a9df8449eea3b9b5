//! `tidegate status`: how pushed handlers do, as their gateways say.

mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tidegate_release::Name;
use tidegate_release::answer::{Answer, Report};
use tidegate_release::manifest::Target;
use tidegate_release::topics::{ControlTopic, ROOT};
use tokio::time::timeout_at;

use super::Command;
use crate::args::Args;
use crate::broker::{self, Heard, Link, Message, Server};
use crate::failure::Failure;
use crate::key_files;
use crate::push::gateways::{Gateways, Told, key_filter};
use crate::push::session::unix_s;
use crate::push::{refused, runtime, targets, unreachable};
use crate::state::State;

pub const COMMAND: Command = Command {
    name: "status",
    usage: "status [--to T] --broker URL [--json]",
    about: "how pushed handlers do on their gateways",
    help: "\
Asks gateways how their handlers do, and shows what they answer: which version, since when on probation, how many
events, failures and so on since it runs. What a gateway that is away said last is shown with its age.

Options:
  --to T               a gateway's id or group:NAME; more with commas (default: every gateway)
@BROKER@  --gateway-key F      the gateway's gateway.pub, instead of believing the key that it shows first
  --wait S             how long to wait for answers (default: 3)
  --json               a JSON object for each gateway and handler

Exit status 75 when nothing was heard of any gateway.

Example
  tidegate status --broker mqtt://127.0.0.1:1883
",
    run,
};

/// What a broker has kept comes in one go.
const QUIET: Duration = Duration::from_millis(150);
const WAIT_S: u64 = 3;
const ASK_AGAIN: Duration = Duration::from_millis(1_200);

/// What is known of one handler of one gateway.
#[derive(Debug)]
struct Known {
    answer: Answer,
    /// Said just now.
    is_fresh: bool,
    /// When it was heard first, in seconds since 1970.
    at: u64,
}

fn run(words: Vec<String>) -> Result<(), Failure> {
    let options = [&broker::OPTIONS[..], &["to", "gateway-key", "wait"]].concat();
    let args = Args::read(words, &["json"], &options)?;
    if let Some(word) = args.word_or_none()? {
        return Err(Failure::usage(format!("`{word}` is not wanted here; --to names a gateway")));
    }
    let targets = targets::some(&args)?;
    let server = Server::of(&args)?;
    let wait_s = match args.option("wait").map(str::parse) {
        None => WAIT_S,
        Some(Ok(seconds @ 1..=600)) => seconds,
        Some(_) => return Err(Failure::usage("--wait: use 1 to 600 seconds")),
    };
    let mut gateways = Gateways::new(State::of_user()?);
    if let Some(file) = args.option("gateway-key") {
        let [Target::Gateway(gateway)] = &targets[..] else {
            return Err(Failure::usage("--gateway-key goes with --to and one gateway"));
        };
        gateways.pin(gateway, key_files::public(file)?)?;
    }
    let mut survey = Survey {
        targets,
        gateways,
        known: BTreeMap::new(),
        reports: BTreeMap::new(),
        seen: BTreeSet::new(),
        notes: BTreeSet::new(),
    };
    runtime()?.run(survey.ask(&server, Duration::from_secs(wait_s)))?;
    survey.gateways.save()?;
    survey.notes.iter().for_each(|note| eprintln!("{note}"));
    survey.tell(args.has("json"), &server)
}

/// What is heard of gateways.
struct Survey {
    targets: Vec<Target>,
    gateways: Gateways,
    known: BTreeMap<(Name, Name), Known>,
    /// What gateways say of themselves.
    reports: BTreeMap<Name, Report>,
    /// Gateways that showed a key or answered.
    seen: BTreeSet<Name>,
    notes: BTreeSet<String>,
}

impl Survey {
    async fn ask(&mut self, server: &Server, wait: Duration) -> Result<(), Failure> {
        let lost = |why: String| unreachable(server, &why);
        let mut link = Link::open(server, &self.filters()).await.map_err(lost)?;
        let end = Instant::now() + wait;
        // First what is kept: it names who is to be asked.
        self.listen(&mut link, server, (Instant::now() + QUIET * 2).min(end), false).await?;
        // A gateway tells the same no more often than once a second, so who was asked just before is asked again.
        let again = Instant::now() + ASK_AGAIN;
        self.ask_all(&mut link, server).await?;
        self.listen(&mut link, server, again.min(end), true).await?;
        if !self.is_fresh() && Instant::now() < end {
            self.ask_all(&mut link, server).await?;
            self.listen(&mut link, server, end, true).await?;
        }
        link.close().await;
        Ok(())
    }

    async fn ask_all(&self, link: &mut Link, server: &Server) -> Result<(), Failure> {
        let asked: Vec<String> = match &self.targets[..] {
            [] => self.seen.iter().map(Name::to_string).collect(),
            targets => targets.iter().map(Target::to_string).collect(),
        };
        for target in asked {
            let topic = format!("{ROOT}{target}/report");
            let sent = link.publish(&topic, false, Vec::new()).await;
            sent.map_err(|why| unreachable(server, &why))?;
        }
        Ok(())
    }

    /// Every gateway that was heard of has spoken just now.
    fn is_fresh(&self) -> bool {
        !self.known.is_empty()
            && self.known.values().all(|known| known.is_fresh)
            && self.seen.iter().all(|seen| self.known.keys().any(|(name, _)| name == seen))
    }

    fn filters(&self) -> Vec<String> {
        let is_group = |target: &Target| matches!(target, Target::Group(_));
        let of = |gateway: &str| {
            let handlers = format!("{ROOT}{gateway}/handler/+");
            [key_filter(gateway), handlers, format!("{ROOT}{gateway}/gateway")]
        };
        if self.targets.is_empty() || self.targets.iter().any(is_group) {
            return of("+").into();
        }
        targets::gateways(&self.targets).flat_map(|gateway| of(gateway.as_str())).collect()
    }

    /// Until the time is over; `until_fresh`: or until all that is known is fresh, and nothing more comes.
    async fn listen(
        &mut self,
        link: &mut Link,
        server: &Server,
        end: Instant,
        until_fresh: bool,
    ) -> Result<(), Failure> {
        loop {
            let until = if until_fresh && self.is_fresh() {
                (Instant::now() + QUIET).min(end)
            } else {
                end
            };
            match timeout_at(until.into(), link.heard()).await {
                Ok(Heard::Message(message)) => self.hear(&message)?,
                Ok(Heard::Acked(Ok(()))) => {}
                Ok(Heard::Acked(Err(why))) => return Err(refused(server, &why)),
                Ok(Heard::Lost(why)) => return Err(unreachable(server, &why)),
                Err(_) => return Ok(()),
            }
        }
    }

    fn hear(&mut self, message: &Message) -> Result<(), Failure> {
        if let Ok(ControlTopic::Answer { gateway, .. }) = ControlTopic::parse(&message.topic) {
            self.seen.insert(gateway);
        }
        for told in self.gateways.hear(message, unix_s())? {
            match told {
                Told::Answer { answer, is_kept, at } => {
                    let key = (answer.gateway.clone(), answer.handler.clone());
                    let known = Known { answer, is_fresh: !is_kept, at };
                    self.known.insert(key, known);
                }
                Told::Report(report) => {
                    self.seen.insert(report.gateway.clone());
                    self.reports.insert(report.gateway.clone(), report);
                }
                Told::Pinned { gateway, key } => {
                    self.notes.insert(format!(
                        "{gateway} is new here; from now on only answers signed with this key count as its:\n  {key}"
                    ));
                    self.seen.insert(gateway);
                }
                Told::OtherKey { gateway, key } => {
                    self.notes.insert(self.gateways.advice(&gateway, &key));
                }
                Told::Forged { gateway } => {
                    self.notes.insert(format!(
                        "an answer that is not signed with the key of {gateway} was passed over"
                    ));
                }
                Told::Replayed { gateway } => {
                    self.notes.insert(format!(
                        "an answer of {gateway} that is older than one heard before was passed over"
                    ));
                }
                Told::NoKey { gateway } => {
                    self.seen.insert(gateway);
                }
            }
        }
        Ok(())
    }

    fn tell(&self, json: bool, server: &Server) -> Result<(), Failure> {
        // Who is in a group, only its members can tell: those that answered just now.
        let named: BTreeSet<&Name> = targets::gateways(&self.targets).collect();
        let is_wanted = |gateway: &Name, is_fresh: bool| {
            self.targets.is_empty() || named.contains(gateway) || is_fresh
        };
        let known: Vec<&Known> = self
            .known
            .iter()
            .filter(|((gateway, _), known)| is_wanted(gateway, known.is_fresh))
            .map(|(_, known)| known)
            .collect();
        let has_answer = |gateway: &&Name| !self.known.keys().any(|(name, _)| name == *gateway);
        for gateway in self.seen.iter().filter(|name| is_wanted(name, false)).filter(has_answer) {
            match self.reports.get(gateway) {
                Some(report) if !report.is_safe_mode => {
                    eprintln!("{gateway} runs, and no handler was pushed to it")
                }
                Some(_) => eprintln!(
                    "{gateway} restarted so often that it runs no handler; `tidegate push` helps"
                ),
                None => {
                    eprintln!("{gateway} has said nothing that can be believed about a handler")
                }
            }
        }
        for gateway in
            named.iter().filter(|name| !self.seen.contains(**name)).filter(|n| has_answer(n))
        {
            eprintln!("{gateway} was not heard");
        }
        self.tell_stale();
        if known.is_empty() && self.reports.is_empty() {
            let who = match &self.targets[..] {
                [] => "no gateway".to_owned(),
                targets => targets.iter().map(Target::to_string).collect::<Vec<_>>().join(", "),
            };
            return Err(Failure::silent(format!(
                "nothing was heard of a pushed handler from {who} at {}; a gateway answers when its [trust] file is \
                 set and it is connected to this broker",
                server.name()
            )));
        }
        if !known.is_empty() {
            let text = if json {
                shown::lines(&known, &self.reports)
            } else {
                shown::table(&known, unix_s())
            };
            print!("{text}");
        }
        Ok(())
    }

    fn tell_stale(&self) {
        for report in self.reports.values().filter(|report| report.is_stale) {
            eprintln!(
                "{} is stale: no new signed order or trust file has reached it for as long as its trust.stale_after_s; \
                 somebody in between may hold them back",
                report.gateway
            );
        }
    }
}
