//! A folder as it may be after a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::disk::{Change, Disk, File};
use super::names::{Name, Names, Node, ROOT};
use crate::simulation::Random;

/// What a device writes whole or not at all.
const SECTOR: usize = 512;
/// Zeros of this many bytes are left out when an image is written.
const HOLE: usize = 4096;

/// What becomes of all that is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// When all of it happens to be there.
    AllKept,
    /// When nothing of it is.
    NoneKept,
    /// When it is kept, dropped or torn by chance. The same seed does the same.
    Random(u64),
}

/// What is in a folder by path, without the folder itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub files: BTreeMap<String, Vec<u8>>,
    pub folders: BTreeSet<String>,
    /// Names that a socket left behind.
    pub sockets: BTreeSet<String>,
}

/// What becomes of one change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Dropped,
    Kept,
    Torn,
}

impl Image {
    /// What is in a folder now.
    pub fn of(folder: &Path) -> Image {
        let mut image = Image::default();
        image.read(folder, "");
        image
    }

    fn read(&mut self, folder: &Path, prefix: &str) {
        for entry in fs::read_dir(folder).expect("a folder can be listed") {
            let entry = entry.expect("a folder can be listed");
            let name = entry.file_name().into_string().expect("names here are UTF-8");
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().expect("it has a type");
            if kind.is_dir() {
                self.read(&entry.path(), &format!("{path}/"));
                self.folders.insert(path);
            } else if kind.is_socket() {
                self.sockets.insert(path);
            } else {
                self.files.insert(path, fs::read(entry.path()).expect("a file can be read"));
            }
        }
    }

    /// The disk after a power cut.
    pub fn after(disk: &Disk, mood: Mood) -> Image {
        let mut chance = Random::new(if let Mood::Random(seed) = mood { seed } else { 0 });
        let names = settled_names(disk.names(), mood, &mut chance);
        Image::walk(disk, &names, |file| settled(file, mood, &mut chance))
    }

    /// What a program sees while the power is on.
    pub fn seen(disk: &Disk) -> Image {
        Image::walk(disk, disk.names().seen(), |file| file.seen.clone())
    }

    fn walk(
        disk: &Disk,
        names: &BTreeMap<Name, Node>,
        content: impl FnMut(&File) -> Vec<u8>,
    ) -> Image {
        let mut walk = Walk { disk, names, content, image: Image::default() };
        walk.folder(ROOT, "");
        walk.image
    }

    /// Writes it into an empty folder.
    pub fn write_to(&self, folder: &Path) {
        // A folder sorts before what is in it.
        for path in &self.folders {
            fs::create_dir(folder.join(path)).expect("the image's folder is empty");
        }
        for path in &self.sockets {
            drop(UnixListener::bind(folder.join(path)).expect("the image's folder is empty"));
        }
        for (path, content) in &self.files {
            let file = fs::File::create(folder.join(path)).expect("the image's folder is empty");
            file.set_len(content.len() as u64).expect("there is room");
            for (number, part) in content.chunks(HOLE).enumerate() {
                if part.iter().any(|byte| *byte != 0) {
                    file.write_all_at(part, (number * HOLE) as u64).expect("there is room");
                }
            }
        }
    }

    /// The first thing that is not the same in another folder; for a message.
    pub fn difference(&self, other: &Image) -> Option<String> {
        if self.folders != other.folders {
            return Some(format!("folders {:?} and {:?}", self.folders, other.folders));
        }
        if self.sockets != other.sockets {
            return Some(format!("sockets {:?} and {:?}", self.sockets, other.sockets));
        }
        let names = |image: &Image| image.files.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(other) {
            return Some(format!("files {:?} and {:?}", names(self), names(other)));
        }
        self.files.iter().find_map(|(path, mine)| {
            let theirs = &other.files[path];
            let first = mine.iter().zip(theirs).position(|(a, b)| a != b);
            match first {
                Some(at) => Some(format!("{path}: byte {at}")),
                None if mine.len() == theirs.len() => None,
                None => Some(format!("{path}: {} and {} bytes", mine.len(), theirs.len())),
            }
        })
    }
}

/// The names that are there after the cut.
fn settled_names(names: &Names, mood: Mood, chance: &mut Random) -> BTreeMap<Name, Node> {
    let mut settled = names.durable().clone();
    let pending = names.pending();
    let count = pending.len();
    let kept: Vec<bool> = match mood {
        Mood::AllKept => vec![true; count],
        Mood::NoneKept => vec![false; count],
        // As a journal of metadata keeps them, or as a file system without one.
        Mood::Random(_) if chance.chance(1, 2) => {
            let first = chance.below(count as u64 + 1) as usize;
            (0..count).map(|at| at < first).collect()
        }
        Mood::Random(_) => (0..count).map(|_| chance.chance(1, 2)).collect(),
    };
    for (pending, kept) in pending.iter().zip(kept) {
        if kept {
            pending.change.apply(&mut settled);
        }
    }
    settled
}

/// From the names to the files.
struct Walk<'a, C> {
    disk: &'a Disk,
    names: &'a BTreeMap<Name, Node>,
    content: C,
    image: Image,
}

impl<C: FnMut(&File) -> Vec<u8>> Walk<'_, C> {
    fn folder(&mut self, folder: Node, prefix: &str) {
        let names = self.names;
        let within = names.range((folder, String::new())..(Node(folder.0 + 1), String::new()));
        for ((_, name), node) in within {
            let path = format!("{prefix}{name}");
            match self.disk.files().get(node) {
                Some(file) => {
                    self.image.files.insert(path, (self.content)(file));
                }
                None if self.disk.is_socket(*node) => {
                    self.image.sockets.insert(path);
                }
                None => {
                    self.folder(*node, &format!("{path}/"));
                    self.image.folders.insert(path);
                }
            }
        }
    }
}

/// A file's bytes after the cut.
fn settled(file: &File, mood: Mood, chance: &mut Random) -> Vec<u8> {
    // Nothing or everything of a file is likely enough to be seen.
    let mood = match mood {
        Mood::Random(_) => match chance.below(4) {
            0 => Mood::NoneKept,
            1 => Mood::AllKept,
            _ => mood,
        },
        mood => mood,
    };
    match mood {
        Mood::NoneKept => return file.durable.clone(),
        Mood::AllKept | Mood::Random(_) => {}
    }
    let mut cache = file.durable.clone();
    let mut platter = Platter { sectors: file.durable.clone(), len: file.durable.len() };
    for (_, change) in &file.pending {
        let before = cache.len();
        change.apply(&mut cache);
        let fate = match mood {
            Mood::AllKept => Fate::Kept,
            _ => [Fate::Dropped, Fate::Kept, Fate::Torn][chance.below(3) as usize],
        };
        platter.take(&cache, touched(change, before, cache.len()), fate, chance);
        // A file's length is elsewhere on the disk than its bytes.
        if cache.len() != before && (mood == Mood::AllKept || chance.chance(1, 2)) {
            platter.set_len(cache.len());
        }
    }
    platter.content()
}

/// Which bytes a change concerns, of a file that was `before` and is `after` bytes long.
fn touched(change: &Change, before: usize, after: usize) -> Range<usize> {
    match change {
        Change::Zeros { at, len } => *at.min(&before)..at + len,
        Change::Bytes { at, bytes } => *at.min(&before)..at + bytes.len(),
        Change::Length(_) | Change::Reserve(_) => before.min(after)..after,
    }
}

/// What the device holds of a file: sectors, and apart from them the length.
struct Platter {
    sectors: Vec<u8>,
    len: usize,
}

impl Platter {
    /// Takes sectors over from the cache, as they are there now.
    fn take(&mut self, cache: &[u8], range: Range<usize>, fate: Fate, chance: &mut Random) {
        let mut at = range.start / SECTOR * SECTOR;
        while at < range.end && fate != Fate::Dropped {
            let end = (at + SECTOR).min(cache.len());
            if fate == Fate::Kept || chance.chance(1, 2) {
                if self.sectors.len() < end {
                    self.sectors.resize(end, 0);
                }
                self.sectors[at..end].copy_from_slice(&cache[at..end]);
            }
            at += SECTOR;
        }
    }

    fn set_len(&mut self, len: usize) {
        // What is cut off is given back; a longer file later has zeros there.
        self.sectors.truncate(len);
        self.len = len;
    }

    fn content(mut self) -> Vec<u8> {
        self.sectors.resize(self.len, 0);
        self.sectors
    }
}
