//! What must be so, after whatever happened.

use std::collections::BTreeMap;

use super::{Counts, Sent, is_recorded};
use crate::upstream::Books;

/// Up to where things count: whether what happened before a mark had happened by then.
pub type Upto<'a> = &'a dyn Fn(u64) -> bool;

/// What was sent, and what has become of it.
pub struct Judge<'a> {
    pub sent: &'a [Sent],
    pub books: &'a Books,
    pub counts: &'a Counts,
    pub upto: Upto<'a>,
}

/// What is known of one topic.
#[derive(Default)]
struct Line {
    sent: u64,
    /// Acked, or sent before something that was acked on the same connection to the same handler.
    must: u64,
    arrived: u64,
}

impl Judge<'_> {
    /// Everything that is wrong.
    pub fn judge(&self) -> Vec<String> {
        let mut wrong = self.books.wrong.clone();
        let missing = self.books.missing();
        if !missing.is_empty() {
            wrong.push(format!("{} seqs are missing, {:?} first", missing.len(), missing[0]));
        }
        let arrived = self.arrived(&mut wrong);
        let given_up = self.books.given_up("up");
        let (mut lost, mut gone) = (Vec::new(), 0);
        let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
        let sent: Vec<&Sent> = self.sent.iter().filter(|sent| (self.upto)(sent.mark)).collect();
        for (at, message) in sent.iter().enumerate() {
            let line = lines.entry(&message.topic).or_default();
            let has_arrived = arrived.contains_key(message.payload.as_bytes());
            line.sent += 1;
            line.must += u64::from(self.must_count(message, &sent[at..]));
            line.arrived += u64::from(has_arrived);
            let is_acked = message.acked.is_some_and(|mark| (self.upto)(mark));
            if is_acked && is_recorded(&message.topic) && !has_arrived {
                lost.push(format!("lost: {:.40} on {}", message.payload, message.topic));
            }
        }
        // What an eviction gave up is announced, one by one.
        if lost.len() as u64 > given_up {
            wrong.append(&mut lost);
        }
        for (topic, line) in lines {
            let count = self.counts.get(topic).copied().unwrap_or(0);
            if !(line.must..=line.sent).contains(&count) {
                let Line { must, sent, .. } = line;
                wrong.push(format!("{topic} is counted {count} times, not {must} to {sent}"));
            }
            let arrived = line.arrived;
            if is_recorded(topic) && given_up > 0 && count >= arrived {
                gone += count - arrived;
            } else if is_recorded(topic) && count != arrived {
                wrong.push(format!("{topic} is counted {count} times and {arrived} came upstream"));
            }
        }
        if gone != given_up {
            wrong
                .push(format!("{gone} records did not come, {given_up} are announced as given up"));
        }
        self.check_order(&sent, &arrived, given_up > 0, &mut wrong);
        wrong
    }

    /// Whether it must be in the handler's state: a handler sees its messages in order, and what is durable is a
    /// prefix of what it did.
    fn must_count(&self, message: &Sent, later: &[&Sent]) -> bool {
        later
            .iter()
            .take_while(|other| other.way == message.way)
            .filter(|other| is_recorded(&other.topic) == is_recorded(&message.topic))
            .any(|other| other.acked.is_some_and(|mark| (self.upto)(mark)))
    }

    /// The seq of each payload of the stream `up`.
    fn arrived(&self, wrong: &mut Vec<String>) -> BTreeMap<&[u8], (u64, u64)> {
        let mut arrived = BTreeMap::new();
        for (key, arrival) in &self.books.records {
            if arrival.envelope.stream != "up" {
                continue;
            }
            if let Some(first) = arrived.insert(&arrival.envelope.payload[..], *key) {
                let payload = String::from_utf8_lossy(&arrival.envelope.payload);
                wrong.push(format!("doubled: {payload} as {first:?} and {key:?}"));
            }
        }
        let known: BTreeMap<&[u8], &Sent> =
            self.sent.iter().map(|sent| (sent.payload.as_bytes(), sent)).collect();
        for payload in arrived.keys() {
            if !known.get(payload).is_some_and(|sent| (self.upto)(sent.mark)) {
                wrong.push(format!("{} was never sent", String::from_utf8_lossy(payload)));
            }
        }
        arrived
    }

    /// On one connection, what came upstream is a prefix of what was sent, in that order.
    fn check_order(
        &self,
        sent: &[&Sent],
        arrived: &BTreeMap<&[u8], (u64, u64)>,
        may_lack: bool,
        wrong: &mut Vec<String>,
    ) {
        let mut last: Option<(&Sent, Option<&(u64, u64)>)> = None;
        for message in sent.iter().filter(|sent| is_recorded(&sent.topic)) {
            let now = arrived.get(message.payload.as_bytes());
            if let Some((before, then)) = last
                && before.way == message.way
            {
                match (then, now) {
                    (None, Some(_)) if !may_lack => {
                        wrong.push(format!("{} came without {}", message.payload, before.payload));
                    }
                    (Some(then), Some(now)) if then >= now => {
                        wrong.push(format!("{} came before {}", message.payload, before.payload));
                    }
                    _ => {}
                }
            }
            last = Some((message, now));
        }
    }
}
