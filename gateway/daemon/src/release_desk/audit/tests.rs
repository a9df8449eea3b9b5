use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_release::audit::Entry;

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("audit-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a writable place");
        Folder(path)
    }

    /// All entries of both files, oldest first, each of which fits the one before.
    fn entries(&self) -> Vec<Entry> {
        let mut entries = frames::read(&read(&self.0.join(FILE_BEFORE)).expect("ours")).entries;
        entries.extend(frames::read(&read(&self.0.join(FILE)).expect("ours")).entries);
        assert_eq!(verify(&entries), Ok(()));
        entries
    }

    fn bytes(&self) -> u64 {
        let len = |name| fs::metadata(self.0.join(name)).map_or(0, |facts| facts.len());
        len(FILE) + len(FILE_BEFORE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it is ours");
    }
}

fn at(s: u64) -> When {
    When { now: Timestamp(s * 1000), wall: WallTime::default() }
}

fn passed(n: u8) -> What {
    What::Passed { handler: Name::new("p").expect("a name"), digest: Digest([n; 32]) }
}

fn refused(code: &str) -> What {
    What::Refused { handler: None, digest: Digest([1; 32]), code: code.to_owned() }
}

#[test]
fn a_log_goes_on_over_starts_and_is_bounded() {
    let folder = Folder::new();
    for start in 0..50 {
        let mut audit = Audit::open(&folder.0, at(start));
        (0..100).for_each(|n| audit.note(at(start), passed(n)));
    }
    let entries = folder.entries();
    assert_eq!(entries.last().expect("there are some").counter, 5_000);
    assert!(entries[0].counter > 1, "the oldest are gone");
    assert!(entries.len() > 1_000, "{} are left", entries.len());
    assert!(folder.bytes() <= 2 * FILE_BYTES_MAX, "{}", folder.bytes());
    let audit = Audit::open(&folder.0, at(60));
    assert_eq!(audit.head(), (5_000, entries.last().expect("there are some").digest()));
}

#[test]
fn a_torn_end_is_noted_and_the_chain_goes_on() {
    let folder = Folder::new();
    let path = folder.0.join(FILE);
    let mut audit = Audit::open(&folder.0, at(0));
    (0..3).for_each(|n| audit.note(at(0), passed(n)));
    drop(audit);
    let whole = fs::read(&path).expect("it is there");
    let two = frames::frame(&frames::read(&whole).entries[0]).len() * 2;
    for len in two + 1..whole.len() {
        fs::write(&path, &whole[..len]).expect("it is ours");
        let mut audit = Audit::open(&folder.0, at(1));
        audit.note(at(1), passed(9));
        let entries = folder.entries();
        let gap = What::Gap { entries: 0, bytes: (len - two) as u64 };
        assert_eq!(entries.iter().map(|entry| entry.counter).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!((&entries[2].what, &entries[3].what), (&gap, &passed(9)), "cut to {len}");
    }
    fs::write(&path, &whole[..two]).expect("it is ours");
    drop(Audit::open(&folder.0, at(1)));
    assert_eq!(folder.entries().len(), 2, "nothing was torn");
}

#[test]
fn the_newer_file_may_be_missing() {
    let folder = Folder::new();
    let mut audit = Audit::open(&folder.0, at(0));
    audit.note(at(0), passed(0));
    drop(audit);
    // Between the renaming and the first entry behind it.
    fs::rename(folder.0.join(FILE), folder.0.join(FILE_BEFORE)).expect("it is ours");
    Audit::open(&folder.0, at(1)).note(at(1), passed(1));
    assert_eq!(folder.entries().len(), 2);
}

#[test]
fn a_flood_of_refusals_is_counted_and_does_not_push_out_the_rest() {
    let folder = Folder::new();
    let mut audit = Audit::open(&folder.0, at(0));
    audit.note(at(0), passed(0));
    // A hundred a second, for an hour.
    for n in 0..360_000 {
        audit.note_refused(at(n / 100), refused("unknown-key"));
    }
    audit.note(at(3_600), passed(1));
    audit.handle_timeout(at(3_600 + 15 * 60));
    assert_eq!(audit.poll_timeout(), None);
    let entries = folder.entries();
    let told: u64 = entries
        .iter()
        .map(|entry| match &entry.what {
            What::Refused { .. } => 1,
            What::MoreRefused { count, code } if code == "unknown-key" => *count,
            _ => 0,
        })
        .sum();
    assert_eq!(told, 360_000, "each is told or counted");
    assert!(entries.len() < 16 + 8, "{} entries", entries.len());
    assert_eq!(entries[0].what, passed(0));
}

#[test]
fn what_the_disk_did_not_take_is_noted_later() {
    let folder = Folder::new();
    let mut audit = Audit::open(&folder.0, at(0));
    audit.note(at(0), passed(0));
    // The file is gone from under it, and a folder stands in its place.
    audit.file = None;
    let path = folder.0.join(FILE);
    fs::rename(&path, folder.0.join("away")).expect("it is ours");
    fs::create_dir(&path).expect("it is ours");
    (1..3).for_each(|n| audit.note(at(1), passed(n)));
    fs::remove_dir(&path).expect("it is empty");
    fs::rename(folder.0.join("away"), &path).expect("it is ours");
    audit.note(at(2), passed(3));
    let whats: Vec<What> = folder.entries().into_iter().map(|entry| entry.what).collect();
    assert_eq!(whats, [passed(0), What::Gap { entries: 2, bytes: 0 }, passed(3)]);
}
