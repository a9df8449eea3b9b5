//! The release desk: examines control messages, keeps what was pushed, and signs answers, without threads or waiting.
//! The driver's thread works with it, and so does the simulation.
//!
//! Nothing of a message is believed before its signatures are checked. What follows from an order is the core's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use tidegate_core::limits::Caps;
use tidegate_core::pins::Pins;
use tidegate_core::release::{self as core, ExamineId, Examined, Refusal, Settled};
use tidegate_core::topic::Topic;
use tidegate_core::{Input, Timestamp};
use tidegate_release::audit::What as Noted;
use tidegate_release::chunks::Reassembly;
use tidegate_release::hash::{Digest, digest_of};
use tidegate_release::manifest::{Blob, Install, What};
use tidegate_release::name::Name;
use tidegate_release::open::{self, Me, Opened};
use tidegate_release::topics::ControlTopic;
use tidegate_release::trust::Trust;
use tracing::{error, warn};

mod answers;
mod audit;
mod drive;
mod files;
mod identity;
mod judging;
mod known;
mod manifest;
mod signing;
mod transfer;
mod trust;

pub use audit::{Audit, When};
pub use drive::{Drive, RealDrive};
pub use files::{Files, recall};
pub use identity::Identity;
use known::Known;
pub use manifest::release;

/// Releases that wait for chunks. One more replaces the one that has waited longest; whoever pushed it hears
/// `checking` again when it sends again.
const WANTED_MAX: usize = 3;

/// Orders of one handler that were accepted and that the core is not done with. One more, and the files of the oldest may go:
/// whoever pushes so many at once hears that it does not load.
const ACCEPTED_MAX: usize = 8;

/// What the desk is asked.
#[derive(Debug)]
pub enum ToReleases {
    Examine { id: ExamineId, topic: Topic, payload: Arc<[u8]> },
    Sign { answer: core::Answer, tries: u8 },
    Report(core::GatewayReport),
    Note(core::Decision),
    Settle(Settled),
}

/// A good release, some of whose bytes are missing.
#[derive(Debug)]
struct Wanted {
    opened: Opened,
    envelope: Arc<[u8]>,
    blobs: Vec<Blob>,
}

/// The desk.
pub struct Desk {
    files: Files,
    identity: Identity,
    audit: Audit,
    /// When the desk was asked last.
    when: When,
    caps: Caps,
    pins: Arc<Pins>,
    trust: Option<Trust>,
    gateway: Name,
    groups: BTreeSet<Name>,
    known: BTreeMap<Name, Known>,
    /// Oldest first.
    wanted: VecDeque<Wanted>,
    staged: BTreeMap<Digest, Reassembly>,
    said: VecDeque<Input>,
    /// Warnings that whoever sends us things could repeat.
    warnings: u64,
}

/// Who a gateway is and what it allows.
#[derive(Clone, Debug)]
pub struct Setting {
    pub gateway: Name,
    pub groups: BTreeSet<Name>,
    pub caps: Caps,
    pub pins: Arc<Pins>,
    /// As it was installed by hand or came later; none: nothing is accepted.
    pub trust: Option<Trust>,
}

impl Desk {
    pub fn new(files: Files, identity: Identity, audit: Audit, setting: Setting) -> Desk {
        let Setting { gateway, groups, caps, pins, trust } = setting;
        Desk {
            files,
            identity,
            audit,
            when: When::default(),
            caps,
            pins,
            trust,
            gateway,
            groups,
            known: BTreeMap::new(),
            wanted: VecDeque::new(),
            staged: BTreeMap::new(),
            said: VecDeque::new(),
            warnings: 0,
        }
    }

    /// Goes on with what had come before the power went. Once, when all handlers are known.
    pub fn resume(&mut self, when: When) {
        self.when = when;
        if let Some(trust) = &self.trust {
            let (version, key_epoch) = (trust.version(), trust.key_epoch());
            self.audit.note_trust(when, version, key_epoch, trust.file());
        }
        for digest in self.files.releases() {
            if self.is_kept(digest) {
                continue;
            }
            match self.files.release(digest) {
                Ok(envelope) => {
                    let examined = self.examine_release(None, &envelope);
                    self.say(ExamineId(0), examined);
                }
                Err(error) => warn!(%error, "a release that had come cannot be read"),
            }
        }
        self.tidy();
        if self.trust.is_some() {
            self.introduce();
        }
    }

    /// Says, retained, with which key our answers are signed. Whoever pushes pins it the first time.
    fn introduce(&mut self) {
        let topic = format!("{}{}/key", tidegate_release::topics::ROOT, self.gateway);
        match Topic::new(&topic) {
            Ok(topic) => {
                let payload = self.identity.key().public().to_file().into_bytes().into();
                self.said.push_back(Input::Signed { topic, payload, retain: true });
            }
            Err(error) => error!(%error, "our key has no topic"),
        }
    }

    /// The next thing for the hub to hear.
    pub fn poll_said(&mut self) -> Option<Input> {
        self.said.pop_front()
    }

    pub fn take(&mut self, when: When, what: ToReleases) {
        self.when = when;
        match what {
            ToReleases::Examine { id, topic, payload } => {
                let examined = self.examine(topic.as_str(), &payload);
                if let Examined::Refused { handler, refusal } = &examined {
                    let handler = handler.as_ref().and_then(|name| Name::new(name).ok());
                    self.note_refused(handler, &payload, &refusal.code);
                }
                self.say(id, examined);
            }
            ToReleases::Sign { answer, tries } => self.sign(answer, tries),
            ToReleases::Report(report) => self.sign_report(&report),
            ToReleases::Note(decision) => {
                if let Some(what) = audit::decided(&decision) {
                    self.audit.note(when, what);
                }
            }
            ToReleases::Settle(settled) => self.settle(&settled),
        }
    }

    fn note_refused(&mut self, handler: Option<Name>, bytes: &[u8], code: &str) {
        let (digest, code) = (digest_of(bytes), code.to_owned());
        self.audit.note_refused(self.when, Noted::Refused { handler, digest, code });
    }

    fn note_accepted(&mut self, opened: &Opened) {
        let order = &opened.order;
        let version = match &order.what {
            What::Install(install) => Some(install.version.clone()),
            What::Remove | What::Invoke(_) => None,
        };
        let (handler, rank) = (order.handler.clone(), order.rank);
        let (digest, signers) = (opened.digest, opened.signers.clone());
        self.audit.note(self.when, Noted::Accepted { handler, rank, digest, version, signers });
    }

    /// When [`Desk::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.audit.poll_timeout()
    }

    pub fn handle_timeout(&mut self, when: When) {
        self.audit.handle_timeout(when);
    }

    /// The daemon stops.
    pub fn stop(&mut self, when: When) {
        self.audit.stop(when);
    }

    /// Whether one more warning is worth a line: the first ones, then fewer and fewer.
    fn may_warn(&mut self) -> bool {
        self.warnings += 1;
        self.warnings <= 20 || self.warnings.is_power_of_two()
    }

    fn say(&mut self, id: ExamineId, examined: Examined) {
        let is_news = !matches!(examined, Examined::Nothing) || id != ExamineId(0);
        if is_news {
            self.said.push_back(Input::Examined { id, examined });
        }
    }

    fn examine(&mut self, topic: &str, payload: &Arc<[u8]>) -> Examined {
        if topic.strip_prefix(tidegate_release::topics::ROOT).is_some_and(|rest| {
            rest.strip_suffix("/report").is_some_and(|target| !target.contains('/'))
        }) {
            return Examined::Asked;
        }
        match ControlTopic::parse(topic) {
            Ok(ControlTopic::Blob { digest, n }) => self.take_chunk(digest, n, payload),
            // An empty retained message takes the one before away; it orders nothing.
            Ok(ControlTopic::Release { .. }) if payload.is_empty() => Examined::Nothing,
            Ok(ControlTopic::Release { handler, .. }) => {
                self.examine_release(Some(&handler), payload)
            }
            Ok(ControlTopic::Trust { .. }) if payload.is_empty() => Examined::Nothing,
            Ok(ControlTopic::Trust { .. }) => self.take_trust(payload),
            Ok(ControlTopic::Invoke { handler, .. }) => {
                self.examine_release(Some(&handler), payload)
            }
            Ok(
                ControlTopic::Answer { .. }
                | ControlTopic::Invoked { .. }
                | ControlTopic::Follow { .. }
                | ControlTopic::Logs { .. }
                | ControlTopic::Gateway { .. },
            )
            | Err(_) => Examined::Nothing,
        }
    }

    /// `named` is the handler in the topic: whom to answer, and nothing more.
    fn examine_release(&mut self, named: Option<&Name>, envelope: &Arc<[u8]>) -> Examined {
        let Some(trust) = &self.trust else {
            let refusal = Refusal::new(
                "no-trust",
                "this gateway trusts nobody: give it a trust file ([trust] file in gateway.toml)",
            );
            return refused(named, refusal);
        };
        let fleet = trust.fleet().clone();
        let me = Me { gateway: self.gateway.clone(), groups: self.groups.clone(), fleet };
        match open::open(envelope, trust, &me) {
            Ok(opened) => self.judge(opened, envelope),
            Err(error) => refused(named, Refusal::new(error.code(), error.to_string())),
        }
    }

    fn settle(&mut self, settled: &Settled) {
        let Ok(handler) = Name::new(&settled.handler) else {
            return;
        };
        let known = self.known.entry(handler).or_default();
        known.keep = settled.keep.iter().map(|digest| Digest(digest.0)).collect();
        if let Some(at) = known.accepted.iter().position(|digest| digest.0 == settled.order.0) {
            known.accepted.drain(..=at);
        }
        self.tidy();
    }

    fn is_kept(&self, digest: Digest) -> bool {
        self.known.values().any(|known| known.keep.contains(&digest))
    }

    /// Removes files that nothing refers to.
    fn tidy(&mut self) {
        let mut releases: BTreeSet<Digest> =
            self.wanted.iter().map(|wanted| wanted.opened.digest).collect();
        let needed = |known: &Known| [&known.keep[..], &known.accepted].concat();
        releases.extend(self.known.values().flat_map(needed));
        // An order that is being followed: its row is not durable yet.
        releases.extend(self.known.values().filter_map(|known| Some(known.ratchet?.digest)));
        let mut blobs: BTreeSet<Digest> = self.staged.keys().copied().collect();
        for digest in &releases {
            if let Ok(envelope) = self.files.release(*digest)
                && let Some(opened) = files::recall(&envelope, *digest)
                && let What::Install(install) = &opened.order.what
            {
                blobs.extend(self::blobs(install).map(|blob| blob.digest));
            }
        }
        self.files.tidy(&releases, &blobs);
    }
}

/// Every blob of an install.
fn blobs(install: &Install) -> impl Iterator<Item = Blob> {
    [install.module].into_iter().chain(install.golden)
}

fn refused(handler: Option<&Name>, refusal: Refusal) -> Examined {
    Examined::Refused { handler: handler.map(|name| name.as_str().into()), refusal }
}

fn cannot_write(handler: &Name, error: &io::Error) -> Examined {
    let text =
        format!("the gateway cannot write it down: {error}; push again when its disk is well");
    refused(Some(handler), Refusal::new("disk", text))
}

#[cfg(test)]
mod tests;
