//! What an answer may hold: the same for who signs and for who verifies.

use super::{
    Answer, CODE_BYTES_MAX, EVENT_BYTES_MAX, Invoked, LINES_MAX, LastEvent, Line, Report, Stage,
    TEXT_BYTES_MAX, WRITE_KEY_BYTES_MAX, WRITES_MAX, Wrong, Wrote, told,
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
    let counts = [
        (invoked.effects.len(), EFFECTS_MAX),
        (invoked.writes.len(), WRITES_MAX),
        (invoked.lines.len(), LINES_MAX),
    ];
    if let Some((is, max)) = counts.into_iter().find(|(is, max)| is > max) {
        return Err(Wrong::Many { is, max });
    }
    for wrote in &invoked.writes {
        long("write's key", wrote.key.len(), WRITE_KEY_BYTES_MAX)?;
    }
    for line in &invoked.lines {
        text("line", &line.text, TEXT_BYTES_MAX)?;
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
        let is_fit = |effect: &Expect| match effect {
            Expect::Publish { topic, .. } => text("topic", topic, TOPIC_BYTES_MAX).is_ok(),
            Expect::Send { .. } | Expect::Pin { .. } | Expect::Nothing | Expect::Fails => true,
        };
        let mut room = self.room();
        let left = take(&mut self.effects, effects, EFFECTS_MAX, &mut room, is_fit, bytes);
        self.left_off = self.left_off.saturating_add(left);
        self
    }

    /// Takes over log lines, behind the effects: clean, and cut to what an answer may hold.
    #[must_use]
    pub fn with_lines(mut self, lines: impl IntoIterator<Item = Line>) -> Invoked {
        let lines = lines.into_iter().map(|line| Line { text: told(&line.text), ..line });
        let mut room = self.room();
        let left = take(&mut self.lines, lines, LINES_MAX, &mut room, |_| true, line_bytes);
        self.left_off = self.left_off.saturating_add(left);
        self
    }

    /// Takes over writes, behind all else.
    #[must_use]
    pub fn with_writes(mut self, writes: impl IntoIterator<Item = Wrote>) -> Invoked {
        let is_fit = |wrote: &Wrote| wrote.key.len() <= WRITE_KEY_BYTES_MAX;
        let mut room = self.room();
        let left = take(&mut self.writes, writes, WRITES_MAX, &mut room, is_fit, wrote_bytes);
        self.left_off = self.left_off.saturating_add(left);
        self
    }

    /// Bytes that are left for more.
    fn room(&self) -> usize {
        let effects: usize = self.effects.iter().map(bytes).sum();
        let lines: usize = self.lines.iter().map(line_bytes).sum();
        let writes: usize = self.writes.iter().map(wrote_bytes).sum();
        (super::ANSWER_BYTES_MAX - REST_BYTES).saturating_sub(effects + lines + writes)
    }
}

/// Takes what fits, up to the first that does not, and counts the others.
fn take<T>(
    to: &mut Vec<T>,
    from: impl IntoIterator<Item = T>,
    max: usize,
    room: &mut usize,
    is_fit: impl Fn(&T) -> bool,
    bytes: impl Fn(&T) -> usize,
) -> u32 {
    let mut left_off: u32 = 0;
    for one in from {
        if left_off == 0 && to.len() < max && bytes(&one) <= *room && is_fit(&one) {
            *room -= bytes(&one);
            to.push(one);
        } else {
            left_off = left_off.saturating_add(1);
        }
    }
    left_off
}

/// At most, as it is encoded.
fn bytes(effect: &Expect) -> usize {
    16 + match effect {
        Expect::Publish { topic, payload } => topic.len() + payload.len(),
        Expect::Send { stream, payload } => stream.as_str().len() + payload.len(),
        Expect::Pin { name, .. } => name.as_str().len(),
        Expect::Nothing | Expect::Fails => 0,
    }
}

fn line_bytes(line: &Line) -> usize {
    16 + line.text.len()
}

fn wrote_bytes(wrote: &Wrote) -> usize {
    16 + wrote.key.len() + wrote.value.as_ref().map_or(0, Vec::len)
}
