use std::collections::BTreeSet;

use tidegate_core::commit::{Change, Commit, CommitId, StateChange, Value};
use tidegate_core::limits::OutboxLimits;
use tidegate_core::record::{Record, Stamp, StreamId};
use tidegate_core::time::{ClockQuality, WallTime};
use tidegate_journal::ModelDisk;
use tidegate_store::{ModelShelf, Settings, Store};

use super::flash::Writes;
use super::*;

fn plan(line: &str) -> Plan {
    let board = tidegate_config::read_board("dev").expect("built in");
    let words = line.split_whitespace().map(str::to_owned);
    let args = Args::read(words, &[], asked::OPTIONS).expect("options");
    Plan::of(Asked::read(&args, &board).expect("complete"), &board)
}

/// Within a hundredth.
#[track_caller]
fn near(value: f64, expect: f64) {
    assert!((value - expect).abs() <= expect.abs() * 0.01, "{value} instead of {expect}");
}

/// What the journal's `measure` printed as `bytes_4096`, for 200 bytes a record.
#[test]
fn writes_take_the_blocks_that_were_measured() {
    for (batch, measured) in [(1.0, 21.422), (8.0, 3.292), (64.0, 1.282), (256.0, 1.122)] {
        let writes = Writes::of(batch * 217.0, &mut Used::default());
        near(writes.device_bytes / (batch * 200.0), measured);
        assert!(writes.log_bytes >= batch * 217.0 && writes.log_bytes <= writes.device_bytes);
    }
}

#[test]
fn the_software_has_the_numbers_that_are_said_to_be_its_own() {
    let journal = tidegate_journal::Settings::default();
    assert_eq!(constants::SEGMENT_BYTES.value, f64::from(journal.segment_bytes));
    let store = Settings::default();
    assert_eq!(constants::CHECKPOINT_BYTES.value, store.checkpoint_bytes as f64);
    assert_eq!(constants::EXPORT_BYTES.value, store.export_bytes as f64);
    assert_eq!(constants::MEMTABLE_BYTES.value, store.memtable_bytes_max as f64);
    let outbox = OutboxLimits::DEV;
    assert_eq!(constants::PROGRESS_MS.value, outbox.progress_ms as f64);
    assert_eq!(constants::WAITING_IN_MEMORY.value, 5.0 * outbox.window as f64);
}

/// The bytes of a commit's frame, as the store writes it.
fn frame_bytes(commit: Commit) -> f64 {
    let disk = ModelDisk::new(1);
    let shelf = ModelShelf::new(1, disk.power());
    let (mut store, _) = Store::open(disk, shelf, Settings::default(), 1).expect("it opens");
    store.take(Commit { id: CommitId(1), ..commit }).expect("it is small");
    store.pending_bytes() as f64
}

/// `examples/measure.rs` says all of them exactly.
#[test]
fn frames_are_about_as_long_as_is_said() {
    let wall = WallTime { unix_us: 1_795_000_000_000_000, quality: ClockQuality::Ntp };
    let record = Record {
        seq: 10_000_000,
        stream: StreamId(4711),
        priority: 0,
        ttl_s: 0,
        stamp: Stamp { boot: 12, mono_ms: 864_000_000, wall },
        topic: None,
        payload: vec![7; 200].into(),
    };
    let value = Value { bytes: vec![7; 16].into(), version: 10_000_000, expires_us: None };
    let change = Change { key: (*b"device-123456789").into(), value: Some(value) };
    let state =
        StateChange { handler: "thermostat".into(), version: 10_000_000, changes: vec![change] };
    let of_record = frame_bytes(Commit { records: vec![record.into()], ..Commit::default() });
    let of_state = frame_bytes(Commit { states: vec![state], ..Commit::default() });
    let record = Commits::of(&plan("--rate 1 --bytes 200").asked, &mut Used::default());
    let state = plan("--rate 1 --records 0 --bytes 0 --state-keys 1").asked;
    let state = Commits::of(&state, &mut Used::default());
    for (reckoned, written) in [(record.frame_bytes, of_record), (state.lazy_frame_bytes, of_state)]
    {
        assert!((reckoned - written).abs() <= 4.0, "{reckoned} instead of {written}");
    }
}

#[test]
fn every_constant_is_used_by_some_plan_and_has_a_source() {
    let names: BTreeSet<&str> = constants::ALL.iter().map(|constant| constant.name).collect();
    assert_eq!(names.len(), constants::ALL.len());
    for constant in constants::ALL {
        assert!(constant.value > 0.0 && !constant.unit.is_empty(), "{constant:?}");
        assert!(!constant.source.is_empty(), "{constant:?}");
    }
    let plan = plan("--rate 20 --bytes 200 --state-keys 5000 --handlers 2");
    let used: BTreeSet<&str> = plan.constants.iter().map(|constant| constant.name).collect();
    assert_eq!(used, names);
    let text = plan.describe();
    assert!(names.iter().all(|name| text.contains(name)) && text.contains(constants::MACHINE));
}

#[test]
fn what_is_not_used_is_not_named() {
    let plan = plan("--rate 20 --bytes 200");
    assert!(plan.constants.iter().all(|constant| !constant.name.contains("state_entry")));
    assert!(plan.constants.iter().any(|constant| constant.name == "record_bytes"));
}

/// Each record at a slow rate is a commit, a write and a sync of its own.
#[test]
fn slow_records_wear_a_block_each() {
    let plan = plan("--rate 1 --bytes 200");
    near(plan.flash.syncs_per_day, 86_400.0);
    // A block, and now and then a second one.
    let a_write = plan.flash.records_bytes_per_day / 86_400.0;
    assert!((4096.0..4096.0 + 250.0).contains(&a_write), "{a_write}");
    near(plan.journal.bytes / 21_600.0, 251.0);
    assert_eq!(plan.journal.records, 21_600.0);
    // So slow that what was delivered is written down by itself.
    let slower = self::plan("--rate 0.1 --bytes 200");
    near(slower.flash.syncs_per_day, 2.0 * 8640.0);
}

#[test]
fn fast_records_share_their_writes() {
    let fast = plan("--rate 20000 --bytes 200").flash.amplification.expect("records");
    let slow = plan("--rate 20 --bytes 200").flash.amplification.expect("records");
    assert!(fast < 2.0 && slow > 20.0, "{fast} {slow}");
}

/// The house's own goal: 1,000 messages a second with state for each of 100 devices, 500 MB a day.
#[test]
fn waiting_state_is_written_once_for_many_messages() {
    let line = "--rate 1000 --records 0 --bytes 200 --state-keys 100 --state-bytes 8";
    let lazy = plan(line).flash;
    assert!(lazy.state_bytes_per_day > 0.0 && lazy.total_bytes_per_day < 500e6, "{lazy:?}");
    assert_eq!((lazy.records_bytes_per_day, lazy.amplification), (0.0, None));
    near(lazy.syncs_per_day, 43_200.0);
    let durable = plan(&format!("{line} --qos 1")).flash;
    assert!(durable.total_bytes_per_day > 100.0 * lazy.total_bytes_per_day, "{durable:?}");
    assert_eq!(durable.state_bytes_per_day, 0.0);
    let often = plan(&format!("{line} --lazy-ms 0")).flash;
    assert!(often.state_bytes_per_day > 100.0 * lazy.state_bytes_per_day, "{often:?}");
}

/// A daemon's folder on a device of its own, its bytes counted for a minute: 20 records a second of 209 bytes with
/// their topic, and 1,000 events a second with state for each of 100 devices, 20 bytes a change.
#[test]
fn a_day_is_about_what_was_measured() {
    for (line, measured) in [
        ("--rate 20 --bytes 209", 7.67e9),
        ("--rate 1000 --records 0 --bytes 0 --state-keys 100 --state-bytes 0", 395e6),
    ] {
        let total = plan(line).flash.total_bytes_per_day;
        assert!((0.95..1.2).contains(&(total / measured)), "{line}: {total} instead of {measured}");
    }
}

#[test]
fn a_slow_disk_gathers_more_records_in_a_write() {
    let flash = |more: &str| plan(&format!("--rate 1000 --bytes 200 {more}")).flash;
    assert!(flash("--sync-ms 20").records_bytes_per_day < flash("").records_bytes_per_day / 2.0);
    near(flash("--sync-ms 0").syncs_per_day, 86_400_000.0);
}

#[test]
fn state_that_does_not_fit_its_memory_makes_more_checkpoints() {
    let few = plan("--rate 100 --bytes 1 --state-keys 2000").flash;
    let many = plan("--rate 100 --bytes 1 --state-keys 4000").flash;
    assert!(many.checkpoints_bytes_per_day > 3.0 * few.checkpoints_bytes_per_day);
}

#[test]
fn an_outage_that_is_too_long_is_told() {
    let plan = plan("--rate 20 --bytes 200 --outage 2d --quota-mb 32");
    let journal = &plan.journal;
    assert!(!journal.fits);
    let full = journal.full_after_s.expect("it fills");
    near(full, journal.room_bytes / (20.0 * 250.0));
    let text = plan.describe();
    let needed = journal.quota_mb_needed;
    assert!(text.contains(&format!("records are lost; {needed} would hold them")), "{text}");
    let line = format!("--rate 20 --bytes 200 --outage 2d --quota-mb {needed}");
    assert!(self::plan(&line).journal.fits);
    let less = needed - 5.0;
    let line = format!("--rate 20 --bytes 200 --outage 2d --quota-mb {less}");
    assert!(!self::plan(&line).journal.fits);
    // Only what was kept is there to drain.
    let time = plan.drain.time_s.expect("it drains");
    near(time, full * 20.0 / plan.drain.left_per_s);
}

#[test]
fn a_link_that_is_too_slow_never_drains() {
    let plan = plan("--rate 20 --bytes 200 --link-rate 20");
    assert_eq!((plan.drain.held_by, plan.drain.time_s), ("link", None));
    assert!(plan.describe().contains("drained in                 never  at 20 records/s"));
    let plan = self::plan("--rate 20 --bytes 200 --link-rate 50");
    near(plan.drain.time_s.expect("it drains"), 21_600.0 * 20.0 / 30.0);
    assert_eq!(self::plan("--rate 1 --bytes 1 --link-rate 1e6").drain.held_by, "software");
}

#[test]
fn nothing_costs_nothing() {
    let plan = plan("--rate 0 --bytes 0 --outage 0s --state-keys 10");
    assert_eq!(plan.flash.total_bytes_per_day, 0.0);
    assert_eq!((plan.flash.years, plan.journal.full_after_s), (None, None));
    assert_eq!(plan.drain.time_s, Some(0.0));
    let text = plan.describe();
    assert!(text.contains("for ever") && !text.contains("NaN") && !text.contains("inf"), "{text}");
}

#[test]
fn memory_is_that_of_daemon_handlers_and_state() {
    let one = plan("--rate 1 --bytes 200").memory;
    near(one.daemon_bytes, constants::DAEMON_MB.value * 1e6);
    let more =
        plan("--rate 1 --bytes 200 --handlers 100 --state-keys 10000 --state-bytes 8").memory;
    near(more.more_handlers_bytes, 99.0 * constants::HANDLER_MB.value * 1e6);
    near(more.state_bytes, 10_000.0 * 174.0 + 262_144.0);
    let parts =
        more.daemon_bytes + more.more_handlers_bytes + more.state_bytes + more.records_bytes;
    assert_eq!(more.total_bytes, parts);
}
