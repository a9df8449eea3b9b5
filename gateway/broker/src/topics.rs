//! Topics seen lately, with who gets them. Devices repeat their topics: a hit saves the check of the
//! name, its allocation and the walk through the subscriptions, which together cost more than the
//! rest of a message's way.

use tidegate_core::topic::Topic;

use crate::subscriptions::{Delivery, Subscriptions};

/// Places that one topic may take; the cache is as many times smaller in sets.
const WAYS: usize = 4;
/// Longer topics are looked up each time, so that the cache's memory is bounded.
const TOPIC_CACHED_BYTES_MAX: usize = 256;

/// A topic, and who gets its messages.
#[derive(Debug)]
pub(crate) struct Entry {
    pub topic: Topic,
    pub deliveries: Vec<Delivery>,
    /// The [`Subscriptions::generation`] that the deliveries are of.
    generation: u64,
}

/// A bounded, set-associative memory of topics.
#[derive(Debug)]
pub(crate) struct Topics {
    /// Hash of the entry in the same place; 0 for none. `sets * WAYS`.
    tags: Box<[u64]>,
    entries: Box<[Option<Entry>]>,
    /// The last topic that was too long.
    long: Option<Entry>,
    sets: usize,
    /// Which way of a set is replaced next, when all are taken.
    victim: usize,
}

impl Topics {
    /// A cache of about `topics_max`, at least [`WAYS`].
    pub fn new(topics_max: usize) -> Topics {
        let sets = (topics_max / WAYS).max(1);
        let entries = (0..sets * WAYS).map(|_| None).collect();
        Topics { tags: vec![0; sets * WAYS].into(), entries, long: None, sets, victim: 0 }
    }

    /// The entry of a topic name, brought up to date; `None` when it is not a topic name.
    #[inline]
    pub fn find(&mut self, name: &[u8], subscriptions: &Subscriptions) -> Option<&Entry> {
        let entry = if name.len() > TOPIC_CACHED_BYTES_MAX {
            self.long.insert(Entry::new(name)?)
        } else {
            let place = self.place(name)?;
            self.entries[place].as_mut().expect("a place that was just found or filled")
        };
        if entry.generation != subscriptions.generation() {
            entry.generation = subscriptions.generation();
            subscriptions.matches(&entry.topic, &mut entry.deliveries);
        }
        Some(entry)
    }

    #[inline]
    fn place(&mut self, name: &[u8]) -> Option<usize> {
        let tag = hash(name);
        // The high half: multiplication mixes upwards.
        let set = ((tag >> 32) as usize % self.sets) * WAYS;
        for place in set..set + WAYS {
            if self.tags[place] == tag
                && let Some(entry) = &self.entries[place]
                && entry.topic.as_str().as_bytes() == name
            {
                return Some(place);
            }
        }
        self.fill(set, tag, name)
    }

    #[cold]
    fn fill(&mut self, set: usize, tag: u64, name: &[u8]) -> Option<usize> {
        let entry = Entry::new(name)?;
        let free = (set..set + WAYS).find(|place| self.tags[*place] == 0);
        let place = free.unwrap_or_else(|| {
            self.victim = (self.victim + 1) % WAYS;
            set + self.victim
        });
        self.tags[place] = tag;
        self.entries[place] = Some(entry);
        Some(place)
    }
}

impl Entry {
    fn new(name: &[u8]) -> Option<Entry> {
        let topic = Topic::new(str::from_utf8(name).ok()?).ok()?;
        Some(Entry { topic, deliveries: Vec::new(), generation: u64::MAX })
    }
}

/// An odd number with its bits well spread: two to the 64 by the golden ratio.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// A quick hash, never 0. Whoever makes topics collide only makes their own slower.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let mut hash = name.len() as u64;
    let (chunks, rest) = name.as_chunks::<8>();
    for chunk in chunks {
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*chunk)).wrapping_mul(MIX);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    hash = (hash.rotate_left(5) ^ u64::from_le_bytes(last)).wrapping_mul(MIX);
    (hash ^ hash >> 29).wrapping_mul(MIX) | 1
}

#[cfg(test)]
mod tests {
    use tidegate_core::topic::Filter;

    use super::*;
    use crate::subscriptions::Options;

    #[test]
    fn what_is_no_topic_name_is_not_kept() {
        let (mut topics, subscriptions) = (Topics::new(8), Subscriptions::default());
        for name in [&b""[..], b"a/+", b"a/#", b"a\0", b"\xFF", &[b'/'; 300]] {
            assert!(topics.find(name, &subscriptions).is_none(), "{name:?}");
        }
        assert!(topics.tags.iter().all(|tag| *tag == 0) && topics.long.is_none());
    }

    #[test]
    fn an_entry_follows_the_subscriptions() {
        let (mut topics, mut subscriptions) = (Topics::new(8), Subscriptions::default());
        let filter = Filter::new("a/+").expect("a filter");
        let count = |topics: &mut Topics, subscriptions: &Subscriptions| {
            topics.find(b"a/b", subscriptions).expect("a topic").deliveries.len()
        };
        assert_eq!(count(&mut topics, &subscriptions), 0);
        subscriptions.insert(&filter, 3, Options::default());
        assert_eq!(count(&mut topics, &subscriptions), 1);
        subscriptions.remove(&filter, 3);
        assert_eq!(count(&mut topics, &subscriptions), 0);
    }

    #[test]
    fn many_topics_share_few_places_and_none_is_mistaken() {
        let (mut topics, subscriptions) = (Topics::new(8), Subscriptions::default());
        for round in 0..3 {
            for n in 0..100 {
                let name =
                    if n % 10 == 0 { format!("{n}/{}", "x".repeat(400)) } else { format!("t/{n}") };
                let entry = topics.find(name.as_bytes(), &subscriptions).expect("a topic");
                assert_eq!(entry.topic.as_str(), name, "round {round}");
            }
        }
        assert_eq!(topics.entries.len(), 8);
    }

    #[test]
    fn a_made_collision_is_not_mistaken() {
        let (mut topics, subscriptions) = (Topics::new(8), Subscriptions::default());
        let after = |chunk: &[u8; 8]| {
            (16u64.rotate_left(5) ^ u64::from_le_bytes(*chunk)).wrapping_mul(MIX).rotate_left(5)
        };
        let (name, first, mut second) = (b"aaaaaaaabbbbbbbb", b"aaaaaaac", *b"bbbbbbbb");
        let shift = after(b"aaaaaaaa") ^ after(first);
        for (byte, shift) in second.iter_mut().zip(shift.to_le_bytes()) {
            *byte ^= shift;
        }
        let other = [*first, second].concat();
        assert_eq!(hash(name), hash(&other));
        assert!(topics.find(name, &subscriptions).is_some());
        let found = topics.find(&other, &subscriptions);
        assert_ne!(found.map(|entry| entry.topic.as_str()), Some("aaaaaaaabbbbbbbb"));
    }

    #[test]
    fn a_repeated_topic_is_the_same_allocation() {
        let (mut topics, subscriptions) = (Topics::new(8), Subscriptions::default());
        let first = topics.find(b"a/b", &subscriptions).expect("a topic").topic.as_str().as_ptr();
        let second = topics.find(b"a/b", &subscriptions).expect("a topic").topic.as_str().as_ptr();
        assert_eq!(first, second);
    }
}
