//! The names below the folder: what a program sees, and what is durable of it.

use std::collections::{BTreeMap, BTreeSet};

/// A file or folder, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(pub usize);

/// The folder that is recorded.
pub const ROOT: Node = Node(0);

/// A name: the folder that it is in, and the last part of its path.
pub type Name = (Node, String);

/// A change of names, with the node that it is about, so that it means the same without those before it.
#[derive(Clone, Debug)]
pub enum Change {
    Link(Name, Node),
    Unlink(Name, Node),
    Move { from: Name, to: Name, node: Node },
}

impl Change {
    pub fn apply(&self, names: &mut BTreeMap<Name, Node>) {
        match self {
            Change::Link(name, node) => {
                names.insert(name.clone(), *node);
            }
            Change::Unlink(name, node) => remove(names, name, *node),
            Change::Move { from, to, node } => {
                remove(names, from, *node);
                names.insert(to.clone(), *node);
            }
        }
    }

    /// The folders that must be synced before it is durable.
    fn folders(&self) -> BTreeSet<Node> {
        match self {
            Change::Link((folder, _), _) | Change::Unlink((folder, _), _) => [*folder].into(),
            Change::Move { from, to, .. } => [from.0, to.0].into(),
        }
    }
}

fn remove(names: &mut BTreeMap<Name, Node>, name: &Name, node: Node) {
    if names.get(name) == Some(&node) {
        names.remove(name);
    }
}

/// A change that is not durable.
#[derive(Clone, Debug)]
pub struct Pending {
    pub change: Change,
    step: usize,
    /// Folders that have not been synced since.
    waits_for: BTreeSet<Node>,
}

/// All names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    seen: BTreeMap<Name, Node>,
    durable: BTreeMap<Name, Node>,
    pending: Vec<Pending>,
}

impl Names {
    /// A name that was there before anything was recorded.
    pub fn found(&mut self, name: Name, node: Node) {
        self.seen.insert(name.clone(), node);
        self.durable.insert(name, node);
    }

    /// Takes a change at a step.
    pub fn change(&mut self, change: Change, step: usize) {
        change.apply(&mut self.seen);
        let waits_for = change.folders();
        self.pending.push(Pending { change, step, waits_for });
    }

    /// A folder, or everything, was synced: changes before `start` are durable.
    pub fn sync(&mut self, folder: Option<Node>, start: usize) {
        for pending in self.pending.iter_mut().filter(|pending| pending.step < start) {
            match folder {
                Some(folder) => {
                    pending.waits_for.remove(&folder);
                }
                None => pending.waits_for.clear(),
            }
        }
        let durable = &mut self.durable;
        self.pending.retain(|pending| {
            let is_done = pending.waits_for.is_empty();
            if is_done {
                pending.change.apply(durable);
            }
            !is_done
        });
    }

    /// What a path leads to, as a program sees it.
    pub fn find(&self, path: &str) -> Option<Node> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(ROOT, |folder, part| self.seen.get(&(folder, part.to_owned())).copied())
    }

    /// The name that a path is, there or not; its folder is there.
    pub fn name(&self, path: &str) -> Option<Name> {
        let (folder, last) = path.rsplit_once('/').unwrap_or(("", path));
        Some((self.find(folder)?, last.to_owned()))
    }

    pub fn seen(&self) -> &BTreeMap<Name, Node> {
        &self.seen
    }

    pub fn durable(&self) -> &BTreeMap<Name, Node> {
        &self.durable
    }

    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }
}
