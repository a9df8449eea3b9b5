//! Several trust files in one message, so that a gateway that was away for more than one of them catches up from the
//! one message that a broker retains: `[file (bytes), ...]`, the oldest first.

use super::{Rotated, Trust, Wrong};
use crate::cbor::{Flaw, Reader, Writer};
use crate::envelope::ENVELOPE_BYTES_MAX;

/// Most files of a chain: so many rotations may be missed. Each costs up to 8 signatures to check, whoever sent it.
pub const CHAIN_FILES_MAX: usize = 16;
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
    /// Judges a message of a trust topic: one trust file, or a chain of them. Goes as far as they lead. One that was
    /// signed by others, or does not come next, is passed over: it may be from before this gateway's first. One that is
    /// damaged ends it: its sender has nothing else to say, and each costs signatures to check.
    ///
    /// # Errors
    /// When no file of it is the next one, this one or an earlier one: what is wrong with the last that was looked at.
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
                (Err(wrong), is) => {
                    let is_damaged = wrong.is_damage();
                    if is.is_err() {
                        last = Err(wrong);
                    }
                    if is_damaged {
                        break;
                    }
                }
            }
        }
        reached.map_or(last, |trust| Ok(Rotated::Next(trust)))
    }
}

impl Wrong {
    /// Whether a file was made or changed by somebody without the keys.
    fn is_damage(&self) -> bool {
        match self {
            Wrong::TooLarge { .. }
            | Wrong::Form(_)
            | Wrong::OtherDomain { .. }
            | Wrong::BadSignature(_) => true,
            Wrong::Newer { .. }
            | Wrong::NewerField(_)
            | Wrong::Contradiction(_)
            | Wrong::UnknownKey(_)
            | Wrong::RevokedKey(_)
            | Wrong::TooFewSignatures { .. }
            | Wrong::TooFewOldSignatures { .. }
            | Wrong::OtherFleet { .. }
            | Wrong::RootSkipped { .. }
            | Wrong::Fork { .. }
            | Wrong::EpochBack { .. }
            | Wrong::Chain(_)
            | Wrong::Unsealed(_) => false,
        }
    }
}

fn files(message: &[u8]) -> Result<Vec<&[u8]>, Flaw> {
    let mut reader = Reader::new(message);
    let files = reader.list(CHAIN_FILES_MAX, |reader| reader.bytes(ENVELOPE_BYTES_MAX))?;
    reader.end()?;
    Ok(files)
}
