//! What is said about handlers, and when an order is done with.

use alloc::string::String;
use alloc::sync::Arc;

use super::{ASKED_MS, Ask, Doing, Entry, Releases};
use crate::release::{Answer, Decision, Digest, Figures, Rank, Refusal, Release};
use crate::release::{Settled, Stage, Version};
use crate::time::Timestamp;

impl Releases {
    pub(super) fn say_of(&mut self, name: &Arc<str>, version: &Version, stage: Stage) {
        let release = match version {
            Version::Pushed(release) => Some((release.rank, release.digest)),
            Version::Configured(_) => None,
        };
        self.say(name, release, version.manifest().version.clone(), stage);
    }

    pub(super) fn say(
        &mut self,
        name: &Arc<str>,
        release: Option<(Rank, Digest)>,
        version: String,
        stage: Stage,
    ) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        let handler = Arc::clone(name);
        let answer = Answer { handler, release, version, stage, figures: Figures::default() };
        entry.said = Some(answer.clone());
        self.asks.push_back(Ask::Answer { handler: Some(entry.id), answer, is_news: true });
    }

    /// For the audit log.
    pub fn note(&mut self, decision: Decision) {
        self.asks.push_back(Ask::Note(decision));
    }

    pub(super) fn note_taken_back(
        &mut self,
        name: &Arc<str>,
        broken: &Release,
        to: Option<Digest>,
        refusal: &Refusal,
    ) {
        let (handler, code) = (Arc::clone(name), refusal.code.clone());
        self.note(Decision::RolledBack { handler, digest: broken.digest, to, code });
    }

    /// Whatever was under way is done: files may go, and the next order has its turn.
    pub(super) fn settle(&mut self, name: &Arc<str>) {
        let Some(entry) = self.names.get_mut(name) else {
            return;
        };
        entry.is_unsettled = true;
        if matches!(entry.doing, Doing::Nothing)
            && let Some(order) = entry.next.take()
        {
            self.follow(name, order);
        }
        self.tell_settled(name);
    }

    /// Files may go, once no start goes by a row that names them.
    pub(super) fn tell_settled(&mut self, name: &Arc<str>) {
        let durable = self.durable;
        let entry = self.names.get_mut(name);
        let Some(entry) = entry.filter(|entry| entry.recorded <= durable) else {
            return;
        };
        if core::mem::take(&mut entry.is_unsettled)
            && let Some(row) = &entry.row
        {
            let (handler, order) = (Arc::clone(name), row.highest.1);
            self.asks.push_back(Ask::Settle(Settled { handler, order, keep: entry.keep() }));
        }
    }

    /// Says something about a handler whose release did not come as far as an order.
    pub fn answer(&mut self, name: Arc<str>, release: Option<(Rank, Digest)>, stage: Stage) {
        let handler = self.names.get(&name).map(|entry| entry.id);
        let (version, figures) = (String::new(), Figures::default());
        let answer = Answer { handler: name, release, version, stage, figures };
        self.asks.push_back(Ask::Answer { handler, answer, is_news: true });
    }

    /// Says again what was said last.
    pub fn handle_again(&mut self, now: Timestamp, name: &Arc<str>) {
        let Some(entry) = self.names.get(name) else {
            return;
        };
        if let Some(answer) = self.current(entry, now) {
            self.asks.push_back(Ask::Answer { handler: Some(entry.id), answer, is_news: false });
        }
    }

    /// Somebody wants to know how all handlers do. False: it was said just now.
    pub fn handle_asked(&mut self, now: Timestamp) -> bool {
        let wait = core::time::Duration::from_millis(ASKED_MS);
        if self.asked_at.is_some_and(|at| now < at.after(wait)) {
            return false;
        }
        self.asked_at = Some(now);
        let answers: alloc::vec::Vec<_> = self
            .names
            .values()
            .filter_map(|entry| Some((entry.id, self.current(entry, now)?)))
            .collect();
        for (handler, answer) in answers {
            self.asks.push_back(Ask::Answer { handler: Some(handler), answer, is_news: false });
        }
        true
    }

    /// What was said last, with what is left of a probation now.
    fn current(&self, entry: &Entry, now: Timestamp) -> Option<Answer> {
        let mut answer = entry.said.clone()?;
        if let (Some(trial), Stage::Probation { events_left, left_ms, .. }) =
            (self.trials.get(&entry.id), &mut answer.stage)
        {
            (*events_left, *left_ms) = (trial.events_left(), trial.left_ms(now));
        }
        Some(answer)
    }
}
