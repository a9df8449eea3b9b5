//! Which handlers a topic wakes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::job::HandlerId;
use crate::topic::Filter;
use crate::trie::FilterTrie;

/// Every trigger of every handler.
#[derive(Debug)]
pub struct Routes {
    trie: FilterTrie<HandlerId, ()>,
    filters: BTreeMap<HandlerId, Vec<Filter>>,
    filters_max: usize,
}

impl Routes {
    pub fn new(filters_max: usize) -> Routes {
        Routes { trie: FilterTrie::default(), filters: BTreeMap::new(), filters_max }
    }

    /// Whether `more` filters fit.
    pub fn has_room(&self, more: usize) -> bool {
        self.trie.len() + more <= self.filters_max
    }

    pub fn insert(&mut self, handler: HandlerId, triggers: &[Filter]) {
        for filter in triggers {
            self.trie.insert(filter, handler, ());
        }
        self.filters.insert(handler, triggers.to_vec());
    }

    pub fn remove(&mut self, handler: HandlerId) {
        for filter in self.filters.remove(&handler).unwrap_or_default() {
            self.trie.remove(&filter, &handler);
        }
    }

    /// Writes into `found` the handlers that `topic` wakes: each once, in the order of their numbers.
    pub fn find(&self, topic: &str, found: &mut Vec<HandlerId>) {
        found.clear();
        self.trie.visit(topic, &mut |handler, ()| {
            if let Err(at) = found.binary_search(handler) {
                found.insert(at, *handler);
            }
        });
    }

    /// Whether `topic` wakes anybody.
    pub fn wakes_any(&self, topic: &str) -> bool {
        let mut any = false;
        self.trie.visit(topic, &mut |_, ()| any = true);
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_found_once_however_many_triggers_match() {
        let filter = |text| Filter::new(text).expect("a good filter");
        let mut routes = Routes::new(4);
        assert!(routes.has_room(4) && !routes.has_room(5));
        routes.insert(HandlerId(2), &[filter("a/#"), filter("a/+")]);
        routes.insert(HandlerId(1), &[filter("a/b")]);
        let mut found = Vec::new();
        routes.find("a/b", &mut found);
        assert_eq!(found, [HandlerId(1), HandlerId(2)]);
        routes.remove(HandlerId(2));
        routes.find("a/b", &mut found);
        assert_eq!(found, [HandlerId(1)]);
        assert!(!routes.wakes_any("a/c"));
        assert!(routes.has_room(3));
    }
}
