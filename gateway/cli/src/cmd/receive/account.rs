//! What has been seen of each gateway, what is missing, and what was announced as lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_envelope::{Envelope, Loss};

/// The stream in which gateways announce what they have lost.
const LOSSES: &str = "losses";

/// Every gateway by id, and every epoch of its store.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    gateways: BTreeMap<String, BTreeMap<u64, Source>>,
}

/// One epoch of one gateway: within it, seqs are dense from 1.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    seen: Seqs,
    /// We were there when it began: what is missing before the first seq that came is missing.
    from_start: bool,
    /// By stream and reason.
    announced: BTreeMap<String, BTreeMap<String, Announced>>,
}

/// Sums that a gateway announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announced {
    /// The highest.
    count: u64,
    /// Of those, lost before what was told first; it had told others of them.
    before: u64,
}

/// Sums over all sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub gateways: u64,
    /// Seqs below the highest one seen that have not come.
    pub missing: u64,
    pub announced: u64,
    /// What is missing beyond what was announced, summed up source by source.
    pub unexplained: u64,
}

impl Account {
    /// Whether this record is new. Takes note of it, and of the loss that it may announce. A new epoch of a gateway
    /// that is known has begun while we were there; a gateway that is not may have been at it for long, unless
    /// `from_start`.
    pub fn take(&mut self, envelope: &Envelope, from_start: bool) -> bool {
        let is_known = self.gateways.contains_key(&envelope.gateway);
        if !is_known {
            self.gateways.insert(envelope.gateway.clone(), BTreeMap::new());
        }
        let epochs = self.gateways.get_mut(&envelope.gateway).expect("it was just made");
        let source = epochs
            .entry(envelope.epoch)
            .or_insert_with(|| Source { from_start: from_start || is_known, ..Source::default() });
        let is_new = source.seen.insert(envelope.seq);
        if is_new
            && envelope.stream == LOSSES
            && let Ok(loss) = Loss::read(&envelope.payload)
        {
            source.handle_loss(loss);
        }
        is_new
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals { gateways: self.gateways.len() as u64, ..Totals::default() };
        for source in self.gateways.values().flat_map(BTreeMap::values) {
            let (missing, announced) = (source.missing(), source.announced());
            totals.missing = totals.missing.saturating_add(missing);
            totals.announced = totals.announced.saturating_add(announced);
            totals.unexplained =
                totals.unexplained.saturating_add(missing.saturating_sub(announced));
        }
        totals
    }
}

impl Source {
    fn handle_loss(&mut self, loss: Loss) {
        let between = loss.last_seq.saturating_sub(loss.first_seq).saturating_add(1);
        let first = Announced { count: loss.count, before: loss.count.saturating_sub(between) };
        let reasons = self.announced.entry(loss.stream).or_default();
        let known = reasons.entry(loss.reason).or_insert(first);
        known.count = known.count.max(loss.count);
    }

    fn is_whole(&self) -> bool {
        self.from_start || self.seen.lowest() == Some(1)
    }

    fn missing(&self) -> u64 {
        let before = if self.is_whole() { 0 } else { self.seen.lowest().map_or(0, |seq| seq - 1) };
        self.seen.missing().saturating_sub(before)
    }

    fn announced(&self) -> u64 {
        let sums = self.announced.values().flat_map(BTreeMap::values);
        let is_whole = self.is_whole();
        sums.fold(0, |sum: u64, told| {
            let before = if is_whole { 0 } else { told.before };
            sum.saturating_add(told.count.saturating_sub(before))
        })
    }
}

/// A set of seqs as spans without gaps. While high priorities run ahead of a backlog each of them may be a span of
/// its own; they grow together as the backlog comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
struct Seqs {
    /// First and last of each, both included.
    spans: BTreeMap<u64, u64>,
    count: u64,
}

impl From<Vec<(u64, u64)>> for Seqs {
    fn from(spans: Vec<(u64, u64)>) -> Seqs {
        let count = spans.iter().map(|(first, last)| last.saturating_sub(*first) + 1).sum();
        Seqs { spans: spans.into_iter().collect(), count }
    }
}

impl From<Seqs> for Vec<(u64, u64)> {
    fn from(seqs: Seqs) -> Vec<(u64, u64)> {
        seqs.spans.into_iter().collect()
    }
}

impl Seqs {
    /// Whether it is new.
    fn insert(&mut self, seq: u64) -> bool {
        let before = self.spans.range(..=seq).next_back().map(|(first, last)| (*first, *last));
        let (first, grows) = match before {
            Some((_, last)) if seq <= last => return false,
            Some((first, last)) if last + 1 == seq => (first, true),
            Some(_) | None => (seq, false),
        };
        let behind = seq.checked_add(1).and_then(|next| self.spans.remove(&next));
        let last = behind.unwrap_or(seq);
        if grows {
            *self.spans.get_mut(&first).expect("it was just found") = last;
        } else {
            self.spans.insert(first, last);
        }
        self.count += 1;
        true
    }

    fn lowest(&self) -> Option<u64> {
        self.spans.first_key_value().map(|(first, _)| *first)
    }

    /// How many are not there between 1 and the highest one.
    fn missing(&self) -> u64 {
        let highest = self.spans.last_key_value().map_or(0, |(_, last)| *last);
        highest.saturating_sub(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::time::WallTime;

    fn envelope(gateway: &str, epoch: u64, seq: u64, stream: &str, payload: &str) -> Envelope {
        Envelope {
            gateway: gateway.to_owned(),
            epoch,
            seq,
            stream: stream.to_owned(),
            at: WallTime::default(),
            historical: false,
            boot: 1,
            mono_ms: 0,
            topic: None,
            payload: payload.as_bytes().to_vec(),
        }
    }

    fn plain(seq: u64) -> Envelope {
        envelope("gw", 1, seq, "raw", "")
    }

    fn loss(seq: u64, stream: &str, reason: &str, count: u64) -> Envelope {
        let payload = format!(
            r#"{{"stream":"{stream}","reason":"{reason}","count":{count},"first_seq":1,"last_seq":2,"bytes":0}}"#
        );
        envelope("gw", 1, seq, LOSSES, &payload)
    }

    #[track_caller]
    fn check(
        records: &[Envelope],
        from_start: bool,
        (missing, announced, unexplained): (u64, u64, u64),
    ) {
        let mut account = Account::default();
        for record in records {
            account.take(record, from_start);
        }
        let totals = account.totals();
        assert_eq!(
            (totals.missing, totals.announced, totals.unexplained),
            (missing, announced, unexplained)
        );
        let text = serde_json::to_string(&account).expect("it is JSON");
        assert_eq!(serde_json::from_str::<Account>(&text).expect("JSON"), account);
    }

    #[test]
    fn what_is_missing_and_not_announced_is_unexplained() {
        check(&[], true, (0, 0, 0));
        check(&[plain(3)], true, (2, 0, 2));
        check(&[plain(1), plain(2), plain(4)], true, (1, 0, 1));
        check(&[plain(1), loss(5, "raw", "expired", 2)], true, (3, 2, 1));
        check(
            &[plain(1), loss(5, "raw", "expired", 2), loss(6, "a", "expired", 1)],
            true,
            (3, 3, 0),
        );
        // Sums, so the same told twice, or told in the wrong order, counts once.
        check(
            &[plain(1), loss(5, "raw", "expired", 3), loss(6, "raw", "expired", 2)],
            true,
            (3, 3, 0),
        );
        // What one epoch announces explains nothing in another.
        let other = envelope("gw", 2, 2, "raw", "");
        check(&[loss(1, "raw", "expired", 5), other], true, (1, 5, 1));
    }

    #[test]
    fn a_receiver_that_is_new_misses_nothing_from_before() {
        check(&[plain(1000), plain(1002)], false, (1, 0, 1));
        // What waited for its turn still comes, and then its gaps count.
        check(&[plain(1000), plain(10), plain(12)], false, (988, 0, 988));
        check(&[plain(1000), plain(1)], false, (998, 0, 998));
        // 50 were lost before; of those told here, 2 lie between the seqs 1 and 2.
        check(&[plain(1000), loss(1003, "raw", "expired", 52)], false, (2, 2, 0));
        check(
            &[plain(1000), loss(1003, "raw", "expired", 52), loss(1006, "raw", "expired", 53)],
            false,
            (4, 3, 1),
        );
        // The next epoch of a gateway that we know begins before our eyes.
        check(&[plain(1000), envelope("gw", 2, 3, "raw", "")], false, (2, 0, 2));
    }

    #[test]
    fn each_record_is_new_once() {
        let mut account = Account::default();
        for seq in [5, 1, 3, 2, 4, u64::MAX, u64::MAX - 1] {
            assert!(account.take(&plain(seq), false), "{seq}");
            assert!(!account.take(&plain(seq), false), "{seq}");
        }
        assert!(account.take(&envelope("gw", 2, 5, "raw", ""), false));
        assert!(account.take(&envelope("gw-2", 1, 5, "raw", ""), false));
        assert_eq!(account.totals().gateways, 2);
    }

    #[test]
    fn spans_grow_together_in_any_order() {
        // Every seq from 1 to 1000, in an order that leaves many gaps for long.
        let mut seqs = Seqs::default();
        let mut most = 0;
        for n in 0..1000u64 {
            assert!(seqs.insert(n * 389 % 1000 + 1));
            most = most.max(seqs.spans.len());
            let highest = *seqs.spans.last_key_value().expect("not empty").1;
            assert_eq!(seqs.missing(), highest - (n + 1));
        }
        assert!(most > 100, "{most}");
        assert_eq!(seqs.spans.into_iter().collect::<Vec<_>>(), [(1, 1000)]);
    }
}
