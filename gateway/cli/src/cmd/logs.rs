//! `tidegate logs`: what a handler logs, as it happens.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tidegate_release::Name;
use tidegate_release::manifest::Target;
use tidegate_release::topics::{ControlTopic, ROOT};
use tokio::time::timeout_at;

use super::Command;
use crate::args::Args;
use crate::broker::{self, Heard, Link, Message, Server};
use crate::failure::Failure;
use crate::plain::{LEVELS, plain};
use crate::push::gateways::{Gateways, Told, key_filter};
use crate::push::session::unix_s;
use crate::push::{refused, runtime, targets, unreachable};
use crate::state::State;

pub const COMMAND: Command = Command {
    name: "logs",
    usage: "logs -f HANDLER --to GATEWAY --broker URL",
    about: "what a handler logs, as it happens",
    help: "\
Asks a gateway to say over MQTT what a handler logs, and shows it until Ctrl-C. Lines leave the gateway only while
somebody watches, and go to the side that asks alone: at most 20 a second, 100 at once, 512 bytes each; what is left
out is counted and said. They are not signed and not kept: what was logged before stands in the gateway's own log.

Options:
  -f                   may stand there, as elsewhere; it always follows
  --to T               a gateway's id or group:NAME; more with commas
@BROKER@  --seconds N          end after so many seconds
  --timeout S          how long a gateway may be silent about the handler at first (default: 10)
  --json               a JSON object for each line: gateway, handler, ts_us, level (1 error to 5 trace), text, left_out
                       (lines that were too many before it; text null when there is nothing else to say)

Exit status: 0 after --seconds; 64 when something is written wrongly; 69 when the broker cannot be reached, or is
lost; 75 when no gateway says that it knows the handler.

Example
  tidegate logs -f overheat --to gw-01 --broker mqtt://127.0.0.1:1883
",
    run,
};

/// A request holds for 30 s.
const AGAIN: Duration = Duration::from_secs(10);
const TIMEOUT_S: u64 = 10;

/// How long what was asked for at the end may take to come.
const LAST_WORD: Duration = Duration::from_millis(500);

/// A line, as a gateway says it; without a text, how many were left out.
#[derive(Deserialize)]
struct Line {
    ts_us: Option<i64>,
    #[serde(default)]
    level: u8,
    text: Option<String>,
    #[serde(default)]
    left_out: u64,
}

fn run(words: Vec<String>) -> Result<(), Failure> {
    let words = words.into_iter().filter(|word| word != "-f");
    let options = [&broker::OPTIONS[..], &["to", "seconds", "timeout"]].concat();
    let args = Args::read(words, &["json"], &options)?;
    let handler = targets::handler(args.word("the handler's name")?)?;
    let to = targets::of(&args)?;
    let seconds = |name: &str| match args.option(name).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(seconds @ 1..=86_400)) => Ok(Some(Duration::from_secs(seconds))),
        Some(_) => Err(Failure::usage(format!("--{name}: use 1 to 86400 seconds"))),
    };
    let watch = Watch {
        handler,
        to,
        server: Server::of(&args)?,
        until: seconds("seconds")?.map(|wait| Instant::now() + wait),
        json: args.has("json"),
    };
    let patience = seconds("timeout")?.unwrap_or(Duration::from_secs(TIMEOUT_S));
    runtime()?.run(watch.follow(patience, &mut Gateways::new(State::of_user()?)))
}

struct Watch {
    handler: Name,
    to: Vec<Target>,
    server: Server,
    until: Option<Instant>,
    json: bool,
}

impl Watch {
    async fn follow(&self, patience: Duration, gateways: &mut Gateways) -> Result<(), Failure> {
        let lost = |why: String| unreachable(&self.server, &why);
        let mut link = Link::open(&self.server, &self.filters()).await.map_err(lost)?;
        let end_of_patience = Instant::now() + patience;
        let (mut is_known, mut due) = (false, Instant::now());
        loop {
            let now = Instant::now();
            if self.until.is_some_and(|until| now >= until) {
                self.last_word(&mut link, gateways).await?;
                link.close().await;
                return gateways.save();
            }
            if !is_known && now >= end_of_patience {
                return Err(self.unknown(patience));
            }
            if now >= due {
                self.ask(&mut link).await?;
                due = now + AGAIN;
            }
            let next = self.until.map_or(due, |until| until.min(due));
            let next = if is_known { next } else { next.min(end_of_patience) };
            match timeout_at(next.into(), link.heard()).await {
                Ok(Heard::Message(message)) => {
                    is_known |= self.hear(&message, gateways, is_known)?
                }
                Ok(Heard::Acked(Ok(()))) | Err(_) => {}
                Ok(Heard::Acked(Err(why))) => return Err(refused(&self.server, &why)),
                Ok(Heard::Lost(why)) => return Err(lost(why)),
            }
        }
    }

    /// What was left out since the last line is said to whoever asks.
    async fn last_word(&self, link: &mut Link, gateways: &mut Gateways) -> Result<(), Failure> {
        self.ask(link).await?;
        let end = Instant::now() + LAST_WORD;
        while let Ok(Heard::Message(message)) = timeout_at(end.into(), link.heard()).await {
            self.hear(&message, gateways, true)?;
        }
        Ok(())
    }

    fn filters(&self) -> Vec<String> {
        let of = |target: &Target| match target {
            Target::Gateway(gateway) => gateway.to_string(),
            Target::Group(_) => "+".to_owned(),
        };
        let (handler, mut filters) = (&self.handler, Vec::new());
        for gateway in self.to.iter().map(of) {
            filters.push(key_filter(&gateway));
            filters.push(format!("{ROOT}{gateway}/handler/{handler}"));
            filters.push(format!("{ROOT}{gateway}/logs/{handler}"));
        }
        filters
    }

    /// For the lines, and how the handler does.
    async fn ask(&self, link: &mut Link) -> Result<(), Failure> {
        for target in &self.to {
            let handler = self.handler.clone();
            let topic = ControlTopic::Follow { target: target.clone(), handler };
            for topic in [topic.to_string(), format!("{ROOT}{target}/report")] {
                let sent = link.publish(&topic, false, Vec::new()).await;
                sent.map_err(|why| unreachable(&self.server, &why))?;
            }
        }
        Ok(())
    }

    /// True when a gateway says that it knows the handler.
    fn hear(
        &self,
        message: &Message,
        gateways: &mut Gateways,
        quiet: bool,
    ) -> Result<bool, Failure> {
        if let Ok(ControlTopic::Logs { gateway, .. }) = ControlTopic::parse(&message.topic) {
            if let Ok(line) = serde_json::from_slice::<Line>(&message.payload) {
                self.show(&gateway, &line);
            }
            return Ok(true);
        }
        let mut is_known = false;
        for told in gateways.hear(message, unix_s())? {
            match told {
                Told::Answer { answer, is_kept: false, .. } => {
                    if !quiet && !is_known {
                        let version = answer.version.unwrap_or_default();
                        eprintln!(
                            "{}: {} {version} is there; Ctrl-C ends",
                            answer.gateway, self.handler
                        );
                    }
                    is_known = true;
                }
                Told::OtherKey { gateway, key } => eprintln!("{}", gateways.advice(&gateway, &key)),
                Told::Answer { .. }
                | Told::Pinned { .. }
                | Told::Forged { .. }
                | Told::Replayed { .. }
                | Told::NoKey { .. }
                | Told::Report(_) => {}
            }
        }
        Ok(is_known)
    }

    fn show(&self, gateway: &Name, line: &Line) {
        let text = line.text.as_deref();
        if self.json {
            let level = text.map(|_| line.level);
            let shown = serde_json::json!({
                "gateway": gateway.as_str(), "handler": self.handler.as_str(), "ts_us": line.ts_us,
                "level": level, "text": text, "left_out": line.left_out,
            });
            println!("{shown}");
            return;
        }
        if line.left_out > 0 {
            println!("... {} lines were too many", line.left_out);
        }
        let Some(text) = text else {
            return;
        };
        let at = line.ts_us.map_or("--:--:--.---".to_owned(), clock);
        let level = LEVELS.get(usize::from(line.level)).copied().unwrap_or(LEVELS[0]);
        let text = plain(text);
        println!("{at} {gateway} {level:<5} {text}");
    }

    fn unknown(&self, patience: Duration) -> Failure {
        let to: Vec<String> = self.to.iter().map(Target::to_string).collect();
        Failure::silent(format!(
            "no gateway of {} has said within {} s that it knows {}; `tidegate status --to {}` lists what runs there",
            to.join(","),
            patience.as_secs(),
            self.handler,
            to.join(",")
        ))
    }
}

/// The time of day in UTC.
fn clock(unix_us: i64) -> String {
    let ms = unix_us.div_euclid(1000).rem_euclid(86_400_000);
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day() {
        assert_eq!(clock(1_700_000_000_123_456), "22:13:20.123");
        assert_eq!(clock(-1), "23:59:59.999");
    }
}
