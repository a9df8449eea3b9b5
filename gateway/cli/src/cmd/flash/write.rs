//! Writes an image to a card, and reads it back.

use std::fmt;
use std::io::{self, Read, SeekFrom};

use super::card::Card;
use super::partitions::{self, SECTOR};

/// What is written and compared at once: a card's erase block, as most have it.
const BLOCK: usize = 4 << 20;

/// Why a card is not what it should be.
#[derive(Debug)]
pub(super) enum WriteError {
    /// When the image cannot be read.
    Image(io::Error),
    /// When the card takes no more at this byte.
    Write(u64, io::Error),
    /// When the card does not say that it has everything.
    Sync(io::Error),
    /// When the card cannot be read at this byte.
    Read(u64, io::Error),
    /// When it reads otherwise from this byte on.
    Differs(u64),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |byte: &u64| byte >> 20;
        let pulled =
            "was the card pulled? What is on it now does not start; put it in and flash it again";
        match self {
            WriteError::Image(error) => write!(f, "the image cannot be read: {error}"),
            WriteError::Write(at, error) => {
                write!(f, "the write failed at {} MiB: {error}; {pulled}", mib(at))
            }
            WriteError::Sync(error) => {
                write!(f, "the card does not take what was written: {error}; {pulled}")
            }
            WriteError::Read(at, error) => {
                write!(f, "reading back failed at {} MiB: {error}; {pulled}", mib(at))
            }
            WriteError::Differs(at) => write!(
                f,
                "byte {at} reads otherwise than it was written; the card is worn out, or smaller than it says. Use another"
            ),
        }
    }
}

/// Is told how far it is.
pub(super) trait Watch {
    fn at(&mut self, what: &str, done: u64, of: u64);
}

/// Writes `size` bytes of `image`, syncs, reads them back. The first block goes last: a card that was pulled before has no
/// partition table, and nobody takes it for a good one.
pub(super) fn write(
    mut image: impl Read + io::Seek,
    size: u64,
    card_bytes: u64,
    card: &mut impl Card,
    watch: &mut impl Watch,
) -> Result<(), WriteError> {
    let first = first_block(&mut image, size, card_bytes)?;
    put(card, 0, &vec![0; first.len()])?;
    let mut at = first.len() as u64;
    while at < size {
        let block = block_of(&mut image, at, size)?;
        // A card's empty places are often zero already, and reading is faster than writing.
        if block.iter().any(|byte| *byte != 0) || !reads_as(card, at, &block)? {
            put(card, at, &block)?;
        }
        at += block.len() as u64;
        watch.at("written", at, size);
    }
    card.sync().map_err(WriteError::Sync)?;
    put(card, 0, &first)?;
    card.sync().map_err(WriteError::Sync)?;
    card.forget().map_err(WriteError::Sync)?;
    let mut at = 0;
    while at < size {
        let block = if at == 0 { first.clone() } else { block_of(&mut image, at, size)? };
        let read = get(card, at, block.len())?;
        if let Some(differs) = block.iter().zip(&read).position(|(a, b)| a != b) {
            return Err(WriteError::Differs(at + differs as u64));
        }
        at += block.len() as u64;
        watch.at("compared", at, size);
    }
    Ok(())
}

/// With the partition table as this card needs it.
fn first_block(
    image: &mut (impl Read + io::Seek),
    size: u64,
    card_bytes: u64,
) -> Result<Vec<u8>, WriteError> {
    let mut block = block_of(image, 0, size)?;
    if let Some(sector) = block.get_mut(..SECTOR as usize) {
        partitions::extend_data(sector, card_bytes);
    }
    Ok(block)
}

fn block_of(image: &mut (impl Read + io::Seek), at: u64, size: u64) -> Result<Vec<u8>, WriteError> {
    let mut block = vec![0; usize::try_from(size - at).map_or(BLOCK, |left| left.min(BLOCK))];
    image.seek(SeekFrom::Start(at)).map_err(WriteError::Image)?;
    image.read_exact(&mut block).map_err(WriteError::Image)?;
    Ok(block)
}

fn put(card: &mut impl Card, at: u64, block: &[u8]) -> Result<(), WriteError> {
    let failed = |error| WriteError::Write(at, error);
    card.seek(SeekFrom::Start(at)).map_err(failed)?;
    card.write_all(block).map_err(failed)
}

fn get(card: &mut impl Card, at: u64, length: usize) -> Result<Vec<u8>, WriteError> {
    let mut block = vec![0; length];
    let failed = |error| WriteError::Read(at, error);
    card.seek(SeekFrom::Start(at)).map_err(failed)?;
    card.read_exact(&mut block).map_err(failed)?;
    Ok(block)
}

fn reads_as(card: &mut impl Card, at: u64, block: &[u8]) -> Result<bool, WriteError> {
    Ok(get(card, at, block.len())? == block)
}

#[cfg(test)]
mod tests;
