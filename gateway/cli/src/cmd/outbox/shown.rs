//! An outbox for people.

use super::seen::{Oldest, Seen, Source, State, Stream, Uplink};
use crate::duration;
use crate::sizes::{bytes, count};

/// The first column, and the widest of the others.
const NAME_WIDTH: usize = 16;
const AGE_WIDTH: usize = 22;

impl Seen {
    pub fn describe(&self) -> String {
        let mut text = format!("{}, epoch {}: {}\n", self.name(), self.epoch, self.link());
        if let Some(journal) = self.journal {
            text.push_str(&match journal.quota_bytes {
                Some(quota) => format!(
                    "journal: {} of {} ({:.0} %)\n",
                    bytes(journal.used_bytes as f64),
                    bytes(quota as f64),
                    journal.used_bytes as f64 * 100.0 / quota.max(1) as f64
                ),
                None => format!("journal: {}\n", bytes(journal.used_bytes as f64)),
            });
        }
        text.push('\n');
        if self.streams.is_empty() {
            text.push_str("There are no streams: nothing goes upstream.\n");
        } else {
            text.push_str(&row([
                "stream",
                "waiting",
                "bytes",
                "oldest",
                "acked",
                "lost",
                "drained in",
            ]));
        }
        self.streams.iter().for_each(|stream| text.push_str(&stream.row()));
        for stream in self.streams.iter().filter(|stream| !stream.lost.is_empty()) {
            text.push_str(&stream.losses());
        }
        for note in &self.notes {
            text.push_str(&format!("\nnote: {note}\n"));
        }
        text
    }

    fn name(&self) -> &str {
        self.gateway.as_deref().unwrap_or("a gateway")
    }

    fn link(&self) -> String {
        let since = |uplink: &Uplink| {
            uplink.since_s.map_or_else(|| "?".to_owned(), |s| duration::describe(s as f64))
        };
        match (self.source, &self.uplink) {
            (Source::Disk, _) | (Source::Daemon, None) => {
                "no daemon answers; read from its folder".to_owned()
            }
            (Source::Daemon, Some(uplink)) => match uplink.state {
                State::None => "there is no [uplink]".to_owned(),
                State::Up => format!(
                    "upstream is there, since {}; {} under way",
                    since(uplink),
                    self.under_way.unwrap_or(0)
                ),
                State::Down => format!("upstream is not there, since {}", since(uplink)),
            },
        }
    }
}

impl Stream {
    fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("#{}", self.number))
    }

    fn row(&self) -> String {
        let lost: u64 = self.lost.values().sum();
        let drain = match (self.waiting, self.drain_s) {
            (0, _) => "-".to_owned(),
            (_, Some(s)) => duration::describe(s as f64),
            (_, None) => "unknown".to_owned(),
        };
        row([
            &self.label(),
            &count(self.waiting as f64),
            &bytes(self.waiting_bytes as f64),
            &self.age(),
            &count(self.delivered as f64),
            &count(lost as f64),
            &drain,
        ])
    }

    fn age(&self) -> String {
        let age = self.oldest_s.map(|s| duration::describe(s as f64));
        match (self.oldest, age) {
            (Oldest::None, _) => "-".to_owned(),
            (Oldest::Unknown, _) | (_, None) => "unknown".to_owned(),
            (Oldest::Exact, Some(age)) => age,
            (Oldest::AtLeast, Some(age)) => format!("at least {age}"),
            (Oldest::AtMost, Some(age)) => format!("at most {age}"),
        }
    }

    fn losses(&self) -> String {
        let reason = |(reason, lost): (&String, &u64)| format!("{} {reason}", count(*lost as f64));
        let reasons: Vec<String> = self.lost.iter().map(reason).collect();
        format!("{} lost {}\n", self.label(), reasons.join(", "))
    }
}

fn row([name, waiting, bytes, age, acked, lost, drain]: [&str; 7]) -> String {
    format!(
        "{name:<NAME_WIDTH$}{waiting:>11}{bytes:>10}{age:>AGE_WIDTH$}{acked:>13}{lost:>9}{drain:>16}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::seen::Journal;
    use super::*;

    fn stream(name: Option<&str>, waiting: u64, oldest: Oldest, drain_s: Option<u64>) -> Stream {
        Stream {
            name: name.map(str::to_owned),
            number: 77,
            waiting,
            waiting_bytes: waiting * 200,
            oldest_s: Some(7260),
            oldest,
            delivered: 1_234_567,
            delivered_lately: None,
            lately_ms: None,
            drain_s,
            lost: BTreeMap::new(),
        }
    }

    #[test]
    fn a_table_says_what_waits_and_what_was_lost() {
        let mut raw = stream(Some("raw"), 432_000, Oldest::AtLeast, Some(95));
        raw.lost = [("expired".to_owned(), 1200), ("refused".to_owned(), 3)].into();
        let seen = Seen {
            source: Source::Daemon,
            gateway: Some("gw-1".to_owned()),
            epoch: "0a".to_owned(),
            uplink: Some(Uplink { state: State::Down, since_s: Some(7300) }),
            under_way: Some(0),
            journal: Some(Journal { used_bytes: 64_000_000, quota_bytes: Some(256_000_000) }),
            streams: vec![stream(None, 0, Oldest::None, Some(0)), raw],
            notes: vec!["something".to_owned()],
        };
        let lines: Vec<String> = seen.describe().lines().map(str::to_owned).collect();
        let expect = [
            "gw-1, epoch 0a: upstream is not there, since 2 h 1 min",
            "journal: 64.0 MB of 256 MB (25 %)",
            "",
            "stream              waiting     bytes                oldest        acked     lost      drained in",
            "#77                       0       0 B                     -    1,234,567        0               -",
            "raw                 432,000   86.4 MB     at least 2 h 1 min    1,234,567    1,203    1 min 35 s",
            "raw lost 1,200 expired, 3 refused",
            "",
            "note: something",
        ];
        assert_eq!(lines.len(), expect.len());
        for (line, expect) in lines.iter().zip(expect) {
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(line), words(expect));
        }
        let width = |line: &String| line.len();
        assert_eq!((width(&lines[4]), width(&lines[5])), (width(&lines[3]), width(&lines[3])));
    }

    #[test]
    fn how_upstream_is() {
        let with = |source, uplink| {
            let seen = Seen {
                source,
                gateway: None,
                epoch: "0a".to_owned(),
                uplink,
                under_way: Some(3),
                journal: None,
                streams: Vec::new(),
                notes: Vec::new(),
            };
            seen.describe()
        };
        let state = |state| Some(Uplink { state, since_s: Some(5) });
        let up = with(Source::Daemon, state(State::Up));
        assert!(up.contains("upstream is there, since 5 s; 3 under way"), "{up}");
        assert!(up.contains("There are no streams"), "{up}");
        assert!(with(Source::Daemon, state(State::None)).contains("no [uplink]"));
        assert!(with(Source::Disk, None).contains("no daemon answers"));
    }
}
