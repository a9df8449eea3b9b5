//! Several trust files in one message, so that a gateway that was away for more than one of them catches up from the
//! one message that a broker retains: `[file (bytes), ...]`, the oldest first.

use super::{Rotated, Trust, Wrong};
use crate::cbor::{Flaw, Reader, Writer};
use crate::envelope::ENVELOPE_BYTES_MAX;

/// Most files of a chain.
pub const CHAIN_FILES_MAX: usize = 64;
/// Longest message with a chain: what the large cloud brokers take.
pub const CHAIN_BYTES_MAX: usize = 96 * 1024;

/// The message with these files, the oldest first. When they do not all fit, the oldest are left out.
pub fn chain(files: &[&[u8]]) -> Vec<u8> {
    let mut from = files.len().saturating_sub(CHAIN_FILES_MAX);
    loop {
        let mut writer = Writer::new();
        writer.array(files.len() - from);
        for file in &files[from..] {
            writer.bytes(file);
        }
        let message = writer.finish();
        if message.len() <= CHAIN_BYTES_MAX || from + 1 >= files.len() {
            return message;
        }
        from += 1;
    }
}

impl Trust {
    /// Judges a message of a trust topic: one trust file, or a chain of them. Goes as far as they lead; one that does
    /// not fit is passed over when a later or earlier one does.
    ///
    /// # Errors
    /// When no file of it is the next one, this one or an earlier one: what is wrong with the last.
    pub fn follow(&self, message: &[u8]) -> Result<Rotated, Wrong> {
        if message.len() > CHAIN_BYTES_MAX {
            return Err(Wrong::TooLarge { bytes: message.len(), max: CHAIN_BYTES_MAX });
        }
        let is_chain = message.first().is_some_and(|first| first >> 5 == 4);
        if !is_chain {
            return self.rotate(message);
        }
        let files = files(message).map_err(Wrong::Chain)?;
        let mut reached: Option<Trust> = None;
        let mut last = Err(Wrong::Chain(Flaw::Ends { at: message.len() }));
        for file in files {
            match (reached.as_ref().unwrap_or(self).rotate(file), &last) {
                (Ok(Rotated::Next(next)), _) => reached = Some(next),
                (Ok(known), _) => last = Ok(known),
                (Err(_), Ok(_)) => {}
                (Err(wrong), Err(_)) => last = Err(wrong),
            }
        }
        reached.map_or(last, |trust| Ok(Rotated::Next(trust)))
    }
}

fn files(message: &[u8]) -> Result<Vec<&[u8]>, Flaw> {
    let mut reader = Reader::new(message);
    let files = reader.list(CHAIN_FILES_MAX, |reader| reader.bytes(ENVELOPE_BYTES_MAX))?;
    reader.end()?;
    Ok(files)
}
