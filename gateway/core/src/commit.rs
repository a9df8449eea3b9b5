//! A commit: one atomic change of all that must last. One frame in the journal.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::job::Write;
use crate::record::{LossReason, Place, Record, StreamId};

/// Commits in order, dense from 1 in each run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitId(pub u64);

/// What becomes durable together, or not at all. Commits become durable in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    pub id: CommitId,
    /// At most one entry a handler.
    pub states: Vec<StateChange>,
    /// In order of seq.
    pub records: Vec<Arc<Record>>,
    /// Records that have a seq and are given up with this commit.
    pub losses: Vec<Lost>,
    /// What upstream knows once this commit's records have reached it.
    pub told: Vec<Told>,
    /// How far upstream has everything.
    pub progress: Option<Progress>,
    /// Messages that are not to be taken twice.
    pub seen: Vec<Seen>,
    /// Clocks of boots that became known.
    pub clocks: Vec<BootClock>,
}

/// What one handler's state becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    pub handler: Arc<str>,
    /// Number of the handler's latest commit; what the table's next one follows.
    pub version: u64,
    /// The newest of each key, in order of key.
    pub changes: Vec<Change>,
}

/// What one key becomes. `value: None` deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: Arc<[u8]>,
    pub value: Option<Value>,
}

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub bytes: Arc<[u8]>,
    /// The handler's commit that wrote it; never 0.
    pub version: u64,
    /// Unix microseconds from which it counts as absent, judged against an event's time.
    pub expires_us: Option<i64>,
}

impl Change {
    /// What `write` makes of its key: a write of the commit `version`, by an event that happened at `at_us`
    /// (unix microseconds). The host's tables and the core's commits both come from here, so that what is
    /// restored is what was there.
    pub fn of(write: &Write, version: u64, at_us: i64) -> Change {
        let lives_us = i64::from(write.ttl_s) * 1_000_000;
        let expires_us = (write.ttl_s > 0).then(|| at_us.saturating_add(lives_us));
        let value = write.value.as_ref().map(|bytes| Value {
            bytes: Arc::clone(bytes),
            version,
            expires_us,
        });
        Change { key: Arc::clone(&write.key), value }
    }
}

impl Value {
    /// Whether it is there for an event at `at_us`.
    pub fn is_live(&self, at_us: i64) -> bool {
        self.expires_us.is_none_or(|expires_us| at_us < expires_us)
    }
}

/// One record that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub stream: StreamId,
    pub reason: LossReason,
    pub seq: u64,
    pub bytes: u64,
}

/// That upstream will know of the first `count` losses of a stream for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub stream: StreamId,
    pub reason: LossReason,
    pub count: u64,
}

/// A line of the loss ledger: what a stream lost for one reason, from the store's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    pub stream: StreamId,
    pub reason: LossReason,
    pub count: u64,
    /// How many of them upstream has been told of.
    pub told: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    pub bytes: u64,
}

/// A message that has had its effect: the client's name and its own number for the message, hashed.
///
/// Two messages that are not the same share a hash once in 2^64 pairs. Against a window of 4,096 that is one
/// message in 4.5 * 10^15 taken for a repetition: at 1,000 a second, one in 140,000 years. That holds for ids as
/// devices make them; who knows a neighbour's name and next id can find one with the same hash, but could as well
/// send under that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen(pub u64);

impl Seen {
    /// The mark of a message by its client's name and its own number for the message. It stands in journals: the
    /// same in every version. 64-bit FNV-1a (Fowler, Noll, Vo) over both with a byte between them that is in no
    /// UTF-8, then the finaliser of MurmurHash3 (Appleby), so that ids that count differ in every bit.
    pub fn of(client: &str, message_id: &str) -> Seen {
        let bytes = client.bytes().chain([0xff]).chain(message_id.bytes());
        let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
            hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
        }
        Seen(hash ^ (hash >> 33))
    }
}

/// What the wall clock said, as it turned out, when a boot's monotonic clock began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootClock {
    pub boot: u32,
    pub start_unix_us: i64,
}

/// How far upstream has everything, and how much waits. Records up to `known` that are outside every span are
/// settled: delivered or lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last frame that the core had been told of when it said this. What stands later is not settled, whatever
    /// the spans say: commits on their way to the disk have no place yet.
    pub known: u64,
    pub spans: Vec<Span>,
    pub waiting: Vec<Waiting>,
}

/// Records of one priority from `from` on, up to `until` or to the end of the log, are not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub priority: u8,
    pub from: Place,
    pub until: Option<Place>,
}

/// What waits of one stream: everything committed up to and with this commit, less what is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub stream: StreamId,
    pub records: u64,
    pub bytes: u64,
    /// Since the store's beginning.
    pub delivered: u64,
}

impl Progress {
    /// Whether a record of this priority at this place is delivered or lost.
    pub fn is_settled(&self, priority: u8, place: Place) -> bool {
        let is_waiting = |span: &Span| {
            span.priority == priority
                && span.from <= place
                && span.until.is_none_or(|until| place < until)
        };
        place.frame <= self.known && !self.spans.iter().any(is_waiting)
    }

    /// The first place that may not be settled: nothing before it is needed.
    pub fn low(&self) -> Place {
        let beyond = Place::of(self.known.saturating_add(1));
        self.spans.iter().map(|span| span.from).fold(beyond, Place::min)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_value_ends_at_its_time() {
        let check = |ttl_s, at_us, expect| {
            let write = Write { key: (*b"k").into(), value: Some((*b"v").into()), ttl_s };
            let value = Change::of(&write, 7, at_us).value.expect("written");
            assert_eq!((value.version, value.expires_us), (7, expect));
            value
        };
        let value = check(2, 1_000_000, Some(3_000_000));
        assert!(value.is_live(2_999_999) && !value.is_live(3_000_000));
        assert!(check(0, 5, None).is_live(i64::MAX));
        check(u32::MAX, i64::MAX, Some(i64::MAX));
        let delete = Write { key: (*b"k").into(), value: None, ttl_s: 0 };
        assert_eq!(Change::of(&delete, 1, 0).value, None);
    }

    #[test]
    fn marks_stay_what_they_are() {
        assert_eq!(Seen::of("thermo-7", "17").0, 0x30db_3acf_a879_7aa9);
        assert_eq!(Seen::of("", "").0, 0x1bbd_5c81_3c69_a8d7);
        assert_ne!(Seen::of("thermo-71", "7"), Seen::of("thermo-7", "17"));
    }

    #[test]
    fn marks_of_ids_that_count_do_not_meet() {
        let mut seen: Vec<u64> = (0..64)
            .flat_map(|client| (0..4096).map(move |id| (client, id)))
            .map(|(client, id)| Seen::of(&format!("thermo-{client}"), &format!("{id}")).0)
            .collect();
        let count = seen.len();
        // Any 32 bits of it are good: pairs that meet there by chance, n^2 / 2^33, are about 8.
        for shift in [0, 16, 32] {
            let mut part: Vec<u32> = seen.iter().map(|mark| (mark >> shift) as u32).collect();
            part.sort_unstable();
            part.dedup();
            assert!(count - part.len() < 40, "{} meet from bit {shift} on", count - part.len());
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
