//! An entry's bytes.

use super::{ENTRY_BYTES_MAX, Entry, What};
use crate::answer::CODE_BYTES_MAX;
use crate::cbor::{Flaw, Reader, Writer};
use crate::envelope::SIGNATURES_MAX;
use crate::hash::Digest;
use crate::keys::KeyId;
use crate::manifest::VERSION_BYTES_MAX;
use crate::name::Name;
use crate::ratchet::Rank;

impl Entry {
    /// The bytes, at most [`ENTRY_BYTES_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(4).key(1).uint(self.counter).key(2).uint(self.wall_ms).key(3);
        self.what.write(&mut writer);
        writer.key(4).bytes(&self.prev.0);
        writer.finish()
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Entry, Flaw> {
        if bytes.len() > ENTRY_BYTES_MAX {
            let (is, max) = (bytes.len() as u64, ENTRY_BYTES_MAX as u64);
            return Err(Flaw::Limit { at: 0, is, max });
        }
        let mut reader = Reader::new(bytes);
        let mut fields = reader.map(usize::MAX)?;
        fields.need(&mut reader, 1)?;
        let counter = reader.u64()?;
        fields.need(&mut reader, 2)?;
        let wall_ms = reader.u64()?;
        fields.need(&mut reader, 3)?;
        let what = What::read(&mut reader)?;
        fields.need(&mut reader, 4)?;
        let prev = Digest(reader.array_of()?);
        fields.end(&mut reader)?;
        reader.end()?;
        Ok(Entry { counter, wall_ms, what, prev })
    }
}

impl What {
    /// With texts and lists cut to what an entry may hold.
    pub(super) fn trimmed(mut self) -> What {
        match &mut self {
            What::Accepted { version, signers, .. } => {
                if let Some(version) = version {
                    cut(version, VERSION_BYTES_MAX);
                }
                signers.truncate(SIGNATURES_MAX);
            }
            What::Refused { code, .. }
            | What::RolledBack { code, .. }
            | What::MoreRefused { code, .. } => cut(code, CODE_BYTES_MAX),
            What::Activated { .. }
            | What::Passed { .. }
            | What::Removed { .. }
            | What::Invoked { .. }
            | What::Trusted { .. }
            | What::SafeMode
            | What::Gap { .. } => {}
        }
        self
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            What::Accepted { handler, rank, digest, version, signers } => {
                rank_of(writer.array(7).uint(1u8).text(handler.as_str()), *rank);
                writer.bytes(&digest.0).text(version.as_deref().unwrap_or(""));
                writer.array(signers.len());
                for id in signers {
                    writer.bytes(&id.0);
                }
            }
            What::Refused { handler, digest, code } => {
                let handler = handler.as_ref().map_or("", Name::as_str);
                writer.array(4).uint(2u8).text(handler).bytes(&digest.0).text(code);
            }
            What::Activated { handler, digest } => {
                writer.array(3).uint(3u8).text(handler.as_str()).bytes(&digest.0);
            }
            What::Passed { handler, digest } => {
                writer.array(3).uint(4u8).text(handler.as_str()).bytes(&digest.0);
            }
            What::RolledBack { handler, digest, to, code } => {
                let to = to.as_ref().map_or([].as_slice(), |digest| &digest.0);
                writer.array(5).uint(5u8).text(handler.as_str());
                writer.bytes(&digest.0).bytes(to).text(code);
            }
            What::Removed { handler, rank } => {
                rank_of(writer.array(4).uint(6u8).text(handler.as_str()), *rank);
            }
            What::Invoked { handler, rank, is_dry } => {
                rank_of(writer.array(5).uint(7u8).text(handler.as_str()), *rank);
                writer.bool(*is_dry);
            }
            What::Trusted { version, key_epoch, digest } => {
                writer.array(4).uint(8u8).uint(*version).uint(*key_epoch).bytes(&digest.0);
            }
            What::SafeMode => drop(writer.array(1).uint(9u8)),
            What::Gap { entries, bytes } => {
                writer.array(3).uint(10u8).uint(*entries).uint(*bytes);
            }
            What::MoreRefused { count, code } => {
                writer.array(3).uint(11u8).uint(*count).text(code);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<What, Flaw> {
        let at = reader.at();
        let len = reader.array(7)?;
        let value_at = reader.at();
        let kind = reader.u64()?;
        Ok(match (kind, len) {
            (1, 7) => What::Accepted {
                handler: reader.name()?,
                rank: read_rank(reader)?,
                digest: read_digest(reader)?,
                version: Some(reader.string_of(VERSION_BYTES_MAX)?).filter(|text| !text.is_empty()),
                signers: reader.list(SIGNATURES_MAX, |reader| reader.array_of().map(KeyId))?,
            },
            (2, 4) => What::Refused {
                handler: read_handler(reader)?,
                digest: read_digest(reader)?,
                code: reader.string_of(CODE_BYTES_MAX)?,
            },
            (3, 3) => What::Activated { handler: reader.name()?, digest: read_digest(reader)? },
            (4, 3) => What::Passed { handler: reader.name()?, digest: read_digest(reader)? },
            (5, 5) => What::RolledBack {
                handler: reader.name()?,
                digest: read_digest(reader)?,
                to: read_to(reader)?,
                code: reader.string_of(CODE_BYTES_MAX)?,
            },
            (6, 4) => What::Removed { handler: reader.name()?, rank: read_rank(reader)? },
            (7, 5) => What::Invoked {
                handler: reader.name()?,
                rank: read_rank(reader)?,
                is_dry: reader.bool()?,
            },
            (8, 4) => What::Trusted {
                version: reader.u64()?,
                key_epoch: reader.u32()?,
                digest: read_digest(reader)?,
            },
            (9, 1) => What::SafeMode,
            (10, 3) => What::Gap { entries: reader.u64()?, bytes: reader.u64()? },
            (11, 3) => {
                What::MoreRefused { count: reader.u64()?, code: reader.string_of(CODE_BYTES_MAX)? }
            }
            (1..=11, _) => return Err(Flaw::Kind { at }),
            _ => return Err(Flaw::Value { at: value_at, is: kind }),
        })
    }
}

fn cut(text: &mut String, max: usize) {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

fn rank_of(writer: &mut Writer, rank: Rank) {
    writer.uint(rank.key_epoch).uint(rank.seq);
}

fn read_rank(reader: &mut Reader<'_>) -> Result<Rank, Flaw> {
    Ok(Rank { key_epoch: reader.u32()?, seq: reader.u64()? })
}

fn read_digest(reader: &mut Reader<'_>) -> Result<Digest, Flaw> {
    reader.array_of().map(Digest)
}

/// A name, or an empty text.
fn read_handler(reader: &mut Reader<'_>) -> Result<Option<Name>, Flaw> {
    let at = reader.at();
    let text = reader.text(crate::name::NAME_BYTES_MAX)?;
    if text.is_empty() {
        return Ok(None);
    }
    Name::new(text).map(Some).map_err(|_| Flaw::Name { at })
}

/// A digest, or no bytes.
fn read_to(reader: &mut Reader<'_>) -> Result<Option<Digest>, Flaw> {
    let at = reader.at();
    let bytes = reader.bytes(32)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(|bytes| Some(Digest(bytes))).map_err(|_| Flaw::Kind { at })
}
