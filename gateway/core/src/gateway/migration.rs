//! A state that was migrated: written beside the old one, and pointed at by the row that follows.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Gateway;
use crate::commit::Change;
use crate::job::HandlerId;
use crate::release::{CheckId, Migrated};

/// Bytes of rows that one commit takes. Until the row that points at them is durable, nobody reads them: they may come in
/// as many commits as they need.
const PIECE_BYTES: usize = 64 * 1024;

impl Gateway {
    pub(super) fn handle_migrated(
        &mut self,
        handler: HandlerId,
        check: CheckId,
        result: Result<Migrated, String>,
    ) {
        let (migrated, result) = match result {
            Ok(migrated) => (migrated, Ok(())),
            Err(reason) => (Migrated::default(), Err(reason)),
        };
        let Some(table) = self.releases.handle_migrated(handler, check, result) else {
            return;
        };
        self.write_table(&table, migrated.version, migrated.rows);
        for stale in migrated.stale {
            self.write_table(&stale.handler, stale.version, stale.changes);
        }
    }

    fn write_table(&mut self, table: &Arc<str>, version: u64, rows: Vec<Change>) {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut bytes = 0;
            let piece = core::iter::from_fn(|| {
                let row = rows.next_if(|_| bytes < PIECE_BYTES)?;
                bytes += row.key.len() + row.value.as_ref().map_or(0, |value| value.bytes.len());
                Some(row)
            });
            let piece = piece.collect();
            self.commits.write(self.now, table, version, piece);
            self.commits.take_state(table);
            // The last piece goes with whatever comes next.
            if rows.peek().is_some() {
                let commit = self.poll_commit();
                self.effects.extend(commit);
            }
        }
    }
}
