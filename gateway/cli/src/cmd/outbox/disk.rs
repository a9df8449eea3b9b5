//! Reading a data folder that no daemon works in. Nothing in it is changed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_config::Settings;
use tidegate_core::commit::{LedgerLine, Progress, Waiting};
use tidegate_core::record::{LossReason, Place, Stamp, StreamId};
use tidegate_core::stream::Streams;
use tidegate_core::time::ClockQuality;
use tidegate_journal::{Cursor, RealDisk};
use tidegate_store::{EntryView, Frozen, NoShelf, Opened, Settings as StoreSettings, Store, peek};

use super::asking::plain;
use super::failed;
use super::seen::{Journal, Oldest, Seen, Source, Stream};
use crate::failure::Failure;

/// A store that is only looked at.
type Looked = Store<Frozen<RealDisk>, NoShelf>;

/// Reads the folder. With settings, streams have names, and the journal its quota.
///
/// # Errors
/// When there is no journal, or it cannot be read.
pub fn read(folder: &Path, settings: Option<&Settings>) -> Result<Seen, Failure> {
    let journal = folder.join("journal");
    may_read(&journal)?;
    let disk = RealDisk::open(&journal).map_err(|error| failed(&journal, &plain(&error)))?;
    let (mut store, opened) = peek(disk, StoreSettings::default())
        .map_err(|error| failed(&journal, &error.to_string()))?;
    let quota_bytes = settings.map(|settings| settings.store.quota_bytes());
    let used_bytes = store.used_bytes();
    let streams = streams(&mut store, &opened, settings.map(|settings| &*settings.streams));
    Ok(Seen {
        source: Source::Disk,
        gateway: settings.map(|settings| settings.id.clone()),
        epoch: format!("{:016x}", store.epoch()),
        uplink: None,
        under_way: None,
        journal: Some(Journal { used_bytes, quota_bytes }),
        streams,
        notes: notes(&opened, settings.is_some()),
    })
}

/// Whether the journal's folder is there and every segment in it can be read: what cannot would count as damage.
fn may_read(journal: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(journal).map_err(|error| refuse(journal, &error))? {
        let path = entry.map_err(|error| refuse(journal, &error))?.path();
        match fs::File::open(&path) {
            Ok(_) => {}
            // A daemon that is just at work.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(refuse(&path, &error)),
        }
    }
    Ok(())
}

fn refuse(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => failed(
            path,
            "there is no journal here; is this gateway.data_dir? A daemon that ran once has made one",
        ),
        ErrorKind::PermissionDenied => {
            failed(path, "it may not be read; be the daemon's user, or root")
        }
        _ => failed(path, &plain(error)),
    }
}

fn notes(opened: &Opened, has_names: bool) -> Vec<String> {
    let found = &opened.found;
    let mut notes = vec![
        "after a power cut, records that upstream acked in the last seconds still count as waiting"
            .to_owned(),
    ];
    if !has_names {
        notes.push("the folder does not name its streams; --config gateway.toml does".to_owned());
    }
    if found.recovery.is_damaged() || found.is_end_lost {
        notes.push(format!(
            "the journal is damaged ({} gaps, {} frames): what waits is at least this, and the next start counts \
             what is lost",
            found.recovery.gaps_total, found.recovery.frames_missing
        ));
    }
    if found.are_facts_lost {
        notes.push("no export can be read: what was acked is at least this".to_owned());
    }
    if found.frames_strange > 0 {
        notes.push(format!(
            "{} frames cannot be understood; a newer daemon may have written them",
            found.frames_strange
        ));
    }
    notes
}

/// Every stream that is configured, has records or lost some.
fn streams(store: &mut Looked, opened: &Opened, configured: Option<&Streams>) -> Vec<Stream> {
    let restored = &opened.restored;
    let mut lines: BTreeMap<StreamId, (Option<Waiting>, Vec<LedgerLine>)> = BTreeMap::new();
    for stream in configured.iter().flat_map(|streams| streams.iter()) {
        lines.entry(stream.id).or_default();
    }
    for waiting in &restored.progress.waiting {
        lines.entry(waiting.stream).or_default().0 = Some(*waiting);
    }
    for line in &restored.ledger {
        lines.entry(line.stream).or_default().1.push(*line);
    }
    let oldest = oldest(store, &restored.progress, &restored.ledger);
    let clock = Clock::new(opened);
    lines
        .into_iter()
        .map(|(id, (waiting, ledger))| {
            let waiting =
                waiting.unwrap_or(Waiting { stream: id, records: 0, bytes: 0, delivered: 0 });
            let age = match (waiting.records, oldest.get(&id)) {
                (0, _) => (None, Oldest::None),
                (_, Some((_, stamp))) => clock.age(*stamp),
                (_, None) => (None, Oldest::Unknown),
            };
            Stream {
                name: name(id, configured),
                number: id.0,
                waiting: waiting.records,
                waiting_bytes: waiting.bytes,
                oldest_s: age.0,
                oldest: age.1,
                delivered: waiting.delivered,
                delivered_lately: None,
                lately_ms: None,
                drain_s: (waiting.records == 0).then_some(0),
                lost: ledger.iter().map(|l| (l.reason.name().to_owned(), l.count)).collect(),
            }
        })
        .collect()
}

/// The gateway's own streams have the same names everywhere.
fn name(id: StreamId, configured: Option<&Streams>) -> Option<String> {
    let known = configured.and_then(|streams| streams.get(id)).map(|stream| stream.name.clone());
    known.or_else(|| match id {
        StreamId::LOSSES => Some("losses".to_owned()),
        StreamId::DEAD_LETTERS => Some("dead-letters".to_owned()),
        _ => None,
    })
}

/// The record of each stream that has waited longest, by seq and stamp. Looks through what waits until each stream was
/// met. Where an eviction has carried records forward, older ones stand behind newer ones, and it looks to the end.
fn oldest(
    store: &mut Looked,
    progress: &Progress,
    ledger: &[LedgerLine],
) -> BTreeMap<StreamId, (u64, Stamp)> {
    let evicted = [LossReason::DroppedOldest, LossReason::Downsampled, LossReason::NoRoom];
    let is_in_order = !ledger.iter().any(|line| evicted.contains(&line.reason));
    let mut left = progress.waiting.iter().filter(|waiting| waiting.records > 0).count();
    let mut found: BTreeMap<StreamId, (u64, Stamp)> = BTreeMap::new();
    let mut cursor = Cursor::from(progress.low().frame);
    // Nothing in the journal makes reading fail: what cannot be read was passed over when it was opened.
    while (left > 0 || !is_in_order)
        && let Ok(Some(frame)) = cursor.next(store.journal())
    {
        let Ok(records) = EntryView::parse(frame.payload).and_then(|view| view.records()) else {
            continue;
        };
        for (index, record) in records.flatten() {
            if progress.is_settled(record.priority, Place { frame: frame.seq, index }) {
                continue;
            }
            let (seq, stamp) = (record.seq, record.stamp);
            match found.get_mut(&record.stream) {
                None => {
                    left = left.saturating_sub(1);
                    found.insert(record.stream, (seq, stamp));
                }
                Some(first) if seq < first.0 => *first = (seq, stamp),
                Some(_) => {}
            }
        }
    }
    found
}

/// What is known of the times of all boots.
struct Clock {
    now_us: i64,
    starts: BTreeMap<u32, i64>,
}

impl Clock {
    fn new(opened: &Opened) -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clocks = &opened.restored.clocks;
        Clock {
            now_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            starts: clocks.iter().map(|clock| (clock.boot, clock.start_unix_us)).collect(),
        }
    }

    /// By this machine's clock, which may be another than the one that stamped it.
    fn age(&self, stamp: Stamp) -> (Option<u64>, Oldest) {
        let since_us = i64::try_from(stamp.mono_ms).ok().and_then(|ms| ms.checked_mul(1000));
        let start = self.starts.get(&stamp.boot).copied();
        let known = start.zip(since_us).map(|(start, since)| start.saturating_add(since));
        let (made_us, worth) = match (stamp.wall.quality, known) {
            (ClockQuality::Ntp, _) => (stamp.wall.unix_us, Oldest::Exact),
            (ClockQuality::None | ClockQuality::Floor, Some(us)) => (us, Oldest::Exact),
            (ClockQuality::Floor, None) => (stamp.wall.unix_us, Oldest::AtMost),
            (ClockQuality::None, None) => return (None, Oldest::Unknown),
        };
        let age_us = self.now_us.saturating_sub(made_us);
        match u64::try_from(age_us / 1_000_000) {
            Ok(age_s) => (Some(age_s), worth),
            // It was made in this machine's future.
            Err(_) => (None, Oldest::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::commit::BootClock;
    use tidegate_core::store::Restored;
    use tidegate_core::time::WallTime;

    use super::*;

    const DAY_US: i64 = 86_400 * 1_000_000;

    /// A record of boot 3 that was made `ago_us` ago by a clock of this quality.
    #[track_caller]
    fn check(quality: ClockQuality, ago_us: i64, clocks: &[(u32, i64)], expect: Oldest) {
        let restored = Restored {
            clocks: clocks
                .iter()
                .map(|(boot, start_unix_us)| BootClock {
                    boot: *boot,
                    start_unix_us: *start_unix_us,
                })
                .collect(),
            ..Restored::default()
        };
        let clock = Clock::new(&Opened { restored, ..Opened::default() });
        let wall = WallTime { unix_us: clock.now_us - ago_us, quality };
        let (age_s, oldest) = clock.age(Stamp { boot: 3, mono_ms: 5000, wall });
        assert_eq!(oldest, expect, "{quality:?} {clocks:?}");
        let is_known = !matches!(oldest, Oldest::Unknown);
        assert_eq!(age_s.is_some(), is_known);
    }

    #[test]
    fn an_age_is_as_good_as_the_clock_was() {
        check(ClockQuality::Ntp, DAY_US, &[], Oldest::Exact);
        check(ClockQuality::Floor, DAY_US, &[], Oldest::AtMost);
        check(ClockQuality::Floor, DAY_US, &[(3, 1_700_000_000_000_000)], Oldest::Exact);
        check(ClockQuality::None, DAY_US, &[(3, 1_700_000_000_000_000)], Oldest::Exact);
        check(ClockQuality::None, DAY_US, &[(2, 1_700_000_000_000_000)], Oldest::Unknown);
        check(ClockQuality::Ntp, -DAY_US, &[], Oldest::Unknown);
    }

    #[test]
    fn a_clock_that_became_known_later_counts() {
        let restored = Restored::default();
        let mut clock = Clock::new(&Opened { restored, ..Opened::default() });
        clock.starts.insert(3, clock.now_us - DAY_US);
        let stamp = Stamp { boot: 3, mono_ms: 5000, ..Stamp::default() };
        assert_eq!(clock.age(stamp), (Some(86_395), Oldest::Exact));
    }

    #[test]
    fn what_may_not_be_read_is_said_with_what_to_do() {
        let path = Path::new("/data/journal");
        for (kind, says) in [
            (ErrorKind::PermissionDenied, "the daemon's user"),
            (ErrorKind::NotFound, "gateway.data_dir"),
            (ErrorKind::InvalidInput, "/data/journal: "),
        ] {
            let failure = refuse(path, &kind.into());
            assert!(failure.text.contains(says), "{failure}");
            assert_eq!(failure.kind.code(), 1);
        }
    }
}
