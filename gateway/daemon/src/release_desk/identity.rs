//! The gateway's own key, and the counter of its answers.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_release::keys::{KeyFile, SecretKey};

use super::drive::{Drive, RealDrive};
use super::files::put;

const KEY: &str = "gateway.key";
/// A key that could not be used; the last one of them.
const DAMAGED: &str = "gateway.key.damaged";
const PUBLIC: &str = "gateway.pub";
const COUNTER: &str = "gateway.counter";
/// Numbers that are taken from the file at once: a write for so many answers. A start skips what was left of them.
const BLOCK: u64 = 1_000;

/// Who the gateway is towards those who push.
#[derive(Debug)]
pub struct Identity {
    key: SecretKey,
    folder: PathBuf,
    drive: Arc<dyn Drive>,
    next: u64,
    until: u64,
}

impl Identity {
    /// Reads the key in a data folder, or makes one. A damaged one is set aside, and said: with the new one nobody
    /// believes our answers until somebody has looked.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn open(folder: &Path) -> io::Result<(Identity, Option<String>)> {
        let path = folder.join(KEY);
        let (key, damage) = match fs::read(&path) {
            Ok(bytes) => match parse(&bytes) {
                Ok(key) => (key, None),
                Err(damage) => {
                    fs::rename(&path, folder.join(DAMAGED))?;
                    (make(folder)?, Some(damage))
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => (make(folder)?, None),
            Err(error) => return Err(error),
        };
        Ok((Identity::on(Arc::new(RealDrive), key, folder), damage))
    }

    /// With this key, and the counter that is in a folder.
    pub fn on(drive: Arc<dyn Drive>, key: SecretKey, folder: &Path) -> Identity {
        let next = drive.read(&folder.join(COUNTER)).ok();
        let next = next.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok());
        let next = next.unwrap_or(0);
        Identity { key, folder: folder.to_owned(), drive, next, until: next }
    }

    /// One that lives as long as the process: for a disk that takes no key.
    pub fn passing(seed: [u8; 32], folder: &Path) -> Identity {
        let key = SecretKey::generate(seed);
        let drive = Arc::new(RealDrive);
        Identity { key, folder: folder.to_owned(), drive, next: 0, until: u64::MAX }
    }

    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The next answer's number: higher than any before, over restarts too.
    pub fn count(&mut self) -> u64 {
        if self.next >= self.until {
            let until = self.next.saturating_add(BLOCK);
            match put(&*self.drive, &self.folder, COUNTER, until.to_string().as_bytes()) {
                Ok(()) => self.until = until,
                // Answers after the next start may count as old ones; better than none now.
                Err(error) => tracing::warn!(%error, "the counter of answers cannot be written"),
            }
        }
        self.next += 1;
        self.next
    }
}

fn parse(bytes: &[u8]) -> Result<SecretKey, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    match KeyFile::parse(text) {
        Ok(KeyFile::Plain(key)) => Ok(key),
        Ok(KeyFile::Encrypted(_)) => {
            Err("the gateway's own key cannot have a passphrase".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn make(folder: &Path) -> io::Result<SecretKey> {
    let mut random = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let key = SecretKey::generate(random);
    let path = folder.join(KEY);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.to_plain_file().as_bytes())?;
    file.sync_all()?;
    put(&RealDrive, folder, PUBLIC, key.public().to_file().as_bytes())?;
    Ok(key)
}
