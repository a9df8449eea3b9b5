//! What the handler under test can see and change.

use std::collections::{BTreeMap, BTreeSet};
use std::string::String;
use std::vec::Vec;

/// One value with its version; 0 is never a version.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub value: Vec<u8>,
    pub version: u64,
    /// On the events' clock.
    expires_us: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    state: BTreeMap<Vec<u8>, Entry>,
    version: u64,
    pub config: BTreeMap<String, String>,
    pub grants: Vec<String>,
    /// Streams that are granted and configured.
    pub streams: BTreeSet<String>,
    /// Pins that are granted: whether each is an output, and its level; none: it cannot be used.
    pub pins: BTreeMap<String, (bool, Option<bool>)>,
    pub publishes_max: usize,
    pub event_id: u64,
    pub wall_us: i64,
    pub monotonic_us: i64,
    random: u64,
}

impl Default for World {
    fn default() -> World {
        World {
            state: BTreeMap::new(),
            version: 0,
            config: BTreeMap::new(),
            grants: Vec::new(),
            streams: BTreeSet::new(),
            pins: BTreeMap::new(),
            publishes_max: usize::MAX,
            event_id: 0,
            wall_us: 1_767_225_600_000_000,
            monotonic_us: 1_000_000,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

impl World {
    pub fn advance_ms(&mut self, ms: u64) {
        let us = i64::try_from(ms).map_or(i64::MAX, |ms| ms.saturating_mul(1000));
        self.wall_us = self.wall_us.saturating_add(us);
        self.monotonic_us = self.monotonic_us.saturating_add(us);
    }

    pub fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.state.get(key).filter(|entry| self.lives(entry))
    }

    fn lives(&self, entry: &Entry) -> bool {
        entry.expires_us.is_none_or(|expires_us| self.wall_us < expires_us)
    }

    pub fn put(&mut self, key: &[u8], value: &[u8], ttl_s: u32) {
        self.version += 1;
        let expires_us = (ttl_s > 0).then(|| self.wall_us + i64::from(ttl_s) * 1_000_000);
        self.state
            .insert(key.into(), Entry { value: value.into(), version: self.version, expires_us });
    }

    pub fn remove(&mut self, key: &[u8]) -> bool {
        let there = self.get(key).is_some();
        self.state.remove(key);
        there
    }

    pub fn keys<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.state
            .range(prefix.to_vec()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter(|(_, entry)| self.lives(entry))
            .map(|(key, _)| &key[..])
    }

    /// The same bytes in every run of a test (xorshift64).
    pub fn random(&mut self, buf: &mut [u8]) {
        for byte in buf {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            *byte = (self.random >> 32) as u8;
        }
    }

    /// Whether a grant covers `topic`. Control topics are never granted.
    pub fn may_publish(&self, topic: &str) -> bool {
        let control =
            topic.starts_with('$') || topic == "tidegate" || topic.starts_with("tidegate/");
        !control && self.grants.iter().any(|filter| matches(filter, topic))
    }
}

/// MQTT 4.7. `topic` does not begin with `$`.
fn matches(filter: &str, topic: &str) -> bool {
    let mut names = topic.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_match_as_mqtt_filters_do() {
        let mut world = World::default();
        assert!(!world.may_publish("a"));
        world.grants = ["devices/+/cmd".into(), "log/#".into()].into();
        assert!(world.may_publish("devices/7/cmd"));
        assert!(world.may_publish("log") && world.may_publish("log/a/b"));
        assert!(!world.may_publish("devices/7/cmd/x") && !world.may_publish("devices/7"));
        world.grants = ["#".into()].into();
        assert!(!world.may_publish("$SYS/a") && !world.may_publish("tidegate/1/x"));
    }
}
