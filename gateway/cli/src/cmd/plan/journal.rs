//! What an outage takes in the journal, and how long it takes to drain.

use serde::Serialize;

use super::asked::Asked;
use super::constants as c;
use super::flash::{Commits, Writes, batch};
use super::used::Used;
use super::whole;

const MB: f64 = 1_000_000.0;
/// The fewest segments that a journal has.
const SEGMENTS_MIN: f64 = 4.0;

/// What waits, and where.
#[derive(Debug, PartialEq, Serialize)]
pub struct Journal {
    /// Records that wait at the outage's end.
    #[serde(serialize_with = "whole")]
    pub records: f64,
    /// Journal bytes that they and the state beside them take.
    #[serde(serialize_with = "whole")]
    pub bytes: f64,
    /// What the quota has room for.
    #[serde(serialize_with = "whole")]
    pub room_bytes: f64,
    pub fits: bool,
    /// Until the first record would have to go. None: never.
    pub full_after_s: Option<f64>,
    /// The smallest `store.quota_mb` that holds the outage.
    pub quota_mb_needed: f64,
}

impl Journal {
    pub fn of(asked: &Asked, commits: &Commits, used: &mut Used) -> Journal {
        let together = batch(commits.records_per_s, asked, used);
        let mut grows = |per_s: f64, frame_bytes: f64, batch: f64| {
            per_s / batch * Writes::of(frame_bytes * batch, used).log_bytes
        };
        // Without a link there is no progress to write down.
        let per_s = grows(commits.records_per_s, commits.frame_bytes, together)
            + grows(commits.lazy_per_s, commits.lazy_frame_bytes, 1.0);
        let outage_s = asked.outage_s as f64;
        let bytes = per_s * outage_s;
        let segment = used.of(&c::SEGMENT_BYTES);
        let holds = segment - used.of(&c::SEGMENT_HEADERS_BYTES);
        let (kept, room) = (used.of(&c::SEGMENTS_KEPT), used.of(&c::ROOM_BYTES));
        let segments = (asked.quota_mb as f64 * MB / segment).floor().max(SEGMENTS_MIN);
        let room_bytes = (segments - kept) * holds - room;
        let needed = ((bytes + room) / holds).ceil() + kept;
        Journal {
            records: asked.records_per_s * outage_s,
            bytes,
            room_bytes,
            fits: bytes <= room_bytes,
            full_after_s: (per_s > 0.0).then(|| room_bytes / per_s),
            quota_mb_needed: (needed.max(SEGMENTS_MIN) * segment / MB).ceil(),
        }
    }
}

/// How what waited goes upstream when the link is back.
#[derive(Debug, PartialEq, Serialize)]
pub struct Drain {
    pub records_per_s: f64,
    /// What holds it down: `link` or `software`.
    pub held_by: &'static str,
    /// What is left of it beside what comes in meanwhile, which goes first.
    pub left_per_s: f64,
    /// None: never, more comes in than goes out.
    pub time_s: Option<f64>,
}

impl Drain {
    pub fn of(asked: &Asked, journal: &Journal, used: &mut Used) -> Drain {
        let software = used.of(&c::DRAIN_PER_S);
        let (rate, held_by) = match asked.link_rate {
            Some(link) if link < software => (link, "link"),
            Some(_) | None => (software, "software"),
        };
        let left = (rate - asked.records_per_s).max(0.0);
        // What had no room is not there to be sent.
        let share = if journal.fits { 1.0 } else { journal.room_bytes / journal.bytes };
        let waiting = journal.records * share;
        let time_s = match () {
            () if waiting == 0.0 => Some(0.0),
            () if left == 0.0 => None,
            () => Some(waiting / left),
        };
        Drain { records_per_s: rate, held_by, left_per_s: left, time_s }
    }
}
