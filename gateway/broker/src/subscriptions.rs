//! Which client asked for what, and what each gets of a topic.

use tidegate_core::message::QoS;
use tidegate_core::topic::{Filter, Topic};
use tidegate_core::trie::FilterTrie;

/// A connection's place in [`crate::clients::Clients`].
pub(crate) type Slot = u32;

/// What a client asked for with one filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub qos: QoS,
    /// Not what the client itself published.
    pub no_local: bool,
    /// Hand on the retain flag as it was published.
    pub retain_as_published: bool,
    /// The subscription identifier, 0 for none.
    pub id: u32,
}

/// What one client gets of one topic: all of its matching filters in one (3.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub slot: Slot,
    pub to: Merged,
    /// The same for a message of its own; `None` when every filter says no-local.
    pub own: Option<Merged>,
}

/// Several subscriptions seen as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    pub qos: QoS,
    pub retain_as_published: bool,
    pub ids: Vec<u32>,
}

impl Merged {
    fn add(&mut self, options: &Options) {
        self.qos = self.qos.max(options.qos);
        self.retain_as_published |= options.retain_as_published;
        if options.id != 0 {
            self.ids.push(options.id);
        }
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    trie: FilterTrie<Slot, Options>,
    generation: u64,
}

impl Subscriptions {
    pub fn len(&self) -> usize {
        self.trie.len()
    }

    /// Changes with every subscription: what was matched under another number is out of date.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds a subscription or replaces what the same client asked for with the same filter. Says
    /// whether it is new.
    pub fn insert(&mut self, filter: &Filter, slot: Slot, options: Options) -> bool {
        self.generation += 1;
        self.trie.insert(filter, slot, options).is_none()
    }

    /// Takes a subscription out. Says whether there was one.
    pub fn remove(&mut self, filter: &Filter, slot: Slot) -> bool {
        let removed = self.trie.remove(filter, &slot).is_some();
        self.generation += u64::from(removed);
        removed
    }

    /// Replaces what is in `out` by who gets a message of this topic, by slot.
    pub fn matches(&self, topic: &Topic, out: &mut Vec<Delivery>) {
        out.clear();
        let mut found = Vec::new();
        self.trie.visit(topic.as_str(), &mut |slot, options| {
            found.push((*slot, options));
        });
        // Stable: a client's identifiers keep the order of the walk.
        found.sort_by_key(|(slot, _)| *slot);
        for (slot, options) in found {
            if out.last().is_none_or(|last| last.slot != slot) {
                out.push(Delivery { slot, to: Merged::default(), own: None });
            }
            let last = out.last_mut().expect("one was pushed when there was none");
            last.to.add(options);
            if !options.no_local {
                last.own.get_or_insert_default().add(options);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text).expect("a good filter")
    }

    #[test]
    fn overlapping_filters_are_one_delivery() {
        let mut subscriptions = Subscriptions::default();
        let loud = Options { qos: QoS::AtLeastOnce, no_local: true, id: 7, ..Options::default() };
        let quiet = Options { retain_as_published: true, id: 8, ..Options::default() };
        subscriptions.insert(&filter("a/#"), 1, loud);
        subscriptions.insert(&filter("a/+"), 1, quiet);
        subscriptions.insert(&filter("a/b"), 2, loud);
        let mut out = Vec::new();
        subscriptions.matches(&Topic::new("a/b").expect("a topic"), &mut out);
        let both = Merged { qos: QoS::AtLeastOnce, retain_as_published: true, ids: vec![7, 8] };
        let own = Merged { qos: QoS::AtMostOnce, retain_as_published: true, ids: vec![8] };
        assert_eq!(out[0], Delivery { slot: 1, to: both, own: Some(own) });
        assert_eq!((out[1].slot, out[1].to.qos, &out[1].own), (2, QoS::AtLeastOnce, &None));
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn the_same_filter_again_replaces_the_options() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.insert(&filter("a"), 1, Options::default()));
        let before = subscriptions.generation();
        let options = Options { qos: QoS::AtLeastOnce, ..Options::default() };
        assert!(!subscriptions.insert(&filter("a"), 1, options));
        assert_ne!(subscriptions.generation(), before);
        let mut out = Vec::new();
        subscriptions.matches(&Topic::new("a").expect("a topic"), &mut out);
        assert_eq!((out.len(), out[0].to.qos, subscriptions.len()), (1, QoS::AtLeastOnce, 1));
    }
}
