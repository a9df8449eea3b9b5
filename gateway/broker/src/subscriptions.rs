//! Who asked for what: a trie over the levels of topic filters (MQTT 4.7). A match walks the topic's
//! levels and never looks at filters that share no level with it.

use tidegate_core::message::QoS;
use tidegate_core::topic::{Filter, Topic};

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

#[derive(Debug)]
struct Subscription {
    slot: Slot,
    options: Options,
}

/// Subscriptions of one filter, by slot.
type Here = Vec<Subscription>;

#[derive(Debug, Default)]
struct Node {
    /// Literal levels below, sorted. A vector, not a map: most nodes have one child, and a map's
    /// smallest leaf has room for eleven.
    children: Vec<(Box<str>, Box<Node>)>,
    plus: Option<Box<Node>>,
    /// Filters that end here.
    here: Here,
    /// Filters that end with `#` below here.
    hash: Here,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    root: Node,
    len: usize,
    generation: u64,
}

impl Subscriptions {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Changes with every subscription: what was matched under another number is out of date.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds a subscription or replaces what the same client asked for with the same filter. Says
    /// whether it is new.
    pub fn insert(&mut self, filter: &Filter, slot: Slot, options: Options) -> bool {
        let here = self.root.place(filter.as_str());
        self.generation += 1;
        match here.binary_search_by_key(&slot, |s| s.slot) {
            Ok(at) => {
                here[at].options = options;
                false
            }
            Err(at) => {
                here.reserve_exact(usize::from(here.is_empty()));
                here.insert(at, Subscription { slot, options });
                self.len += 1;
                true
            }
        }
    }

    /// Takes a subscription out. Says whether there was one.
    pub fn remove(&mut self, filter: &Filter, slot: Slot) -> bool {
        let removed = self.root.remove(Some(filter.as_str()), slot);
        if removed {
            self.len -= 1;
            self.generation += 1;
        }
        removed
    }

    /// Replaces what is in `out` by who gets a message of this topic, by slot.
    pub fn matches(&self, topic: &Topic, out: &mut Vec<Delivery>) {
        out.clear();
        let mut found = Vec::new();
        self.root
            .collect(Some(topic.as_str()), topic.is_dollar(), &mut found);
        // Stable: a client's identifiers keep the order of the walk.
        found.sort_by_key(|subscription| subscription.slot);
        for subscription in found {
            let Subscription { slot, options } = subscription;
            if out.last().is_none_or(|last| last.slot != *slot) {
                out.push(Delivery {
                    slot: *slot,
                    to: Merged::default(),
                    own: None,
                });
            }
            let last = out.last_mut().expect("one was pushed when there was none");
            last.to.add(options);
            if !options.no_local {
                last.own.get_or_insert_default().add(options);
            }
        }
    }
}

impl Node {
    fn find(&self, level: &str) -> Result<usize, usize> {
        self.children
            .binary_search_by(|(name, _)| (**name).cmp(level))
    }

    /// The place of a filter's subscriptions, made when there is none.
    fn place(&mut self, filter: &str) -> &mut Here {
        let mut node = self;
        for level in filter.split('/') {
            node = match level {
                "#" => return &mut node.hash,
                "+" => node.plus.get_or_insert_default(),
                level => {
                    let at = node.find(level).unwrap_or_else(|at| {
                        node.children
                            .reserve_exact(usize::from(node.children.is_empty()));
                        node.children.insert(at, (Box::from(level), Box::default()));
                        at
                    });
                    &mut node.children[at].1
                }
            };
        }
        &mut node.here
    }

    /// Removes below here and prunes what is left empty. As deep as a filter, at most 128.
    fn remove(&mut self, rest: Option<&str>, slot: Slot) -> bool {
        let take = |here: &mut Here| match here.binary_search_by_key(&slot, |s| s.slot) {
            Ok(at) => {
                here.remove(at);
                if here.is_empty() {
                    *here = Here::new();
                }
                true
            }
            Err(_) => false,
        };
        let Some(rest) = rest else {
            return take(&mut self.here);
        };
        let (level, below) = split(rest);
        match level {
            "#" => take(&mut self.hash),
            "+" => {
                let Some(node) = &mut self.plus else {
                    return false;
                };
                let removed = node.remove(below, slot);
                if node.is_empty() {
                    self.plus = None;
                }
                removed
            }
            level => {
                let Ok(at) = self.find(level) else {
                    return false;
                };
                let removed = self.children[at].1.remove(below, slot);
                if self.children[at].1.is_empty() {
                    self.children.remove(at);
                    if self.children.is_empty() {
                        self.children = Vec::new();
                    }
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty()
            && self.plus.is_none()
            && self.here.is_empty()
            && self.hash.is_empty()
    }

    /// Every subscription that matches the rest of a topic. `hidden`: the first level of a topic that
    /// starts with `$`, which no wildcard matches (4.7.2). As deep as a topic, at most 128.
    fn collect<'a>(&'a self, rest: Option<&str>, hidden: bool, out: &mut Vec<&'a Subscription>) {
        if !hidden {
            out.extend(&self.hash);
        }
        let Some(rest) = rest else {
            out.extend(&self.here);
            return;
        };
        let (level, below) = split(rest);
        if let Ok(at) = self.find(level) {
            self.children[at].1.collect(below, false, out);
        }
        if let (Some(plus), false) = (&self.plus, hidden) {
            plus.collect(below, false, out);
        }
    }
}

/// The first level, and the levels below it if there are any.
fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((level, below)) => (level, Some(below)),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text).expect("a good filter")
    }

    fn slots(subscriptions: &Subscriptions, topic: &str) -> Vec<Slot> {
        let mut out = Vec::new();
        subscriptions.matches(&Topic::new(topic).expect("a good topic"), &mut out);
        out.iter().map(|delivery| delivery.slot).collect()
    }

    /// All filters and topics of up to four levels over a small alphabet, against the core's
    /// own matcher.
    #[test]
    fn agrees_with_the_filter_by_filter_matcher() {
        let mut filters = vec![String::new()];
        let mut topics = vec![String::new()];
        for levels in 0..4 {
            let grow = |paths: &[String], names: &[&str]| -> Vec<String> {
                let longest = paths
                    .iter()
                    .filter(|p| levels == 0 || p.matches('/').count() + 1 == levels);
                let joined = longest.flat_map(|p| {
                    names.iter().map(move |n| {
                        if levels == 0 {
                            n.to_string()
                        } else {
                            format!("{p}/{n}")
                        }
                    })
                });
                joined.collect()
            };
            let more = grow(&filters, &["a", "b", "", "+", "#", "$s"]);
            filters.extend(more);
            let more = grow(&topics, &["a", "b", "", "$s"]);
            topics.extend(more);
        }
        let filters: Vec<Filter> = filters
            .iter()
            .filter_map(|text| Filter::new(text).ok())
            .collect();
        let mut subscriptions = Subscriptions::default();
        for (slot, filter) in filters.iter().enumerate() {
            assert!(subscriptions.insert(filter, slot as Slot, Options::default()));
        }
        for topic in topics.iter().filter(|topic| !topic.is_empty()) {
            let expect: Vec<Slot> = (0..filters.len() as Slot)
                .filter(|slot| filters[*slot as usize].matches(topic))
                .collect();
            assert_eq!(slots(&subscriptions, topic), expect, "{topic}");
        }
        for (slot, filter) in filters.iter().enumerate() {
            assert!(!subscriptions.remove(filter, Slot::MAX));
            assert!(subscriptions.remove(filter, slot as Slot));
            assert!(!subscriptions.remove(filter, slot as Slot));
        }
        assert!(subscriptions.root.is_empty() && subscriptions.len() == 0);
    }

    #[test]
    fn overlapping_filters_are_one_delivery() {
        let mut subscriptions = Subscriptions::default();
        let loud = Options {
            qos: QoS::AtLeastOnce,
            no_local: true,
            id: 7,
            ..Options::default()
        };
        let quiet = Options {
            retain_as_published: true,
            id: 8,
            ..Options::default()
        };
        subscriptions.insert(&filter("a/#"), 1, loud);
        subscriptions.insert(&filter("a/+"), 1, quiet);
        subscriptions.insert(&filter("a/b"), 2, loud);
        let mut out = Vec::new();
        subscriptions.matches(&Topic::new("a/b").expect("a topic"), &mut out);
        let both = Merged {
            qos: QoS::AtLeastOnce,
            retain_as_published: true,
            ids: vec![7, 8],
        };
        let own = Merged {
            qos: QoS::AtMostOnce,
            retain_as_published: true,
            ids: vec![8],
        };
        assert_eq!(
            out[0],
            Delivery {
                slot: 1,
                to: both,
                own: Some(own)
            }
        );
        assert_eq!(
            (out[1].slot, out[1].to.qos, &out[1].own),
            (2, QoS::AtLeastOnce, &None)
        );
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn the_same_filter_again_replaces_the_options() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.insert(&filter("a"), 1, Options::default()));
        let before = subscriptions.generation();
        let options = Options {
            qos: QoS::AtLeastOnce,
            ..Options::default()
        };
        assert!(!subscriptions.insert(&filter("a"), 1, options));
        assert_ne!(subscriptions.generation(), before);
        let mut out = Vec::new();
        subscriptions.matches(&Topic::new("a").expect("a topic"), &mut out);
        assert_eq!(
            (out.len(), out[0].to.qos, subscriptions.len()),
            (1, QoS::AtLeastOnce, 1)
        );
    }
}
