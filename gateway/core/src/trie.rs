//! A trie over topic filters: finds everything that asked for a topic without looking at every filter.
//! Serves the handlers' triggers here and the front door's subscriptions.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::topic::Filter;

/// Values filed under topic filters. One value may stand under many filters, once under each.
#[derive(Debug)]
pub struct FilterTrie<T> {
    root: Node<T>,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    names: BTreeMap<Box<str>, Node<T>>,
    plus: Option<Box<Node<T>>>,
    /// Filters that end at this level.
    here: Vec<T>,
    /// Filters that go on with `#`: they match this level and all below.
    hash: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node {
            names: BTreeMap::new(),
            plus: None,
            here: Vec::new(),
            hash: Vec::new(),
        }
    }
}

impl<T> Default for FilterTrie<T> {
    fn default() -> Self {
        FilterTrie {
            root: Node::default(),
            len: 0,
        }
    }
}

impl<T> FilterTrie<T> {
    /// How many filters are filed.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Calls `found` for every value whose filter matches `topic`: twice for a value under two such filters.
    pub fn visit<'a>(&'a self, topic: &str, found: &mut impl FnMut(&'a T)) {
        self.root.visit(Some(topic), topic.starts_with('$'), found);
    }
}

impl<T: PartialEq> FilterTrie<T> {
    /// Files `value` under `filter`, in the place of an equal value; gives back the one that stood there.
    pub fn insert(&mut self, filter: &Filter, value: T) -> Option<T> {
        let (node, hash) = self.root.make(filter.as_str());
        let values = if hash { &mut node.hash } else { &mut node.here };
        match values.iter_mut().find(|v| **v == value) {
            Some(old) => Some(core::mem::replace(old, value)),
            None => {
                values.push(value);
                self.len += 1;
                None
            }
        }
    }

    /// Takes a value equal to `value` away from `filter`.
    pub fn remove(&mut self, filter: &Filter, value: &T) -> Option<T> {
        let removed = self.root.remove(Some(filter.as_str()), value);
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

impl<T> Node<T> {
    fn visit<'a>(&'a self, rest: Option<&str>, hidden: bool, found: &mut impl FnMut(&'a T)) {
        if !hidden {
            self.hash.iter().for_each(&mut *found);
        }
        let Some(rest) = rest else {
            self.here.iter().for_each(found);
            return;
        };
        let (level, rest) = split(rest);
        if let Some(node) = self.names.get(level) {
            node.visit(rest, false, found);
        }
        if let (Some(node), false) = (&self.plus, hidden) {
            node.visit(rest, false, found);
        }
    }

    /// The node where `filter` ends, and whether its last level is `#`.
    fn make(&mut self, filter: &str) -> (&mut Node<T>, bool) {
        let mut node = self;
        let mut rest = Some(filter);
        while let Some(filter) = rest {
            let (level, next) = split(filter);
            rest = next;
            node = match level {
                "#" => return (node, true),
                "+" => node.plus.get_or_insert_default(),
                name => node.names.entry(Box::from(name)).or_default(),
            };
        }
        (node, false)
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.plus.is_none() && self.here.is_empty() && self.hash.is_empty()
    }
}

impl<T: PartialEq> Node<T> {
    fn remove(&mut self, rest: Option<&str>, value: &T) -> Option<T> {
        let Some(filter) = rest else {
            return take(&mut self.here, value);
        };
        let (level, rest) = split(filter);
        match level {
            "#" => take(&mut self.hash, value),
            "+" => {
                let node = self.plus.as_mut()?;
                let removed = node.remove(rest, value);
                if node.is_empty() {
                    self.plus = None;
                }
                removed
            }
            name => {
                let node = self.names.get_mut(name)?;
                let removed = node.remove(rest, value);
                if node.is_empty() {
                    self.names.remove(name);
                }
                removed
            }
        }
    }
}

fn take<T: PartialEq>(values: &mut Vec<T>, value: &T) -> Option<T> {
    let at = values.iter().position(|v| v == value)?;
    Some(values.remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text).expect("a good filter")
    }

    fn found(trie: &FilterTrie<usize>, topic: &str) -> Vec<usize> {
        let mut all = Vec::new();
        trie.visit(topic, &mut |n| all.push(*n));
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
            assert_eq!(trie.insert(filter, n), None);
        }
        assert_eq!(trie.len(), filters.len());
        for round in 0..2 {
            for topic in words(&["a", "b", "", "$x"])
                .iter()
                .filter(|t| !t.is_empty())
            {
                let expect: Vec<usize> = (0..filters.len())
                    .filter(|n| (round == 0 || n % 2 == 0) && filters[*n].matches(topic))
                    .collect();
                assert_eq!(found(&trie, topic), expect, "round {round}, {topic:?}");
            }
            // The second round looks again with every other filter gone.
            for (n, filter) in filters.iter().enumerate().filter(|(n, _)| n % 2 == 1) {
                assert_eq!(
                    trie.remove(filter, &n),
                    if round == 0 { Some(n) } else { None }
                );
            }
        }
        for (n, filter) in filters.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
            assert_eq!(trie.remove(filter, &n), Some(n));
        }
        assert!(
            trie.is_empty() && trie.root.is_empty(),
            "nothing is left behind"
        );
    }

    #[test]
    fn an_equal_value_takes_the_place_of_the_old_one() {
        let mut trie = FilterTrie::default();
        assert_eq!(trie.insert(&filter("a/+"), 1), None);
        assert_eq!(trie.insert(&filter("a/+"), 1), Some(1));
        assert_eq!(trie.insert(&filter("a/b"), 1), None);
        assert_eq!(found(&trie, "a/b"), [1, 1]);
        assert_eq!(trie.len(), 2);
    }
}
