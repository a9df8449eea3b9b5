//! Starts on folders that something has damaged.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_tests::fleet::{Sent, handlers, is_drained};
use tidegate_tests::power_cut::Image;
use tidegate_tests::simulation::Random;
use tidegate_tests::upstream::{Books, Mood};

use crate::house::{DRAIN_MAX, House, PATIENCE, first_reaction};
use crate::wanted;

const START_MAX: Duration = Duration::from_secs(5);
/// Records farther from all damage than this are healthy: frames are shorter, and recovery looks for the next one at
/// each block of 4 KiB.
const NEAR: usize = 64 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What was done to a folder: bytes by file, or files that are gone.
#[derive(Debug, Default)]
struct Damage {
    what: &'static str,
    at: Vec<(String, Range<usize>)>,
}

impl Damage {
    /// Does one thing to one to three files.
    fn new(image: &mut Image, random: &mut Random) -> Damage {
        let mut damage = Damage::default();
        // The lock has nothing in it.
        let names: Vec<String> = image
            .files
            .iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        if random.chance(1, 12) {
            damage.empty_a_folder(image, random);
            return damage;
        }
        for _ in 0..=random.below(3) {
            let name = random.pick(&names).clone();
            let bytes = image.files.get_mut(&name).expect("it was listed");
            if bytes.is_empty() {
                continue;
            }
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
            let end = if random.chance(3, 4) { used } else { bytes.len() };
            let at = random.below(end as u64) as usize;
            let range = match random.below(5) {
                0 => {
                    damage.what = "truncated";
                    let len = bytes.len();
                    bytes.truncate(at);
                    at..len
                }
                1 => {
                    damage.what = "zeroed";
                    bytes.fill(0);
                    0..bytes.len()
                }
                2 => {
                    damage.what = "a block of noise";
                    let end = bytes.len().min(at + 4096);
                    bytes[at..end].iter_mut().for_each(|byte| *byte = random.draw() as u8);
                    at..end
                }
                _ => {
                    damage.what = "a flipped bit";
                    bytes[at] ^= 1 << random.below(8);
                    at..at + 1
                }
            };
            damage.at.push((name, range));
        }
        damage
    }

    /// All files of one folder are gone.
    fn empty_a_folder(&mut self, image: &mut Image, random: &mut Random) {
        self.what = "an emptied folder";
        let folders: Vec<String> = image.folders.iter().cloned().collect();
        let folder = random.pick(&folders).clone() + "/";
        let gone: Vec<String> =
            image.files.keys().filter(|name| name.starts_with(&folder)).cloned().collect();
        for name in gone {
            let bytes = image.files.remove(&name).expect("it was listed");
            self.at.push((name, 0..bytes.len()));
        }
    }

    fn is_near(&self, file: &str, at: usize) -> bool {
        self.at
            .iter()
            .any(|(name, range)| name == file && at + NEAR > range.start && at < range.end + NEAR)
    }
}

/// Where the payload of each acked message that must still go upstream lies on the disk.
fn places(image: &Image, payloads: &BTreeSet<String>) -> Vec<(String, String, usize)> {
    let mut places = Vec::new();
    for (name, bytes) in &image.files {
        let mut at = 0;
        // Payloads begin with `"d-` and end with the next quotation mark.
        while let Some(found) = bytes[at..].windows(3).position(|three| three == b"\"d-") {
            let begin = at + found;
            let len =
                bytes[begin + 1..].iter().position(|byte| *byte == b'"').map_or(0, |len| len + 2);
            at = begin + 3;
            let text = String::from_utf8_lossy(&bytes[begin..begin + len]).into_owned();
            if payloads.contains(&text) {
                places.push((text, name.clone(), begin));
            }
        }
    }
    places
}

/// One start. What is wrong with it.
fn check(
    house: &mut House,
    image: &Image,
    damage: &Damage,
    before: &Books,
    healthy: &BTreeSet<&str>,
) -> Vec<String> {
    let data = house.daemon.data();
    fs::remove_dir_all(&data).expect("it is ours");
    fs::create_dir(&data).expect("it is ours");
    image.write_to(&data);
    house.upstream.begin(Mood::Takes);
    house.daemon.start_again();
    let mut wrong = Vec::new();
    let reaction = first_reaction(house.daemon.address, house.daemon.process.started);
    if reaction > START_MAX {
        wrong.push(format!("it started after {reaction:?}"));
    }
    house.daemon.wait_until_ready(&handlers());
    wait_until_drained(&data, &mut wrong);
    // What is new must not bear the name of what went before.
    house.fleet("new", 10).run();
    wait_until_drained(&data, &mut wrong);
    let after = house.upstream.books();
    let mut books = Books::default();
    books.take_all(before, |_| true);
    books.take_all(&after, |_| true);
    wrong.extend(books.wrong);
    wrong.extend(after.wrong.iter().cloned());
    let came: BTreeSet<&[u8]> = after.payloads("up").chain(before.payloads("up")).collect();
    let lost: Vec<&&str> =
        healthy.iter().filter(|payload| !came.contains(payload.as_bytes())).collect();
    if let Some(first) = lost.first() {
        wrong.push(format!("{} healthy records are gone, {first} first", lost.len()));
    }
    house.daemon.process.kill();
    if !wrong.is_empty() {
        eprintln!("{damage:?}: {wrong:#?}\n{}", house.daemon.process.text());
    }
    wrong
}

/// Whether the daemon has said anything about damage.
fn has_said(house: &House) -> bool {
    let words = ["damage", "could not be read", "cannot be read"];
    words.iter().any(|word| house.daemon.said(&[word]))
}

fn wait_until_drained(data: &Path, wrong: &mut Vec<String>) {
    let end = Instant::now() + DRAIN_MAX;
    while !is_drained(data).unwrap_or(false) {
        if Instant::now() > end {
            return wrong.push("it does not drain".to_owned());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A folder, and what has been upstream and what must go there.
struct Past {
    whole: Image,
    before: Books,
    places: Vec<(String, String, usize)>,
}

impl Past {
    /// As it is when the daemon was just killed.
    fn of(house: &mut House, waiting: &[Sent]) -> Past {
        house.daemon.process.kill();
        let (before, whole) = (house.upstream.books(), Image::of(&house.daemon.data()));
        let payloads: BTreeSet<String> = waiting
            .iter()
            .filter(|sent| sent.topic.starts_with("in/"))
            .map(|sent| sent.payload.clone())
            .collect();
        let places = places(&whole, &payloads);
        Past { whole, before, places }
    }
}

#[test]
fn a_damaged_folder_starts_and_keeps_what_is_healthy() {
    let mut house = House::start(Mood::Takes);
    house.fleet("d", 100).run();
    house.daemon.process.terminate(PATIENCE).expect("it ends");
    house.upstream.set(Mood::Away);
    house.start_again();
    let waiting = house.fleet("d-again", 400).run();
    let first = Past::of(&mut house, &waiting);
    assert!(first.places.len() > 1000, "{} records wait", first.places.len());
    // Another time all of it has arrived.
    house.upstream.set(Mood::Takes);
    house.start_again();
    house.fleet("d-third", 100).run();
    wait_until_drained(&house.daemon.data(), &mut Vec::new());
    let second = Past::of(&mut house, &[]);

    // A folder without damage is none to talk about.
    for past in [&first, &second] {
        let (none, all) = (Damage::default(), past.places.iter().map(|(payload, ..)| &payload[..]));
        let wrong = check(&mut house, &past.whole, &none, &past.before, &all.collect());
        assert_eq!(wrong, [""; 0]);
        assert!(!has_said(&house), "{}", house.daemon.process.text());
    }

    let mut random = Random::new(23);
    let (times, mut said, mut lossy, mut slowest, mut bad) =
        (wanted("DAMAGES", 100), 0, 0, Duration::ZERO, Vec::new());
    for number in 0..times {
        let Past { whole, before, places } = [&first, &second][number % 2];
        let waiting_records = places.len();
        let mut image = whole.clone();
        let damage = Damage::new(&mut image, &mut random);
        let healthy: BTreeSet<&str> = places
            .iter()
            .filter(|(_, file, at)| !damage.is_near(file, *at))
            .map(|(payload, ..)| payload.as_str())
            .collect();
        let begun = Instant::now();
        let mut wrong = check(&mut house, &image, &damage, before, &healthy);
        slowest = slowest.max(begun.elapsed());
        let has_said = has_said(&house);
        said += usize::from(has_said);
        let old = |payload: &&[u8]| payload.starts_with(b"\"d-");
        let came = house.upstream.look(|books| books.payloads("up").filter(old).count());
        let is_lossy = came < waiting_records;
        lossy += usize::from(is_lossy);
        if is_lossy && !has_said && damage.what != "an emptied folder" {
            wrong.push("records are gone and it has said nothing".to_owned());
        }
        if !wrong.is_empty() {
            eprintln!("{number}: {damage:?}: {wrong:?}\n{}", house.daemon.process.text());
            bad.push((number, damage, wrong));
        }
    }
    println!(
        "{times} starts on damaged folders ({} records waiting in every other one): {said} with a word about it, {lossy} with \
         records gone, {} wrong; the slowest with its drain {slowest:?}",
        first.places.len(),
        bad.len()
    );
    assert!(said > 0 && lossy > 0, "some of it matters");
    assert!(bad.is_empty(), "{} of {times}: {:#?}", bad.len(), bad.first());
}
