//! State on the real shelf, left in every bad way: each start has all of it, and says what it took.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tidegate_core::commit::{Change, Commit, CommitId, StateChange, Value};
use tidegate_journal::{ModelDisk, RealDisk};
use tidegate_store::{Opened, Rows, Settings, Shelf, Store};
use tidegated::{Rung, ShelfProgram, StateShelf};

/// A start with damage may take so long.
const START_MAX: Duration = Duration::from_secs(5);
const CACHE_MB: u64 = 1;

type RealStore = Store<RealDisk, StateShelf>;

/// A data folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidegated-state-{}-{count}", std::process::id());
        let place = Place(std::env::temp_dir().join(name));
        fs::create_dir_all(&place.0).expect("a temporary folder");
        place
    }

    /// What a `kill -9` would leave of this one now.
    fn copy(&self) -> Place {
        let other = Place::new();
        copy(&self.0, &other.0);
        other
    }

    fn shelf(&self) -> StateShelf {
        let program = env!("CARGO_BIN_EXE_tidegated").into();
        StateShelf::open(&self.0, ShelfProgram::new(program, CACHE_MB))
    }

    fn open(&self) -> (RealStore, Opened) {
        let disk = RealDisk::open(&self.0.join("journal")).expect("a folder");
        Store::open(disk, self.shelf(), Settings::default(), 7).expect("no content stops a start")
    }

    fn state(&self, name: &str) -> PathBuf {
        self.0.join("state").join(name)
    }

    fn names(&self, folder: &str, start: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.into_string().expect("UTF-8"));
        let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            fs::create_dir_all(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}

fn set(store: &mut RealStore, id: u64, keys: std::ops::Range<u64>, len: usize) {
    let change = |key: u64| Change {
        key: format!("device-{key:04}").into_bytes().into(),
        value: Some(Value {
            bytes: format!("{id} {key} ").repeat(len).into_bytes().into(),
            version: id,
            expires_us: None,
        }),
    };
    let changes = keys.map(change).collect();
    let states = vec![StateChange { handler: "overheat".into(), version: id, changes }];
    store.take(Commit { id: CommitId(id), states, ..Commit::default() }).expect("it is small");
    store.commit().expect("a good disk");
}

/// State of which a part is in an export, a part only on the shelf, and a part only in the journal.
fn fill(store: &mut RealStore) {
    set(store, 1, 0..300, 10);
    store.stop().expect("a good disk");
    set(store, 2, 200..400, 20);
    store.checkpoint().expect("a good disk");
    set(store, 3, 390..420, 5);
}

#[track_caller]
fn check(place: &Place, expect: &[StateChange]) -> Option<Rung> {
    let start = Instant::now();
    let (store, opened) = place.open();
    let took = start.elapsed();
    assert!(took < START_MAX, "{took:?}");
    assert!(opened.tables == expect, "state differs");
    let (_, shelf) = store.into_parts();
    shelf.rung()
}

/// Every row, in pieces.
fn read_all(shelf: &mut StateShelf, bytes_max: usize) -> Rows {
    let mut found = Rows::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = shelf.read(after.as_deref(), bytes_max).expect("a good disk");
        let Some((last, _)) = rows.last() else { return found };
        assert!(after.as_ref().is_none_or(|after| after < last));
        after = Some(last.clone());
        found.extend(rows.into_iter().map(|(key, row)| (key, Some(row))));
    }
}

#[test]
fn rows_come_back_as_they_were() {
    let place = Place::new();
    let mut shelf = place.shelf();
    assert_eq!(shelf.rung(), Some(Rung::Fresh));
    let row = |n: u64| -> (Vec<u8>, Option<Vec<u8>>) {
        let key = format!("k{}", "x".repeat(n as usize % 7)).into_bytes();
        let key = [key, n.to_be_bytes().to_vec()].concat();
        (key, Some(vec![n as u8; (n as usize * 977) % 17_000]))
    };
    let rows: BTreeMap<_, _> = (0..200).map(row).collect();
    shelf.write(&rows).expect("a good disk");
    // Longer and shorter than before, and gone.
    let change = |n: u64| (row(n).0, (!n.is_multiple_of(3)).then(|| vec![9; n as usize * 250]));
    let again: BTreeMap<_, _> = (0..60).map(change).collect();
    shelf.write(&again).expect("a good disk");
    let mut expect = rows;
    expect.extend(again);
    expect.retain(|_, row| row.is_some());
    for bytes_max in [1, 5_000, 1 << 20] {
        let found = read_all(&mut shelf, bytes_max);
        assert!(found == expect, "{} of {}", found.len(), expect.len());
    }
    assert_eq!(fs::read_dir(place.state("blobs")).expect("a folder").count(), 0, "no blobs");
    drop(shelf);
    let mut shelf = place.shelf();
    assert_eq!(shelf.rung(), Some(Rung::Clean));
    assert!(read_all(&mut shelf, usize::MAX) == expect);
    let keys: Vec<&[u8]> = expect.keys().map(Vec::as_slice).chain([&b"none"[..]]).collect();
    let found = shelf.find(&keys).expect("a good disk");
    assert!(found.iter().eq(expect.values().chain([&None])), "in pieces, and in order");
    shelf.reset().expect("a good disk");
    assert_eq!(shelf.read(None, usize::MAX).expect("a good disk"), []);
}

#[test]
fn a_full_leaf_of_the_longest_values_is_no_blob() {
    let place = Place::new();
    let mut shelf = place.shelf();
    for round in 0..4u8 {
        let key = |n: u32| [vec![b'k'; 250], n.to_be_bytes().to_vec()].concat();
        let rows = (0..100).map(|n| (key(n), Some(vec![round; 16_600]))).collect();
        shelf.write(&rows).expect("a good disk");
    }
    assert_eq!(fs::read_dir(place.state("blobs")).expect("a folder").count(), 0);
}

#[test]
fn a_clean_stop_is_known_and_an_idle_run_writes_nothing() {
    let place = Place::new();
    let (mut store, _) = place.open();
    fill(&mut store);
    store.stop().expect("a good disk");
    drop(store);
    let (store, opened) = place.open();
    assert_eq!(opened.found.frames_replayed, 0);
    let time = |name: &str| {
        let data = fs::metadata(place.0.join(name)).expect("it is there");
        data.modified().expect("a time")
    };
    let before = (time("state/db"), time("state.mark"));
    let (_, mut shelf) = store.into_parts();
    assert_eq!(shelf.rung(), Some(Rung::Clean));
    shelf.read(None, usize::MAX).expect("a good disk");
    assert_eq!((time("state/db"), time("state.mark")), before);
}

#[test]
fn what_was_not_closed_is_looked_at_and_goes_on() {
    let (left, expect) = cut_off();
    assert_eq!(check(&left, &expect), Some(Rung::Probed));
}

/// State as it is after a run that was cut off, and what it must be.
fn cut_off() -> (Place, Vec<StateChange>) {
    let place = Place::new();
    let (mut store, _) = place.open();
    fill(&mut store);
    let left = place.copy();
    drop(store);
    let (_, opened) = place.open();
    assert_eq!(opened.tables[0].changes.len(), 420);
    (left, opened.tables)
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("it is there");
    change(&mut bytes);
    fs::write(path, bytes).expect("it can be written");
}

#[test]
fn an_unfinished_snapshot_is_removed() {
    let (left, expect) = cut_off();
    fs::write(left.state("snap.00000000000FFFFF.generating"), b"half of it").expect("a folder");
    assert_eq!(check(&left, &expect), Some(Rung::LeftoverRemoved));
    assert_eq!(left.names("state", "snap.00000000000FFFFF"), [""; 0]);
}

#[test]
fn a_damaged_snapshot_is_set_aside() {
    let (left, expect) = cut_off();
    let (mut store, _) = left.open();
    set(&mut store, 4, 0..1, 1);
    store.checkpoint().expect("a good disk");
    let names = left.names("state", "snap.");
    assert!(!names.is_empty(), "a start writes one");
    let again = left.copy();
    drop(store);
    for name in &names {
        change(&again.state(name), |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x55));
    }
    let (mut store, opened) = again.open();
    assert_eq!(opened.tables[0].changes.len(), expect[0].changes.len());
    assert!(!again.names("state", "aside-snap.").is_empty());
    set(&mut store, 5, 0..1, 1);
    store.checkpoint().expect("it goes on");
}

type Damage<'a> = &'a dyn Fn(&Place);

#[test]
fn truncated_zeroed_emptied_missing() {
    let (left, expect) = cut_off();
    let len = fs::metadata(left.state("db")).expect("it is there").len();
    let damage: [(&str, Damage<'_>); 9] = [
        ("zeroed", &|p| change(&p.state("db"), |bytes| bytes.fill(0))),
        ("filled", &|p| change(&p.state("db"), |bytes| bytes.fill(0xff))),
        ("emptied", &|p| change(&p.state("db"), Vec::clear)),
        ("missing db", &|p| fs::remove_file(p.state("db")).expect("it is there")),
        ("missing conf", &|p| fs::remove_file(p.state("conf")).expect("it is there")),
        ("other conf", &|p| change(&p.state("conf"), |bytes| bytes.fill(b'9'))),
        ("empty folder", &|p| {
            fs::remove_dir_all(p.0.join("state")).expect("it is there");
            fs::create_dir(p.0.join("state")).expect("a folder");
        }),
        ("missing folder", &|p| fs::remove_dir_all(p.0.join("state")).expect("it is there")),
        ("no snapshots", &|p| {
            for name in p.names("state", "snap.") {
                fs::remove_file(p.state(&name)).expect("it is there");
            }
        }),
    ];
    for (what, damage) in damage {
        let place = left.copy();
        damage(&place);
        let rung = check(&place, &expect);
        println!("{what}: {rung:?}");
        // And it goes on.
        let (mut store, _) = place.open();
        set(&mut store, 9, 0..1, 1);
        store.checkpoint().expect("a good disk");
    }
    for part in 1..8 {
        let place = left.copy();
        change(&place.state("db"), |bytes| bytes.truncate((len * part / 8) as usize));
        println!("{part}/8: {:?}", check(&place, &expect));
    }
}

#[test]
fn flipped_bits() {
    let (left, expect) = cut_off();
    let mut random = ModelDisk::new(5);
    let mut rungs = BTreeMap::new();
    for _ in 0..if cfg!(debug_assertions) { 12 } else { 60 } {
        let place = left.copy();
        for _ in 0..1 + random.below(3) {
            change(&place.state("db"), |bytes| {
                // Where something is.
                let filled: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
                let at = filled[random.below(filled.len() as u64) as usize];
                bytes[at] ^= 1 << random.below(8);
            });
        }
        *rungs.entry(format!("{:?}", check(&place, &expect))).or_insert(0) += 1;
    }
    println!("{rungs:?}");
}

#[test]
fn a_bit_that_flips_after_a_clean_stop_is_noticed() {
    let place = Place::new();
    let (mut store, _) = place.open();
    fill(&mut store);
    store.stop().expect("a good disk");
    drop(store);
    let (store, expect) = place.open();
    drop(store);
    let mut random = ModelDisk::new(6);
    for _ in 0..4 {
        let place = place.copy();
        change(&place.state("db"), |bytes| {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 0x10;
        });
        assert_ne!(check(&place, &expect.tables), Some(Rung::Clean));
    }
}

#[test]
fn a_folder_that_ends_two_runs_is_not_tried_again() {
    let (left, expect) = cut_off();
    fs::write(left.0.join("state.mark"), "trying 2\n").expect("a folder");
    assert_eq!(check(&left, &expect), Some(Rung::Quarantined));
    assert_eq!(left.names("", "quarantine-"), ["quarantine-1"]);
    assert!(left.0.join("quarantine-1/db").exists());
}

#[test]
fn two_folders_are_kept_for_a_person() {
    let (left, expect) = cut_off();
    for round in 0..4 {
        let (mut store, _) = left.open();
        set(&mut store, 10 + round, 0..1, 1);
        store.stop().expect("a good disk");
        drop(store);
        fs::write(left.0.join("state.mark"), "trying 5\n").expect("a folder");
        let (_, opened) = left.open();
        assert_eq!(opened.tables[0].changes.len(), expect[0].changes.len());
    }
    assert_eq!(left.names("", "quarantine-"), ["quarantine-3", "quarantine-4"]);
}

#[test]
fn without_any_folder_it_starts_all_the_same() -> io::Result<()> {
    let (left, expect) = cut_off();
    fs::remove_dir_all(left.0.join("state"))?;
    // A file is where the folder should be: nothing can be opened, as on a disk that is read-only.
    File::create(left.0.join("state"))?.write_all(b"in the way")?;
    assert_eq!(check(&left, &expect), None);
    let (mut store, _) = left.open();
    set(&mut store, 9, 0..1, 1);
    assert!(store.checkpoint().is_err());
    drop(store);
    fs::remove_file(left.0.join("state"))?;
    let (_, opened) = left.open();
    assert_eq!(opened.tables[0].changes.len(), 420, "the journal has kept it");
    Ok(())
}
