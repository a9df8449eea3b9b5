//! What the current event changed: seen by its own reads, merged when it succeeds, forgotten otherwise.

use std::cell::Cell;
use std::sync::Arc;

use tidegate_core::job::Write;

use super::Table;

/// Expired entries that one full table gives up at once.
const PURGE_MAX: usize = 64;

/// What one handler's state may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateLimits {
    pub keys_max: usize,
    pub bytes_max: usize,
}

/// Which limit a write would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full(pub &'static str);

/// The writes of one event, sorted by key, at most one a key.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    writes: Vec<Write>,
    /// What these writes add to the table; negative where they take away.
    keys: isize,
    bytes: isize,
}

/// A value as the current event sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen<'a> {
    pub value: &'a Arc<[u8]>,
    pub version: u64,
}

/// Where a key stands: found once for each write.
struct Place<'a> {
    /// Its index among the writes, or the one it would get.
    at: Result<usize, usize>,
    /// The key as the table has it, if only the table has it.
    stored: Option<&'a Arc<[u8]>>,
    /// Keys and bytes that it counts for now.
    weight: (isize, isize),
}

/// What a key with this value takes.
fn size(key: &[u8], value: &[u8]) -> isize {
    (key.len() + value.len()) as isize
}

impl Overlay {
    pub fn clear(&mut self) {
        self.writes.clear();
        self.keys = 0;
        self.bytes = 0;
    }

    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// The writes in order of key; the overlay is empty afterwards.
    pub fn take(&mut self) -> Vec<Write> {
        self.keys = 0;
        self.bytes = 0;
        self.writes.drain(..).collect()
    }

    /// The value of `key` for an event at `at_us`: the event's own write, or what the table holds.
    pub fn get<'a>(&'a self, table: &'a Table, key: &[u8], at_us: i64) -> Option<Seen<'a>> {
        match self.position(key) {
            Ok(at) => {
                let value = self.writes[at].value.as_ref()?;
                Some(Seen { value, version: table.version() + 1 })
            }
            Err(_) => {
                let (_, value) = table.get(key)?;
                let seen = Seen { value: &value.bytes, version: value.version };
                value.is_live(at_us).then_some(seen)
            }
        }
    }

    /// Writes `value`, or deletes. After a refusal, [`Overlay::purge`] may have made room.
    pub fn put(
        &mut self,
        table: &Table,
        limits: &StateLimits,
        key: &[u8],
        value: Option<&[u8]>,
        ttl_s: u32,
    ) -> Result<(), Full> {
        let place = self.find(table, key);
        self.fits(table, limits, key, value, place.weight)?;
        self.put_unchecked(place, key, value, ttl_s);
        Ok(())
    }

    /// Keys that start with `prefix`, in order, as the event at `at_us` sees them. `passed` counts what
    /// was walked past, seen or not.
    pub fn list<'a>(
        &'a self,
        table: &'a Table,
        prefix: &'a [u8],
        at_us: i64,
        passed: &'a Cell<u64>,
    ) -> impl Iterator<Item = &'a Arc<[u8]>> {
        // Comparing nothing with memcmp is dear on some processors.
        let under = move |key: &[u8]| prefix.is_empty() || key.starts_with(prefix);
        let start = self.writes.partition_point(|write| *write.key < *prefix);
        let mut mine =
            self.writes[start..].iter().take_while(move |write| under(&write.key)).peekable();
        let mut theirs =
            table.starting_at(prefix).take_while(move |(key, _)| under(key)).peekable();
        std::iter::from_fn(move || {
            loop {
                passed.set(passed.get() + 1);
                let take_mine = match (mine.peek(), theirs.peek()) {
                    (Some(write), Some((key, _))) if write.key == **key => {
                        theirs.next();
                        true
                    }
                    (Some(write), Some((key, _))) => write.key < **key,
                    (Some(_), None) => true,
                    (None, Some(_)) => false,
                    (None, None) => return None,
                };
                if take_mine {
                    let write = mine.next()?;
                    if write.value.is_some() {
                        return Some(&write.key);
                    }
                } else {
                    let (key, value) = theirs.next()?;
                    if value.is_live(at_us) {
                        return Some(key);
                    }
                }
            }
        })
    }

    fn position(&self, key: &[u8]) -> Result<usize, usize> {
        self.writes.binary_search_by(|write| (*write.key).cmp(key))
    }

    /// Where `key` is, and what it has now, expired or not.
    fn find<'a>(&self, table: &'a Table, key: &[u8]) -> Place<'a> {
        let weight =
            |value: Option<&Arc<[u8]>>| value.map_or((0, 0), |value| (1, size(key, value)));
        match self.position(key) {
            Ok(at) => {
                Place { at: Ok(at), stored: None, weight: weight(self.writes[at].value.as_ref()) }
            }
            Err(at) => {
                let stored = table.get(key);
                Place {
                    at: Err(at),
                    stored: stored.map(|(key, _)| key),
                    weight: weight(stored.map(|(_, value)| &value.bytes)),
                }
            }
        }
    }

    fn fits(
        &self,
        table: &Table,
        limits: &StateLimits,
        key: &[u8],
        value: Option<&[u8]>,
        (old_keys, old_bytes): (isize, isize),
    ) -> Result<(), Full> {
        let Some(value) = value else { return Ok(()) };
        let keys = table.len() as isize + self.keys - old_keys + 1;
        let size = size(key, value);
        let bytes = table.bytes() as isize + self.bytes - old_bytes + size;
        // A write that leaves the table no larger is always taken: a table that is beyond a lowered
        // limit can still be used and shrunk.
        if keys > limits.keys_max as isize && old_keys == 0 {
            return Err(Full("state_keys_max"));
        }
        if bytes > limits.bytes_max as isize && size > old_bytes {
            return Err(Full("state_bytes_max"));
        }
        Ok(())
    }

    fn put_unchecked(&mut self, place: Place<'_>, key: &[u8], value: Option<&[u8]>, ttl_s: u32) {
        let (old_keys, old_bytes) = place.weight;
        let (keys, bytes) = value.map_or((0, 0), |value| (1, size(key, value)));
        self.keys += keys - old_keys;
        self.bytes += bytes - old_bytes;
        let value = value.map(Arc::from);
        match place.at {
            Ok(at) => {
                self.writes[at].value = value;
                self.writes[at].ttl_s = ttl_s;
            }
            Err(at) => {
                let key = place.stored.map_or_else(|| Arc::from(key), Arc::clone);
                self.writes.insert(at, Write { key, value, ttl_s });
            }
        }
    }

    /// Deletes some of what has expired, after a walk over the whole table. These are writes like any
    /// other, so that a journal knows of them.
    pub fn purge(&mut self, table: &Table, at_us: i64) {
        for (key, _) in table.iter().filter(|(_, value)| !value.is_live(at_us)).take(PURGE_MAX) {
            let place = self.find(table, key);
            if place.at.is_err() {
                self.put_unchecked(place, key, None, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: StateLimits = StateLimits { keys_max: 3, bytes_max: 20 };

    /// Runs `put` (value) or `del` (`-`) lines over a table that holds `a=1` and `x=gone` (expired at 10).
    fn played(script: &[(&str, &str)], at_us: i64) -> (Table, Overlay, Vec<Result<(), Full>>) {
        let mut table = Table::default();
        let write = |key: &str, value: &str, ttl_s| Write {
            key: key.as_bytes().into(),
            value: Some(value.as_bytes().into()),
            ttl_s,
        };
        table.apply(&[write("a", "1", 0), write("x", "gone", 1)], -999_990);
        let mut overlay = Overlay::default();
        let answers = script
            .iter()
            .map(|(key, value)| {
                let value = (*value != "-").then_some(value.as_bytes());
                let put =
                    |overlay: &mut Overlay| overlay.put(&table, &LIMITS, key.as_bytes(), value, 0);
                put(&mut overlay).or_else(|_| {
                    overlay.purge(&table, at_us);
                    put(&mut overlay)
                })
            })
            .collect();
        (table, overlay, answers)
    }

    fn keys(table: &Table, overlay: &Overlay, prefix: &str, at_us: i64) -> String {
        let passed = Cell::new(0);
        let keys = overlay.list(table, prefix.as_bytes(), at_us, &passed);
        keys.map(|key| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn quotas_hold_and_expired_entries_make_room() {
        let (.., answers) = played(&[("b", "2"), ("c", "3")], 0);
        assert_eq!(answers, [Ok(()), Err(Full("state_keys_max"))]);
        let (table, mut overlay, answers) = played(&[("b", "2"), ("c", "3")], 10);
        assert_eq!(answers, [Ok(()), Ok(())]);
        assert_eq!(keys(&table, &overlay, "", 10), "a,b,c");
        let writes = overlay.take();
        assert_eq!(writes.iter().filter(|write| write.value.is_none()).count(), 1);
        let (.., answers) = played(&[("b", "0123456789abc"), ("b", "0123456789ab")], 0);
        assert_eq!(answers, [Err(Full("state_bytes_max")), Ok(())]);
        let (.., answers) =
            played(&[("b", "2"), ("b", "-"), ("c", "3"), ("a", "-"), ("d", "4")], 0);
        assert_eq!(answers, [Ok(()); 5]);
    }

    #[test]
    fn reads_see_own_writes_and_no_expired_ones() {
        let (table, overlay, _) = played(&[("b", "2"), ("a", "-")], 0);
        assert_eq!(overlay.get(&table, b"a", 0), None);
        assert_eq!(overlay.get(&table, b"b", 0).map(|seen| seen.version), Some(2));
        assert_eq!(overlay.get(&table, b"x", 9).map(|seen| seen.version), Some(1));
        assert_eq!(overlay.get(&table, b"x", 10), None);
        assert_eq!(keys(&table, &overlay, "", 9), "b,x");
        assert_eq!(keys(&table, &overlay, "", 10), "b");
        assert_eq!(keys(&table, &overlay, "x", 9), "x");
        assert_eq!(keys(&table, &overlay, "y", 9), "");
    }

    #[test]
    fn what_was_tracked_is_what_the_table_then_has() {
        let script =
            [("b", "22"), ("a", "-"), ("b", "1"), ("c", ""), ("c", "-"), ("a", "xyz"), ("q", "-")];
        let (mut table, mut overlay, _) = played(&script, 0);
        let expect = (
            (table.len() as isize + overlay.keys) as usize,
            (table.bytes() as isize + overlay.bytes) as usize,
        );
        let writes = overlay.take();
        assert!(writes.is_sorted_by(|a, b| a.key < b.key));
        table.apply(&writes, 0);
        assert_eq!((table.len(), table.bytes()), expect);
    }
}
