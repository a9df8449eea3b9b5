//! The start: what the registry knows runs again, before or instead of what is configured.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::starts::Starts;
use super::{Ask, Doing, Releases, TRIES_MAX, Then, Why};
use crate::job::HandlerId;
use crate::manifest::Manifest;
use crate::planted::{Bug, planted};
use crate::release::{Decision, Refusal, Registered, RegisteredHandler, Stage, Version};
use crate::releases::row::RowPhase;

/// The key of the row of starts: no handler can be named so.
pub const STARTS: &str = "!starts";

/// What is to be done with a handler of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configured {
    /// When it is to run.
    Runs,
    /// When a pushed release runs in its place, or it was removed.
    Waits,
}

impl Releases {
    /// Begins with what was durable. Handlers of the configuration come behind it.
    pub fn handle_registered(&mut self, registered: Registered) {
        (self.version, self.durable) = (registered.version, registered.version);
        let starts =
            Starts::next(registered.starts.as_deref(), registered.boot, registered.uptime_ms);
        self.safe = registered.restarts_max > 0 && starts.count >= registered.restarts_max;
        if registered.restarts_max > 0 {
            self.starts = Some(starts);
            self.record_starts(starts);
        }
        if self.safe {
            self.note(Decision::SafeMode);
        }
        for handler in registered.handlers {
            self.start(handler);
        }
    }

    /// The daemon stops in good order.
    pub fn handle_stop(&mut self) {
        if let Some(starts) = self.starts.take() {
            self.record_starts(starts.stopped());
        }
    }

    fn record_starts(&mut self, starts: Starts) {
        self.version += 1;
        let (key, row) = (Arc::from(STARTS), starts.encode());
        self.asks.push_back(Ask::Record { key, row, version: self.version });
    }

    fn start(&mut self, registered: RegisteredHandler) {
        let RegisteredHandler { name, row, running, previous } = registered;
        let handler = self.id_of(&name);
        let Some(entry) = self.names.get_mut(&name) else {
            return;
        };
        entry.row = Some(row.clone());
        entry.previous = previous;
        let highest = Some(row.highest);
        if self.safe {
            entry.running = None;
            return self.say(&name, highest, String::new(), Stage::SafeMode);
        }
        let Some(digest) = row.running else {
            let stage = match row.phase {
                RowPhase::Removed => Stage::Removed,
                RowPhase::None | RowPhase::Active | RowPhase::Probation | RowPhase::Rejected => {
                    Stage::Rejected(Refusal::new("refused-before", "refused before this start"))
                }
            };
            return self.say(&name, highest, String::new(), stage);
        };
        let Some(release) = running else {
            // Its files are gone or damaged: the one before, or what is configured, must do.
            entry.row = Some({
                let mut row = row;
                row.running = row.previous.take();
                row.tables.0 = row.tables.1;
                row.tries = 0;
                row.phase = if row.running.is_some() { RowPhase::Active } else { RowPhase::None };
                row
            });
            let fallback = entry.previous.take().map(Version::Pushed);
            self.record(&name);
            let text =
                format!("the files of the release {digest} are damaged or missing; push it again");
            let refusal = Refusal::new("damaged", text);
            let (handler_name, code) = (Arc::clone(&name), refusal.code.clone());
            self.note(Decision::Refused { handler: handler_name, digest, code });
            self.say(&name, highest, String::new(), Stage::Rejected(refusal));
            if let Some(version) = fallback {
                self.asks.push_back(Ask::Place { handler, version: version.clone() });
                self.load(&name, version, Why::Started { on_trial: false });
            }
            return;
        };
        let version = Version::Pushed(Arc::clone(&release));
        self.asks.push_back(Ask::Place { handler, version: version.clone() });
        if row.phase != RowPhase::Probation {
            return self.load(&name, version, Why::Started { on_trial: false });
        }
        if row.tries >= TRIES_MAX {
            let text =
                format!("the gateway went down {} times while it was on probation", row.tries);
            return self.take_back(&name, Some(version), Refusal::new("restarts", text), None);
        }
        if let Some(row) = &mut entry.row
            && !planted(Bug::TriesNotCounted)
        {
            row.tries += 1;
        }
        let record = self.record(&name);
        if let Some(entry) = self.names.get_mut(&name) {
            entry.doing = Doing::Recording { record, then: Then::Load(version) };
        }
    }

    /// A handler of the configuration is there.
    pub fn handle_configured(
        &mut self,
        id: HandlerId,
        manifest: &Arc<Manifest>,
    ) -> (HandlerId, Configured) {
        let name: Arc<str> = Arc::from(manifest.name.as_str());
        if !self.names.contains_key(&name) {
            self.insert(Arc::clone(&name), id);
        }
        let Some(entry) = self.names.get_mut(&name) else {
            return (id, Configured::Waits);
        };
        entry.configured = Some(Arc::clone(manifest));
        let (id, version) = (entry.id, Version::Configured(Arc::clone(manifest)));
        let is_removed = entry.row.as_ref().is_some_and(|row| row.phase == RowPhase::Removed);
        let is_idle = matches!(entry.doing, Doing::Nothing);
        if self.safe {
            self.say_of(&name, &version, Stage::SafeMode);
            return (id, Configured::Waits);
        }
        if is_removed || !is_idle {
            return (id, Configured::Waits);
        }
        self.load(&name, version, Why::Started { on_trial: false });
        (id, Configured::Runs)
    }
}
