//! What the store asks of the place where the state lies.

use std::collections::BTreeMap;
use std::io;

/// What rows become. `None` removes.
pub type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Rows in order of key, at most 256 bytes and a handler's name a key and 16 KiB and a little a value, small on
/// average. Each value carries its own checksum and all of them one more, so a shelf need not: what it gives back wrong,
/// or not at all, or as it was before, is found out. The daemon's is sled, [`crate::ModelShelf`] is for tests.
///
/// # Errors
/// After an error the store goes on: what a shelf did not take stays in the journal, and one that cannot be read is
/// reset and filled from the newest export and the journal.
pub trait Shelf {
    /// Rows behind this key, or from the first on: some, of about `bytes_max` bytes; none at the end.
    fn read(
        &mut self,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>>;

    /// One row.
    fn get(&mut self, key: &[u8]) -> io::Result<Option<Vec<u8>>>;

    /// The rows of these keys, in their order.
    fn find(&mut self, keys: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Takes all of these rows or none, durable when it returns. After an error it may be either.
    fn write(&mut self, rows: &Rows) -> io::Result<()>;

    /// Begins anew with nothing.
    fn reset(&mut self) -> io::Result<()>;

    /// Whether it would take a write now, as far as that is known without one.
    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Is called when nothing is asked of it for the moment, to let go of what it can get again. `false` when it holds
    /// nothing of that kind.
    fn rest(&mut self) -> bool {
        false
    }
}
