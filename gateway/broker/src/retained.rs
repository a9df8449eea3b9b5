//! Retained messages: the last one of each topic whose publisher asked for it (MQTT 3.3.1.3).

use std::collections::BTreeMap;
use std::ops::Bound;

use tidegate_core::topic::{Filter, Topic};
use tidegate_core::{Message, Timestamp};

use crate::Limits;
use crate::properties::Properties;

/// One retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub message: Message,
    pub properties: Properties,
}

impl Kept {
    fn bytes(&self) -> usize {
        let Message { topic, payload, .. } = &self.message;
        topic.as_str().len() + payload.len() + self.properties.forwarded().len()
    }
}

/// The store of retained messages.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    kept: BTreeMap<Topic, Kept>,
    bytes: usize,
}

impl Retained {
    /// Keeps a message, or forgets its topic when the payload is empty. Says whether it did as asked;
    /// when there is no room, the topic's old message is gone too.
    pub fn set(
        &mut self,
        message: &Message,
        properties: &Properties,
        limits: &Limits,
        now: Timestamp,
    ) -> bool {
        self.remove(&message.topic);
        if message.payload.is_empty() {
            return true;
        }
        let kept = Kept {
            // Whoever gets it later gets it for the first time.
            message: Message { dup: false, mark: None, ..message.clone() },
            properties: properties.clone(),
        };
        let fits = |store: &Retained| {
            store.kept.len() < limits.retained_messages_max
                && store.bytes.saturating_add(kept.bytes()) <= limits.retained_bytes_max
        };
        if !fits(self) {
            self.forget_expired(now);
            if !fits(self) {
                return false;
            }
        }
        self.bytes += kept.bytes();
        self.kept.insert(message.topic.clone(), kept);
        true
    }

    /// What is kept under a filter, in the order of topics.
    pub fn matching(&self, filter: &Filter, now: Timestamp) -> impl Iterator<Item = &Kept> {
        let prefix = literal_prefix(filter.as_str());
        let start = match Topic::new(prefix) {
            Ok(topic) => Bound::Included(topic),
            Err(_) => Bound::Unbounded,
        };
        self.kept
            .range((start, Bound::Unbounded))
            .take_while(move |(topic, _)| topic.as_str().starts_with(prefix))
            .filter(move |(topic, kept)| {
                !kept.properties.has_expired(now) && filter.matches(topic.as_str())
            })
            .map(|(_, kept)| kept)
    }

    /// Messages kept, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    fn remove(&mut self, topic: &Topic) {
        if let Some(kept) = self.kept.remove(topic) {
            self.bytes -= kept.bytes();
        }
    }

    fn forget_expired(&mut self, now: Timestamp) {
        let bytes = &mut self.bytes;
        self.kept.retain(|_, kept| {
            let stays = !kept.properties.has_expired(now);
            if !stays {
                *bytes -= kept.bytes();
            }
            stays
        });
    }
}

/// What every topic that the filter matches starts with. `a/#` matches `a` too.
fn literal_prefix(filter: &str) -> &str {
    match filter.find(['+', '#']) {
        None => filter,
        Some(at) if filter.as_bytes()[at] == b'#' => filter[..at].trim_end_matches('/'),
        Some(at) => &filter[..at],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_core::message::QoS;
    use tidegate_core::time::WallTime;

    use super::*;

    fn message(topic: &str, payload: &str) -> Message {
        Message {
            topic: Topic::new(topic).expect("a good topic"),
            payload: Arc::from(payload.as_bytes()),
            qos: QoS::AtMostOnce,
            retain: true,
            dup: true,
            source: Arc::from("test"),
            at: WallTime::default(),
            hops: 0,
            mark: None,
        }
    }

    fn set(store: &mut Retained, topic: &str, payload: &str, limits: &Limits) -> bool {
        store.set(&message(topic, payload), &Properties::NONE, limits, Timestamp(0))
    }

    #[track_caller]
    fn check(store: &Retained, filter: &str, expect: &[&str]) {
        let filter = Filter::new(filter).expect("a good filter");
        let topics: Vec<&str> =
            store.matching(&filter, Timestamp(0)).map(|kept| kept.message.topic.as_str()).collect();
        assert_eq!(topics, expect, "{filter}");
    }

    #[test]
    fn no_room_means_not_kept_and_nothing_old_left() {
        let limits = Limits { retained_messages_max: 2, retained_bytes_max: 20, ..Limits::DEV };
        let mut store = Retained::default();
        assert!(set(&mut store, "a", "123", &limits));
        assert!(set(&mut store, "b", "123", &limits));
        assert!(!set(&mut store, "c", "1", &limits));
        assert!(!set(&mut store, "b", &"x".repeat(20), &limits));
        check(&store, "#", &["a"]);
        assert_eq!(store.size(), (1, 4));
        assert!(set(&mut store, "b", &"x".repeat(15), &limits));
        assert_eq!(store.size(), (2, 20));
    }

    #[test]
    fn an_expired_message_is_not_there_and_makes_room() {
        let limits = Limits { retained_messages_max: 1, ..Limits::DEV };
        let mut store = Retained::default();
        let soon = Properties { forwarded: None, expires: Some(Timestamp(10)) };
        assert!(store.set(&message("a", "1"), &soon, &limits, Timestamp(0)));
        assert!(!store.set(&message("b", "1"), &Properties::NONE, &limits, Timestamp(9)));
        let all = Filter::new("#").expect("a filter");
        assert_eq!(store.matching(&all, Timestamp(10)).count(), 0);
        assert!(store.set(&message("b", "1"), &Properties::NONE, &limits, Timestamp(10)));
        check(&store, "#", &["b"]);
    }

    #[test]
    fn an_empty_payload_clears() {
        let mut store = Retained::default();
        assert!(set(&mut store, "a", "1", &Limits::DEV));
        assert!(set(&mut store, "a", "", &Limits::DEV));
        assert!(set(&mut store, "b", "", &Limits::DEV));
        assert_eq!(store.size(), (0, 0));
    }

    #[test]
    fn filters_find_what_they_match() {
        let mut store = Retained::default();
        for topic in ["/", "a", "a/b", "a/b/c", "a/bc", "ab", "b/a/x", "b/b/x", "$x/a"] {
            assert!(set(&mut store, topic, "1", &Limits::DEV));
        }
        check(&store, "a", &["a"]);
        check(&store, "a/#", &["a", "a/b", "a/b/c", "a/bc"]);
        check(&store, "a/+", &["a/b", "a/bc"]);
        check(&store, "b/+/x", &["b/a/x", "b/b/x"]);
        check(&store, "+", &["a", "ab"]);
        check(&store, "/#", &["/"]);
        check(&store, "/+", &["/"]);
        check(&store, "$x/#", &["$x/a"]);
        check(&store, "nothing/#", &[]);
        check(&store, "#", &["/", "a", "a/b", "a/b/c", "a/bc", "ab", "b/a/x", "b/b/x"]);
    }
}
