//! A disk that is full, fails or cannot be written: nothing is acked that is not durable, reactions go on, and so
//! does everything when the disk is well again.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use tidegate_tests::fleet::Sent;
use tidegate_tests::mqtt::Client;
use tidegate_tests::upstream::Mood;

use crate::house::{House, PATIENCE, first_reaction};

const SAID_MAX: Duration = Duration::from_secs(20);
/// What an ack would come in, had there been one.
const ACK_MAX: Duration = Duration::from_millis(500);

/// A file system of its own on a folder, as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// None, with a word, where the system does not let us.
    fn memory(folder: PathBuf, size: &str) -> Option<Mounted> {
        let options = std::ffi::CString::new(format!("size={size}")).expect("no zero in it");
        let done = mount("none", &folder, "tmpfs", MountFlags::empty(), Some(options.as_c_str()));
        Mounted::told(done, folder)
    }

    fn itself(folder: PathBuf) -> Option<Mounted> {
        Mounted::told(mount_bind(&folder, &folder), folder)
    }

    fn told(done: rustix::io::Result<()>, folder: PathBuf) -> Option<Mounted> {
        match done {
            Ok(()) => Some(Mounted(folder)),
            Err(error) => {
                println!("left out: no mount here ({error}); root may");
                None
            }
        }
    }

    fn set_read_only(&self, is_so: bool) {
        let flags = if is_so { MountFlags::RDONLY } else { MountFlags::empty() };
        mount_remount(&self.0, flags | MountFlags::BIND, "")
            .expect("what we mounted can be changed");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: the daemon may still be there when a test fails.
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.0.display());
        }
    }
}

/// Fills the disk; frees it when dropped.
struct Ballast(PathBuf);

impl Ballast {
    fn fill(path: PathBuf) -> Ballast {
        let mut file = File::create(&path).expect("the disk takes a name");
        let piece = [1; 4096];
        while file.write_all(&piece).is_ok() {}
        Ballast(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("it is ours");
    }
}

fn acked(sent: &[Sent]) -> usize {
    sent.iter().filter(|sent| sent.acked.is_some()).count()
}

#[test]
fn a_full_disk() {
    let mut house = House::start(Mood::Away);
    house.daemon.process.kill();
    let Some(disk) = Mounted::memory(house.daemon.data(), "64m") else { return };
    house.start_again();
    let sent = thread::scope(|scope| {
        let mut fleet = house.fleet("full", u64::MAX);
        fleet.payload_bytes = 2000;
        let load = scope.spawn(move || fleet.run());
        let ballast = Ballast::fill(disk.0.join("ballast"));
        let said = house.daemon.process.wait_for_line(&["the store cannot write"], SAID_MAX);
        assert!(said.is_some(), "{}", house.daemon.process.text());
        for _ in 0..20 {
            first_reaction(house.daemon.address, Instant::now());
        }
        drop(ballast);
        let said = house.daemon.process.wait_for_line(&["the store can write again"], SAID_MAX);
        house.stop.store(true, Ordering::Relaxed);
        let sent = load.join().expect("no device panics");
        assert!(said.is_some(), "{}", house.daemon.process.text());
        sent
    });
    assert_eq!(house.broken.lock().expect("nobody panicked")[..], [""; 0], "it went on");
    // Full again, and killed there: what was acked is on the disk.
    house.upstream.set(Mood::Takes);
    let wrong = house.judge(&sent);
    assert_eq!(wrong, [""; 0], "{}", house.daemon.process.text());
    println!("full: {} messages, {} acked", sent.len(), acked(&sent));
    house.daemon.process.kill();
    drop(disk);
}

#[test]
fn a_start_and_a_kill_on_a_full_disk() {
    let mut house = House::start(Mood::Away);
    house.daemon.process.kill();
    let Some(disk) = Mounted::memory(house.daemon.data(), "24m") else { return };
    house.start_again();
    let mut sent = house.fleet("before", 100).run();
    for name in ["first", "second"] {
        let ballast = Ballast::fill(disk.0.join("ballast"));
        sent.extend(thread::scope(|scope| {
            let mut fleet = house.fleet(name, u64::MAX);
            fleet.payload_bytes = 2000;
            let load = scope.spawn(move || fleet.run());
            let said = house.daemon.process.wait_for_line(&["the store cannot write"], SAID_MAX);
            // In the middle of it all.
            house.stop.store(true, Ordering::Relaxed);
            tidegate_tests::process::send(
                house.daemon.process.pid(),
                rustix::process::Signal::KILL,
            );
            assert!(said.is_some(), "{}", house.daemon.process.text());
            load.join().expect("no device panics")
        }));
        house.stop.store(false, Ordering::Relaxed);
        house.daemon.process.wait(PATIENCE).expect("it was killed");
        house.start_again();
        first_reaction(house.daemon.address, Instant::now());
        drop(ballast);
    }
    house.upstream.set(Mood::Takes);
    let wrong = house.judge(&sent);
    assert_eq!(wrong, [""; 0], "{}", house.daemon.process.text());
    println!("full at a kill: {} messages, {} acked", sent.len(), acked(&sent));
    house.daemon.process.kill();
    drop(disk);
}

#[test]
fn a_read_only_folder() {
    let mut house = House::start(Mood::Away);
    let mut sent = house.fleet("before", 50).run();
    house.daemon.process.kill();
    let Some(disk) = Mounted::itself(house.daemon.data()) else { return };
    disk.set_read_only(true);
    house.start_again();
    let mut client = Client::connect(house.daemon.address, "device").expect("it listens");
    client.publish_acked("in/s0", b"\"never acked\"").expect("sent");
    assert_eq!(client.read(ACK_MAX).expect("read"), None, "nothing is acked that is not durable");
    first_reaction(house.daemon.address, Instant::now());
    let text = house.daemon.process.text();
    assert!(text.contains("nothing will be durable") || text.contains("cannot write"), "{text}");
    house.daemon.process.kill();
    disk.set_read_only(false);
    house.start_again();
    sent.extend(house.fleet("after", 50).run());
    house.upstream.set(Mood::Takes);
    let wrong = house.judge(&sent);
    assert_eq!(wrong, [""; 0], "{}", house.daemon.process.text());
    house.daemon.process.kill();
    drop(disk);
}
