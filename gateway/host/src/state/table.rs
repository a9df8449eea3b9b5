//! A handler's state as of its last commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_core::commit::{Change, StateChange, Value};
use tidegate_core::job::Write;

/// A handler's state. Changes only by [`Change`]s, so that the newest of each key, as a store keeps them, gives
/// the same table again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    entries: BTreeMap<Arc<[u8]>, Value>,
    version: u64,
    bytes: usize,
}

impl Table {
    /// A table as a store has kept it: the handler's commits so far, and what they left.
    pub fn restore(version: u64, entries: impl IntoIterator<Item = (Arc<[u8]>, Value)>) -> Table {
        let mut table = Table { version, ..Table::default() };
        for (key, value) in entries {
            table.take_change(&Change { key, value: Some(value) });
        }
        table
    }

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

    /// The value of `key`, expired or not, with the key as it is stored.
    pub fn get(&self, key: &[u8]) -> Option<(&Arc<[u8]>, &Value)> {
        self.entries.get_key_value(key)
    }

    /// Every key in order, expired or not.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Value)> {
        self.entries.iter()
    }

    /// Every key from `key` on, expired or not.
    pub(crate) fn starting_at(&self, key: &[u8]) -> impl Iterator<Item = (&Arc<[u8]>, &Value)> {
        self.entries.range::<[u8], _>((std::ops::Bound::Included(key), std::ops::Bound::Unbounded))
    }

    /// Takes one commit: the writes of one event that happened at `at_us` (unix microseconds).
    pub fn apply(&mut self, writes: &[Write], at_us: i64) {
        if writes.is_empty() {
            return;
        }
        self.version += 1;
        for write in writes {
            self.take_change(&Change::of(write, self.version, at_us));
        }
    }

    /// Takes what several commits of this handler came to, after what they followed.
    pub fn take(&mut self, change: &StateChange) {
        self.version = change.version;
        change.changes.iter().for_each(|change| self.take_change(change));
    }

    fn take_change(&mut self, change: &Change) {
        let key = &change.key;
        let old = match &change.value {
            None => self.entries.remove(key),
            Some(value) => {
                self.bytes += key.len() + value.bytes.len();
                match self.entries.get_mut(key) {
                    Some(old) => Some(std::mem::replace(old, value.clone())),
                    None => self.entries.insert(Arc::clone(key), value.clone()),
                }
            }
        };
        if let Some(old) = old {
            self.bytes -= key.len() + old.bytes.len();
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

    /// Numbers for a history, the same for the same seed.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (self.0 >> 33) % end
        }

        /// The writes of one event, and its time. Time may stand still, jump ahead and go back.
        fn event(&mut self) -> (Vec<Write>, i64) {
            let mut writes: Vec<Write> = (0..self.below(4))
                .map(|_| {
                    let key = format!("k{}", self.below(12));
                    let value = (self.below(3) > 0).then(|| "v".repeat(self.below(5) as usize));
                    let ttl_s = [0, 1, 30, u32::MAX][self.below(4) as usize];
                    write(&key, value.as_deref(), ttl_s)
                })
                .collect();
            writes.sort_by(|a, b| a.key.cmp(&b.key));
            writes.dedup_by(|a, b| a.key == b.key);
            let at_us = [self.below(100_000_000) as i64, -5, i64::MAX - 3][self.below(3) as usize];
            (writes, at_us)
        }
    }

    /// What a store knows after a history: the newest change of each key.
    fn newest(history: &[(Vec<Write>, i64)]) -> StateChange {
        let (mut version, mut newest) = (0, BTreeMap::new());
        for (writes, at_us) in history {
            version += u64::from(!writes.is_empty());
            for write in writes {
                let change = Change::of(write, version, *at_us);
                newest.insert(Arc::clone(&change.key), change);
            }
        }
        StateChange { handler: "h".into(), version, changes: newest.into_values().collect() }
    }

    #[test]
    fn the_newest_change_of_each_key_gives_the_same_table() {
        for seed in 0..2_000 {
            let mut dice = Dice(seed);
            let history: Vec<_> = (0..dice.below(40)).map(|_| dice.event()).collect();
            let mut applied = Table::default();
            history.iter().for_each(|(writes, at_us)| applied.apply(writes, *at_us));

            let whole = newest(&history);
            let kept = whole.changes.iter().cloned();
            let kept = kept.filter_map(|change| Some((change.key, change.value?)));
            assert_eq!(Table::restore(whole.version, kept), applied, "seed {seed}");

            // A checkpoint at any instant, and what came after it.
            let half = history.len() / 2;
            let mut restored = Table::default();
            restored.take(&newest(&history[..half]));
            let mut after = newest(&history[half..]);
            let before = restored.version();
            after.version += before;
            for change in &mut after.changes {
                if let Some(value) = &mut change.value {
                    value.version += before;
                }
            }
            restored.take(&after);
            assert_eq!(restored, applied, "seed {seed}");
        }
    }
}
