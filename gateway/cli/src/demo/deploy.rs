//! The demo's fleet of one gateway, and pushes to it: by the code that `tidegate push` runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tidegate_config::BrokerUrl;
use tidegate_release::manifest::{Install, Target, What};
use tidegate_release::trust::{Content, Role, Trust};
use tidegate_release::{Name, SecretKey};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};

use super::child::GATEWAY;
use crate::broker::Server;
use crate::push::course::Phase;
use crate::push::package::Package;
use crate::push::session::{News, Outgoing, Session};
use crate::push::sign::{Signer, Wanted};
use crate::state::State;

/// Longer than either probation.
const SILENCE: Duration = Duration::from_secs(10);
/// A demo has no minute to spare; 20 events are a fifth of a second.
const PROBATION_EVENTS: u64 = 20;
const PROBATION_MS: u64 = 1_000;

/// A fleet with a key of its own, made anew for each demo.
pub struct Fleet {
    key: SecretKey,
    trust: Trust,
    state: State,
    /// For the gateway's configuration.
    pub trust_file: PathBuf,
}

impl Fleet {
    /// Makes a key and a trust file in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn new(folder: &Path) -> anyhow::Result<Fleet> {
        let key = SecretKey::random()?;
        let role = Role { keys: vec![key.public()], threshold: 1 };
        let content = Content {
            fleet: Name::new("demo")?,
            version: 1,
            key_epoch: 1,
            roots: role.clone(),
            release: role,
            revoked: BTreeSet::new(),
        };
        let trust = Trust::first(&content.sign(&[&key])?)?;
        let trust_file = folder.join("trust");
        fs::write(&trust_file, trust.file())
            .with_context(|| format!("cannot write {}", trust_file.display()))?;
        // The gateway has a new key each time, too.
        let state = folder.join("state");
        if state.exists() {
            fs::remove_dir_all(&state)
                .with_context(|| format!("cannot clear {}", state.display()))?;
        }
        Ok(Fleet { key, trust, state: State::at(state), trust_file })
    }

    /// Pushes, and returns how long it took until the gateway ran it. `running` hears when it does; the probation goes
    /// on then.
    async fn push(
        &self,
        port: u16,
        package: &Package,
        running: oneshot::Sender<()>,
    ) -> anyhow::Result<Duration> {
        let url = BrokerUrl { tls: false, host: "127.0.0.1".to_owned(), port };
        let server = Server { url, login: None, tls: None };
        let gateway = Name::new(GATEWAY)?;
        let targets = [Target::Gateway(gateway.clone())];
        let mut silent = |_: News<'_>| {};
        let handler = &package.handler;
        let mut session =
            Session::open(&server, &self.state, handler, &targets, &self.trust, None, &mut silent)
                .await?;
        let wanted = Wanted {
            what: What::Install(package.install.clone()),
            blobs: package.blobs.clone(),
            provenance: package.provenance.clone(),
        };
        let keys = std::slice::from_ref(&self.key);
        let signer = Signer { trust: &self.trust, keys, state: &self.state };
        let signed = signer.sign(handler, &targets, &wanted, session.ranks())?;
        let outgoing =
            Outgoing { envelope: &signed.envelope, release: signed.release, blobs: &wanted.blobs };
        let mut running = Some(running);
        let mut told = |news: News<'_>| {
            if let News::Gateway { at, .. } = news
                && at.took.is_some()
                && let Some(running) = running.take()
            {
                // Whoever waited for it may have ended.
                running.send(()).ok();
            }
        };
        let course = session.send(&outgoing, SILENCE, true, &mut told).await?;
        session.close().await?;
        match course.gateways().get(&gateway) {
            Some(at) if at.phase == Phase::Active => {
                at.took.context("the gateway runs it and never said since when")
            }
            Some(at) => bail!("the gateway does not run the pushed handler: {:?}", at.phase),
            None => bail!("the gateway says nothing about the pushed handler"),
        }
    }
}

/// A push that goes on beside the devices.
pub type Push = JoinHandle<anyhow::Result<Duration>>;

/// Starts a push; the second result hears when the gateway runs it.
pub fn start(fleet: &Rc<Fleet>, port: u16, package: Package) -> (Push, oneshot::Receiver<()>) {
    let (running, runs) = oneshot::channel();
    let fleet = Rc::clone(fleet);
    let push = spawn_local(async move { fleet.push(port, &package, running).await });
    (push, runs)
}

/// The handler as it is pushed first.
pub fn first(mut package: Package) -> Package {
    package.install.probation.events = PROBATION_EVENTS;
    package.install.probation.uptime_ms = PROBATION_MS;
    package
}

/// The same as another version, with another setting.
pub fn second(package: &Package) -> Package {
    let mut package = package.clone();
    let Install { version, settings, .. } = &mut package.install;
    version.push_str("-second");
    settings.insert("pushed".to_owned(), "live".to_owned());
    package
}

/// The middle of the times, in milliseconds.
pub fn median_ms(took: &[Duration]) -> f64 {
    let mut ms: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1000.0).collect();
    ms.sort_by(f64::total_cmp);
    let median = match ms.len() {
        0 => 0.0,
        len if len % 2 == 1 => ms[len / 2],
        len => f64::midpoint(ms[len / 2 - 1], ms[len / 2]),
    };
    (median * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let ms = |ms: &[u64]| {
            median_ms(&ms.iter().copied().map(Duration::from_millis).collect::<Vec<_>>())
        };
        assert_eq!(ms(&[]), 0.0);
        assert_eq!(ms(&[7]), 7.0);
        assert_eq!(ms(&[9, 2]), 5.5);
        assert_eq!(ms(&[9, 1, 2]), 2.0);
    }
}
