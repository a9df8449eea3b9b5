//! A trie over topic filters: finds everything that asked for a topic without looking at every filter.
//! Serves the handlers' triggers here and the front door's subscriptions.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::topic::Filter;

/// Who asked for what: keys filed under topic filters, each once under a filter, with a value.
#[derive(Debug)]
pub struct FilterTrie<K, V> {
    root: Node<K, V>,
    len: usize,
}

/// Sorted by key.
type Filed<K, V> = Vec<(K, V)>;

/// Sorted by name. A vector, not a map: most nodes have one child, and a map's smallest leaf has room
/// for eleven.
type Named<K, V> = Vec<(Box<str>, Box<Node<K, V>>)>;

#[derive(Debug)]
struct Node<K, V> {
    /// Levels below.
    names: Named<K, V>,
    plus: Option<Box<Node<K, V>>>,
    /// Filters that end at this level.
    here: Filed<K, V>,
    /// Filters that go on with `#`: they match this level and all below.
    hash: Filed<K, V>,
}

impl<K, V> Default for Node<K, V> {
    fn default() -> Self {
        Node { names: Vec::new(), plus: None, here: Vec::new(), hash: Vec::new() }
    }
}

impl<K, V> Default for FilterTrie<K, V> {
    fn default() -> Self {
        FilterTrie { root: Node::default(), len: 0 }
    }
}

impl<K: Ord, V> FilterTrie<K, V> {
    /// How many keys are filed, counted once for each filter.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Calls `found` for every key whose filter matches `topic`: twice for a key under two such filters.
    pub fn visit<'a>(&'a self, topic: &str, found: &mut impl FnMut(&'a K, &'a V)) {
        self.root.visit(Some(topic), topic.starts_with('$'), found);
    }

    /// Files `key` under `filter`; gives back the value that it had there.
    pub fn insert(&mut self, filter: &Filter, key: K, value: V) -> Option<V> {
        let filed = self.root.make(filter.as_str());
        match filed.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => Some(core::mem::replace(&mut filed[at].1, value)),
            Err(at) => {
                insert_tight(filed, at, (key, value));
                self.len += 1;
                None
            }
        }
    }

    /// Takes `key` away from `filter`; gives back the value that it had there.
    pub fn remove(&mut self, filter: &Filter, key: &K) -> Option<V> {
        let removed = self.root.remove(Some(filter.as_str()), key);
        self.len -= usize::from(removed.is_some());
        removed
    }
}

/// The first level, and what follows when there is more.
fn split(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once('/') {
        Some((level, rest)) => (level, Some(rest)),
        None => (rest, None),
    }
}

impl<K: Ord, V> Node<K, V> {
    fn find(&self, level: &str) -> Result<usize, usize> {
        self.names.binary_search_by(|(name, _)| (**name).cmp(level))
    }

    /// `hidden`: the first level of a topic that starts with `$`, which no wildcard matches (MQTT 4.7.2).
    fn visit<'a>(&'a self, rest: Option<&str>, hidden: bool, found: &mut impl FnMut(&'a K, &'a V)) {
        if !hidden {
            self.hash.iter().for_each(|(k, v)| found(k, v));
        }
        let Some(rest) = rest else {
            self.here.iter().for_each(|(k, v)| found(k, v));
            return;
        };
        let (level, rest) = split(rest);
        if let Ok(at) = self.find(level) {
            self.names[at].1.visit(rest, false, found);
        }
        if let (Some(node), false) = (&self.plus, hidden) {
            node.visit(rest, false, found);
        }
    }

    /// Where the keys of `filter` are, made when there is no such place.
    fn make(&mut self, filter: &str) -> &mut Filed<K, V> {
        let mut node = self;
        for level in filter.split('/') {
            node = match level {
                "#" => return &mut node.hash,
                "+" => node.plus.get_or_insert_default(),
                name => {
                    let at = node.find(name).unwrap_or_else(|at| {
                        insert_tight(&mut node.names, at, (Box::from(name), Box::default()));
                        at
                    });
                    &mut node.names[at].1
                }
            };
        }
        &mut node.here
    }

    /// Takes out below here and prunes what is left empty.
    fn remove(&mut self, rest: Option<&str>, key: &K) -> Option<V> {
        let Some(filter) = rest else {
            return take(&mut self.here, key);
        };
        let (level, rest) = split(filter);
        match level {
            "#" => take(&mut self.hash, key),
            "+" => {
                let node = self.plus.as_mut()?;
                let removed = node.remove(rest, key);
                if node.is_empty() {
                    self.plus = None;
                }
                removed
            }
            name => {
                let at = self.find(name).ok()?;
                let removed = self.names[at].1.remove(rest, key);
                if self.names[at].1.is_empty() {
                    remove_tight(&mut self.names, at);
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.plus.is_none() && self.here.is_empty() && self.hash.is_empty()
    }
}

fn take<K: Ord, V>(filed: &mut Filed<K, V>, key: &K) -> Option<V> {
    let at = filed.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
    Some(remove_tight(filed, at).1)
}

/// Inserts; a first entry gets room for one: there are many such vectors, and few get a second.
fn insert_tight<T>(all: &mut Vec<T>, at: usize, one: T) {
    all.reserve_exact(usize::from(all.is_empty()));
    all.insert(at, one);
}

/// Removes; the last entry's room goes with it.
fn remove_tight<T>(all: &mut Vec<T>, at: usize) -> T {
    let one = all.remove(at);
    if all.is_empty() {
        *all = Vec::new();
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text).expect("a good filter")
    }

    fn found(trie: &FilterTrie<usize, ()>, topic: &str) -> Vec<usize> {
        let mut all = Vec::new();
        trie.visit(topic, &mut |n, ()| all.push(*n));
        all.sort_unstable();
        all
    }

    /// Filters and topics over two letters and every wildcard, all of up to three levels.
    fn words(levels: &[&str]) -> Vec<alloc::string::String> {
        let mut all: Vec<alloc::string::String> = Vec::new();
        for a in levels {
            all.push((*a).into());
            for b in levels {
                all.push(alloc::format!("{a}/{b}"));
                for c in levels {
                    all.push(alloc::format!("{a}/{b}/{c}"));
                }
            }
        }
        all
    }

    #[test]
    fn agrees_with_matching_each_filter_by_itself() {
        let filters: Vec<Filter> = words(&["a", "b", "", "+", "#", "$x"])
            .iter()
            .filter_map(|text| Filter::new(text).ok())
            .collect();
        let mut trie = FilterTrie::default();
        for (n, filter) in filters.iter().enumerate() {
            assert_eq!(trie.insert(filter, n, ()), None);
        }
        assert_eq!(trie.len(), filters.len());
        for round in 0..2 {
            for topic in words(&["a", "b", "", "$x"]).iter().filter(|t| !t.is_empty()) {
                let expect: Vec<usize> = (0..filters.len())
                    .filter(|n| (round == 0 || n % 2 == 0) && filters[*n].matches(topic))
                    .collect();
                assert_eq!(found(&trie, topic), expect, "round {round}, {topic:?}");
            }
            // The second round looks again with every other filter gone.
            for (n, filter) in filters.iter().enumerate().filter(|(n, _)| n % 2 == 1) {
                assert_eq!(trie.remove(filter, &n), if round == 0 { Some(()) } else { None });
            }
        }
        for (n, filter) in filters.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
            assert_eq!(trie.remove(filter, &n), Some(()));
        }
        assert!(trie.is_empty() && trie.root.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_key_is_under_a_filter_once() {
        let mut trie = FilterTrie::default();
        assert_eq!(trie.insert(&filter("a/+"), 1, 'x'), None);
        assert_eq!(trie.insert(&filter("a/+"), 1, 'y'), Some('x'));
        assert_eq!(trie.insert(&filter("a/b"), 1, 'z'), None);
        let mut all = Vec::new();
        trie.visit("a/b", &mut |key, value| all.push((*key, *value)));
        all.sort_unstable();
        assert_eq!(all, [(1, 'y'), (1, 'z')]);
        assert_eq!(trie.len(), 2);
        assert_eq!(trie.remove(&filter("a/+"), &2), None);
        assert_eq!(trie.remove(&filter("a/+"), &1), Some('y'));
        assert_eq!(trie.len(), 1);
    }

    #[test]
    fn many_keys_under_one_filter_in_any_order() {
        let mut trie = FilterTrie::default();
        let keys = [3, 1, 4, 5, 9, 2, 6];
        for key in keys {
            assert_eq!(trie.insert(&filter("a/#"), key, ()), None);
        }
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(trie.insert(&filter("a/#"), *key, ()), Some(()), "{key}");
            assert_eq!(found(&trie, "a").len(), keys.len() - n);
            assert_eq!(trie.remove(&filter("a/#"), key), Some(()), "{key}");
        }
        assert!(trie.is_empty());
    }
}
