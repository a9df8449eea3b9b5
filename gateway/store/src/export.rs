//! A copy of the shelf in one file, so that a shelf that is lost has cost nothing: the journal keeps every change
//! of state that is not in the newest copy.
//!
//! ```text
//! export-NNNNNNNN.state   "TIDEROWS" | version u8 = 1 | epoch u64 | applied_seq u64 | (key b | value b)* | 0 |
//!                         crc32c u32 over all before it
//! ```
//! Rows as on the shelf, in order. The newest two are kept; the one before the newest is for the case that the newest
//! cannot be read.

use std::io;

use tidegate_journal::{Crc, Disk};

use crate::bytes::{Reader, put_bytes};
use crate::error::Error;
use crate::rows::is_whole;
use crate::shelf::Shelf;

const MAGIC: &[u8; 9] = b"TIDEROWS\x01";
const PREFIX: &str = "export-";
const SUFFIX: &str = ".state";
const UNFINISHED: &str = "export.new";
const HEAD_BYTES: usize = MAGIC.len() + 16;
const CRC_BYTES: u64 = 4;
/// Read and written at once.
const PIECE_BYTES: usize = 64 * 1024;
/// How many are kept.
const KEPT: usize = 2;

fn name(number: u32) -> String {
    format!("{PREFIX}{number:08}{SUFFIX}")
}

fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let is_ours = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_ours { digits.parse().ok() } else { None }
}

/// The numbers of all exports, newest first.
pub(crate) fn list(disk: &mut impl Disk) -> Vec<u32> {
    // A folder that cannot be listed has none for us.
    let names = disk.list().unwrap_or_default();
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers
}

/// Appends to a file, with a checksum over everything.
struct Writer<'a, D: Disk> {
    disk: &'a mut D,
    buffer: Vec<u8>,
    at: u64,
    crc: Crc,
}

impl<D: Disk> Writer<'_, D> {
    fn flush(&mut self) -> io::Result<()> {
        self.crc = self.crc.update(&self.buffer);
        self.disk.write_at(UNFINISHED, self.at, &self.buffer)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Copies the shelf to a file of this number; returns the bytes written. Older ones are removed.
///
/// # Errors
/// When a read or a write fails; there may be a part of a file with a name of its own, which the next export uses.
pub(crate) fn write(
    disk: &mut impl Disk,
    shelf: &mut impl Shelf,
    new: u32,
    (epoch, applied_seq): (u64, u64),
) -> Result<u64, Error> {
    let name = name(new);
    let failed = |what| Error::export(what, &name);
    disk.preallocate(UNFINISHED, 0).map_err(failed("create"))?;
    let head = [&MAGIC[..], &epoch.to_le_bytes(), &applied_seq.to_le_bytes()].concat();
    let mut out = Writer { disk, buffer: head, at: 0, crc: Crc::new() };
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = shelf.read(after.as_deref(), PIECE_BYTES).map_err(Error::shelf("be read"))?;
        for (key, value) in &rows {
            if !is_whole(key, value) {
                // The next start finds it, too, and the export before this one has it as it was.
                return Err(failed("copy a damaged row into")(io::ErrorKind::InvalidData.into()));
            }
            put_bytes(&mut out.buffer, key);
            put_bytes(&mut out.buffer, value);
        }
        out.flush().map_err(failed("write"))?;
        match rows.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => break,
        }
    }
    out.buffer.push(0);
    out.flush().map_err(failed("write"))?;
    let (at, crc) = (out.at, out.crc.finish());
    disk.write_at(UNFINISHED, at, &crc.to_le_bytes()).map_err(failed("write"))?;
    disk.sync(UNFINISHED).map_err(failed("sync"))?;
    disk.rename(UNFINISHED, &name).map_err(failed("rename"))?;
    disk.sync_dir().map_err(failed("sync the name of"))?;
    for old in list(disk).into_iter().skip(KEPT) {
        // One that stays takes room; the next export tries again.
        disk.remove(&self::name(old)).ok();
    }
    Ok(at + CRC_BYTES)
}

/// What an export says of itself, epoch and `applied_seq`. True only if it is whole.
pub(crate) fn head(disk: &mut impl Disk, number: u32) -> Option<(u64, u64)> {
    let mut bytes = [0; HEAD_BYTES];
    let count = disk.read_at(&name(number), 0, &mut bytes).ok()?;
    let (epoch, applied_seq) = bytes.strip_prefix(&MAGIC[..])?.split_first_chunk()?;
    let applied_seq = applied_seq.first_chunk()?;
    let is_whole = count == HEAD_BYTES;
    is_whole.then_some((u64::from_le_bytes(*epoch), u64::from_le_bytes(*applied_seq)))
}

/// A walk over an export that only looks whether it is whole.
#[derive(Debug)]
pub(crate) struct Check {
    pub number: u32,
    at: u64,
    end: u64,
    crc: Crc,
}

impl Check {
    pub fn new(disk: &mut impl Disk, number: u32) -> Check {
        let end = disk.len(&name(number)).unwrap_or(0).saturating_sub(CRC_BYTES);
        Check { number, at: 0, end, crc: Crc::new() }
    }

    /// Goes on for about so many bytes; whether it is whole, at the end.
    pub fn step(&mut self, disk: &mut impl Disk, bytes_max: u64) -> Option<bool> {
        let name = name(self.number);
        let mut piece = vec![0; PIECE_BYTES];
        let stop = self.end.min(self.at.saturating_add(bytes_max));
        while self.at < stop {
            let len = (stop - self.at).min(PIECE_BYTES as u64) as usize;
            match disk.read_at(&name, self.at, &mut piece[..len]) {
                Ok(count) if count == len => {}
                Ok(_) | Err(_) => return Some(false),
            }
            self.crc = self.crc.update(&piece[..len]);
            self.at += len as u64;
        }
        if self.at < self.end {
            return None;
        }
        let mut crc = [0; CRC_BYTES as usize];
        let is_read = disk.read_at(&name, self.end, &mut crc).is_ok_and(|count| count == crc.len());
        Some(is_read && u32::from_le_bytes(crc) == self.crc.finish())
    }
}

/// Hands out every row of an export that is whole; `false` when it is not, and nothing was handed out.
pub(crate) fn read(disk: &mut impl Disk, number: u32, mut take: impl FnMut(&[u8], &[u8])) -> bool {
    let mut check = Check::new(disk, number);
    if check.step(disk, u64::MAX) != Some(true) {
        return false;
    }
    if head(disk, number).is_none() {
        return false;
    }
    let name = name(number);
    let mut buffer: Vec<u8> = Vec::new();
    let mut at = HEAD_BYTES as u64;
    loop {
        let mut reader = Reader::new(&buffer);
        let used = loop {
            let used = buffer.len() - reader.len();
            match reader.bytes() {
                Ok([]) => return true,
                Ok(key) => match reader.bytes() {
                    Ok(value) => take(key, value),
                    Err(_) => break used,
                },
                Err(_) => break used,
            }
        };
        // The next row is not whole yet.
        buffer.drain(..used);
        let len = check.end.saturating_sub(at).min(PIECE_BYTES as u64) as usize;
        let from = buffer.len();
        buffer.resize(from + len, 0);
        match disk.read_at(&name, at, &mut buffer[from..]) {
            Ok(count) if count == len && len > 0 => at += len as u64,
            Ok(_) | Err(_) => return false,
        }
    }
}
