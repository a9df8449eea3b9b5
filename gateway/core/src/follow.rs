//! Who wants to see what handlers log. Log lines leave the gateway only while somebody asks for them, again and again.

use alloc::collections::BTreeMap;
use alloc::format;
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

/// Where somebody asks, and where alone lines go: nobody here makes a link upstream pay for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// When it is a client of the front door, or of the broker that is there instead.
    Local,
    /// When it comes from upstream.
    Upstream,
}

/// A line as it leaves the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub text: String,
    pub local: bool,
    pub upstream: bool,
}

#[derive(Debug)]
struct Followed {
    local: Timestamp,
    upstream: Timestamp,
    pace: Pace,
    left_out: u64,
}

impl Followed {
    fn until(&self) -> Timestamp {
        self.local.max(self.upstream)
    }

    fn shown(&self, now: Timestamp, text: String) -> Shown {
        Shown { text, local: self.local > now, upstream: self.upstream > now }
    }
}

/// The handlers that somebody follows, by name. Mostly none.
#[derive(Debug, Default)]
pub struct Follows {
    handlers: BTreeMap<Arc<str>, Followed>,
}

impl Follows {
    /// Somebody wants to see this handler's lines. What was left out since the last line is said now:
    /// `{"ts_us":N,"left_out":N}`, so that it is known also of a handler that has fallen silent.
    pub fn handle_request(
        &mut self,
        now: Timestamp,
        wall: WallTime,
        handler: &Arc<str>,
        side: Side,
    ) -> Option<Shown> {
        self.handlers.retain(|_, followed| followed.until() > now);
        if self.handlers.len() >= FOLLOWED_MAX && !self.handlers.contains_key(handler) {
            let first = self.handlers.iter().min_by_key(|(_, followed)| followed.until());
            let first = first.map(|(name, _)| Arc::clone(name));
            first.map(|name| self.handlers.remove(&name));
        }
        let followed = self.handlers.entry(Arc::clone(handler)).or_insert_with(|| Followed {
            local: Timestamp(0),
            upstream: Timestamp(0),
            pace: Pace::with_burst(LINES_PER_S, LINES_BURST),
            left_out: 0,
        });
        let left_out = core::mem::take(&mut followed.left_out);
        let mut out = begin(wall);
        write!(out, ",\"left_out\":{left_out}}}").expect("a String takes everything");
        let shown = followed.shown(now, out);
        let until = now.after(Duration::from_millis(FOLLOW_MS));
        match side {
            Side::Local => followed.local = until,
            Side::Upstream => followed.upstream = until,
        }
        (left_out > 0).then_some(shown)
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
    ) -> Option<Shown> {
        let followed = self.handlers.get_mut(handler)?;
        if followed.until() <= now {
            self.handlers.remove(handler);
            return None;
        }
        if !followed.pace.take(now) {
            followed.left_out += 1;
            return None;
        }
        let mut out = begin(wall);
        let ends = (0..=line.text.len().min(TEXT_BYTES_MAX)).rev();
        let end = ends.into_iter().find(|end| line.text.is_char_boundary(*end)).unwrap_or(0);
        write!(out, ",\"level\":{},\"text\":", line.level).expect("a String takes everything");
        write_json_string(&line.text[..end], &mut out);
        if followed.left_out > 0 {
            write!(out, ",\"left_out\":{}", core::mem::take(&mut followed.left_out))
                .expect("a String takes everything");
        }
        out.push('}');
        Some(followed.shown(now, out))
    }
}

fn begin(wall: WallTime) -> String {
    match wall.quality {
        ClockQuality::None => String::from("{\"ts_us\":null"),
        ClockQuality::Floor | ClockQuality::Ntp => format!("{{\"ts_us\":{}", wall.unix_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: WallTime = WallTime { unix_us: 5, quality: ClockQuality::Ntp };

    fn line(follows: &mut Follows, ms: u64, text: &str) -> Option<String> {
        let line = LogLine { level: 2, text: text.into() };
        Some(follows.handle_line(Timestamp(ms), WALL, "p", &line)?.text)
    }

    fn ask(follows: &mut Follows, ms: u64, handler: &str) -> Option<String> {
        let handler = Arc::from(handler);
        Some(follows.handle_request(Timestamp(ms), WALL, &handler, Side::Local)?.text)
    }

    #[test]
    fn lines_leave_while_somebody_asks() {
        let mut follows = Follows::default();
        assert_eq!(line(&mut follows, 0, "a"), None);
        assert_eq!(ask(&mut follows, 0, "p"), None);
        let expect = r#"{"ts_us":5,"level":2,"text":"a \"b\""}"#;
        assert_eq!(line(&mut follows, FOLLOW_MS - 1, "a \"b\"").as_deref(), Some(expect));
        assert_eq!(line(&mut follows, FOLLOW_MS, "a"), None);
        assert!(follows.is_empty(), "nothing is kept of it");
        ask(&mut follows, 0, "p");
        ask(&mut follows, 20_000, "p");
        assert!(line(&mut follows, FOLLOW_MS + 1, "a").is_some(), "it was asked for again");
    }

    #[test]
    fn too_many_are_counted_and_the_next_one_says_so() {
        let mut follows = Follows::default();
        ask(&mut follows, 0, "p");
        let count = (0..1000).filter(|_| line(&mut follows, 0, "a").is_some()).count();
        assert_eq!(count, LINES_BURST as usize);
        let next = line(&mut follows, 1000, "b").expect("a second's worth");
        assert!(next.ends_with(r#","left_out":900}"#), "{next}");
        let long = line(&mut follows, 1000, &"ä".repeat(5000)).expect("one more");
        assert!(long.len() < TEXT_BYTES_MAX + 64, "{}", long.len());
        (0..100).for_each(|_| drop(line(&mut follows, 1000, "c")));
        let told = ask(&mut follows, 1500, "p").expect("some were left out");
        assert_eq!(told, r#"{"ts_us":5,"left_out":82}"#, "also when no line comes any more");
        assert_eq!(ask(&mut follows, 1500, "p"), None, "once");
    }

    #[test]
    fn lines_go_where_somebody_asks() {
        let mut follows = Follows::default();
        let check = |follows: &mut Follows, ms: u64, expect| {
            let line = LogLine { level: 2, text: "a".into() };
            let shown = follows.handle_line(Timestamp(ms), WALL, "p", &line);
            assert_eq!(shown.map(|shown| (shown.local, shown.upstream)), expect, "at {ms}");
        };
        let name = Arc::from("p");
        follows.handle_request(Timestamp(0), WALL, &name, Side::Upstream);
        check(&mut follows, 1, Some((false, true)));
        follows.handle_request(Timestamp(10_000), WALL, &name, Side::Local);
        check(&mut follows, 10_000, Some((true, true)));
        check(&mut follows, FOLLOW_MS, Some((true, false)));
        check(&mut follows, FOLLOW_MS + 10_000, None);
    }

    #[test]
    fn no_more_handlers_than_allowed() {
        let mut follows = Follows::default();
        for n in 0..100 {
            ask(&mut follows, n, &format!("h{n}"));
        }
        assert_eq!(follows.handlers.len(), FOLLOWED_MAX);
        assert!(follows.handlers.contains_key("h99"), "the newest are followed");
    }
}
