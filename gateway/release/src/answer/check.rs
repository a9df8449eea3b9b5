//! What an answer may hold: the same for who signs and for who verifies.

use super::{
    Answer, CODE_BYTES_MAX, EVENT_BYTES_MAX, Invoked, LastEvent, Report, Stage, TEXT_BYTES_MAX,
    Wrong,
};
use crate::golden::{EFFECTS_MAX, Expect};
use crate::manifest::{TOPIC_BYTES_MAX, VERSION_BYTES_MAX};

/// What an answer has beside its effects, at most, with room to spare.
const REST_BYTES: usize = 4096;

impl Answer {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.counter == 0 {
            return Err(Wrong::CounterZero);
        }
        if let Some(version) = &self.version {
            text("version", version, VERSION_BYTES_MAX)?;
        }
        match &self.stage {
            Stage::Checking { .. }
            | Stage::Installing
            | Stage::Probation { .. }
            | Stage::Active
            | Stage::Removed => Ok(()),
            Stage::Rejected { code, text } => check_why(code, text),
            Stage::RolledBack { code, text, event } => {
                check_why(code, text)?;
                event.as_ref().map_or(Ok(()), check_event)
            }
            Stage::Invoked(invoked) => check_invoked(invoked),
        }
    }
}

impl Report {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        if self.counter == 0 {
            return Err(Wrong::CounterZero);
        }
        text("version", &self.version, VERSION_BYTES_MAX)
    }
}

fn check_why(code: &str, why: &str) -> Result<(), Wrong> {
    long("code", code.len(), CODE_BYTES_MAX)?;
    if code.is_empty() || !code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return Err(Wrong::Text { field: "code", text: code.to_owned() });
    }
    text("text", why, TEXT_BYTES_MAX)
}

fn check_event(event: &LastEvent) -> Result<(), Wrong> {
    text("event's topic", &event.topic, TOPIC_BYTES_MAX)?;
    long("event's payload", event.payload.len(), EVENT_BYTES_MAX)
}

fn check_invoked(invoked: &Invoked) -> Result<(), Wrong> {
    let (is, max) = (invoked.effects.len(), EFFECTS_MAX);
    if is > max {
        return Err(Wrong::Many { is, max });
    }
    for effect in &invoked.effects {
        if let Expect::Publish { topic, .. } = effect {
            text("effect's topic", topic, TOPIC_BYTES_MAX)?;
        }
    }
    invoked.failed.as_ref().map_or(Ok(()), |why| text("reason", why, TEXT_BYTES_MAX))
}

fn long(field: &'static str, is: usize, max: usize) -> Result<(), Wrong> {
    if is <= max { Ok(()) } else { Err(Wrong::Long { field, is, max }) }
}

fn text(field: &'static str, text: &str, max: usize) -> Result<(), Wrong> {
    long(field, text.len(), max)?;
    if text.chars().any(char::is_control) {
        return Err(Wrong::Text { field, text: text.to_owned() });
    }
    Ok(())
}

impl Invoked {
    /// Takes over effects as far as an answer has room for them, in order, and counts the others. An effect whose
    /// topic no answer may hold ends it too.
    #[must_use]
    pub fn with_effects(mut self, effects: impl IntoIterator<Item = Expect>) -> Invoked {
        let mut room = super::ANSWER_BYTES_MAX - REST_BYTES;
        for effect in effects {
            let bytes = 16
                + match &effect {
                    Expect::Publish { topic, payload } => topic.len() + payload.len(),
                    Expect::Send { stream, payload } => stream.as_str().len() + payload.len(),
                    Expect::Pin { name, .. } => name.as_str().len(),
                    Expect::Nothing | Expect::Fails => 0,
                };
            let is_fit = match &effect {
                Expect::Publish { topic, .. } => text("topic", topic, TOPIC_BYTES_MAX).is_ok(),
                Expect::Send { .. } | Expect::Pin { .. } | Expect::Nothing | Expect::Fails => true,
            };
            let is_room = is_fit && bytes <= room && self.effects.len() < EFFECTS_MAX;
            if self.left_off == 0 && is_room {
                room -= bytes;
                self.effects.push(effect);
            } else {
                self.left_off = self.left_off.saturating_add(1);
            }
        }
        self
    }
}
