//! What must be the same on every processor: a line for each thing, its name and a hash. `hashes.txt` has the lines as
//! they are; the test compares, on this machine by `tests/run`, on others by `cross/test`.
//!
//! Not the same, and not in the file: the bits of a not-a-number that an operator has made. WebAssembly leaves them open,
//! x86 sets the sign and ARM does not; `differs/nan` shows them.
//!
//! In reading order: events, and what handlers make of them; what becomes of that on a disk and upstream.

mod events;
mod guests;
mod lasting;

use tidegate_release::hash::digest_of;

/// How names begin of what may differ.
const DIFFERS: &str = "differs/";

/// Every line, in the order of the file.
pub fn corpus() -> String {
    let lines = all().0;
    let same = lines.iter().filter(|(name, _)| !name.starts_with(DIFFERS));
    same.map(|(name, bytes)| format!("{} {name}\n", digest_of(bytes))).collect()
}

/// What is behind the hash of that name, to see where two machines differ.
pub fn behind(name: &str) -> Option<Vec<u8>> {
    all().0.into_iter().find(|(other, _)| other == name).map(|(_, bytes)| bytes)
}

fn all() -> Lines {
    let mut lines = Lines::default();
    let outcomes = guests::all(&mut lines);
    lasting::frames(&mut lines);
    lasting::commits(&mut lines, &outcomes);
    lasting::envelopes(&mut lines, &outcomes);
    lines
}

/// Names, and what is hashed.
#[derive(Default)]
struct Lines(Vec<(String, Vec<u8>)>);

impl Lines {
    fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((name.to_owned(), bytes.into()));
    }
}
