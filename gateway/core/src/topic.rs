//! Topic names and topic filters (MQTT 3.1.1 and 5, section 4.7), checked once and then believed.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

/// Longest topic or filter in bytes: the length field is a `u16` (MQTT 1.5.4).
pub const TOPIC_BYTES_MAX: usize = 65_535;
/// Most levels a topic or filter may have; a trie walk is as deep as this.
pub const TOPIC_LEVELS_MAX: usize = 128;

/// Why a string is not a topic name or a topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// When there is no character at all.
    Empty,
    /// When it has more than [`TOPIC_BYTES_MAX`] bytes.
    TooLong,
    /// When it has more than [`TOPIC_LEVELS_MAX`] levels.
    TooDeep,
    /// When it holds U+0000.
    Nul,
    /// When a name holds `+` or `#`, or a filter has one that does not stand alone in its level.
    Wildcard,
    /// When a filter's `#` is not its last level.
    HashNotLast,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopicError::Empty => "is empty",
            TopicError::TooLong => "is longer than 65535 bytes",
            TopicError::TooDeep => "has more than 128 levels",
            TopicError::Nul => "holds the character U+0000",
            TopicError::Wildcard => "has a `+` or `#` where none may stand",
            TopicError::HashNotLast => "has a `#` before its last level",
        })
    }
}

impl core::error::Error for TopicError {}

/// What names and filters have in common. `Ok(true)`: there is a `+` or `#` somewhere.
fn check_common(text: &str) -> Result<bool, TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    // One pass without a branch, so that it runs in vector registers: each publish comes by here.
    let (mut levels, mut nul, mut wildcard) = (1usize, false, false);
    for byte in text.bytes() {
        levels += usize::from(byte == b'/');
        nul |= byte == 0;
        wildcard |= (byte == b'+') | (byte == b'#');
    }
    if nul {
        Err(TopicError::Nul)
    } else if levels > TOPIC_LEVELS_MAX {
        Err(TopicError::TooDeep)
    } else {
        Ok(wildcard)
    }
}

/// A topic name: where a message is published. No wildcards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks a topic name.
    ///
    /// # Errors
    /// When `name` is not one; see [`TopicError`].
    pub fn new(name: &str) -> Result<Topic, TopicError> {
        if check_common(name)? {
            return Err(TopicError::Wildcard);
        }
        Ok(Topic(Arc::from(name)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name starts with `$`: wildcards in a filter's first level do not match it (MQTT 4.7.2).
    pub fn is_dollar(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A topic filter: what a subscription or a trigger asks for. May hold `+` and `#`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter(Box<str>);

impl Filter {
    /// Checks a topic filter.
    ///
    /// # Errors
    /// When `filter` is not one; see [`TopicError`].
    pub fn new(filter: &str) -> Result<Filter, TopicError> {
        if !check_common(filter)? {
            return Ok(Filter(Box::from(filter)));
        }
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            match level {
                "#" if levels.peek().is_some() => return Err(TopicError::HashNotLast),
                "#" | "+" => {}
                _ if level.contains(['+', '#']) => return Err(TopicError::Wildcard),
                _ => {}
            }
        }
        Ok(Filter(Box::from(filter)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `topic` is one that this filter asks for.
    pub fn matches(&self, topic: &str) -> bool {
        let mut levels = self.0.split('/');
        let mut names = topic.split('/');
        let mut first = true;
        loop {
            let (level, name) = (levels.next(), names.next());
            let hidden = first && topic.starts_with('$');
            first = false;
            match (level, name) {
                (Some("#"), _) => return !hidden,
                (Some("+"), Some(_)) if !hidden => {}
                (Some(level), Some(name)) if level == name => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }

    /// Whether every topic that `other` matches is matched by this filter too.
    pub fn covers(&self, other: &Filter) -> bool {
        let mut mine = self.0.split('/');
        let mut theirs = other.0.split('/');
        let dollar = other.0.starts_with('$');
        let mut first = true;
        loop {
            let hidden = first && dollar;
            first = false;
            match (mine.next(), theirs.next()) {
                (Some("#"), _) => return !hidden,
                (Some("+"), Some(level)) if !hidden && level != "#" => {}
                (Some(level), Some(other)) if level == other => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, topic: &str, expect: bool) {
        let filter = Filter::new(filter).expect("a good filter");
        assert_eq!(filter.matches(topic), expect, "{filter} ~ {topic}");
    }

    #[test]
    fn filters_match_as_the_specification_says() {
        check("sport/tennis/player1/#", "sport/tennis/player1", true);
        check("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true);
        check("sport/#", "sport", true);
        check("#", "a/b", true);
        check("sport/tennis/+", "sport/tennis/player1", true);
        check("sport/tennis/+", "sport/tennis/player1/ranking", false);
        check("sport/+", "sport", false);
        check("sport/+", "sport/", true);
        check("+/+", "/finance", true);
        check("/+", "/finance", true);
        check("+", "/finance", false);
        check("#", "$SYS/uptime", false);
        check("+/uptime", "$SYS/uptime", false);
        check("$SYS/#", "$SYS/uptime", true);
        check("a/b", "a/b/c", false);
        check("a/b/c", "a/b", false);
    }

    #[test]
    fn what_is_no_topic_is_refused() {
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
        assert_eq!(Topic::new("a/+/b"), Err(TopicError::Wildcard));
        assert_eq!(Topic::new("a\0"), Err(TopicError::Nul));
        assert_eq!(Topic::new(&"a".repeat(65_536)), Err(TopicError::TooLong));
        assert_eq!(Topic::new(&"/".repeat(128)), Err(TopicError::TooDeep));
        assert_eq!(Filter::new("a/#/b"), Err(TopicError::HashNotLast));
        assert_eq!(Filter::new("a/b#"), Err(TopicError::Wildcard));
        assert_eq!(Filter::new("a+/b"), Err(TopicError::Wildcard));
        assert!(Filter::new("+/a/#").is_ok());
    }

    #[test]
    fn one_filter_covers_another() {
        let covers = |a: &str, b: &str| {
            Filter::new(a).expect("filter").covers(&Filter::new(b).expect("filter"))
        };
        assert!(covers("devices/#", "devices/+/cmd"));
        assert!(covers("devices/+/cmd", "devices/7/cmd"));
        assert!(covers("#", "a/#"));
        assert!(!covers("devices/+/cmd", "devices/#"));
        assert!(!covers("devices/+", "devices/#"));
        assert!(!covers("#", "$SYS/a"));
        assert!(!covers("a/b", "a/+"));
    }
}
