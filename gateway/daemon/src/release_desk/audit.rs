//! The audit log's files: every decision on the disk, behind the one before. Refusals that anybody can cause are
//! written one by one while there are few, and counted when there are many: a broker that means harm must neither wear
//! the flash out nor push what matters out of the log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_core::release::{self as core, Decision};
use tidegate_core::{Timestamp, time::WallTime};
use tidegate_release::audit::{ENTRY_BYTES_MAX, FILE, FILE_BEFORE, FILE_BYTES_MAX};
use tidegate_release::audit::{Log, What, frames, verify};
use tidegate_release::hash::{Digest, digest_of};
use tidegate_release::name::Name;
use tracing::{error, warn};

use super::files::sync_folder;
use super::manifest;

/// What could not be read, the last time that something could not.
const DAMAGED: &str = "audit.log.damaged";
/// Refusals that are written one by one before they are only counted.
const REFUSALS: u32 = 16;
/// After so long one more may be written, and with it how many were counted: a hundred a day at most, some 10 KB.
const REFUSAL_AFTER: Duration = Duration::from_secs(15 * 60);

/// What time it is for an entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct When {
    pub now: Timestamp,
    pub wall: WallTime,
}

/// The log, and the file that it goes on in.
#[derive(Debug)]
pub struct Audit {
    /// None: nobody is trusted, so nothing is decided.
    folder: Option<PathBuf>,
    file: Option<File>,
    /// Of whole entries in it.
    bytes: u64,
    log: Log,
    /// The trust file that it says holds.
    trusted: Option<Digest>,
    refusals: Refusals,
    /// Entries that could not be written.
    lost: u64,
}

/// How many refusals may still be written, and what was only counted.
#[derive(Debug)]
struct Refusals {
    left: u32,
    since: Timestamp,
    counted: u64,
    code: String,
}

impl Audit {
    /// One that keeps nothing.
    pub fn none() -> Audit {
        let refusals =
            Refusals { left: REFUSALS, since: Timestamp(0), counted: 0, code: String::new() };
        let log = Log::new(1);
        Audit { folder: None, file: None, bytes: 0, log, trusted: None, refusals, lost: 0 }
    }

    /// The log of a data folder. Whatever state its files are in, it goes on behind the last entry that can be read,
    /// and says in it what cannot.
    pub fn open(folder: &Path, when: When) -> Audit {
        let mut audit = Audit { folder: Some(folder.to_owned()), ..Audit::none() };
        let path = folder.join(FILE);
        let before = read(&folder.join(FILE_BEFORE)).unwrap_or_default();
        let bytes = read(&path).unwrap_or_else(|| {
            // None of ours is so long.
            fs::rename(&path, folder.join(DAMAGED)).ok();
            Vec::new()
        });
        let newer = frames::read(&bytes);
        let torn = bytes.len() - newer.bytes;
        audit.bytes = newer.bytes as u64;
        let mut entries = frames::read(&before).entries;
        entries.extend(newer.entries);
        if let Err(broken) = verify(&entries) {
            error!(%broken, "the audit log was changed from outside; it goes on, `tidegate audit` shows where");
        }
        audit.trusted = entries.iter().rev().find_map(|entry| match &entry.what {
            What::Trusted { digest, .. } => Some(*digest),
            _ => None,
        });
        if let Some(last) = entries.pop() {
            audit.log = Log::behind(last, 1);
        }
        if torn > 2 + ENTRY_BYTES_MAX {
            // More than a cut can tear: somebody may want to look at it.
            fs::write(folder.join(DAMAGED), &bytes).ok();
        }
        if torn > 0 {
            warn!(bytes = torn, "the end of the audit log cannot be read; it goes on behind it");
            audit.write(when, What::Gap { entries: 0, bytes: torn as u64 });
        }
        audit
    }

    /// How many entries there ever were, and the digest of the last.
    pub fn head(&self) -> (u64, Digest) {
        self.log.head()
    }

    /// Writes down what was decided. A disk that takes nothing costs the entry, and the next one says so.
    pub fn note(&mut self, when: When, what: What) {
        if self.lost > 0 {
            let entries = self.lost;
            if self.write(when, What::Gap { entries, bytes: 0 }) {
                self.lost = 0;
            }
        }
        if !self.write(when, what) {
            self.lost += 1;
        }
    }

    /// A trust file holds: written unless the log says so already.
    pub fn note_trust(&mut self, when: When, version: u64, key_epoch: u32, file: &[u8]) {
        let digest = digest_of(file);
        if self.trusted.replace(digest) != Some(digest) {
            self.note(when, What::Trusted { version, key_epoch, digest });
        }
    }

    /// A refusal that anybody can cause: written, or only counted.
    pub fn note_refused(&mut self, when: When, what: What) {
        self.refill(when.now);
        if self.refusals.left > 0 {
            self.tell_counted(when);
        }
        if self.refusals.left > 0 {
            self.refusals.left -= 1;
            return self.note(when, what);
        }
        self.refusals.counted += 1;
        if let What::Refused { code, .. } = what {
            self.refusals.code = code;
        }
    }

    /// When [`Audit::handle_timeout`] has something to write.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        (self.refusals.counted > 0).then(|| self.refusals.since.after(REFUSAL_AFTER))
    }

    pub fn handle_timeout(&mut self, when: When) {
        self.refill(when.now);
        if self.refusals.left > 0 {
            self.tell_counted(when);
        }
    }

    /// The daemon stops: what was counted is written.
    pub fn stop(&mut self, when: When) {
        self.tell_counted(when);
    }

    fn refill(&mut self, now: Timestamp) {
        while self.refusals.left < REFUSALS && now.since(self.refusals.since) >= REFUSAL_AFTER {
            self.refusals.left += 1;
            self.refusals.since = self.refusals.since.after(REFUSAL_AFTER);
        }
        if self.refusals.left == REFUSALS {
            self.refusals.since = now;
        }
    }

    fn tell_counted(&mut self, when: When) {
        let count = std::mem::take(&mut self.refusals.counted);
        if count > 0 {
            self.refusals.left = self.refusals.left.saturating_sub(1);
            let code = std::mem::take(&mut self.refusals.code);
            self.note(when, What::MoreRefused { count, code });
        }
    }

    /// False: it is not on the disk, and the log is as if it had not been.
    fn write(&mut self, when: When, what: What) -> bool {
        let Some(folder) = self.folder.clone() else {
            return true;
        };
        let mut log = self.log.clone();
        let wall_ms = u64::try_from(when.wall.unix_us / 1000).unwrap_or(0);
        let frame = frames::frame(log.append(wall_ms, what));
        match self.append(&folder, &frame) {
            Ok(()) => {
                self.log = log;
                true
            }
            Err(error) => {
                if self.lost == 0 || self.lost.is_power_of_two() {
                    warn!(%error, lost = self.lost + 1, "a decision cannot be written into the audit log");
                }
                false
            }
        }
    }

    /// On the disk when this returns. The file that is full becomes the one before; what a failed write has left is
    /// cut off by the next.
    fn append(&mut self, folder: &Path, frame: &[u8]) -> io::Result<()> {
        let path = folder.join(FILE);
        let len = frame.len() as u64;
        if self.bytes > 0 && self.bytes + len > FILE_BYTES_MAX {
            fs::rename(&path, folder.join(FILE_BEFORE))?;
            (self.file, self.bytes) = (None, 0);
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&path)?;
                if file.metadata()?.len() > self.bytes {
                    file.set_len(self.bytes)?;
                }
                file
            }
        };
        file.write_all(frame)?;
        file.sync_data()?;
        if self.bytes == 0 {
            sync_folder(folder)?;
        }
        self.bytes += len;
        self.file = Some(file);
        Ok(())
    }
}

/// None: it is longer than any of ours. One that is not there holds nothing.
fn read(path: &Path) -> Option<Vec<u8>> {
    let len = fs::metadata(path).map_or(0, |facts| facts.len());
    (len <= FILE_BYTES_MAX).then(|| fs::read(path).unwrap_or_default())
}

/// A decision of the core's. None: its handler has a name that nobody can push.
pub fn decided(decision: &Decision) -> Option<What> {
    let of = |digest: &core::Digest| Digest(digest.0);
    let name = |handler: &str| Name::new(handler).ok();
    Some(match decision {
        Decision::Activated { handler, digest } => {
            What::Activated { handler: name(handler)?, digest: of(digest) }
        }
        Decision::Passed { handler, digest } => {
            What::Passed { handler: name(handler)?, digest: of(digest) }
        }
        Decision::RolledBack { handler, digest, to, code } => What::RolledBack {
            handler: name(handler)?,
            digest: of(digest),
            to: to.as_ref().map(of),
            code: code.clone(),
        },
        Decision::Refused { handler, digest, code } => {
            What::Refused { handler: Some(name(handler)?), digest: of(digest), code: code.clone() }
        }
        Decision::Removed { handler, rank } => {
            What::Removed { handler: name(handler)?, rank: manifest::signed_rank(*rank) }
        }
        Decision::Invoked { handler, rank, is_dry } => What::Invoked {
            handler: name(handler)?,
            rank: manifest::signed_rank(*rank),
            is_dry: *is_dry,
        },
        Decision::SafeMode => What::SafeMode,
    })
}

#[cfg(test)]
mod tests;
