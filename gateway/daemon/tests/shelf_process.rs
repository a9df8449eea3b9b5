//! A process that keeps the state and dies, hangs or talks nonsense: the daemon is told so in time, keeps what it has,
//! and goes on with a good one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tidegate_store::{Rows, Shelf};
use tidegated::{Rung, ShelfLimits, ShelfProgram, StateShelf};

const REAL: &str = env!("CARGO_BIN_EXE_tidegated");
const LIMIT: Duration = Duration::from_millis(300);
const RETRY: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_millis(50);
/// On a busy machine, and with a good disk.
const SOON: Duration = Duration::from_secs(5);
/// `done` with generation 0, as a shell prints it.
const OPENED: &str = r"\011\000\000\000\101\000\000\000\000\000\000\000\000";

/// A data folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidegated-process-{}-{count}", std::process::id());
        let place = Place(std::env::temp_dir().join(name));
        fs::create_dir_all(&place.0).expect("a temporary folder");
        place
    }

    /// The real program, or what stands in its place while it is `bad`.
    fn program(&self, bad: &str) -> ShelfProgram {
        let (script, is_bad) = (self.0.join("program"), self.0.join("is-bad"));
        let text = format!(
            "#!/bin/sh\nif [ -e '{}' ]; then :\n{bad}\nfi\nexec '{REAL}' \"$@\"\n",
            is_bad.display()
        );
        // Not by ourselves: as long as another test's child has it open for writing, it cannot be started.
        let write = "printf %s \"$1\" > \"$0\" && chmod 700 \"$0\"";
        let written = Command::new("sh").args(["-c", write]).arg(&script).arg(text).status();
        assert!(written.expect("there is a shell").success());
        let mut program = ShelfProgram::new(script, 1);
        let (open, read, write, close) = (LIMIT, LIMIT, LIMIT, SOON);
        program.limits = ShelfLimits { open, read, write, close, retry: RETRY, idle: IDLE };
        program
    }

    fn be_bad(&self) {
        fs::write(self.0.join("is-bad"), []).expect("a temporary folder");
    }

    fn be_good(&self) {
        fs::remove_file(self.0.join("is-bad")).expect("it was bad");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.map(|name| name.into_string().expect("UTF-8")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn rows(round: u8) -> Rows {
    (0..200u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![round; 1000]))).collect()
}

fn read_all(shelf: &mut StateShelf) -> Rows {
    let mut found = Rows::new();
    while let rows = shelf
        .read(found.last_key_value().map(|(key, _)| key.as_slice()), 1000)
        .expect("a good process")
        && !rows.is_empty()
    {
        found.extend(rows.into_iter().map(|(key, row)| (key, Some(row))));
    }
    found
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a process id");
    kill_process(pid, signal).expect("it is ours");
}

fn is_alive(pid: u32) -> bool {
    test_kill_process(Pid::from_raw(pid as i32).expect("a process id")).is_ok()
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Lets the process do this at its start, and once more when it is needed again: an error in time, nothing set aside,
/// and a good one goes on where the last one was.
#[track_caller]
fn check(bad: &str) {
    let place = Place::new();
    let mut shelf = StateShelf::open(&place.0, place.program(bad));
    shelf.write(&rows(1)).expect("a good process");
    drop(shelf);

    // A start.
    place.be_bad();
    let begun = Instant::now();
    let mut shelf = StateShelf::open(&place.0, place.program(bad));
    if shelf.read(None, 1000).is_ok() {
        let pid = shelf.process_id();
        assert!(shelf.write(&rows(9)).is_err(), "{bad}: {pid:?}");
    }
    assert!(begun.elapsed() < SOON, "{bad}: {:?}", begun.elapsed());
    drop(shelf);
    place.be_good();
    for name in place.names().iter().filter(|name| name.starts_with("quarantine-")) {
        // Nothing can be known of a folder that no process opens; but it is kept.
        let (from, to) = (place.0.join(name), place.0.join("state"));
        fs::rename(from, to).expect("none was made in its place");
    }

    // In the middle.
    let mut shelf = StateShelf::open(&place.0, place.program(bad));
    assert!(read_all(&mut shelf) == rows(1), "{bad}");
    thread::sleep(IDLE);
    wait_until("it closes", || !shelf.rest());
    place.be_bad();
    let begun = Instant::now();
    assert!(shelf.write(&rows(2)).is_err(), "{bad}");
    assert!(shelf.write(&rows(2)).is_err(), "{bad}: it is not tried at once");
    assert!(begun.elapsed() < SOON, "{bad}: {:?}", begun.elapsed());
    assert_eq!(shelf.process_id(), None);
    place.be_good();
    wait_until(bad, || shelf.write(&rows(3)).is_ok());
    assert!(read_all(&mut shelf) == rows(3), "{bad}");
    drop(shelf);
    let mut shelf = StateShelf::open(&place.0, place.program(bad));
    assert_eq!(shelf.rung(), Some(Rung::Clean));
    assert!(read_all(&mut shelf) == rows(3), "{bad}");
}

#[test]
fn one_that_ends_at_once() {
    check("echo it is not my day >&2; exit 3");
}

#[test]
fn one_that_ends_before_it_answers() {
    check("head -c 7 > /dev/null; kill -9 $$");
}

#[test]
fn one_that_hangs() {
    check("exec sleep 60");
}

#[test]
fn one_that_talks_nonsense() {
    check("printf 'Hello, world! This is no shelf.'; exec sleep 60");
}

#[test]
fn one_whose_frame_is_too_long() {
    check(r"printf '\001\000\040\000\101'; exec sleep 60");
    check(r"printf '\377\377\377\377'; exec sleep 60");
}

#[test]
fn one_that_answers_a_byte_at_a_time() {
    check(r"while true; do printf '\001'; sleep 0.1; done");
}

#[test]
fn one_that_answers_something_else() {
    // `found`, of nothing.
    check(r"printf '\001\000\000\000\103'; exec sleep 60");
}

#[test]
fn one_that_is_another_folder() {
    // It opens what is empty, and would take anything.
    let place = Place::new();
    let bad = format!("printf '{OPENED}'; exec sleep 60");
    let mut shelf = StateShelf::open(&place.0, place.program(&bad));
    shelf.write(&rows(1)).expect("a good process");
    thread::sleep(IDLE);
    wait_until("it closes", || !shelf.rest());
    place.be_bad();
    let error = shelf.write(&rows(2)).expect_err("it has another generation");
    assert!(error.to_string().contains("next start"), "{error}");
    place.be_good();
    thread::sleep(RETRY * 2);
    assert!(shelf.write(&rows(2)).is_err(), "only a start can set that right");
    drop(shelf);
    let mut shelf = StateShelf::open(&place.0, place.program(&bad));
    assert!(read_all(&mut shelf) == rows(1), "nothing was written to it");
}

#[test]
fn one_that_dies_in_a_write() {
    for part in [0, 100, 100_000] {
        let place = Place::new();
        // It takes a part of the rows, and is gone.
        let bad = format!("printf '{OPENED}'; head -c {} > /dev/null; kill -9 $$", 7 + part);
        place.be_bad();
        let mut shelf = StateShelf::open(&place.0, place.program(&bad));
        assert!(shelf.write(&rows(1)).is_err(), "{part}");
        place.be_good();
        wait_until("it is tried again", || shelf.write(&rows(2)).is_ok());
        assert!(read_all(&mut shelf) == rows(2), "{part}");
    }
}

#[test]
fn the_real_one_is_killed_or_stopped_in_a_write() {
    for how in [Signal::KILL, Signal::STOP] {
        let place = Place::new();
        let mut shelf = StateShelf::open(&place.0, place.program(""));
        shelf.write(&rows(1)).expect("a good process");
        let pid = shelf.process_id().expect("it is open");
        signal(pid, how);
        assert!(shelf.write(&rows(2)).is_err(), "{how:?}");
        assert!(!is_alive(pid), "{how:?}: it is gone, and was waited for");
        wait_until("it is tried again", || shelf.write(&rows(3)).is_ok());
        assert!(read_all(&mut shelf) == rows(3));
    }
}

#[test]
fn signals_to_all_do_not_end_it_and_the_end_of_its_daemon_does() {
    let place = Place::new();
    let mut shelf = StateShelf::open(&place.0, place.program(""));
    shelf.write(&rows(1)).expect("a good process");
    let pid = shelf.process_id().expect("it is open");
    for end in [Signal::TERM, Signal::INT] {
        signal(pid, end);
        thread::sleep(Duration::from_millis(20));
        shelf.write(&rows(2)).expect("it goes on");
    }
    assert_eq!(shelf.process_id(), Some(pid));
    drop(shelf);
    assert!(!is_alive(pid));
    // Without anybody at the other end.
    let status = Command::new(REAL)
        .args(["state-shelf", "--cache-mb", "1", "--dir"])
        .arg(place.0.join("state"))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("it starts");
    assert!(!status.success(), "{status}");
}

#[test]
fn nobody_is_started_for_nothing_and_an_idle_one_ends() {
    let place = Place::new();
    let mut shelf = StateShelf::open(&place.0, place.program(""));
    assert_eq!(shelf.rung(), Some(Rung::Fresh));
    assert_eq!(shelf.read(None, 1000).expect("nothing is there"), []);
    assert_eq!(shelf.find(&[b"a", b"b"]).expect("nothing is there"), [None, None]);
    shelf.reset().expect("nothing is there");
    assert_eq!((shelf.process_id(), shelf.rest()), (None, false));
    assert!(!place.0.join("state").exists(), "and nothing is made");

    shelf.write(&rows(1)).expect("a good process");
    let pid = shelf.process_id().expect("it is open");
    assert!(shelf.rest(), "not at once: more may come");
    thread::sleep(IDLE);
    wait_until("it closes", || !shelf.rest());
    assert!(!is_alive(pid));
    assert!(read_all(&mut shelf) == rows(1), "it comes back");
    thread::sleep(IDLE);
    assert!(shelf.rest());
    // Closed by halves.
    shelf.write(&rows(2)).expect("it is waited for, and another one is started");
    drop(shelf);
    let shelf = StateShelf::open(&place.0, place.program(""));
    assert_eq!(shelf.rung(), Some(Rung::Clean));
}

#[test]
fn a_folder_that_another_process_has_is_left_alone() {
    let place = Place::new();
    let mut other = StateShelf::open(&place.0, place.program(""));
    other.write(&rows(1)).expect("a good process");
    let mut program = place.program("");
    program.limits.open = SOON;
    let mut shelf = StateShelf::open(&place.0, program);
    assert_eq!(shelf.rung(), None);
    assert!(shelf.read(None, 1000).is_err());
    assert!(!place.names().iter().any(|name| name.starts_with("quarantine-")));
    drop(other);
    wait_until("it is tried again", || shelf.read(None, 1000).is_ok());
    assert!(read_all(&mut shelf) == rows(1));
}
