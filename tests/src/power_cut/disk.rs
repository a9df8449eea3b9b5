//! Files and names as a program sees them, and what of them is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::image::Image;
use super::names::{Change as NameChange, Name, Names, Node, ROOT};

/// A change of a file's bytes.
#[derive(Clone, Debug)]
pub enum Change {
    Zeros {
        at: usize,
        len: usize,
    },
    Bytes {
        at: usize,
        bytes: Vec<u8>,
    },
    /// Shorter, or longer with zeros.
    Length(usize),
    /// At least so long.
    Reserve(usize),
}

impl Change {
    pub fn apply(&self, content: &mut Vec<u8>) {
        let mut write = |at: usize, len: usize| {
            if content.len() < at + len {
                content.resize(at + len, 0);
            }
            at..at + len
        };
        match self {
            Change::Zeros { at, len } => {
                let range = write(*at, *len);
                content[range].fill(0);
            }
            Change::Bytes { at, bytes } => {
                let range = write(*at, bytes.len());
                content[range].copy_from_slice(bytes);
            }
            Change::Length(len) => content.resize(*len, 0),
            Change::Reserve(len) => content.resize(content.len().max(*len), 0),
        }
    }
}

/// One file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// What a program reads.
    pub seen: Vec<u8>,
    /// As of the last completed sync.
    pub durable: Vec<u8>,
    /// What was changed since, with its step.
    pub pending: Vec<(usize, Change)>,
}

impl File {
    fn sync(&mut self, start: usize) {
        let later = self.pending.split_off(self.pending.partition_point(|(step, _)| *step < start));
        for (_, change) in std::mem::replace(&mut self.pending, later) {
            change.apply(&mut self.durable);
        }
    }

    /// What was to be durable and is not is gone for good: the kernel has marked it clean.
    fn sync_failed(&mut self, start: usize) {
        self.pending.retain(|(step, _)| *step >= start);
    }
}

/// The disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: BTreeMap<Node, File>,
    sockets: BTreeSet<Node>,
    names: Names,
    nodes: usize,
    step: usize,
}

impl Disk {
    /// An empty folder.
    pub fn new() -> Disk {
        Disk { nodes: ROOT.0 + 1, ..Disk::default() }
    }

    /// What is in a folder now, all of it durable.
    pub fn of(folder: &Path) -> Disk {
        let image = Image::of(folder);
        let mut disk = Disk::new();
        // A folder sorts before what is in it.
        for path in &image.folders {
            let (name, node) = (disk.name(path).expect("its folder came before"), disk.node());
            disk.names.found(name, node);
        }
        for (path, content) in image.files {
            let (name, node) = (disk.name(&path).expect("its folder came before"), disk.node());
            disk.names.found(name, node);
            let file = File { durable: content.clone(), seen: content, pending: Vec::new() };
            disk.files.insert(node, file);
        }
        for path in image.sockets {
            let (name, node) = (disk.name(&path).expect("its folder came before"), disk.node());
            disk.names.found(name, node);
            disk.sockets.insert(node);
        }
        disk
    }

    fn node(&mut self) -> Node {
        self.nodes += 1;
        Node(self.nodes - 1)
    }

    fn name(&self, path: &str) -> Result<Name, String> {
        self.names.name(path).ok_or_else(|| format!("nothing is known of the folder of {path:?}"))
    }

    /// Every change and every beginning of a sync is a step: the number of the next one.
    pub fn next_step(&mut self) -> usize {
        self.step += 1;
        self.step
    }

    /// What a path leads to.
    pub fn find(&self, path: &str) -> Option<Node> {
        self.names.find(path)
    }

    /// Makes a file that is not there.
    pub fn create(&mut self, path: &str) -> Result<Node, String> {
        let (name, node, step) = (self.name(path)?, self.node(), self.next_step());
        self.files.insert(node, File::default());
        self.names.change(NameChange::Link(name, node), step);
        Ok(node)
    }

    pub fn make_folder(&mut self, path: &str) -> Result<(), String> {
        let (name, node, step) = (self.name(path)?, self.node(), self.next_step());
        self.names.change(NameChange::Link(name, node), step);
        Ok(())
    }

    /// Gives a socket a name.
    pub fn make_socket(&mut self, path: &str) -> Result<(), String> {
        let (name, node, step) = (self.name(path)?, self.node(), self.next_step());
        self.sockets.insert(node);
        self.names.change(NameChange::Link(name, node), step);
        Ok(())
    }

    /// Takes the name of a file or folder away.
    pub fn remove(&mut self, path: &str) -> Result<(), String> {
        let node = self.known(path)?;
        let (name, step) = (self.name(path)?, self.next_step());
        self.names.change(NameChange::Unlink(name, node), step);
        Ok(())
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), String> {
        let node = self.known(from)?;
        let (from, to, step) = (self.name(from)?, self.name(to)?, self.next_step());
        self.names.change(NameChange::Move { from, to, node }, step);
        Ok(())
    }

    pub fn known(&self, path: &str) -> Result<Node, String> {
        self.find(path).ok_or_else(|| format!("nothing is known of {path:?}"))
    }

    /// Changes a file's bytes.
    pub fn change(&mut self, node: Node, change: Change) -> Result<(), String> {
        let step = self.next_step();
        let file = self.files.get_mut(&node).ok_or("a folder was written to")?;
        change.apply(&mut file.seen);
        file.pending.push((step, change));
        Ok(())
    }

    /// A sync of a file, a folder or everything that began at step `start` has ended.
    pub fn sync(&mut self, what: Option<Node>, start: usize, is_good: bool) {
        let finish = |file: &mut File| {
            if is_good { file.sync(start) } else { file.sync_failed(start) }
        };
        match what {
            None => self.files.values_mut().for_each(finish),
            Some(node) => {
                if let Some(file) = self.files.get_mut(&node) {
                    return finish(file);
                }
            }
        }
        if is_good {
            self.names.sync(what, start);
        }
    }

    pub fn is_folder(&self, node: Node) -> bool {
        !self.files.contains_key(&node) && !self.is_socket(node)
    }

    pub fn is_socket(&self, node: Node) -> bool {
        self.sockets.contains(&node)
    }

    pub fn files(&self) -> &BTreeMap<Node, File> {
        &self.files
    }

    pub fn names(&self) -> &Names {
        &self.names
    }
}
