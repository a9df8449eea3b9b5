//! The broker's side of a push: what is there already, sending, and listening until it is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidegate_release::answer::Answer;
use tidegate_release::chunks::split;
use tidegate_release::hash::digest_of;
use tidegate_release::manifest::Target;
use tidegate_release::open::{Verified, verify};
use tidegate_release::topics::{ControlTopic, ROOT};
use tidegate_release::trust::Trust;
use tidegate_release::{Digest, Name, PublicKey, Rank};
use tokio::time::{sleep, timeout_at};

use super::course::{At, Course};
use super::gateways::{Gateways, Told, key_filter};
use super::{refused, targets, unreachable};
use crate::broker::{Heard, Link, Message, Server};
use crate::failure::Failure;
use crate::state::State;

/// Gateways that are there answer a question within this; those that are not have said something before.
const LOOK_WAIT: Duration = Duration::from_secs(2);
/// What a broker had kept comes in one go.
const QUIET: Duration = Duration::from_millis(60);
/// How often the course is asked what is due.
const TICK: Duration = Duration::from_millis(100);
const RECONNECT_WAIT: Duration = Duration::from_millis(500);

/// What happens, for a person to see.
#[derive(Debug)]
pub enum News<'a> {
    /// When everything is on its way.
    Sending { chunks: usize, bytes: usize, keeps: bool },
    /// When a gateway is further.
    Gateway { gateway: &'a Name, at: &'a At },
    /// When a gateway's key was seen first.
    Pinned { gateway: &'a Name, key: &'a PublicKey },
    /// Whatever else a person should know.
    Note(String),
}

/// Hears of news.
pub type Tell<'a> = &'a mut dyn FnMut(News<'_>);

/// A signed order and what travels beside it.
#[derive(Debug)]
pub struct Outgoing<'a> {
    pub envelope: &'a [u8],
    pub release: (Rank, Digest),
    pub blobs: &'a [Vec<u8>],
}

/// One handler of some gateways, over a broker.
pub struct Session {
    server: Server,
    link: Link,
    handler: Name,
    targets: Vec<Target>,
    gateways: Gateways,
    /// The newest order for each target that the broker has kept, when the trust file says that it is good.
    pub kept: BTreeMap<Target, Verified>,
    /// What each gateway said last.
    pub answers: BTreeMap<Name, Answer>,
    trust: Trust,
    other_keys: Vec<Name>,
    no_keys: Vec<Name>,
    replayed: Vec<Name>,
}

impl Session {
    /// Connects, and gathers what is known of the handler.
    ///
    /// # Errors
    /// When the broker cannot be reached or used.
    pub async fn open(
        server: &Server,
        state: &State,
        handler: &Name,
        targets: &[Target],
        trust: &Trust,
        by_hand: Option<(&Name, PublicKey)>,
        tell: Tell<'_>,
    ) -> Result<Session, Failure> {
        let mut gateways = Gateways::new(state.clone());
        if let Some((gateway, key)) = by_hand {
            gateways.pin(gateway, key)?;
        }
        let link = Link::open(server, &filters(handler, targets))
            .await
            .map_err(|why| unreachable(server, &why))?;
        let mut session = Session {
            server: server.clone(),
            link,
            handler: handler.clone(),
            targets: targets.to_vec(),
            gateways,
            kept: BTreeMap::new(),
            answers: BTreeMap::new(),
            trust: trust.clone(),
            other_keys: Vec::new(),
            no_keys: Vec::new(),
            replayed: Vec::new(),
        };
        session.look(tell).await?;
        Ok(session)
    }

    /// Asks how things are, and hears what the broker has kept.
    async fn look(&mut self, tell: Tell<'_>) -> Result<(), Failure> {
        let end = Instant::now() + LOOK_WAIT;
        self.ask().await?;
        let mut quiet = None;
        loop {
            let until = quiet.unwrap_or(end).min(end);
            match timeout_at(until.into(), self.link.heard()).await {
                Ok(Heard::Message(message)) => {
                    self.hear(&message, None, tell)?;
                    quiet = quiet.map(|_| Instant::now() + QUIET);
                }
                Ok(Heard::Acked(Ok(()))) if self.link.unacked() > 0 => {}
                Ok(Heard::Acked(Ok(()))) => quiet = Some(Instant::now() + QUIET),
                Ok(Heard::Acked(Err(why))) => return Err(refused(&self.server, &why)),
                Ok(Heard::Lost(why)) => return Err(unreachable(&self.server, &why)),
                Err(_) => return Ok(()),
            }
        }
    }

    /// Every gateway of the targets says again how it is.
    async fn ask(&mut self) -> Result<(), Failure> {
        for target in &self.targets {
            let topic = format!("{ROOT}{target}/report");
            let sent = self.link.publish(&topic, false, Vec::new());
            sent.await.map_err(|why| unreachable(&self.server, &why))?;
        }
        Ok(())
    }

    /// Every rank that is known to be used for the handler.
    pub fn ranks(&self) -> impl Iterator<Item = Rank> + '_ {
        let kept = self.kept.values().map(|verified| verified.order().rank);
        let answered = self.answers.values().filter_map(|answer| Some(answer.release?.0));
        kept.chain(answered)
    }

    /// Sends an order and its bytes; waits until it is over, or until the broker has all when nobody wants to wait.
    ///
    /// # Errors
    /// When the broker refuses something, or cannot be reached any more.
    pub async fn send(
        &mut self,
        outgoing: &Outgoing<'_>,
        silence: Duration,
        wait: bool,
        tell: Tell<'_>,
    ) -> Result<Course, Failure> {
        self.send_all(outgoing, tell).await?;
        let named: Vec<Name> = targets::gateways(&self.targets).cloned().collect();
        let has_groups = named.len() < self.targets.len();
        let mut course = Course::new(outgoing.release, named, has_groups, silence, Instant::now());
        if !wait {
            super::settle(&mut self.link, &self.server).await?;
            return Ok(course);
        }
        while !course.is_over(Instant::now()) {
            let next = (Instant::now() + TICK).into();
            match timeout_at(next, self.link.heard()).await {
                Ok(Heard::Message(message)) => self.hear(&message, Some(&mut course), tell)?,
                Ok(Heard::Acked(Ok(()))) => {}
                Ok(Heard::Acked(Err(why))) => return Err(refused(&self.server, &why)),
                Ok(Heard::Lost(why)) => {
                    tell(News::Note(format!("the connection was lost ({why}); sending again")));
                    self.reconnect(&course).await?;
                    self.send_all(outgoing, tell).await?;
                    course.handle_sent_again(Instant::now());
                }
                Err(_) => {}
            }
            let now = Instant::now();
            if course.poll_chunks(now) && self.link.unacked() == 0 {
                self.send_chunks(outgoing).await?;
            }
            if course.poll_ask(now) {
                self.ask().await?;
            }
        }
        Ok(course)
    }

    /// As long as somebody may still answer, the broker is tried again.
    async fn reconnect(&mut self, course: &Course) -> Result<(), Failure> {
        let filters = filters(&self.handler, &self.targets);
        loop {
            match Link::open(&self.server, &filters).await {
                Ok(link) => {
                    self.link = link;
                    return Ok(());
                }
                Err(why) if course.is_over(Instant::now()) => {
                    return Err(unreachable(&self.server, &why));
                }
                Err(_) => sleep(RECONNECT_WAIT).await,
            }
        }
    }

    /// The order first: a gateway takes chunks only for one that it has verified.
    async fn send_all(&mut self, outgoing: &Outgoing<'_>, tell: Tell<'_>) -> Result<(), Failure> {
        let (keeps, server) = (self.link.keeps, &self.server);
        for target in &self.targets {
            let topic =
                ControlTopic::Release { target: target.clone(), handler: self.handler.clone() };
            let topic = topic.to_string();
            let sent = self.link.publish(&topic, keeps, outgoing.envelope.to_vec());
            sent.await.map_err(|why| unreachable(server, &why))?;
        }
        let chunks: usize = outgoing.blobs.iter().map(|blob| split(blob).len()).sum();
        let bytes = outgoing.blobs.iter().map(Vec::len).sum();
        tell(News::Sending { chunks, bytes, keeps });
        self.send_chunks(outgoing).await
    }

    async fn send_chunks(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Failure> {
        let (keeps, server) = (self.link.keeps, &self.server);
        for blob in outgoing.blobs {
            let digest = digest_of(blob);
            for (n, chunk) in (0..).zip(split(blob)) {
                let topic = ControlTopic::Blob { digest, n }.to_string();
                if topic.len() + chunk.len() + 64 > self.link.packet_bytes_max as usize {
                    return Err(Failure::failed(format!(
                        "{} takes no packets of {} bytes, which a chunk has; let it take 128 KiB",
                        server.name(),
                        chunk.len() + 64
                    )));
                }
                let sent = self.link.publish(&topic, keeps, chunk.to_vec()).await;
                sent.map_err(|why| unreachable(server, &why))?;
            }
        }
        Ok(())
    }

    fn hear(
        &mut self,
        message: &Message,
        mut course: Option<&mut Course>,
        tell: Tell<'_>,
    ) -> Result<(), Failure> {
        if let Ok(ControlTopic::Release { target, .. }) = ControlTopic::parse(&message.topic) {
            // What is not good under the trust file says nothing, whoever put it there.
            if let Ok(verified) = verify(&message.payload, &self.trust) {
                self.kept.insert(target, verified);
            }
            return Ok(());
        }
        for told in self.gateways.hear(message, unix_s())? {
            match told {
                Told::Answer { answer, is_kept, .. } => {
                    if answer.handler != self.handler {
                        continue;
                    }
                    if let Some(course) = course.as_deref_mut()
                        && let Some(at) = course.handle_answer(Instant::now(), &answer, is_kept)
                    {
                        tell(News::Gateway { gateway: &answer.gateway, at });
                    }
                    self.answers.insert(answer.gateway.clone(), answer);
                }
                Told::Pinned { gateway, key } => {
                    tell(News::Pinned { gateway: &gateway, key: &key })
                }
                Told::OtherKey { gateway, key } => {
                    if !self.other_keys.contains(&gateway) {
                        tell(News::Note(self.gateways.advice(&gateway, &key)));
                        self.other_keys.push(gateway);
                    }
                }
                Told::Forged { gateway } => tell(News::Note(format!(
                    "an answer that is not signed with the key of {gateway} was passed over"
                ))),
                Told::Replayed { gateway } => {
                    if !self.replayed.contains(&gateway) {
                        tell(News::Note(format!(
                            "an answer of {gateway} that is older than one heard before was passed over"
                        )));
                        self.replayed.push(gateway);
                    }
                }
                Told::Report(_) => {}
                Told::NoKey { gateway } => {
                    if !self.no_keys.contains(&gateway) {
                        self.no_keys.push(gateway);
                    }
                }
            }
        }
        Ok(())
    }

    /// Why nothing is known of a gateway, as far as that can be told.
    pub fn why_silent(&self, gateway: &Name) -> String {
        if self.other_keys.contains(gateway) {
            return "it shows another key than the one known here, so its answers do not count"
                .to_owned();
        }
        if self.replayed.contains(gateway) {
            return format!(
                "its answers are older than ones that were heard before, so they do not count: the broker repeats \
                 them, or the gateway has lost its gateway.counter; in the second case remove {}",
                self.gateways.seen_file(gateway)
            );
        }
        if self.gateways.has_key(gateway) {
            return match self.answers.get(gateway) {
                Some(answer) => format!(
                    "its key is known, and its last answer was {}{}; the order is kept for it, if the broker keeps \
                     messages",
                    answer.stage.name(),
                    answer.version.as_ref().map(|v| format!(" (version {v})")).unwrap_or_default()
                ),
                None => "its key is known, and it has said nothing about this handler; is it connected to this \
                         broker?"
                    .to_owned(),
            };
        }
        if self.no_keys.contains(gateway) {
            return "it answers, and its key is not known; take its gateway.pub and give --gateway-key FILE"
                .to_owned();
        }
        "its key was never seen here; is that its name ([gateway] id), and is it connected to this broker?".to_owned()
    }

    /// Says goodbye, and remembers how far the answers are.
    ///
    /// # Errors
    /// When that cannot be written.
    pub async fn close(mut self) -> Result<(), Failure> {
        self.link.close().await;
        self.gateways.save()
    }
}

/// Orders for the targets, and answers of their gateways. Who is in a group, nobody knows: all answers are heard.
fn filters(handler: &Name, targets: &[Target]) -> Vec<String> {
    let mut filters = Vec::new();
    for target in targets {
        filters.push(format!("{ROOT}{target}/release/{handler}"));
        if let Target::Gateway(gateway) = target {
            filters.push(key_filter(gateway.as_str()));
            filters.push(format!("{ROOT}{gateway}/handler/{handler}"));
        }
    }
    if targets.iter().any(|target| matches!(target, Target::Group(_))) {
        filters.push(key_filter("+"));
        filters.push(format!("{ROOT}+/handler/{handler}"));
    }
    filters
}

/// Seconds since 1970.
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
