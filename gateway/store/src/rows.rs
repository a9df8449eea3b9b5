//! What the rows of a shelf mean.
//!
//! ```text
//! m | chunk u16, big-endian           a piece of the facts, at most 8 KiB
//! v | handler b                       version v
//! k | handler b | key                 value: kind u8 and the rest, as in a frame
//! ```
//! Each value has a crc32c (`u32`) in front, over key and value.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_core::commit::{Change, StateChange, Value};
use tidegate_journal::Crc;

use crate::bytes::{Reader, put_bytes, put_varint};
use crate::codec::{put_value, read_value};
use crate::error::CodecError;

const FACTS: u8 = b'm';
const VERSION: u8 = b'v';
const VALUE: u8 = b'k';
const CHUNK_BYTES: usize = 8 * 1024;
const CRC_BYTES: usize = 4;

/// A handler's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub version: u64,
    pub values: BTreeMap<Arc<[u8]>, Value>,
}

/// All state, by handler.
pub(crate) type Tables = BTreeMap<Arc<str>, Table>;

/// As a commit would bring it to an empty store.
pub(crate) fn changes(tables: Tables) -> Vec<StateChange> {
    let state = |(handler, table): (Arc<str>, Table)| StateChange {
        handler,
        version: table.version,
        changes: table
            .values
            .into_iter()
            .map(|(key, value)| Change { key, value: Some(value) })
            .collect(),
    };
    tables.into_iter().map(state).collect()
}

/// A value with its checksum.
fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(CRC_BYTES + body.len());
    row.extend_from_slice(&Crc::new().update(key).update(body).finish().to_le_bytes());
    row.extend_from_slice(body);
    row
}

fn open<'a>(key: &[u8], row: &'a [u8]) -> Result<&'a [u8], CodecError> {
    let (crc, body) = row.split_first_chunk::<CRC_BYTES>().ok_or(CodecError::Short)?;
    let is_good = Crc::new().update(key).update(body).finish() == u32::from_le_bytes(*crc);
    if is_good { Ok(body) } else { Err(CodecError::Checksum) }
}

/// What a row adds to the checksum over all rows but the facts': its own one. Sums by xor, so that a row can be
/// taken out again.
pub(crate) fn share(key: &[u8], row: &[u8]) -> u32 {
    match (key.first(), row.first_chunk()) {
        (Some(&FACTS), _) | (_, None) => 0,
        (_, Some(crc)) => u32::from_le_bytes(*crc),
    }
}

/// Whether a row is as it was written.
pub(crate) fn is_whole(key: &[u8], row: &[u8]) -> bool {
    open(key, row).is_ok()
}

fn handler_key(kind: u8, handler: &str) -> Vec<u8> {
    let mut key = vec![kind];
    put_bytes(&mut key, handler.as_bytes());
    key
}

pub(crate) fn version_row(handler: &str, version: u64) -> (Vec<u8>, Vec<u8>) {
    let key = handler_key(VERSION, handler);
    let mut body = Vec::new();
    put_varint(&mut body, version);
    let row = seal(&key, &body);
    (key, row)
}

pub(crate) fn value_row(
    handler: &str,
    key: &[u8],
    value: Option<&Value>,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut row_key = handler_key(VALUE, handler);
    row_key.extend_from_slice(key);
    let row = value.map(|value| {
        let mut body = Vec::new();
        put_value(&mut body, Some(value));
        seal(&row_key, &body)
    });
    (row_key, row)
}

/// The facts cut into rows. In front, how long they are (`u32`) and a crc32c over all of them.
pub(crate) fn facts_rows(facts: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(facts.len() + 8);
    bytes.extend_from_slice(&(facts.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&Crc::new().update(facts).finish().to_le_bytes());
    bytes.extend_from_slice(facts);
    let chunks: Vec<Vec<u8>> = bytes.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect();
    chunks.into_iter().zip(0u16..).map(|(body, chunk)| {
        let [high, low] = chunk.to_be_bytes();
        let key = vec![FACTS, high, low];
        let row = seal(&key, &body);
        (key, row)
    })
}

/// Rows on their way back.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub tables: Tables,
    facts: Vec<u8>,
    /// Rows that cannot be believed.
    pub bad: Vec<Vec<u8>>,
    pub rows: u64,
    /// The sum of [`share`] over those that can be believed, and over all of them.
    pub sum: u32,
    pub raw_sum: u32,
}

impl Gathered {
    pub fn take(&mut self, key: &[u8], row: &[u8]) {
        self.rows += 1;
        self.raw_sum ^= share(key, row);
        match self.read(key, row) {
            Ok(()) => self.sum ^= share(key, row),
            Err(_) => self.bad.push(key.to_vec()),
        }
    }

    fn read(&mut self, key: &[u8], row: &[u8]) -> Result<(), CodecError> {
        let mut reader = Reader::new(open(key, row)?);
        let mut name = Reader::new(key);
        match name.byte()? {
            // In order of key. What is left of longer ones follows the end.
            FACTS => self.facts.extend_from_slice(reader.rest()),
            VERSION => {
                let handler = Arc::from(name.text()?);
                self.tables.entry(handler).or_default().version = reader.varint()?;
            }
            VALUE => {
                let handler = Arc::from(name.text()?);
                let value = read_value(&mut reader)?.ok_or(CodecError::Short)?;
                let table = self.tables.entry(handler).or_default();
                table.values.insert(Arc::from(name.rest()), value);
            }
            tag => return Err(CodecError::Tag { tag }),
        }
        Ok(())
    }

    /// The facts, if all of them are there.
    pub fn facts(&self) -> Option<&[u8]> {
        let (len, rest) = self.facts.split_first_chunk()?;
        let (crc, bytes) = rest.split_first_chunk()?;
        let facts = bytes.get(..u32::from_le_bytes(*len) as usize)?;
        let is_whole = Crc::new().update(facts).finish() == u32::from_le_bytes(*crc);
        is_whole.then_some(facts)
    }
}
