//! The log's files.
//!
//! ```text
//! length u16, little-endian | entry
//! ```
//! Entry behind entry. What a power cut has torn is at the end.

use super::Entry;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    pub entries: Vec<Entry>,
    /// Of the file's beginning, all of it entries. What is behind is none.
    pub bytes: usize,
}

/// An entry as it stands in a file.
pub fn frame(entry: &Entry) -> Vec<u8> {
    let entry = entry.encode();
    let len = u16::try_from(entry.len()).expect("an entry has a kilobyte at most");
    [&len.to_le_bytes()[..], &entry].concat()
}

/// Reads a file up to the first bytes that are no entry.
pub fn read(file: &[u8]) -> Read {
    let mut read = Read::default();
    while let Some((entry, len)) = first(&file[read.bytes..]) {
        read.entries.push(entry);
        read.bytes += len;
    }
    read
}

fn first(bytes: &[u8]) -> Option<(Entry, usize)> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let len = usize::from(u16::from_le_bytes(*len));
    Some((Entry::decode(rest.get(..len)?).ok()?, 2 + len))
}
