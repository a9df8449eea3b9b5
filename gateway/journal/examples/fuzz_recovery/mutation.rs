//! What happens to files.

use tidegate_journal::{Disk, ModelDisk};

use crate::history::Files;

const BLOCK: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    FlipBits,
    Truncate,
    Zero,
    Fill,
    Garbage,
    /// When bytes of another time or place stand in their place.
    Splice,
    /// When two segments have changed names.
    Swap,
    Extend,
    Remove,
    /// When a segment is there twice.
    Double,
    /// When a whole file is as it was at another time.
    Revert,
}

const ALL: [Mutation; 11] = [
    Mutation::FlipBits,
    Mutation::Truncate,
    Mutation::Zero,
    Mutation::Fill,
    Mutation::Garbage,
    Mutation::Splice,
    Mutation::Swap,
    Mutation::Extend,
    Mutation::Remove,
    Mutation::Double,
    Mutation::Revert,
];

/// One change to some file; and whether every header is its own, or none.
pub fn mutate(
    disk: &mut ModelDisk,
    snapshots: &[Files<Vec<u8>>],
    random: &mut ModelDisk,
) -> (Mutation, bool) {
    let kind = ALL[random.below(ALL.len() as u64) as usize];
    let names = disk.list().expect("the power is on");
    let names: Vec<String> = names.into_iter().filter(|name| name.ends_with(".seg")).collect();
    if names.is_empty() {
        return (kind, true);
    }
    let name = names[random.below(names.len() as u64) as usize].clone();
    let other = names[random.below(names.len() as u64) as usize].clone();
    let bytes = content(disk, &name);
    let new = match kind {
        Mutation::Swap => {
            let theirs = content(disk, &other);
            put(disk, &other, bytes);
            theirs
        }
        Mutation::Remove => {
            disk.remove(&name).expect("a good disk");
            disk.sync_dir().expect("a good disk");
            return (kind, true);
        }
        Mutation::Double => {
            let name = format!("{:08}.seg", 50 + random.below(9));
            disk.preallocate(&name, 0).expect("a good disk");
            disk.sync(&name).expect("a good disk");
            disk.sync_dir().expect("a good disk");
            put(disk, &name, bytes);
            return (kind, true);
        }
        Mutation::Revert => {
            let Some(old) = pick(snapshots, random) else { return (kind, true) };
            put(disk, &name, old);
            return (kind, false);
        }
        Mutation::Splice => {
            let theirs = match random.below(2) {
                0 => content(disk, &other),
                _ => pick(snapshots, random).unwrap_or_else(|| bytes.clone()),
            };
            let (new, is_honest) = splice(bytes, &theirs, random);
            put(disk, &name, new);
            return (kind, is_honest);
        }
        Mutation::FlipBits
        | Mutation::Truncate
        | Mutation::Zero
        | Mutation::Fill
        | Mutation::Garbage
        | Mutation::Extend => harm(kind, bytes, random),
    };
    put(disk, &name, new);
    (kind, true)
}

fn content(disk: &mut ModelDisk, name: &str) -> Vec<u8> {
    let mut bytes = vec![0; disk.len(name).expect("it is listed") as usize];
    disk.read_at(name, 0, &mut bytes).expect("a good disk");
    bytes
}

fn put(disk: &mut ModelDisk, name: &str, new: Vec<u8>) {
    disk.damage(name, |bytes| bytes.clone_from(&new));
}

fn pick(snapshots: &[Files<Vec<u8>>], random: &mut ModelDisk) -> Option<Vec<u8>> {
    let snapshot = snapshots.get(random.below(snapshots.len() as u64) as usize)?;
    let at = random.below(snapshot.len() as u64) as usize;
    snapshot.values().nth(at).cloned()
}

/// A place and a length, short ones and aligned ones more often than by chance.
fn range(len: usize, random: &mut ModelDisk) -> std::ops::Range<usize> {
    let mut from = random.below(len as u64 + 1) as usize;
    let mut most = [1, 40, 512, BLOCK, 2 * BLOCK, len][random.below(6) as usize];
    match random.below(3) {
        0 => from &= !(BLOCK - 1),
        1 => (from, most) = (from & !511, most.next_multiple_of(512)),
        _ => most = random.below(most as u64 + 1) as usize,
    }
    from..len.min(from + most)
}

fn harm(kind: Mutation, mut bytes: Vec<u8>, random: &mut ModelDisk) -> Vec<u8> {
    let range = range(bytes.len(), random);
    match kind {
        Mutation::FlipBits if !bytes.is_empty() => {
            for _ in 0..1 + random.below(6) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
        }
        Mutation::Truncate => bytes.truncate(range.start),
        Mutation::Extend => {
            let byte = [0, 0xff, 1][random.below(3) as usize];
            bytes.resize(bytes.len() + random.below(3 * BLOCK as u64) as usize, byte);
        }
        Mutation::Fill => bytes[range].fill(0xff),
        Mutation::Garbage => {
            for byte in &mut bytes[range] {
                *byte = [random.below(256) as u8, 0, 1][random.below(3) as usize];
            }
        }
        Mutation::Zero
        | Mutation::FlipBits
        | Mutation::Splice
        | Mutation::Swap
        | Mutation::Remove
        | Mutation::Double
        | Mutation::Revert => bytes[range].fill(0),
    }
    bytes
}

/// Puts bytes of another file here, at the same place or anywhere. False when a header of it may have come along, or
/// frames of the same segment to another place of it: nothing says that they do not belong there.
fn splice(mut bytes: Vec<u8>, theirs: &[u8], random: &mut ModelDisk) -> (Vec<u8>, bool) {
    let from = range(theirs.len(), random);
    let at = match random.below(2) {
        0 => from.start,
        _ => random.below(bytes.len() as u64 + 1) as usize,
    };
    let len = from.len().min(bytes.len().saturating_sub(at));
    let at = at.min(bytes.len());
    bytes[at..at + len].copy_from_slice(&theirs[from.start..from.start + len]);
    let within = |at: usize, end: usize| at >= BLOCK && end + BLOCK <= theirs.len();
    let is_moved = at != from.start && theirs.get(12..16) == bytes.get(12..16);
    (bytes, within(from.start, from.start + len) && !is_moved)
}
