//! Control messages: which are for this gateway, and which are being examined.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::job::Ticket;
use crate::message::Message;
use crate::release::ExamineId;
use crate::topic::Filter;

/// What control topics begin with.
const PREFIX: &str = "tidegate/1/";
/// Control messages that are examined at once. One more is dropped and counted; who pushes sends again what is missing.
const EXAMINED_MAX: usize = 16;
/// Longest control message: a chunk of 96 KiB, and room.
const BYTES_MAX: usize = 128 * 1024;
/// Answers that wait for upstream, one a topic. One more replaces the oldest.
const TELLINGS_MAX: usize = 512;

/// Who we are, in topics.
#[derive(Debug, Default)]
pub struct Control {
    /// The gateway's name and `group:` names; empty until the registry is there.
    targets: Vec<String>,
    next: u64,
    under_way: BTreeMap<ExamineId, Option<Ticket>>,
    /// What upstream has not acked, by topic, newest last.
    tellings: Vec<Arc<Message>>,
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

    pub fn begin(&mut self, ticket: Option<Ticket>) -> ExamineId {
        self.next += 1;
        let id = ExamineId(self.next);
        self.under_way.insert(id, ticket);
        id
    }

    pub fn end(&mut self, id: ExamineId) -> Option<Ticket> {
        self.under_way.remove(&id).flatten()
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
            (0..EXAMINED_MAX).map(|n| control.begin(Some(Ticket(n as u64)))).collect();
        check(&control, "tidegate/1/blob/00/0", 1, Wanted::Full);
        assert_eq!(control.end(ids[3]), Some(Ticket(3)));
        assert_eq!(control.end(ids[3]), None);
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
