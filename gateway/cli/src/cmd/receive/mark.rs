//! What survives a restart: what has been seen, and how far the output has it.
//!
//! The mark is written now and then, and at the end. Lines behind the mark are read again at the start, so with an
//! output in a file nothing is acked that mark and file together do not hold.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::account::Account;
use crate::failure::Failure;

const VERSION: u32 = 1;

/// What is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    version: u32,
    /// So much of the output is accounted for.
    output_bytes: u64,
    received: u64,
    duplicates: u64,
    account: Account,
}

/// The account, and the file it is kept in, if it is.
#[derive(Debug)]
pub(super) struct Mark {
    path: Option<PathBuf>,
    /// Gateways that turn up begin at 1.
    from_start: bool,
    written: Written,
    /// How long the file was when it was last written.
    bytes: u64,
    /// Something has changed since.
    is_stale: bool,
}

impl Mark {
    /// Reads the mark, if there is one.
    ///
    /// # Errors
    /// When there is something else, or it cannot be read.
    pub fn open(path: Option<PathBuf>, from_start: bool) -> Result<Mark, Failure> {
        let written = Written { version: VERSION, ..Written::default() };
        let mut mark = Mark { path, from_start, written, bytes: 0, is_stale: false };
        let Some(path) = &mark.path else {
            return Ok(mark);
        };
        match fs::read(path) {
            Ok(text) => {
                let written: Written = serde_json::from_slice(&text).map_err(|error| {
                    Failure::data(format!(
                        "{} is no mark of this command ({error}); name another --state",
                        path.display()
                    ))
                })?;
                if written.version != VERSION {
                    return Err(Failure::data(format!(
                        "{} is a mark of another version ({}); use the program that wrote it",
                        path.display(),
                        written.version
                    )));
                }
                mark.bytes = text.len() as u64;
                mark.written = written;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::failed(format!("{} cannot be read: {error}", path.display())));
            }
        }
        Ok(mark)
    }

    pub fn account(&self) -> &Account {
        &self.written.account
    }

    pub fn received(&self) -> u64 {
        self.written.received
    }

    pub fn duplicates(&self) -> u64 {
        self.written.duplicates
    }

    /// How much of the output was accounted for when the mark was written.
    pub fn output_bytes(&self) -> u64 {
        self.written.output_bytes
    }

    /// Takes note of a record; whether it is new.
    pub fn take(&mut self, envelope: &tidegate_envelope::Envelope) -> bool {
        self.is_stale = true;
        let is_new = self.written.account.take(envelope, self.from_start);
        if is_new {
            self.written.received += 1;
        } else {
            self.written.duplicates += 1;
        }
        is_new
    }

    /// Whether something is worth writing down.
    pub fn is_stale(&self) -> bool {
        self.is_stale && self.path.is_some()
    }

    /// Whether so much output stands behind the mark that writing it down again costs little beside that.
    pub fn is_due(&self, output_bytes: u64) -> bool {
        const BYTES_MIN: u64 = 1024 * 1024;
        let behind = output_bytes.saturating_sub(self.written.output_bytes);
        self.is_stale() && behind >= (4 * self.bytes).max(BYTES_MIN)
    }

    /// Writes it down for good: a new file, then its name.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&mut self, output_bytes: u64) -> io::Result<()> {
        self.written.output_bytes = output_bytes;
        let Some(path) = &self.path else {
            return Ok(());
        };
        let text = serde_json::to_vec(&self.written)?;
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let mut file = File::create(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder_of(path)?;
        self.bytes = text.len() as u64;
        self.is_stale = false;
        Ok(())
    }
}

/// Makes names in a file's folder durable.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
