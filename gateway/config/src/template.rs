//! A topic upstream with places to fill in: `{gateway}` is filled in when it is read, `{topic}` with each record.

use std::fmt;

use tidegate_core::topic::{TOPIC_BYTES_MAX, Topic};

/// The large cloud brokers take no more slashes in a topic (AWS IoT: "no more than 7 forward slashes").
pub(crate) const SLASHES_MAX: usize = 7;

const GATEWAY: &str = "gateway";
const TOPIC: &str = "topic";

/// Where a stream's records go. Holds at most seven slashes of its own, no wildcard, and does not start with `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate {
    before: String,
    /// What comes after `{topic}`, where that stands in it.
    after: Option<String>,
}

impl TopicTemplate {
    /// Takes a written template apart, or says what is wrong with it, as the end of "it ...".
    pub(crate) fn read(written: &str, gateway: &str) -> Result<TopicTemplate, String> {
        let mut template = TopicTemplate { before: String::new(), after: None };
        let mut rest = written;
        while let Some(at) = rest.find(['{', '}']) {
            let (plain, braced) = rest.split_at(at);
            template.push(plain);
            let word = braced.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((word, behind)) = word else {
                return Err(
                    "has a brace without its other half; write {gateway} or {topic}".to_owned()
                );
            };
            match word {
                GATEWAY => template.push(gateway),
                TOPIC if template.after.is_some() => {
                    return Err("has {topic} twice; once is enough".to_owned());
                }
                TOPIC => template.after = Some(String::new()),
                _ => {
                    return Err(format!(
                        "has {{{word}}}, which stands for nothing; use {{gateway}}, or {{topic}} for forwarded messages"
                    ));
                }
            }
            rest = behind;
        }
        template.push(rest);
        template.check()?;
        Ok(template)
    }

    fn push(&mut self, plain: &str) {
        self.after.as_mut().unwrap_or(&mut self.before).push_str(plain);
    }

    fn check(&self) -> Result<(), String> {
        // `{topic}` is at least one character, and may be any; it is checked with each record.
        let shortest = format!(
            "{}{}",
            self.before,
            self.after.as_ref().map_or(String::new(), |after| format!("t{after}"))
        );
        Topic::new(&shortest).map_err(|error| error.to_string())?;
        if shortest.starts_with('$') {
            return Err("starts with `$`; those topics are the broker's own".to_owned());
        }
        if self.slashes() > SLASHES_MAX {
            return Err(format!(
                "has {} slashes; the large cloud brokers take at most {SLASHES_MAX}",
                self.slashes()
            ));
        }
        Ok(())
    }

    /// The slashes it has without those of `{topic}`.
    pub(crate) fn slashes(&self) -> usize {
        let count = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
        count(&self.before) + self.after.as_deref().map_or(0, count)
    }

    /// Whether it holds `{topic}`: only a forwarded message has one.
    pub fn needs_topic(&self) -> bool {
        self.after.is_some()
    }

    /// Writes the topic for a record that came under `topic`, in place of what was in `into`. False when it
    /// can have none: the template needs one, or what comes out is no topic that every broker takes.
    pub fn fill(&self, topic: Option<&str>, into: &mut String) -> bool {
        into.clear();
        into.push_str(&self.before);
        let Some(after) = &self.after else {
            // Checked when it was read.
            return true;
        };
        let Some(topic) = topic else {
            return false;
        };
        into.push_str(topic);
        into.push_str(after);
        let bytes = into.as_bytes();
        bytes.len() <= TOPIC_BYTES_MAX
            && bytes.iter().filter(|byte| **byte == b'/').count() <= SLASHES_MAX
            && !bytes.iter().any(|byte| matches!(byte, b'+' | b'#' | 0))
            && !into.starts_with('$')
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.before)?;
        match &self.after {
            Some(after) => write!(f, "{{topic}}{after}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, topic: Option<&str>, expect: Option<&str>) {
        let template = TopicTemplate::read(template, "gw-01").expect("a good template");
        let mut filled = "left over".to_owned();
        let is_good = template.fill(topic, &mut filled);
        assert_eq!(is_good.then_some(filled.as_str()), expect, "{template} with {topic:?}");
    }

    #[test]
    fn what_can_have_no_topic_gets_none() {
        check("{gateway}/{topic}", None, None);
        check("{topic}", Some("$SYS/uptime"), None);
        check("{topic}", Some("a/+"), None);
        check("{gateway}/{topic}", Some("1/2/3/4/5/6/7/8"), None);
        check("{gateway}/{topic}", Some(&"x".repeat(65_530)), None);
    }

    #[test]
    fn places_are_filled_in() {
        check("{gateway}/alerts", None, Some("gw-01/alerts"));
        check("{gateway}/alerts", Some("devices/7"), Some("gw-01/alerts"));
        check("{gateway}/{topic}", Some("1/2/3/4/5/6/7"), Some("gw-01/1/2/3/4/5/6/7"));
        check("up/{topic}/of/{gateway}", Some("devices/7"), Some("up/devices/7/of/gw-01"));
        check("{gateway}/{topic}", Some("$x"), Some("gw-01/$x"));
    }

    #[test]
    fn it_shows_itself_with_what_is_known() {
        let template = TopicTemplate::read("{gateway}/a/{topic}/{gateway}", "gw").expect("good");
        assert_eq!(template.to_string(), "gw/a/{topic}/gw");
        assert!(template.needs_topic());
    }
}
