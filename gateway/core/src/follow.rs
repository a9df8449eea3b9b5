//! Who wants to see what handlers log. Log lines leave the gateway only while somebody asks for them, again and again.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write;
use core::time::Duration;

use crate::job::LogLine;
use crate::notice::write_json_string;
use crate::outbox::pace::Pace;
use crate::time::{ClockQuality, Timestamp, WallTime};

/// A request holds for so long; whoever watches sends another one before.
const FOLLOW_MS: u64 = 30_000;
/// Handlers that are followed at once. One more replaces the one whose time is over first.
const FOLLOWED_MAX: usize = 16;
/// Lines a second that leave the gateway, and how many may do so at once. More are counted, and the next line says it.
const LINES_PER_S: u32 = 20;
const LINES_BURST: u32 = 100;
/// Bytes of a line's text.
const TEXT_BYTES_MAX: usize = 1024;

#[derive(Debug)]
struct Followed {
    until: Timestamp,
    pace: Pace,
    left_out: u64,
}

/// The handlers that somebody follows, by name. Mostly none.
#[derive(Debug, Default)]
pub struct Follows {
    handlers: BTreeMap<Arc<str>, Followed>,
}

impl Follows {
    /// Somebody wants to see this handler's lines.
    pub fn handle_request(&mut self, now: Timestamp, handler: &str) {
        self.handlers.retain(|_, followed| followed.until > now);
        let until = now.after(Duration::from_millis(FOLLOW_MS));
        if let Some(followed) = self.handlers.get_mut(handler) {
            followed.until = until;
            return;
        }
        if self.handlers.len() >= FOLLOWED_MAX {
            let first = self.handlers.iter().min_by_key(|(_, followed)| followed.until);
            let first = first.map(|(name, _)| Arc::clone(name));
            first.map(|name| self.handlers.remove(&name));
        }
        let pace = Pace::with_burst(LINES_PER_S, LINES_BURST);
        self.handlers.insert(Arc::from(handler), Followed { until, pace, left_out: 0 });
    }

    pub fn is_empty(&self) -> bool {
        self.handlers.is_empty()
    }

    /// A line as it leaves the gateway: one JSON object, `{"ts_us":N,"level":N,"text":T[,"left_out":N]}`. `ts_us` is
    /// unix time, or null while the clock is not known; `left_out` lines were too many before it. None: nobody follows
    /// the handler, or it is one too many.
    pub fn handle_line(
        &mut self,
        now: Timestamp,
        wall: WallTime,
        handler: &str,
        line: &LogLine,
    ) -> Option<String> {
        let followed = self.handlers.get_mut(handler)?;
        if followed.until <= now {
            self.handlers.remove(handler);
            return None;
        }
        if !followed.pace.take(now) {
            followed.left_out += 1;
            return None;
        }
        let mut out = String::with_capacity(64 + line.text.len().min(TEXT_BYTES_MAX));
        let ends = (0..=line.text.len().min(TEXT_BYTES_MAX)).rev();
        let end = ends.into_iter().find(|end| line.text.is_char_boundary(*end)).unwrap_or(0);
        let written = match wall.quality != ClockQuality::None {
            true => write!(out, "{{\"ts_us\":{}", wall.unix_us),
            false => write!(out, "{{\"ts_us\":null"),
        };
        written.expect("a String takes everything");
        write!(out, ",\"level\":{},\"text\":", line.level).expect("a String takes everything");
        write_json_string(&line.text[..end], &mut out);
        if followed.left_out > 0 {
            write!(out, ",\"left_out\":{}", core::mem::take(&mut followed.left_out))
                .expect("a String takes everything");
        }
        out.push('}');
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(follows: &mut Follows, ms: u64, text: &str) -> Option<String> {
        let wall = WallTime { unix_us: 5, quality: ClockQuality::Ntp };
        let line = LogLine { level: 2, text: text.into() };
        follows.handle_line(Timestamp(ms), wall, "p", &line)
    }

    #[test]
    fn lines_leave_while_somebody_asks() {
        let mut follows = Follows::default();
        assert_eq!(line(&mut follows, 0, "a"), None);
        follows.handle_request(Timestamp(0), "p");
        let expect = r#"{"ts_us":5,"level":2,"text":"a \"b\""}"#;
        assert_eq!(line(&mut follows, FOLLOW_MS - 1, "a \"b\"").as_deref(), Some(expect));
        assert_eq!(line(&mut follows, FOLLOW_MS, "a"), None);
        assert!(follows.is_empty(), "nothing is kept of it");
        follows.handle_request(Timestamp(0), "p");
        follows.handle_request(Timestamp(20_000), "p");
        assert!(line(&mut follows, FOLLOW_MS + 1, "a").is_some(), "it was asked for again");
    }

    #[test]
    fn too_many_are_counted_and_the_next_one_says_so() {
        let mut follows = Follows::default();
        follows.handle_request(Timestamp(0), "p");
        let count = (0..1000).filter(|_| line(&mut follows, 0, "a").is_some()).count();
        assert_eq!(count, LINES_BURST as usize);
        let next = line(&mut follows, 1000, "b").expect("a second's worth");
        assert!(next.ends_with(r#","left_out":900}"#), "{next}");
        let long = line(&mut follows, 1000, &"ä".repeat(5000)).expect("one more");
        assert!(long.len() < TEXT_BYTES_MAX + 64, "{}", long.len());
    }

    #[test]
    fn no_more_handlers_than_allowed() {
        let mut follows = Follows::default();
        for n in 0..100 {
            follows.handle_request(Timestamp(n), &alloc::format!("h{n}"));
        }
        assert_eq!(follows.handlers.len(), FOLLOWED_MAX);
        assert!(follows.handlers.contains_key("h99"), "the newest are followed");
    }
}
