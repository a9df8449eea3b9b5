//! What goes beside the records: control messages that the upstream broker keeps, and the gateway's answers. It brings
//! them in any order, twice, or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tidegate_core::topic::{Filter, Topic};
use tidegate_core::{Input, Message};

use super::random::Random;

/// The upstream broker's side of it.
#[derive(Debug, Default)]
pub struct Post {
    retained: BTreeMap<String, Arc<[u8]>>,
    /// What the gateway has asked for on this connection.
    listens: Vec<Filter>,
    to_gateway: Vec<(String, Arc<[u8]>)>,
    from_gateway: VecDeque<Arc<Message>>,
    /// Messages that are brought are left out, once in so many; 0 is never.
    pub withholds_one_in: u64,
    pub withheld: u64,
}

impl Post {
    /// Somebody publishes, retained.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) {
        let payload: Arc<[u8]> = payload.into();
        self.retained.insert(topic.to_owned(), Arc::clone(&payload));
        if self.listens.iter().any(|filter| filter.matches(topic)) {
            self.to_gateway.push((topic.to_owned(), payload));
        }
    }

    /// The gateway asks for control messages.
    pub fn listen(&mut self, filter: Filter) {
        let all = self.retained.iter().filter(|(topic, _)| filter.matches(topic));
        self.to_gateway.extend(all.map(|(topic, payload)| (topic.clone(), Arc::clone(payload))));
        self.listens.push(filter);
    }

    /// The gateway says something.
    pub fn tell(&mut self, message: Arc<Message>) {
        self.from_gateway.push_back(message);
    }

    /// The link is gone. Some of what the gateway said has arrived; nobody tells it.
    pub fn cut(&mut self, random: &mut Random) -> Vec<Arc<Message>> {
        self.listens.clear();
        self.to_gateway.clear();
        let arrives = random.below(self.from_gateway.len() as u64 + 1) as usize;
        let arrived = self.from_gateway.drain(..arrives).collect();
        self.from_gateway.clear();
        arrived
    }

    /// The next message for the gateway, whichever chance picks.
    pub fn bring(&mut self, random: &mut Random) -> Option<Input> {
        if self.to_gateway.is_empty() {
            return None;
        }
        let at = random.below(self.to_gateway.len() as u64) as usize;
        let (topic, payload) = match random.chance(1, 12) {
            true => self.to_gateway[at].clone(),
            false => self.to_gateway.swap_remove(at),
        };
        if self.withholds_one_in > 0 && random.chance(1, self.withholds_one_in) {
            self.withheld += 1;
            return None;
        }
        let topic = Topic::new(&topic).expect("a topic");
        Some(Input::FromUpstream { topic, payload })
    }

    /// The next answer arrives.
    pub fn take(&mut self) -> Option<Arc<Message>> {
        self.from_gateway.pop_front()
    }

    pub fn is_quiet(&self) -> bool {
        self.to_gateway.is_empty() && self.from_gateway.is_empty()
    }
}
