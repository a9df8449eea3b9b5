//! What damage to the journal has cost, as far as it can be known, and that no seq is given twice after it.

use tidegate_core::commit::Commit;
use tidegate_core::record::{LossReason, StreamId};
use tidegate_core::store::LossTotal;
use tidegate_journal::{Cursor, Disk, Journal, OTHER_STREAMS};

use crate::codec::{Damage, EntryView, LostRange};
use crate::facts::Facts;
use crate::shelf::Shelf;
use crate::store::Store;

/// Records that may have been given a seq and are gone: a segment of 4 MiB holds fewer.
const JUMP: u64 = 1_000_000;
/// Records that one frame holds at most.
const FRAME_RECORDS_MAX: u64 = 1 << 16;
/// Frames looked at before and behind a gap for the seqs of their records.
const FRAMES_MAX: u64 = 4096;

/// What a start knows about damage beside [`tidegate_journal::Recovery`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// Frames that the shelf or an export knows of and the journal has not, first and last.
    pub end_lost: Option<(u64, u64)>,
    /// Neither the shelf nor an export could tell which seqs were given.
    pub are_facts_lost: bool,
    /// The shelf could not tell: it has a checkpoint from after the newest segment was begun, so it would know if that
    /// were gone. A power cut may leave a file without a header, and that is no loss.
    pub is_shelf_lost: bool,
}

/// What is new of the damage; `None` when everything was taken into account before, as `known` says.
pub(crate) fn assess<D: Disk>(
    journal: &mut Journal<D>,
    facts: &Facts,
    known: &Damage,
    suspicion: Suspicion,
) -> Option<Damage> {
    let recovery = journal.recovery();
    let mut damage = Damage {
        gaps: recovery
            .gaps
            .iter()
            .map(|gap| (gap.first_seq, gap.last_seq))
            .filter(|gap| !known.gaps.iter().any(|known| known.0 <= gap.0 && gap.1 <= known.1))
            .collect(),
        headers_restored: recovery.headers_restored,
        files_lost: recovery.files_lost + recovery.files_resized,
        blocks_unreadable: recovery.blocks_unreadable,
        next_seq: 0,
        left_epoch: known.left_epoch,
        lost: Vec::new(),
    };
    let is_unread = damage.blocks_unreadable > known.blocks_unreadable;
    // A segment has its length before it has its name: a short one has lost its end, and maybe the log's.
    let is_short = recovery.files_resized > 0 && damage.files_lost > known.files_lost;
    let is_worse = is_unread
        || damage.headers_restored > known.headers_restored
        || damage.files_lost > known.files_lost;
    let may_repeat = suspicion.end_lost.is_some()
        || suspicion.are_facts_lost
        || is_unread
        || is_short
        || suspicion.is_shelf_lost && (is_worse || !damage.gaps.is_empty());
    if damage.gaps.is_empty() && !may_repeat {
        return None;
    }
    for gap in damage.gaps.clone() {
        damage.lost.extend(lost_in(journal, facts, gap));
    }
    if may_repeat {
        let last_frame = if suspicion.are_facts_lost { journal.last_seq() } else { 0 };
        let given = facts.next_seq.max(last_frame.saturating_mul(FRAME_RECORDS_MAX));
        damage.next_seq = (given / JUMP + 2) * JUMP;
    }
    if let Some(gap) = suspicion.end_lost {
        damage.lost.extend(lost_at_end(journal, facts, gap));
        damage.gaps.push(gap);
    }
    // What is jumped over may have been given: it is told as lost, so that seqs stay dense for whoever counts.
    let jumped = damage.next_seq.saturating_sub(facts.next_seq);
    damage.lost.extend((jumped > 0).then(|| LostRange {
        stream: StreamId(OTHER_STREAMS),
        count: jumped,
        first_seq: facts.next_seq,
        last_seq: damage.next_seq - 1,
    }));
    Some(damage)
}

/// The seqs between the records before a gap and those behind it.
fn lost_in<D: Disk>(journal: &mut Journal<D>, facts: &Facts, gap: (u64, u64)) -> Option<LostRange> {
    if gap.1 < facts.progress.low().frame {
        return None;
    }
    let (before, after) = around(journal, gap, facts.given_before(gap.0));
    let (before, after) = (before?, after?);
    let count = after.checked_sub(before + 1)?;
    // More is a jump that was made after other damage.
    (1..JUMP).contains(&count).then_some(LostRange {
        stream: StreamId(OTHER_STREAMS),
        count,
        first_seq: before + 1,
        last_seq: after - 1,
    })
}

/// The seqs behind the journal's last record that were given. Where the journal has no record before
/// them, what waited is lost, as far as the facts know of it.
fn lost_at_end<D: Disk>(
    journal: &mut Journal<D>,
    facts: &Facts,
    gap: (u64, u64),
) -> Vec<LostRange> {
    if gap.1 < facts.progress.low().frame {
        return Vec::new();
    }
    let last_seq = facts.next_seq - 1;
    let Some(before) = around(journal, gap, None).0 else {
        let waiting = facts.progress.waiting.iter().filter(|waiting| waiting.records > 0);
        let range = |stream, count| LostRange { stream, count, first_seq: 1, last_seq };
        return waiting.map(|waiting| range(waiting.stream, waiting.records)).collect();
    };
    let count = last_seq.saturating_sub(before);
    let range =
        LostRange { stream: StreamId(OTHER_STREAMS), count, first_seq: before + 1, last_seq };
    if count > 0 { vec![range] } else { Vec::new() }
}

/// The last seq of a record before a gap, no lower than what is known beside that, and the first one behind it.
fn around<D: Disk>(
    journal: &mut Journal<D>,
    gap: (u64, u64),
    known: Option<u64>,
) -> (Option<u64>, Option<u64>) {
    let mut cursor = Cursor::over(gap.0.saturating_sub(FRAMES_MAX).max(1));
    let (mut before, mut after) = (known, None);
    while let Ok(Some(frame)) = cursor.next(journal) {
        if frame.seq > gap.1.saturating_add(FRAMES_MAX) {
            break;
        }
        // What was carried forward does not stand between its neighbours.
        if frame.origin != frame.seq {
            continue;
        }
        // A loss may be of a record that was given long before, and refused now.
        let given = given_in(frame.payload).into_iter().filter(|seq| Some(*seq) > before);
        if frame.seq <= gap.1 {
            before = given.max().or(before);
        } else if let Some(first) = given.min() {
            after = Some(first);
            break;
        }
    }
    (before, after)
}

/// The seqs of a frame's records, lost ones among them; none when it cannot be read.
fn given_in(payload: &[u8]) -> Vec<u64> {
    let read = || -> Option<Vec<u64>> {
        let view = EntryView::parse(payload).ok()?;
        let records = view.records().ok()?.flatten().map(|(_, record)| record.seq);
        let losses = view.losses().ok()?;
        Some(records.chain(losses.iter().map(|lost| lost.seq)).collect())
    };
    read().unwrap_or_default()
}

impl<D: Disk, S: Shelf> Store<D, S> {
    /// Takes into account what reading an old segment has found.
    pub(crate) fn note_damage(&mut self) {
        // What is on its way to the disk is known, too.
        let mut known = self.facts.damage.clone();
        let queued = self.queue.iter().map(|queued| &queued.flight);
        let on_its_way = self.in_flight.iter().chain(queued);
        on_its_way
            .filter_map(|flight| flight.damage.as_ref())
            .for_each(|damage| known.take(damage));
        // What is missing in the middle was not the last to be given.
        let suspicion = Suspicion::default();
        if let Some(damage) = assess(&mut self.journal, &self.facts, &known, suspicion) {
            // It is small; without room it is found again.
            self.put_damage(damage);
        }
    }

    /// The core hears at the start of what the start has found; of the rest it hears now.
    pub(crate) fn tell_damage(&mut self, damage: Option<&Damage>) {
        let lost = damage.map_or(&[][..], |damage| &damage.lost);
        if lost.is_empty() || std::mem::take(&mut self.is_start_damaged) {
            return;
        }
        self.committed.damaged.extend(lost.iter().map(|lost| LossTotal {
            stream: lost.stream,
            reason: LossReason::Damaged,
            records: lost.count,
            bytes: 0,
        }));
        self.committed.ledger = self.ledger();
    }

    pub(crate) fn put_damage(&mut self, damage: Damage) {
        self.put(None, Commit::default(), None, Some(damage)).ok();
    }
}
