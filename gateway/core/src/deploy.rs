//! The handlers that run here: what each is, what it has done, and whether the local side knows its triggers.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::job::{Event, EventOutcome, Failure, HandlerId, Verdict};
use crate::manifest::{Isolation, Manifest, React};
use crate::pins::PIN_TOPICS;
use crate::release::Figures;
use crate::releases::Spread;
use crate::topic::Filter;

/// What a handler has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerCounters {
    pub events: u64,
    pub failed: u64,
    /// Of the failed ones, those that missed their deadline.
    pub deadline_misses: u64,
    pub retried: u64,
    /// Failed without a run, because the handler was in quarantine.
    pub skipped: u64,
    pub publishes: u64,
    /// Pins set.
    pub pins: u64,
    pub fuel: u64,
}

#[derive(Debug)]
struct Handler {
    manifest: Arc<Manifest>,
    name: Arc<str>,
    /// Where its state is.
    table: Arc<str>,
    counters: HandlerCounters,
    spread: Spread,
    memory_kib: u32,
    checked: bool,
    subscribed: bool,
}

/// The time that so much fuel takes on this machine; 0 while its pace is not measured.
pub fn us(fuel: u64, fuel_per_ms: Option<u64>) -> u64 {
    fuel_per_ms.map_or(0, |pace| fuel.saturating_mul(1000).div_ceil(pace.max(1)))
}

/// All handlers by number.
#[derive(Debug, Default)]
pub struct Deployments {
    handlers: BTreeMap<HandlerId, Handler>,
}

impl Deployments {
    pub fn insert(&mut self, id: HandlerId, manifest: Arc<Manifest>) {
        let name: Arc<str> = Arc::from(manifest.name.as_str());
        let handler = Handler {
            manifest,
            table: Arc::clone(&name),
            name,
            counters: HandlerCounters::default(),
            spread: Spread::default(),
            memory_kib: 0,
            checked: false,
            subscribed: false,
        };
        self.handlers.insert(id, handler);
    }

    /// What a handler's version has done so far. `fuel_per_ms` is the machine's pace; none: not measured yet.
    pub fn figures(&self, id: HandlerId, fuel_per_ms: Option<u64>) -> Figures {
        let Some(handler) = self.handlers.get(&id) else {
            return Figures::default();
        };
        Figures {
            events: handler.counters.events,
            failed: handler.counters.failed - handler.counters.deadline_misses,
            deadline_misses: handler.counters.deadline_misses,
            fuel: handler.counters.fuel,
            p99_us: us(handler.spread.p99(), fuel_per_ms),
            memory_kib: handler.memory_kib,
        }
    }

    pub fn has_name(&self, name: &str) -> bool {
        self.handlers.values().any(|handler| &*handler.name == name)
    }

    pub fn remove(&mut self, id: HandlerId) {
        self.handlers.remove(&id);
    }

    /// The module has been loaded, and runs with the state in this table.
    pub fn check(&mut self, id: HandlerId, table: Arc<str>) {
        if let Some(handler) = self.handlers.get_mut(&id) {
            (handler.checked, handler.table) = (true, table);
        }
    }

    pub fn name(&self, id: HandlerId) -> Option<&Arc<str>> {
        self.handlers.get(&id).map(|handler| &handler.name)
    }

    /// The table of its state.
    pub fn table(&self, id: HandlerId) -> Option<&Arc<str>> {
        self.handlers.get(&id).map(|handler| &handler.table)
    }

    pub fn react(&self, id: HandlerId) -> React {
        self.handlers.get(&id).map(|handler| handler.manifest.react).unwrap_or_default()
    }

    /// Whether the handler's memory lives on from one event to the next.
    pub fn lives_on(&self, id: HandlerId) -> bool {
        let isolation = self.handlers.get(&id).map(|handler| handler.manifest.isolation);
        isolation == Some(Isolation::Instance)
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
                // Pins are our own: no broker brings them.
                let triggers = handler.manifest.triggers.iter();
                let triggers = triggers.filter(|filter| !filter.as_str().starts_with(PIN_TOPICS));
                filters.extend(triggers.map(|filter| (*id, filter.clone())));
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
        let is_late = matches!(result.verdict, Verdict::Failed(Failure::Deadline));
        counters.deadline_misses += u64::from(is_late);
        counters.publishes += result.publishes.len() as u64;
        counters.pins += result.pins.len() as u64;
        counters.fuel += result.fuel_used;
        handler.spread.count(result.fuel_used);
        handler.memory_kib = handler.memory_kib.max(result.memory_kib);
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
