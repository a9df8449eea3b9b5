//! Follows a log.

use std::collections::BTreeMap;

use super::cuts::Cut;
use super::disk::{Change, Disk};
use super::image::Image;
use super::log::{Content, Log, Op, Record};
use super::names::Node;

/// From `open(2)`; the same on every architecture that this runs on.
const O_CREAT: i64 = 0o100;
const O_TRUNC: i64 = 0o1000;
const O_ACCMODE: i64 = 3;

/// A disk that follows a log, record by record.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    log: &'a Log,
    disk: Disk,
    /// Records that it has followed.
    done: usize,
    open: BTreeMap<(u32, i32), Node>,
    /// By process and seq: what is synced, none for everything, and the step.
    syncs: BTreeMap<(u32, u64), (Option<Node>, usize)>,
}

impl<'a> Replay<'a> {
    /// From what was in the folder before anything was recorded.
    pub fn new(log: &'a Log, before: Disk) -> Replay<'a> {
        Replay { log, disk: before, done: 0, open: BTreeMap::new(), syncs: BTreeMap::new() }
    }

    /// The disk after a cut. Cuts come in the order of their points.
    ///
    /// # Panics
    /// When the log does not fit the disk: something was not recorded.
    pub fn image(&mut self, cut: &Cut) -> Image {
        assert!(cut.at >= self.done, "cuts come in order");
        self.go_to(cut.at);
        Image::after(&self.disk, cut.mood)
    }

    /// Follows the log up to a number of records.
    ///
    /// # Panics
    /// As [`Replay::image`].
    pub fn go_to(&mut self, count: usize) {
        for record in &self.log.records()[self.done..count] {
            if let Err(what) = self.follow(record) {
                panic!("record {} ({:?}): {what}", self.done, record.op);
            }
            self.done += 1;
        }
    }

    /// What a program sees now.
    pub fn seen(&self) -> Image {
        Image::seen(&self.disk)
    }

    fn follow(&mut self, record: &Record) -> Result<(), String> {
        let pid = record.pid;
        match &record.op {
            Op::Start => self.open.retain(|(other, _), _| *other != pid),
            Op::Open { fd, path, flags } => {
                let node = self.opened(path, *flags)?;
                self.open.insert((pid, *fd), node);
            }
            Op::Close { fd } => {
                self.open.remove(&(pid, *fd));
            }
            Op::Dup { fd, to } => {
                let node = self.node(pid, *fd)?;
                self.open.insert((pid, *to), node);
            }
            Op::Write { fd, at, content } => {
                if !content.is_empty() {
                    let node = self.node(pid, *fd)?;
                    self.disk.change(node, change(self.log, *at, content))?;
                }
            }
            Op::Truncate { fd, len } => {
                let node = self.node(pid, *fd)?;
                self.disk.change(node, Change::Length(*len))?;
            }
            Op::TruncatePath { path, len } => {
                let node = self.disk.known(path)?;
                self.disk.change(node, Change::Length(*len))?;
            }
            Op::Allocate { fd, end } => {
                let node = self.node(pid, *fd)?;
                self.disk.change(node, Change::Reserve(*end))?;
            }
            Op::SyncStart { fd } => {
                let what = fd.map(|fd| self.node(pid, fd)).transpose()?;
                let step = self.disk.next_step();
                self.syncs.insert((pid, record.seq), (what, step));
            }
            Op::SyncDone { start, is_good } => {
                let started = self.syncs.remove(&(pid, *start));
                let (what, step) = started.ok_or("a sync ended that had not begun")?;
                self.disk.sync(what, step, *is_good);
            }
            Op::Rename { from, to } => self.disk.rename(from, to)?,
            Op::Unlink { path } | Op::Rmdir { path } => self.disk.remove(path)?,
            Op::Mkdir { path } => self.disk.make_folder(path)?,
            Op::Bind { path } => self.disk.make_socket(path)?,
        }
        Ok(())
    }

    fn opened(&mut self, path: &str, flags: i64) -> Result<Node, String> {
        let Some(node) = self.disk.find(path) else {
            if flags & O_CREAT == 0 {
                return Err("it was opened and is not known".to_owned());
            }
            return self.disk.create(path);
        };
        let is_written = flags & O_ACCMODE != 0;
        if flags & O_TRUNC != 0 && is_written && !self.disk.is_folder(node) {
            self.disk.change(node, Change::Length(0))?;
        }
        Ok(node)
    }

    fn node(&self, pid: u32, fd: i32) -> Result<Node, String> {
        let node = self.open.get(&(pid, fd)).copied();
        node.ok_or_else(|| format!("descriptor {fd} of process {pid} is not known"))
    }
}

fn change(log: &Log, at: usize, content: &Content) -> Change {
    match content {
        Content::Zeros(len) => Change::Zeros { at, len: *len },
        Content::Bytes(range) => Change::Bytes { at, bytes: log.bytes(range).to_vec() },
    }
}
