//! What a release may do that the one before could not, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_release::manifest::Install;

/// Two releases side by side.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Triggers, grants and limits: a person says yes to them.
    pub asks: Vec<String>,
    /// What changes besides: version, module, settings and the like.
    pub tells: Vec<String>,
}

impl Diff {
    /// From what runs to what is to run.
    pub fn between(old: &Install, new: &Install) -> Diff {
        let mut diff = Diff::default();
        let asks = &mut diff.asks;
        members(asks, "trigger", &old.events, &new.events);
        members(asks, "publish", &old.grants.publish, &new.grants.publish);
        members(asks, "send", &old.grants.streams, &new.grants.streams);
        members(asks, "pin", &old.grants.pins, &new.grants.pins);
        let (was, is) = (&old.limits, &new.limits);
        value(asks, "limits.fuel", was.fuel, is.fuel);
        value(asks, "limits.memory_kib", was.memory_kib, is.memory_kib);
        value(asks, "limits.deadline_ms", was.deadline_ms, is.deadline_ms);
        value(asks, "limits.publishes", was.publishes, is.publishes);
        let tells = &mut diff.tells;
        value(tells, "version", &old.version, &new.version);
        value(tells, "module", old.module.digest.short(), new.module.digest.short());
        value(tells, "isolation", shown(&old.isolation), shown(&new.isolation));
        value(tells, "react", shown(&old.react), shown(&new.react));
        settings(tells, &old.settings, &new.settings);
        if old.probation != new.probation {
            tells.push("probation: other bounds".to_owned());
        }
        diff
    }

    /// What a first release asks for.
    pub fn first(new: &Install) -> Diff {
        let mut diff = Diff::default();
        members(&mut diff.tells, "trigger", &[], &new.events);
        members(&mut diff.tells, "publish", &[], &new.grants.publish);
        members(&mut diff.tells, "send", &[], &new.grants.streams);
        members(&mut diff.tells, "pin", &[], &new.grants.pins);
        diff
    }

    /// What runs now was pushed from elsewhere, and what it may do is not known here.
    pub fn with_unknown(version: &str, new: &Install) -> Diff {
        let mut diff = Diff::first(new);
        diff.asks.push(format!(
            "{version} runs now; it was pushed from elsewhere, and what it may do is not known here"
        ));
        diff
    }

    /// A line each, what a person says yes to first.
    pub fn lines(&self) -> impl Iterator<Item = &String> {
        self.asks.iter().chain(&self.tells)
    }
}

/// `publish: + valves/#`
fn members<T: Ord + ToString>(lines: &mut Vec<String>, name: &str, old: &[T], new: &[T]) {
    let (old, new): (BTreeSet<&T>, BTreeSet<&T>) = (old.iter().collect(), new.iter().collect());
    for added in new.difference(&old) {
        lines.push(format!("{name}: + {}", added.to_string()));
    }
    for removed in old.difference(&new) {
        lines.push(format!("{name}: - {}", removed.to_string()));
    }
}

fn value<T: PartialEq + ToString>(lines: &mut Vec<String>, name: &str, old: T, new: T) {
    if old != new {
        lines.push(format!("{name}: {} -> {}", old.to_string(), new.to_string()));
    }
}

fn settings(
    lines: &mut Vec<String>,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        match (old.get(key), new.get(key)) {
            (Some(was), Some(is)) if was != is => {
                lines.push(format!("config.{key}: {was:?} -> {is:?}"));
            }
            (None, Some(is)) => lines.push(format!("config.{key}: + {is:?}")),
            (Some(was), None) => lines.push(format!("config.{key}: - {was:?}")),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

fn shown(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use tidegate_release::Digest;
    use tidegate_release::manifest::{Blob, Grants, Isolation, Limits, Probation, React};

    use super::*;

    fn install() -> Install {
        Install {
            module: Blob { digest: Digest([1; 32]), bytes: 9 },
            version: "1.0".to_owned(),
            events: vec!["devices/+/telemetry".to_owned()],
            grants: Grants { publish: vec!["devices/+/cmd".to_owned()], ..Grants::default() },
            limits: Limits { fuel: 1000, memory_kib: 64, deadline_ms: 50, publishes: 1 },
            settings: BTreeMap::from([("limit".to_owned(), "60".to_owned())]),
            isolation: Isolation::Event,
            react: React::Now,
            golden: None,
            migrate_from: None,
            probation: Probation {
                events: 1,
                uptime_ms: 1,
                failed_per_mille_max: 0,
                deadline_misses_max: 0,
                p99_us_max: u32::MAX,
                memory_kib_max: u32::MAX,
            },
        }
    }

    fn check(change: impl Fn(&mut Install), asks: &[&str], tells: &[&str]) {
        let mut new = install();
        change(&mut new);
        let diff = Diff::between(&install(), &new);
        assert_eq!(
            (&diff.asks[..], &diff.tells[..]),
            (&asks.map_owned()[..], &tells.map_owned()[..])
        );
    }

    trait Owned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl Owned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|line| (*line).to_owned()).collect()
        }
    }

    #[test]
    fn what_may_do_more_is_asked_for() {
        check(|new| new.grants.publish.push("valves/#".to_owned()), &["publish: + valves/#"], &[]);
        check(|new| new.limits.fuel = 2000, &["limits.fuel: 1000 -> 2000"], &[]);
        check(
            |new| new.events = vec!["#".to_owned()],
            &["trigger: + #", "trigger: - devices/+/telemetry"],
            &[],
        );
        let stream = tidegate_release::Name::new("alerts").expect("a name");
        check(move |new| new.grants.streams = vec![stream.clone()], &["send: + alerts"], &[]);
    }

    #[test]
    fn what_changes_besides_is_told() {
        check(|_| {}, &[], &[]);
        check(|new| new.version = "1.1".to_owned(), &[], &["version: 1.0 -> 1.1"]);
        check(
            |new| new.module.digest = Digest([2; 32]),
            &[],
            &["module: 010101010101 -> 020202020202"],
        );
        check(|new| new.react = React::Durable, &[], &["react: now -> durable"]);
        check(
            |new| new.settings = BTreeMap::from([("alpha".to_owned(), "1".to_owned())]),
            &[],
            &["config.alpha: + \"1\"", "config.limit: - \"60\""],
        );
        let unknown = Diff::with_unknown("0.9", &install());
        assert_eq!(unknown.asks.len(), 1, "somebody says yes to it");
        let first = Diff::first(&install());
        assert_eq!(first.asks, [""; 0]);
        assert_eq!(first.tells, ["trigger: + devices/+/telemetry", "publish: + devices/+/cmd"]);
    }
}
