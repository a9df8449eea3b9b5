//! State that is durable in the journal and not yet on the shelf: the newest of each key.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_core::commit::{StateChange, Value};

use crate::planted::{Bug, planted};
use crate::rows::{Table, Tables, value_row, version_row};
use crate::shelf::Rows;

/// Beside key and value, about.
const ENTRY_BYTES: usize = 96;

/// One handler's newest changes, each with the frame that first had it.
#[derive(Clone, Debug, Default)]
struct Pending {
    version: (u64, u64),
    changes: BTreeMap<Arc<[u8]>, (u64, Option<Value>)>,
}

/// The changes since the last checkpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memtable {
    handlers: BTreeMap<Arc<str>, Pending>,
    /// Rows that are to go because they cannot be believed.
    bad: Vec<Vec<u8>>,
    bytes: usize,
}

impl Memtable {
    /// Memory that it takes, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the changes of a frame. `origin` is where it stood first: one that an eviction has carried forward
    /// comes late, and does not undo what is newer.
    pub fn take(&mut self, origin: u64, state: &StateChange) {
        let pending = self.handlers.entry(Arc::clone(&state.handler)).or_default();
        if planted(Bug::CarriedStateTwice) || origin >= pending.version.0 {
            pending.version = (origin, state.version);
        }
        for change in &state.changes {
            let len = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.bytes.len());
            match pending.changes.get_mut(&change.key) {
                Some((known, _)) if origin < *known && !planted(Bug::CarriedStateTwice) => {}
                Some(old) => {
                    self.bytes = self.bytes + len(&change.value) - len(&old.1);
                    *old = (origin, change.value.clone());
                }
                None => {
                    self.bytes += ENTRY_BYTES + change.key.len() + len(&change.value);
                    let new = (origin, change.value.clone());
                    pending.changes.insert(Arc::clone(&change.key), new);
                }
            }
        }
    }

    /// Takes a row that the next checkpoint removes.
    pub fn remove(&mut self, row_key: Vec<u8>) {
        self.bytes += ENTRY_BYTES + row_key.len();
        self.bad.push(row_key);
    }

    /// Brings tables up to date.
    pub fn overlay(&self, tables: &mut Tables) {
        for (handler, pending) in &self.handlers {
            let table: &mut Table = tables.entry(Arc::clone(handler)).or_default();
            table.version = pending.version.1;
            for (key, (_, value)) in &pending.changes {
                match value {
                    Some(value) => {
                        table.values.insert(Arc::clone(key), value.clone());
                    }
                    None => {
                        table.values.remove(key);
                    }
                }
            }
        }
    }

    /// The rows that it becomes.
    pub fn rows(&self) -> Rows {
        let mut rows: Rows = self.bad.iter().map(|key| (key.clone(), None)).collect();
        for (handler, pending) in &self.handlers {
            let (key, row) = version_row(handler, pending.version.1);
            rows.insert(key, Some(row));
            rows.extend(
                pending
                    .changes
                    .iter()
                    .map(|(key, (_, value))| value_row(handler, key, value.as_ref())),
            );
        }
        rows
    }
}
