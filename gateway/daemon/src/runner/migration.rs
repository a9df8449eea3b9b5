//! A copy of a handler's state, migrated by the version that is to take it over.

use std::sync::Arc;

use tidegate_core::commit::{Change, StateChange};
use tidegate_core::job::HandlerId;
use tidegate_core::release::{Migrated, Migration};
use tidegate_host::Instance;

use super::{Runner, Work};

impl Runner {
    /// Has what was loaded last migrate a copy of the handler's state. Answered by [`Done::Migrated`]. Not while a job of
    /// this handler runs.
    pub fn migrate(&mut self, handler: HandlerId, migration: Migration) {
        let mut instance =
            self.checked.remove(&handler).expect("the core migrates for what was checked");
        let running = self.slots.get(&handler).filter(|slot| slot.table == migration.table);
        let running = running.and_then(|slot| slot.instance.as_ref()).map(|run| run.state());
        let table = running.or_else(|| self.restored.get(&migration.table));
        instance.set_state(table.cloned().unwrap_or_default());
        self.work.push_back(Work::Migrate { handler, instance, migration });
    }

    /// The table that a migration has made, as the core is to write it; it waits here for whoever is switched to.
    pub(super) fn migrated(&mut self, instance: &mut Instance, migration: &Migration) -> Migrated {
        let table = instance.take_state();
        let kept = |key: &Arc<[u8]>| table.get(key).is_some();
        let gone = self.restored.remove(&migration.to).unwrap_or_default();
        let gone = gone.iter().map(|(key, _)| key).filter(|key| !kept(key));
        let gone = gone.map(|key| Change { key: Arc::clone(key), value: None });
        let rows = table.iter().map(|(key, value)| (Arc::clone(key), value.clone()));
        let rows = rows.map(|(key, value)| Change { key, value: Some(value) });
        let rows = rows.chain(gone).collect();
        let version = table.version();
        self.restored.insert(Arc::clone(&migration.to), table);
        let name = instance.name();
        let is_stale = |table: &Arc<str>| {
            let is_ours = table
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
            is_ours && ![&migration.table, &migration.to, &migration.keep].contains(&table)
        };
        let stale: Vec<Arc<str>> =
            self.restored.keys().filter(|table| is_stale(table)).cloned().collect();
        let stale = stale.into_iter().filter_map(|name| {
            let table = self.restored.remove(&name)?;
            let delete = |(key, _): (&Arc<[u8]>, _)| Change { key: Arc::clone(key), value: None };
            let changes = table.iter().map(delete).collect();
            Some(StateChange { handler: name, version: table.version() + 1, changes })
        });
        Migrated { version, rows, stale: stale.collect() }
    }
}
