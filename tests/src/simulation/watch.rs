//! What must hold of pushed releases: only signed ones run, the newest, each as long as it is good; nothing is lost or
//! doubled when a line changes hands; no cut takes the ratchet back.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::release::{Answer, Stage};

use super::check::Checker;
use super::device::Id;
use super::handlers;
use super::releases::{Kind, TAKEN};
use super::troubles::Harm;
use super::upstream::Upstream;
use tidegate_core::record::StreamId;

/// Starts that a release on probation may take; see the core's `TRIES_MAX`.
pub const TRIES_MAX: usize = 3;

/// What one release has done.
#[derive(Debug, Default)]
struct Deeds {
    /// Events that it ended well in this life of the gateway, and the lives in which it did.
    events: u64,
    lives: BTreeSet<u64>,
}

/// Everything that was seen of the pushed handler.
#[derive(Debug, Default)]
pub struct Watch {
    /// What was signed for this gateway, by seq.
    kinds: BTreeMap<u64, Kind>,
    deeds: BTreeMap<u64, Deeds>,
    life: u64,
    /// The last arrival that it has reacted to.
    last: u64,
    /// The newest that has passed, or has removed the handler: nothing older runs again.
    settled: u64,
    /// The order that has removed the handler, until what had left before is heard.
    removed: u64,
    /// No order below it may count any more: what came of it was seen.
    floor: u64,
    /// Since which arrival it has had a line without a break.
    since: Option<u64>,
    /// Acked messages that it must have seen.
    must: BTreeSet<Id>,
    /// Which versions have reacted to a message.
    versions: BTreeMap<Id, BTreeSet<u64>>,
    pub reactions: u64,
    pub taken_back: u64,
    pub refused: u64,
    pub activated: u64,
}

impl Watch {
    /// Somebody whom the gateway trusts has signed this for it.
    pub fn signed(&mut self, seq: u64, kind: Kind) {
        self.kinds.insert(seq, kind);
    }

    /// A reaction of the release with that version.
    pub fn reacted(
        &mut self,
        version: &str,
        payload: &[u8],
        checker: &Checker,
        harm: Harm,
    ) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("pushed {version}: {what}, {payload:?}"));
        let seq: u64 = version.parse().map_err(|_| format!("a version that is none: {version}"))?;
        let Some(kind) = self.kinds.get(&seq).copied() else {
            return wrong("nobody has signed it");
        };
        let Some(id) = Id::parse(payload) else {
            return wrong("an effect of no event");
        };
        let next = checker.times(id).iter().find(|number| **number > self.last).copied();
        let Some(number) = next else {
            return wrong("out of order or twice");
        };
        if checker.is_acked(id) {
            return wrong("it was acked before this handler had finished with it");
        }
        self.last = number;
        self.reactions += 1;
        self.versions.entry(id).or_default().insert(seq);
        if harm != Harm::default() {
            return Ok(());
        }
        if seq < self.settled {
            return wrong(&format!("{} had come further", self.settled));
        }
        self.floor = self.floor.max(seq);
        let deeds = self.deeds.entry(seq).or_default();
        if deeds.lives.insert(self.life) {
            deeds.events = 0;
        }
        deeds.events += 1;
        let Some(most) = kind.events_max() else {
            return Ok(());
        };
        if deeds.events > most {
            return wrong(&format!("it is bad ({kind:?}), and more than {most} events were its"));
        }
        if deeds.lives.len() > TRIES_MAX {
            return wrong(&format!(
                "it is bad ({kind:?}), and was tried more than {TRIES_MAX} times"
            ));
        }
        Ok(())
    }

    /// Lives of the gateway in which the release has ended an event well.
    pub fn lives_of(&self, seq: u64) -> usize {
        self.deeds.get(&seq).map_or(0, |deeds| deeds.lives.len())
    }

    /// All that had left the gateway when it was looked at has been heard.
    pub fn heard(&mut self) {
        self.settled = self.settled.max(std::mem::take(&mut self.removed));
    }

    /// What the gateway says to people.
    pub fn told(&mut self, answer: &Answer) -> Result<(), String> {
        let Some((rank, _)) = answer.release else {
            return Ok(());
        };
        let kind = self.kinds.get(&rank.seq).copied();
        match &answer.stage {
            Stage::Checking { .. } | Stage::Installing | Stage::SafeMode | Stage::Invoked(_) => {}
            Stage::Probation { .. } => self.floor = self.floor.max(rank.seq),
            Stage::Active if kind.is_some_and(Kind::is_good) => {
                self.activated += 1;
                (self.floor, self.settled) = (self.floor.max(rank.seq), self.settled.max(rank.seq));
            }
            Stage::Active => return Err(format!("{kind:?} passes: {answer:?}")),
            Stage::Rejected(refusal) if refusal.code == "damaged" => {
                return Err(format!("its files are gone: {answer:?}"));
            }
            Stage::Rejected(refusal) if refusal.code == "does-not-migrate" => {
                return Err(format!("what is good does not migrate: {answer:?}"));
            }
            Stage::Rejected(refusal) if refusal.code == "does-not-load" => {
                if kind.is_some_and(Kind::is_good) {
                    return Err(format!("what is good is refused: {answer:?}"));
                }
                self.refused += 1;
                self.floor = self.floor.max(rank.seq);
            }
            Stage::Rejected(_) => {}
            // The power went so often.
            Stage::RolledBack { refusal, .. } if refusal.code == "restarts" => {
                self.taken_back += 1;
            }
            Stage::RolledBack { .. } if kind.is_some_and(Kind::is_good) => {
                return Err(format!("what is good is taken back: {answer:?}"));
            }
            Stage::RolledBack { .. } => self.taken_back += 1,
            Stage::Removed => self.floor = self.floor.max(rank.seq),
        }
        Ok(())
    }

    /// Whether it has a line now, after `arrivals` messages.
    pub fn look(&mut self, has_line: bool, arrivals: u64) {
        // An event that ran when the handler was removed has ended; its reaction may still be on its way.
        if !has_line && self.kinds.get(&self.floor) == Some(&Kind::Removal) {
            self.removed = self.floor;
        }
        self.since = match (has_line, self.since) {
            (true, since) => since.or(Some(arrivals + 1)),
            (false, _) => None,
        };
    }

    pub fn acked(&mut self, id: Id, checker: &Checker) {
        let arrival = checker.arrival(id).map_or(0, |(_, last)| last);
        if self.since.is_some_and(|since| arrival >= since) {
            self.must.insert(id);
        }
    }

    /// The gateway has started again: its ratchet, and what had come furthest as far as it lasts.
    pub fn started(&mut self, highest: u64, settled: u64, harm: Harm) -> Result<(), String> {
        self.life += 1;
        (self.since, self.removed) = (None, 0);
        self.settled = settled;
        if highest < self.floor && harm == Harm::default() {
            return Err(format!("the ratchet went back: {highest} after {}", self.floor));
        }
        Ok(())
    }

    /// Every acked message that it had to see has had its record, each from a version that reacted to it, and its
    /// counts rise.
    pub fn balance(&self, upstream: &Upstream, lost: u64, harm: Harm) -> Result<(), String> {
        let mut sent = BTreeSet::new();
        let mut counts: BTreeMap<usize, i64> = BTreeMap::new();
        let stream = StreamId::of(super::releases::PUSHED);
        for record in upstream.received.values().filter(|record| record.stream == stream) {
            let read = || {
                let (text, rest) =
                    record.payload.split_at_checked(record.payload.len().checked_sub(13)?)?;
                let count = i64::from_le_bytes(rest.get(1..9)?.try_into().ok()?);
                let version = std::str::from_utf8(&rest[9..]).ok()?.parse::<u64>().ok()?;
                Some((Id::parse(text)?, count, version))
            };
            let Some((id, count, version)) = read() else {
                return Err(format!("a record that no release made: {:?}", record.payload));
            };
            let is_known = self.versions.get(&id).is_some_and(|known| known.contains(&version));
            if !is_known && harm == Harm::default() {
                return Err(format!("{id:?}: its record is {version}'s, its reaction was not"));
            }
            if harm != Harm::default() {
                sent.insert(id);
                continue;
            }
            self.check_taken(version, count)?;
            let before = counts.insert(id.device, count);
            // A later release with the module of the one that was taken over from gets that one's state back.
            let is_back = before >= Some(TAKEN) && count < TAKEN && self.is_behind_taken(version);
            if before >= Some(count) && !is_back {
                return Err(format!("pushed: its state went back to {count} with {id:?}"));
            }
            sent.insert(id);
        }
        let missing =
            self.must.iter().filter(|id| handlers::sends(id.kind) && !sent.contains(id)).count();
        if missing as u64 > lost && !harm.has_lied {
            return Err(format!("{missing} acked messages were lost to the pushed handler"));
        }
        Ok(())
    }

    /// A state that was migrated was so once, and nobody else has it.
    fn check_taken(&self, version: u64, count: i64) -> Result<(), String> {
        let is_right = match self.kinds.get(&version) {
            Some(Kind::Takes) => (TAKEN..2 * TAKEN).contains(&count),
            _ if self.is_behind_taken(version) => count < 2 * TAKEN,
            _ => count < TAKEN,
        };
        if is_right {
            return Ok(());
        }
        Err(format!("pushed {version}: a count of {count} is not what migrating makes of it"))
    }

    fn is_behind_taken(&self, version: u64) -> bool {
        self.kinds.range(..version).any(|(_, kind)| *kind == Kind::Takes)
    }
}
