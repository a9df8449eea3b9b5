//! The gateway's own key, and the counter of its answers.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tidegate_release::keys::{KeyFile, SecretKey};

use super::files::put;

const KEY: &str = "gateway.key";
const PUBLIC: &str = "gateway.pub";
const COUNTER: &str = "gateway.counter";
/// Numbers that are taken from the file at once: a write for so many answers. A start skips what was left of them.
const BLOCK: u64 = 1_000;

/// Who the gateway is towards those who push.
#[derive(Debug)]
pub struct Identity {
    key: SecretKey,
    folder: PathBuf,
    next: u64,
    until: u64,
}

impl Identity {
    /// Reads the key in a data folder, or makes one.
    ///
    /// # Errors
    /// When it cannot be read or written. A damaged one is an error too: with another key nobody would believe our
    /// answers, and somebody should know.
    pub fn open(folder: &Path) -> io::Result<Identity> {
        let path = folder.join(KEY);
        let key = match fs::read_to_string(&path) {
            Ok(text) => match KeyFile::parse(&text) {
                Ok(KeyFile::Plain(key)) => key,
                Ok(KeyFile::Encrypted(_)) => {
                    return Err(io::Error::other("the gateway's own key cannot have a passphrase"));
                }
                Err(error) => return Err(io::Error::other(error.to_string())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(folder)?,
            Err(error) => return Err(error),
        };
        let next = fs::read_to_string(folder.join(COUNTER)).ok();
        let next = next.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Ok(Identity { key, folder: folder.to_owned(), next, until: next })
    }

    /// One that lives as long as the process: for a disk that takes no key.
    pub fn passing(seed: [u8; 32], folder: &Path) -> Identity {
        let key = SecretKey::generate(seed);
        Identity { key, folder: folder.to_owned(), next: 0, until: u64::MAX }
    }

    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// The next answer's number: higher than any before, over restarts too.
    pub fn count(&mut self) -> u64 {
        if self.next >= self.until {
            let until = self.next.saturating_add(BLOCK);
            match put(&self.folder, COUNTER, until.to_string().as_bytes()) {
                Ok(()) => self.until = until,
                // Answers after the next start may count as old ones; better than none now.
                Err(error) => tracing::warn!(%error, "the counter of answers cannot be written"),
            }
        }
        self.next += 1;
        self.next
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
    put(folder, PUBLIC, key.public().to_file().as_bytes())?;
    Ok(key)
}
