//! Control messages: which are for this gateway, and which are being examined.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::job::Ticket;
use crate::message::Message;
use crate::release::{Answer, ExamineId};
use crate::time::Timestamp;
use crate::topic::Filter;

/// What control topics begin with.
const PREFIX: &str = "tidegate/1/";
/// Control messages that are examined at once. One more is dropped and counted; who pushes sends again what is missing.
const EXAMINED_MAX: usize = 16;
/// Longest control message: a chunk of 96 KiB, and room.
const BYTES_MAX: usize = 128 * 1024;
/// Answers that wait for upstream, one a topic. One more replaces the oldest.
const TELLINGS_MAX: usize = 512;

/// Times that an answer is tried to be signed, and what is between two of them: what fails is most likely the answer.
const SIGN_TRIES_MAX: u8 = 3;
const SIGN_AGAIN: Duration = Duration::from_secs(2);
/// Answers that wait to be signed once more. One more takes the oldest one's place.
const UNSIGNED_MAX: usize = 16;

/// Who we are, in topics.
#[derive(Debug, Default)]
pub struct Control {
    /// The gateway's name and `group:` names; empty until the registry is there.
    targets: Vec<String>,
    next: u64,
    under_way: BTreeMap<ExamineId, UnderWay>,
    /// What upstream has not acked, by topic, newest last.
    tellings: Vec<Arc<Message>>,
    /// Answers that could not be signed, how often, and when they are tried again; soonest first.
    unsigned: VecDeque<(Timestamp, u8, Answer)>,
}

/// A control message that is being examined.
#[derive(Debug, Default)]
pub struct UnderWay {
    pub ticket: Option<Ticket>,
    /// What the front door is to keep when nothing is wrong with it.
    pub keep: Option<Arc<Message>>,
}

/// What is to be done with a control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Yes,
    /// When it is for somebody else.
    No,
    /// When too many are examined already.
    Full,
    TooLarge,
}

impl Control {
    /// Whether a topic is one of Tidegate's own.
    pub fn is_control(topic: &str) -> bool {
        topic.starts_with(PREFIX)
    }

    /// Whether the front door keeps a message of this topic only when the core has found nothing wrong with it: what
    /// is refused must not take the place of what was good.
    pub fn waits_for_word(topic: &str) -> bool {
        let rest = topic.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/'));
        rest.is_some_and(|(_, what)| what == "trust" || what.starts_with("release/"))
    }

    pub fn know(&mut self, gateway: &str, groups: &[String]) {
        self.targets = [String::from(gateway)].into();
        self.targets.extend(groups.iter().map(|group| format!("group:{group}")));
    }

    pub fn is_known(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Our own name, once the registry is there.
    pub fn gateway(&self) -> Option<&str> {
        self.targets.first().map(String::as_str)
    }

    /// The handler whose log lines somebody asks for.
    pub fn follows<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let (target, what) = topic.strip_prefix(PREFIX)?.split_once('/')?;
        let handler = what.strip_prefix("follow/")?;
        let is_ours = self.targets.iter().any(|own| own == target);
        // No handler has a longer name.
        (is_ours && (1..=32).contains(&handler.len())).then_some(handler)
    }

    /// What to subscribe to at a broker: orders and trust for us. Chunks are asked for when they are missing.
    pub fn filters(&self) -> Vec<Filter> {
        let each = self.targets.iter().flat_map(|target| {
            ["release/+", "invoke/+", "follow/+", "trust", "report"]
                .map(|kind| format!("{PREFIX}{target}/{kind}"))
        });
        each.filter_map(|filter| Filter::new(&filter).ok()).collect()
    }

    pub fn wants(&self, topic: &str, bytes: usize) -> Wanted {
        let Some(rest) = topic.strip_prefix(PREFIX) else {
            return Wanted::No;
        };
        let (target, what) = rest.split_once('/').unwrap_or((rest, ""));
        let is_ours = self.targets.iter().any(|own| own == target)
            && (what == "trust"
                || what == "report"
                || what.starts_with("release/")
                || what.starts_with("invoke/"));
        let is_chunk = target == "blob" && !self.targets.is_empty();
        if !is_ours && !is_chunk {
            Wanted::No
        } else if bytes > BYTES_MAX {
            Wanted::TooLarge
        } else if self.under_way.len() >= EXAMINED_MAX {
            Wanted::Full
        } else {
            Wanted::Yes
        }
    }

    pub fn begin(&mut self, under_way: UnderWay) -> ExamineId {
        self.next += 1;
        let id = ExamineId(self.next);
        self.under_way.insert(id, under_way);
        id
    }

    pub fn end(&mut self, id: ExamineId) -> UnderWay {
        self.under_way.remove(&id).unwrap_or_default()
    }

    /// An answer could not be signed. False: it has been tried often enough.
    pub fn handle_unsigned(&mut self, now: Timestamp, answer: Answer, tries: u8) -> bool {
        let tries = tries.saturating_add(1);
        if tries >= SIGN_TRIES_MAX {
            return false;
        }
        if self.unsigned.len() >= UNSIGNED_MAX {
            self.unsigned.pop_front();
        }
        self.unsigned.push_back((now.after(SIGN_AGAIN), tries, answer));
        true
    }

    /// Something newer is said about a handler: what could not be signed before is of no use.
    pub fn forget_unsigned(&mut self, handler: &str) {
        self.unsigned.retain(|(_, _, answer)| &*answer.handler != handler);
    }

    /// An answer that is to be tried again now, and how often it has been.
    pub fn poll_unsigned(&mut self, now: Timestamp) -> Option<(Answer, u8)> {
        let is_due = self.unsigned.front().is_some_and(|(due, ..)| *due <= now);
        let first = if is_due { self.unsigned.pop_front() } else { None };
        first.map(|(_, tries, answer)| (answer, tries))
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.unsigned.front().map(|(due, ..)| *due)
    }

    /// Keeps an answer until upstream has it.
    pub fn tell(&mut self, message: Arc<Message>) {
        self.tellings.retain(|told| told.topic != message.topic);
        if self.tellings.len() >= TELLINGS_MAX {
            self.tellings.remove(0);
        }
        self.tellings.push(message);
    }

    pub fn told(&mut self, message: &Message) {
        self.tellings.retain(|told| told.topic != message.topic || told.payload != message.payload);
    }

    pub fn tellings(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.tellings.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(control: &mut Control, ticket: Ticket) -> ExamineId {
        control.begin(UnderWay { ticket: Some(ticket), keep: None })
    }

    #[test]
    fn an_answer_that_cannot_be_signed_is_tried_three_times() {
        let mut control = Control::default();
        let answer = |name: &str| Answer {
            handler: Arc::from(name),
            release: None,
            version: String::new(),
            stage: crate::release::Stage::Active,
            figures: crate::release::Figures::default(),
        };
        assert!(control.handle_unsigned(Timestamp(0), answer("a"), 0));
        assert_eq!(control.poll_unsigned(Timestamp(1_999)), None);
        assert_eq!(control.poll_timeout(), Some(Timestamp(2_000)));
        assert_eq!(control.poll_unsigned(Timestamp(2_000)), Some((answer("a"), 1)));
        assert!(control.handle_unsigned(Timestamp(2_000), answer("a"), 1));
        assert_eq!(control.poll_unsigned(Timestamp(4_000)), Some((answer("a"), 2)));
        assert!(!control.handle_unsigned(Timestamp(4_000), answer("a"), 2), "that is enough");
        assert_eq!(control.poll_timeout(), None);
        assert!(control.handle_unsigned(Timestamp(0), answer("b"), 0));
        control.forget_unsigned("b");
        assert_eq!(control.poll_timeout(), None, "something newer was said");
        (0..99).for_each(|_| assert!(control.handle_unsigned(Timestamp(0), answer("c"), 0)));
        assert_eq!(control.unsigned.len(), UNSIGNED_MAX);
    }

    #[test]
    fn only_what_is_for_us_is_examined() {
        let mut control = Control::default();
        let check = |control: &Control, topic: &str, bytes, expect| {
            assert_eq!(control.wants(topic, bytes), expect, "{topic}");
        };
        check(&control, "tidegate/1/blob/00/0", 1, Wanted::No);
        control.know("gw-1", &["boilers".into()]);
        check(&control, "tidegate/1/gw-1/release/a", 1, Wanted::Yes);
        check(&control, "tidegate/1/group:boilers/release/a", 1, Wanted::Yes);
        check(&control, "tidegate/1/group:gw-1/release/a", 1, Wanted::No);
        check(&control, "tidegate/1/boilers/release/a", 1, Wanted::No);
        check(&control, "tidegate/1/gw-1/handler/a", 1, Wanted::No);
        check(&control, "tidegate/1/gw-1/report", 1, Wanted::Yes);
        check(&control, "tidegate/1/blob/00/0", BYTES_MAX, Wanted::Yes);
        check(&control, "tidegate/1/blob/00/0", BYTES_MAX + 1, Wanted::TooLarge);
        check(&control, "tidegate/2/gw-1/release/a", 1, Wanted::No);
        let ids: Vec<_> =
            (0..EXAMINED_MAX as u64).map(|n| begin(&mut control, Ticket(n))).collect();
        check(&control, "tidegate/1/blob/00/0", 1, Wanted::Full);
        assert_eq!(control.end(ids[3]).ticket, Some(Ticket(3)));
        assert_eq!(control.end(ids[3]).ticket, None);
        check(&control, "tidegate/1/blob/00/0", 1, Wanted::Yes);
        assert_eq!(control.filters().len(), 10);
        assert_eq!(control.follows("tidegate/1/gw-1/follow/p"), Some("p"));
        for topic in
            ["tidegate/1/gw-2/follow/p", "tidegate/1/gw-1/follow/", "tidegate/1/gw-1/logs/p"]
        {
            assert_eq!(control.follows(topic), None, "{topic}");
        }
    }
}
