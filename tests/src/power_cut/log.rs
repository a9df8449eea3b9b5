//! What the recorder wrote. The layout of a record stands in `tests/recorder/record.h`.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, ops::Range};

const MAGIC: u32 = 0x3152_4754;
const HEAD_BYTES: usize = 56;
const FOOT_BYTES: usize = 4;

/// A recording, in the order in which things happened.
#[derive(Debug)]
pub struct Log {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

/// One thing that a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it ends in the log.
    pub end: u64,
    pub pid: u32,
    pub tid: u32,
    /// Counts the records of a process.
    pub seq: u64,
    pub op: Op,
}

/// What was done. Paths are relative to the folder; the folder itself is "".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// When a process began.
    Start,
    Open {
        fd: i32,
        path: String,
        flags: i64,
    },
    Close {
        fd: i32,
    },
    /// When one descriptor became two.
    Dup {
        fd: i32,
        to: i32,
    },
    Write {
        fd: i32,
        at: usize,
        content: Content,
    },
    Truncate {
        fd: i32,
        len: usize,
    },
    TruncatePath {
        path: String,
        len: usize,
    },
    /// When `fallocate` made sure of room; the file is then as long as that.
    Allocate {
        fd: i32,
        end: usize,
    },
    /// When a sync of a file, a folder, or of everything (no descriptor) began.
    SyncStart {
        fd: Option<i32>,
    },
    /// When the sync of that seq had ended.
    SyncDone {
        start: u64,
        is_good: bool,
    },
    Rename {
        from: String,
        to: String,
    },
    Unlink {
        path: String,
    },
    Mkdir {
        path: String,
    },
    /// When a socket got a name.
    Bind {
        path: String,
    },
    Rmdir {
        path: String,
    },
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Zeros(usize),
    /// A part of the log.
    Bytes(Range<usize>),
}

impl Content {
    pub fn len(&self) -> usize {
        match self {
            Content::Zeros(len) => *len,
            Content::Bytes(range) => range.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shorten(&mut self, to: usize) {
        match self {
            Content::Zeros(len) => *len = to.min(*len),
            Content::Bytes(range) => range.end = range.end.min(range.start + to),
        }
    }
}

/// One record's head as it lies in the log.
struct Head {
    bytes: usize,
    op: u8,
    path_bytes: usize,
    fd: i32,
    pid: u32,
    tid: u32,
    seq: u64,
    offset: i64,
    length: i64,
    result: i64,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Head> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        (bytes.len() >= HEAD_BYTES && u32_at(0) == MAGIC).then(|| Head {
            bytes: u32_at(4) as usize,
            op: bytes[8],
            path_bytes: usize::from(u16::from_le_bytes([bytes[10], bytes[11]])),
            fd: u32_at(12) as i32,
            pid: u32_at(16),
            tid: u32_at(20),
            seq: u64_at(24),
            offset: u64_at(32) as i64,
            length: u64_at(40) as i64,
            result: u64_at(48) as i64,
        })
    }
}

fn foot_of(pid: u32, seq: u64) -> [u8; FOOT_BYTES] {
    (!(MAGIC ^ pid ^ seq as u32)).to_le_bytes()
}

impl Log {
    /// Reads a log. A record that is not whole is left out: its program was killed.
    ///
    /// # Errors
    /// When it cannot be read, or is no log.
    pub fn read(path: &Path) -> Result<Log, String> {
        let bytes = fs::read(path).map_err(|error| error.to_string())?;
        let mut log = Log { bytes, records: Vec::new() };
        let mut writes = BTreeMap::new();
        let mut at = 0;
        while at < log.bytes.len() {
            let Some((head, end)) = log.head(at) else {
                at = log.next_start(at);
                continue;
            };
            match log.op(&head, at + HEAD_BYTES, end - FOOT_BYTES)? {
                Some(op) => {
                    if matches!(op, Op::Write { .. }) {
                        writes.insert((head.pid, head.seq), log.records.len());
                    }
                    let Head { pid, tid, seq, .. } = head;
                    log.records.push(Record { end: end as u64, pid, tid, seq, op });
                }
                None => {
                    let write = writes.get(&(head.pid, head.offset as u64));
                    let write = write.ok_or(format!("a result without a write at byte {at}"))?;
                    log.correct(*write, head.result, end as u64);
                }
            }
            at = end;
        }
        if log.records.is_empty() && !log.bytes.is_empty() {
            return Err("it is no log".to_owned());
        }
        Ok(log)
    }

    /// The whole record at a place, if there is one: its head, and where it ends. One that was not written to its
    /// end has something else in the place of its foot.
    fn head(&self, at: usize) -> Option<(Head, usize)> {
        let head = Head::read(&self.bytes[at..])?;
        let end = at.checked_add(head.bytes)?;
        let foot = self.bytes.get(end.checked_sub(FOOT_BYTES)?..end)?;
        (foot == foot_of(head.pid, head.seq)).then_some((head, end))
    }

    /// Where the next program begins behind a place.
    fn next_start(&self, at: usize) -> usize {
        let is_start = |at: &usize| {
            let head = Head::read(&self.bytes[*at..]);
            head.is_some_and(|head| head.op == 0 && head.bytes == HEAD_BYTES + FOOT_BYTES)
        };
        (at + 1..self.bytes.len()).find(is_start).unwrap_or(self.bytes.len())
    }

    /// What a head says; none for what became of a write.
    fn op(&self, head: &Head, body: usize, end: usize) -> Result<Option<Op>, String> {
        let data = body + head.path_bytes..end;
        let text = |range: Range<usize>| {
            String::from_utf8(self.bytes[range].to_vec())
                .map_err(|_| "a name is no UTF-8".to_owned())
        };
        let path = || text(body..data.start);
        let (fd, len) = (head.fd, head.length as usize);
        Ok(Some(match head.op {
            0 => Op::Start,
            1 => Op::Open { fd, path: path()?, flags: head.length },
            2 => Op::Close { fd },
            3 => {
                let content =
                    if data.is_empty() { Content::Zeros(len) } else { Content::Bytes(data) };
                Op::Write { fd, at: head.offset as usize, content }
            }
            4 => return Ok(None),
            5 if fd < 0 => Op::TruncatePath { path: path()?, len },
            5 => Op::Truncate { fd, len },
            6 => Op::Allocate { fd, end: head.offset as usize + len },
            7 => Op::SyncStart { fd: (fd >= 0).then_some(fd) },
            8 => Op::SyncDone { start: head.offset as u64, is_good: head.result == 0 },
            9 => Op::Rename { from: path()?, to: text(data)? },
            10 => Op::Unlink { path: path()? },
            11 => Op::Mkdir { path: path()? },
            12 => Op::Rmdir { path: path()? },
            13 => Op::Dup { fd, to: head.result as i32 },
            14 => Op::Bind { path: path()? },
            other => return Err(format!("no kind of record: {other}")),
        }))
    }

    /// A write did less than it was to do.
    fn correct(&mut self, write: usize, result: i64, end: u64) {
        if let Op::Write { content, .. } = &mut self.records[write].op {
            content.shorten(usize::try_from(result).unwrap_or(0));
        }
        if let Some(last) = self.records.last_mut() {
            last.end = end;
        }
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What came after the first `count` records.
    #[must_use]
    pub fn since(&self, count: usize) -> Log {
        Log { bytes: self.bytes.clone(), records: self.records[count..].to_vec() }
    }

    /// The bytes of a write that were not zeros.
    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Whether the first `count` records hold everything that was done before the mark was taken.
    pub fn holds(&self, mark: u64, count: usize) -> bool {
        let end = count.checked_sub(1).and_then(|last| self.records.get(last));
        end.map_or(0, |record| record.end) >= mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// A record of process `pid`, as the recorder writes it.
    fn record(op: u8, pid: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend(((HEAD_BYTES + data.len() + FOOT_BYTES) as u32).to_le_bytes());
        bytes.extend([op, 0, 0, 0]);
        bytes.extend(3i32.to_le_bytes());
        bytes.extend([pid.to_le_bytes(), pid.to_le_bytes()].concat());
        bytes.extend([1, 0, data.len() as u64, 0].map(u64::to_le_bytes).concat());
        bytes.extend(data);
        bytes.extend(foot_of(pid, 1));
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Op)>, String> {
        let log = Log::read(&Scratch::new("log").write("log", bytes))?;
        Ok(log.records.into_iter().map(|record| (record.pid, record.op)).collect())
    }

    #[test]
    fn a_record_that_is_not_whole_is_left_out_and_what_comes_after_it_is_not() {
        let start = |pid| record(0, pid, b"");
        let write = record(3, 1, &[7; 100]);
        let content =
            Content::Bytes(start(1).len() + HEAD_BYTES..start(1).len() + HEAD_BYTES + 100);
        let whole = (1, Op::Write { fd: 3, at: 0, content });
        let expect = [(1, Op::Start), whole.clone()];
        assert_eq!(read(&[start(1), write.clone()].concat()), Ok(expect.to_vec()));
        for cut in 1..write.len() {
            let torn = [start(1), write[..cut].to_vec()].concat();
            assert_eq!(read(&torn), Ok(vec![(1, Op::Start)]), "{cut} bytes of it");
            let again = [torn, start(2), record(2, 2, b"")].concat();
            let expect = vec![(1, Op::Start), (2, Op::Start), (2, Op::Close { fd: 3 })];
            assert_eq!(read(&again), Ok(expect), "{cut} bytes of it");
        }
        assert!(read(&[9; 200]).is_err());
        assert_eq!(read(b""), Ok(Vec::new()));
    }
}
