//! The handlers that run here: what each is, what it has done, and whether the local side knows its triggers.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::job::{Event, EventOutcome, HandlerId, Verdict};
use crate::manifest::{Manifest, React};
use crate::topic::Filter;

/// What a handler has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerCounters {
    pub events: u64,
    pub failed: u64,
    pub retried: u64,
    /// Failed without a run, because the handler was in quarantine.
    pub skipped: u64,
    pub publishes: u64,
    pub fuel: u64,
}

#[derive(Debug)]
struct Handler {
    manifest: Arc<Manifest>,
    name: Arc<str>,
    counters: HandlerCounters,
    checked: bool,
    subscribed: bool,
}

/// All handlers by number.
#[derive(Debug, Default)]
pub struct Deployments {
    handlers: BTreeMap<HandlerId, Handler>,
}

impl Deployments {
    pub fn insert(&mut self, id: HandlerId, manifest: Arc<Manifest>) {
        let name = Arc::from(manifest.name.as_str());
        let counters = HandlerCounters::default();
        self.handlers
            .insert(id, Handler { manifest, name, counters, checked: false, subscribed: false });
    }

    pub fn remove(&mut self, id: HandlerId) {
        self.handlers.remove(&id);
    }

    /// The module has been loaded.
    pub fn check(&mut self, id: HandlerId) {
        if let Some(handler) = self.handlers.get_mut(&id) {
            handler.checked = true;
        }
    }

    pub fn name(&self, id: HandlerId) -> Option<&Arc<str>> {
        self.handlers.get(&id).map(|handler| &handler.name)
    }

    pub fn react(&self, id: HandlerId) -> React {
        self.handlers.get(&id).map(|handler| handler.manifest.react).unwrap_or_default()
    }

    /// The name for a report. Handlers that are gone have none any more.
    pub fn told_name(&self, id: HandlerId) -> String {
        self.name(id).map(|name| String::from(&**name)).unwrap_or_default()
    }

    /// The local side has lost its memory of our subscriptions.
    pub fn forget_subscriptions(&mut self) {
        self.handlers.values_mut().for_each(|handler| handler.subscribed = false);
    }

    /// Triggers of checked handlers that the local side does not know; it is told now.
    pub fn take_unsubscribed(&mut self) -> Vec<(HandlerId, Filter)> {
        let mut filters = Vec::new();
        for (id, handler) in &mut self.handlers {
            if handler.checked && !handler.subscribed {
                handler.subscribed = true;
                filters
                    .extend(handler.manifest.triggers.iter().map(|filter| (*id, filter.clone())));
            }
        }
        filters
    }

    /// Counts one event that ran.
    pub fn count_event(&mut self, id: HandlerId, event: &Event, result: &EventOutcome) {
        let Some(handler) = self.handlers.get_mut(&id) else {
            return;
        };
        let counters = &mut handler.counters;
        counters.events += 1;
        counters.retried += u64::from(event.attempt > 0);
        counters.failed += u64::from(matches!(result.verdict, Verdict::Failed(_)));
        counters.publishes += result.publishes.len() as u64;
        counters.fuel += result.fuel_used;
    }

    /// Counts one event that did not run because of the quarantine.
    pub fn count_skipped(&mut self, id: HandlerId) {
        if let Some(handler) = self.handlers.get_mut(&id) {
            handler.counters.skipped += 1;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (HandlerId, &str, HandlerCounters)> {
        self.handlers.iter().map(|(id, handler)| (*id, &*handler.name, handler.counters))
    }
}
