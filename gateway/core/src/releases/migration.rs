//! State that one version takes over from another: it migrates a copy, and the old table stays for the way back.
//!
//! A handler's table has its name; one that came of a migration has `<name>@<tag>`, with 16 hex digits of the order's
//! digest. Which tables the version that runs and the one before it have, stands in the row; so coming back is a pointer.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::entry::{Doing, Entry};
use super::{Ask, Releases};
use crate::job::HandlerId;
use crate::release::{CheckId, Digest, Migration, Refusal, Release, RowPhase, Version};

/// Which table a release gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextTable {
    /// When it goes on with what is there.
    Same,
    /// When it has migrated a copy.
    Migrated,
    /// When it is what ran before, signed anew: it gets its own state back.
    Back,
}

impl NextTable {
    /// The tags of the next table and of the one to come back to. 0: the table without one.
    pub fn of(self, (now, before): (u64, u64), digest: Digest, has_passed: bool) -> (u64, u64) {
        // What has not passed its probation is nothing to come back to.
        let back = if has_passed { now } else { before };
        match self {
            NextTable::Same => (now, back),
            NextTable::Migrated => (tag(digest), back),
            NextTable::Back => (before, now),
        }
    }
}

fn tag(digest: Digest) -> u64 {
    digest.0.iter().take(8).fold(0, |tag, byte| tag << 8 | u64::from(*byte)).max(1)
}

fn table(name: &Arc<str>, tag: u64) -> Arc<str> {
    if tag == 0 { Arc::clone(name) } else { Arc::from(format!("{name}@{tag:016x}")) }
}

impl Entry {
    /// The table of what runs.
    pub fn table_name(&self, name: &Arc<str>) -> Arc<str> {
        table(name, self.row.as_ref().map_or(0, |row| row.tables.0))
    }

    /// How a release comes to its state; `Ok(Err)`: from which version it migrates a copy.
    fn next_table(&self, release: &Release) -> Result<Result<NextTable, String>, Refusal> {
        let is_again = |known: &Arc<Release>| known.module == release.module;
        let row = self.row.as_ref();
        if self.previous.as_ref().is_some_and(is_again) {
            let has_own = row.is_some_and(|row| row.tables.0 != row.tables.1);
            return Ok(Ok(if has_own { NextTable::Back } else { NextTable::Same }));
        }
        let Some(from) = &release.migrate_from else {
            return Ok(Ok(NextTable::Same));
        };
        let refuse = |what: &str| {
            let text = format!("it takes over the state of {from}, and {what}; push {from} first");
            Err(Refusal::new("cannot-migrate", text))
        };
        match &self.running {
            Some(Version::Pushed(running)) if is_again(running) => Ok(Ok(NextTable::Same)),
            Some(running) if running.manifest().version == *from => Ok(Err(from.clone())),
            Some(running) => refuse(&format!("{} runs here", running.manifest().version)),
            // It never came to run, so there is no state.
            None if row
                .is_none_or(|row| row.phase == RowPhase::Rejected && row.running.is_none()) =>
            {
                Ok(Ok(NextTable::Same))
            }
            None => refuse("nothing runs here that would say which version has left the state"),
        }
    }
}

impl Releases {
    /// A release loads and does what its golden events expect: it gets its state.
    pub(super) fn migrate_offered(&mut self, name: &Arc<str>, check: CheckId, version: Version) {
        let (Some(entry), Version::Pushed(release)) = (self.names.get_mut(name), &version) else {
            return;
        };
        match entry.next_table(release) {
            Ok(Ok(table)) => self.record_offered(name, version, table),
            Ok(Err(from)) => {
                let handler = entry.id;
                let tags = entry.row.as_ref().map_or((0, 0), |row| row.tables);
                let has_passed = !self.trials.contains_key(&handler);
                let (to, keep) = NextTable::Migrated.of(tags, release.digest, has_passed);
                let table = |tag| table(name, tag);
                let (table, to, keep) = (table(tags.0), table(to), table(keep));
                let migration = Migration { check, from, table, to, keep };
                entry.doing = Doing::Migrating { check, version };
                self.asks.push_back(Ask::Hold { handler });
                self.asks.push_back(Ask::Migrate { handler, migration });
            }
            Err(refusal) => self.reject(name, &version, refusal),
        }
    }

    pub fn is_migrating(&self, handler: HandlerId) -> bool {
        let entry = self.ids.get(&handler).and_then(|name| self.names.get(name));
        entry.is_some_and(|entry| matches!(entry.doing, Doing::Migrating { .. }))
    }

    /// A copy of the state has been migrated, or not. Gives the table that is to have it, in the same commit as what is
    /// recorded next.
    pub fn handle_migrated(
        &mut self,
        handler: HandlerId,
        check: CheckId,
        result: Result<(), String>,
    ) -> Option<Arc<str>> {
        let (name, entry) = self.entry_mut(handler)?;
        let version = match core::mem::replace(&mut entry.doing, Doing::Nothing) {
            Doing::Migrating { check: asked, version } if asked == check => version,
            other => {
                entry.doing = other;
                return None;
            }
        };
        if let Err(reason) = result {
            self.asks.push_back(Ask::GoOn { handler });
            self.reject(&name, &version, Refusal::new("does-not-migrate", reason));
            return None;
        }
        self.record_offered(&name, version, NextTable::Migrated);
        self.names.get(&name).map(|entry| entry.table_name(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_follow_what_runs_and_what_it_comes_back_to() {
        let digest = Digest([7; 32]);
        let tag = 0x0707_0707_0707_0707;
        for (next, before, has_passed, after) in [
            (NextTable::Same, (0, 0), true, (0, 0)),
            (NextTable::Same, (5, 0), true, (5, 5)),
            (NextTable::Same, (5, 0), false, (5, 0)),
            (NextTable::Migrated, (5, 5), true, (tag, 5)),
            (NextTable::Migrated, (5, 0), false, (tag, 0)),
            (NextTable::Back, (5, 0), true, (0, 5)),
        ] {
            assert_eq!(next.of(before, digest, has_passed), after, "{next:?} {before:?}");
        }
        assert_eq!(super::tag(Digest([0; 32])), 1, "0 is the table without a tag");
        assert_eq!(&*table(&Arc::from("h"), 0xab), "h@00000000000000ab");
    }
}
