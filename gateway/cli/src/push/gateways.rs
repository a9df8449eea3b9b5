//! Whose answers are believed: a gateway's key is pinned the first time it is seen, and no other counts from then on.

use std::collections::BTreeMap;

use tidegate_release::answer::{Answer, Heard, Report, verify, verify_report};
use tidegate_release::keys::parse_public;
use tidegate_release::topics::{ControlTopic, ROOT};
use tidegate_release::{Name, PublicKey};

use crate::broker::Message;
use crate::failure::Failure;
use crate::state::{Pin, Seen, State};

/// Gateways that answered and whose key is not known: so many wait for it.
const WAITING_MAX: usize = 4096;

/// What a message came to.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// When a gateway's key was seen for the first time, and is believed from now on.
    Pinned { gateway: Name, key: PublicKey },
    /// When a gateway shows another key than the one that is pinned.
    OtherKey { gateway: Name, key: PublicKey },
    /// When a gateway has answered.
    Answer {
        answer: Answer,
        /// When it had been kept by the broker.
        is_kept: bool,
        /// When it was heard first, in seconds since 1970.
        at: u64,
    },
    /// When a gateway says how it is itself.
    Report(Report),
    /// When an answer is not signed with the gateway's key, or damaged.
    Forged { gateway: Name },
    /// When an answer is older than one that was heard before.
    Replayed { gateway: Name },
    /// When an answer came and the gateway's key has not.
    NoKey { gateway: Name },
}

/// All gateways that were heard of.
#[derive(Debug)]
pub struct Gateways {
    state: State,
    pins: BTreeMap<Name, Pin>,
    /// Answers that wait for their gateway's key: the newest by handler.
    waiting: BTreeMap<(Name, Name), (Vec<u8>, bool)>,
    changed: Vec<Name>,
}

impl Gateways {
    pub fn new(state: State) -> Gateways {
        Gateways { state, pins: BTreeMap::new(), waiting: BTreeMap::new(), changed: Vec::new() }
    }

    /// Believes this key, by hand.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn pin(&mut self, gateway: &Name, key: PublicKey) -> Result<(), Failure> {
        self.state.keep_key(gateway, &key)?;
        let seen = BTreeMap::new();
        self.pins.insert(gateway.clone(), Pin { key, seen });
        Ok(())
    }

    /// Whether a gateway's key is known.
    pub fn has_key(&self, gateway: &Name) -> bool {
        self.pins.contains_key(gateway)
    }

    /// The key of a gateway, when it is known.
    pub fn key(&self, gateway: &Name) -> Option<&PublicKey> {
        self.pins.get(gateway).map(|pin| &pin.key)
    }

    /// Takes a message. Nothing: it is none of a gateway's.
    ///
    /// # Errors
    /// When what is known on this machine cannot be read or written.
    pub fn hear(&mut self, message: &Message, now_s: u64) -> Result<Vec<Told>, Failure> {
        if let Some(gateway) = key_topic(&message.topic) {
            return self.hear_key(gateway, &message.payload, now_s);
        }
        if let Ok(ControlTopic::Gateway { gateway }) = ControlTopic::parse(&message.topic) {
            return self.hear_report(&gateway, &message.payload);
        }
        let Ok(ControlTopic::Answer { gateway, handler }) = ControlTopic::parse(&message.topic)
        else {
            return Ok(Vec::new());
        };
        if message.payload.is_empty() {
            return Ok(Vec::new());
        }
        self.recall(&gateway)?;
        if self.has_key(&gateway) {
            let told = self.judge(&gateway, &handler, &message.payload, message.is_kept, now_s);
            return Ok(vec![told]);
        }
        if self.waiting.len() < WAITING_MAX {
            let answer = (message.payload.clone(), message.is_kept);
            self.waiting.insert((gateway.clone(), handler), answer);
        }
        Ok(vec![Told::NoKey { gateway }])
    }

    /// One that is older than any answer is passed over: a gateway says it behind them.
    fn hear_report(&mut self, gateway: &Name, payload: &[u8]) -> Result<Vec<Told>, Failure> {
        self.recall(gateway)?;
        let Some(pin) = self.pins.get(gateway) else {
            return Ok(Vec::new());
        };
        let newest = pin.seen.values().map(|seen| seen.counter).max().unwrap_or(0);
        Ok(match verify_report(payload, &pin.key, newest) {
            Heard::New(report) if report.gateway == *gateway => vec![Told::Report(report)],
            Heard::New(_) | Heard::Forged => vec![Told::Forged { gateway: gateway.clone() }],
            Heard::Old => Vec::new(),
        })
    }

    /// What this machine remembers of a gateway.
    fn recall(&mut self, gateway: &Name) -> Result<(), Failure> {
        if !self.has_key(gateway)
            && let Some(pin) = self.state.pin(gateway)?
        {
            self.pins.insert(gateway.clone(), pin);
        }
        Ok(())
    }

    fn hear_key(
        &mut self,
        gateway: Name,
        payload: &[u8],
        now_s: u64,
    ) -> Result<Vec<Told>, Failure> {
        let key = std::str::from_utf8(payload).ok().and_then(|text| parse_public(text).ok());
        let Some(key) = key else {
            return Ok(Vec::new());
        };
        self.recall(&gateway)?;
        match self.pins.get(&gateway) {
            Some(pin) if pin.key == key => return Ok(Vec::new()),
            Some(_) => return Ok(vec![Told::OtherKey { gateway, key }]),
            None => {}
        }
        self.pin(&gateway, key)?;
        let mut told = vec![Told::Pinned { gateway: gateway.clone(), key }];
        let is_its = |(of, _): &&(Name, Name)| *of == gateway;
        let waited: Vec<(Name, Name)> = self.waiting.keys().filter(is_its).cloned().collect();
        for key in waited {
            if let Some((payload, is_kept)) = self.waiting.remove(&key) {
                told.push(self.judge(&gateway, &key.1, &payload, is_kept, now_s));
            }
        }
        Ok(told)
    }

    fn judge(
        &mut self,
        gateway: &Name,
        handler: &Name,
        payload: &[u8],
        is_kept: bool,
        now_s: u64,
    ) -> Told {
        let pin = self.pins.get_mut(gateway).expect("it was looked up just now");
        // The counter is held against the last one of the same handler: a broker keeps one answer of each.
        let answer = match verify(payload, &pin.key, 0) {
            Heard::New(answer) if answer.gateway == *gateway && answer.handler == *handler => {
                answer
            }
            Heard::New(_) | Heard::Old | Heard::Forged => {
                return Told::Forged { gateway: gateway.clone() };
            }
        };
        let seen = pin.seen.get(handler.as_str());
        let at = match seen {
            Some(seen) if answer.counter < seen.counter => {
                return Told::Replayed { gateway: gateway.clone() };
            }
            Some(seen) if answer.counter == seen.counter => seen.at,
            Some(_) | None => {
                let seen = Seen { counter: answer.counter, at: now_s };
                pin.seen.insert(handler.to_string(), seen);
                if !self.changed.contains(gateway) {
                    self.changed.push(gateway.clone());
                }
                now_s
            }
        };
        Told::Answer { answer, is_kept, at }
    }

    /// Remembers how far the answers are.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&mut self) -> Result<(), Failure> {
        for gateway in std::mem::take(&mut self.changed) {
            if let Some(pin) = self.pins.get(&gateway) {
                self.state.keep_seen(&gateway, &pin.seen)?;
            }
        }
        Ok(())
    }

    /// Where it is written how far a gateway's answers are.
    pub fn seen_file(&self, gateway: &Name) -> String {
        self.state.seen_file(gateway)
    }

    /// What to do about another key.
    pub fn advice(&self, gateway: &Name, key: &PublicKey) -> String {
        format!(
            "{gateway} shows another key than the one known here, and its answers do not count; if it was set up \
             anew, compare its gateway.pub with\n  {key}\nand give --gateway-key FILE, or remove {}; if it was not, \
             somebody answers in its name",
            self.state.key_file(gateway)
        )
    }
}

/// Where a gateway says which key is its own.
pub fn key_filter(gateway: &str) -> String {
    format!("{ROOT}{gateway}/key")
}

fn key_topic(topic: &str) -> Option<Name> {
    let gateway = topic.strip_prefix(ROOT)?.strip_suffix("/key")?;
    Name::new(gateway).ok()
}

#[cfg(test)]
mod tests;
