//! A handler's state as of its last commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_core::job::Write;

/// One value, and when it came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: Arc<[u8]>,
    /// Number of the commit that wrote it; never 0.
    pub version: u64,
    /// Unix microseconds from which it counts as absent, judged against an event's time.
    pub expires_us: Option<i64>,
}

impl Entry {
    /// Whether it is there at `at_us`.
    pub fn is_live(&self, at_us: i64) -> bool {
        self.expires_us.is_none_or(|expires_us| at_us < expires_us)
    }
}

/// A handler's state. Changes only by [`Table::apply`], so that a journal of writes gives the same table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    entries: BTreeMap<Arc<[u8]>, Entry>,
    version: u64,
    bytes: usize,
}

impl Table {
    /// Commits so far. The next one has the number after it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Keys, those included that have expired and have not been removed yet.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entry of `key`, expired or not, with the key as it is stored.
    pub fn get(&self, key: &[u8]) -> Option<(&Arc<[u8]>, &Entry)> {
        self.entries.get_key_value(key)
    }

    /// Every entry in order of key, expired or not.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Entry)> {
        self.entries.iter()
    }

    /// Every entry from `key` on, expired or not.
    pub(crate) fn starting_at(&self, key: &[u8]) -> impl Iterator<Item = (&Arc<[u8]>, &Entry)> {
        self.entries.range::<[u8], _>((std::ops::Bound::Included(key), std::ops::Bound::Unbounded))
    }

    /// Takes one commit: the writes of one event that happened at `at_us` (unix microseconds).
    pub fn apply(&mut self, writes: &[Write], at_us: i64) {
        if writes.is_empty() {
            return;
        }
        self.version += 1;
        for write in writes {
            match &write.value {
                Some(value) => self.put(&write.key, value, write.ttl_s, at_us),
                None => {
                    if let Some(entry) = self.entries.remove(&write.key) {
                        self.bytes -= write.key.len() + entry.value.len();
                    }
                }
            }
        }
    }

    fn put(&mut self, key: &Arc<[u8]>, value: &Arc<[u8]>, ttl_s: u32, at_us: i64) {
        let expires_us = (ttl_s > 0).then(|| at_us.saturating_add(i64::from(ttl_s) * 1_000_000));
        let entry = Entry { value: Arc::clone(value), version: self.version, expires_us };
        self.bytes += value.len();
        match self.entries.get_mut(key) {
            Some(old) => self.bytes -= std::mem::replace(old, entry).value.len(),
            None => {
                self.bytes += key.len();
                self.entries.insert(Arc::clone(key), entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &str, value: Option<&str>, ttl_s: u32) -> Write {
        Write { key: key.as_bytes().into(), value: value.map(|v| v.as_bytes().into()), ttl_s }
    }

    #[test]
    fn bytes_and_versions_follow_the_writes() {
        let mut table = Table::default();
        table.apply(&[], 0);
        assert_eq!((table.version(), table.bytes(), table.len()), (0, 0, 0));
        table.apply(&[write("ab", Some("123"), 0), write("c", Some(""), 0)], 0);
        assert_eq!((table.version(), table.bytes(), table.len()), (1, 6, 2));
        table.apply(&[write("ab", Some("1"), 0), write("x", None, 0)], 0);
        assert_eq!((table.version(), table.bytes(), table.len()), (2, 4, 2));
        assert_eq!(table.get(b"ab").expect("there").1.version, 2);
        assert_eq!(table.get(b"c").expect("there").1.version, 1);
        table.apply(&[write("ab", None, 0), write("c", None, 0)], 0);
        assert_eq!((table.version(), table.bytes(), table.len()), (3, 0, 0));
    }

    #[test]
    fn an_entry_ends_at_its_time() {
        let mut table = Table::default();
        table.apply(&[write("k", Some("v"), 2)], 1_000_000);
        let (_, entry) = table.get(b"k").expect("there");
        assert!(entry.is_live(2_999_999));
        assert!(!entry.is_live(3_000_000));
        table.apply(&[write("k", Some("v"), u32::MAX)], i64::MAX);
        assert_eq!(table.get(b"k").expect("there").1.expires_us, Some(i64::MAX));
    }
}
