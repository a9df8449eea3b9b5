//! What was pushed, on the disk. Every file is whole or not there: written beside its place, synced, renamed, and the
//! folder synced.
//!
//! ```text
//! releases/orders/<digest>       signed orders
//! releases/blobs/<sha256>        modules and golden events
//! releases/staging/<sha256>.<n>  chunks of blobs that are not complete
//! releases/trust                 the newest trust file, when one came over MQTT
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_release::chunks::CHUNK_BYTES_MAX;
use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use tidegate_release::hash::{Digest, digest_of};
use tidegate_release::keys::Domain;
use tidegate_release::manifest::Order;
use tidegate_release::open::Opened;
use tracing::warn;

/// In front of a file that is not whole.
const UNFINISHED: &str = ".new-";

/// The folders.
#[derive(Clone, Debug)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    /// The folders in a data folder. Where they are not made, what is read is not there, and what is written an error.
    pub fn at(data_dir: &Path) -> Files {
        Files { root: data_dir.join("releases") }
    }

    /// Makes them, durably.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn make_folders(&self) -> io::Result<()> {
        for folder in [self.orders(), self.blobs(), self.staging()] {
            if !folder.exists() {
                fs::create_dir_all(&folder)?;
                sync_folder(&self.root)?;
                self.root.parent().map_or(Ok(()), sync_folder)?;
            }
        }
        Ok(())
    }

    fn orders(&self) -> PathBuf {
        self.root.join("orders")
    }

    /// Where modules are.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// The orders that are there.
    pub fn releases(&self) -> Vec<Digest> {
        names(&self.orders()).iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// A signed order.
    ///
    /// # Errors
    /// When it is not there, or not what its name says.
    pub fn release(&self, digest: Digest) -> io::Result<Arc<[u8]>> {
        let path = self.orders().join(digest.to_string());
        if fs::metadata(&path)?.len() > ENVELOPE_BYTES_MAX as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(fs::read(path)?.into())
    }

    pub fn keep_release(&self, digest: Digest, envelope: &[u8]) -> io::Result<()> {
        if self.release(digest).is_ok_and(|known| recall(&known, digest).is_some()) {
            return Ok(());
        }
        put(&self.orders(), &digest.to_string(), envelope)
    }

    /// Whether a blob is there, with the bytes that its name says. It may have been damaged since it was written.
    pub fn has_blob(&self, digest: Digest) -> bool {
        fs::read(self.blobs().join(digest.to_string())).is_ok_and(|blob| digest_of(&blob) == digest)
    }

    pub fn keep_blob(&self, digest: Digest, blob: &[u8]) -> io::Result<()> {
        put(&self.blobs(), &digest.to_string(), blob)
    }

    /// Keeps a chunk, so that a transfer goes on after a power cut. Its digest is checked with the whole.
    pub fn stage(&self, digest: Digest, n: u32, chunk: &[u8]) -> io::Result<()> {
        put(&self.staging(), &format!("{digest}.{n}"), chunk)
    }

    /// Every chunk of a blob that is there.
    pub fn staged(&self, digest: Digest, mut take: impl FnMut(u32, &[u8])) {
        let folder = self.staging();
        let prefix = format!("{digest}.");
        for name in names(&folder) {
            let number = name.strip_prefix(&prefix).and_then(|number| number.parse::<u32>().ok());
            let path = folder.join(&name);
            let is_short =
                fs::metadata(&path).is_ok_and(|facts| facts.len() <= CHUNK_BYTES_MAX as u64);
            if let Some(number) = number
                && is_short
                && let Ok(chunk) = fs::read(path)
            {
                take(number, &chunk);
            }
        }
    }

    /// The chunks of a blob need not be kept any more.
    pub fn unstage(&self, digest: Digest) {
        let prefix = format!("{digest}.");
        remove_where(&self.staging(), |name| name.starts_with(&prefix));
    }

    /// The trust file that came over MQTT.
    pub fn trust(&self) -> Option<Vec<u8>> {
        let path = self.root.join("trust");
        let is_short = fs::metadata(&path).is_ok_and(|f| f.len() <= ENVELOPE_BYTES_MAX as u64);
        if is_short { fs::read(path).ok() } else { None }
    }

    pub fn keep_trust(&self, file: &[u8]) -> io::Result<()> {
        put(&self.root, "trust", file)
    }

    /// Removes every other order and blob, and what was not finished.
    pub fn tidy(&self, releases: &BTreeSet<Digest>, blobs: &BTreeSet<Digest>) {
        let is_other = |kept: &BTreeSet<Digest>, name: &str| {
            name.parse().map_or(true, |digest| !kept.contains(&digest))
        };
        remove_where(&self.orders(), |name| is_other(releases, name));
        remove_where(&self.blobs(), |name| is_other(blobs, name));
        remove_where(&self.staging(), |name| {
            let digest = name.split('.').next().unwrap_or_default();
            is_other(blobs, digest)
        });
    }
}

/// An order by the digest that the registry names, whoever signed it: it was verified when it came.
pub fn recall(envelope: &[u8], digest: Digest) -> Option<Opened> {
    let envelope = Envelope::decode(envelope, ENVELOPE_BYTES_MAX).ok()?;
    if envelope.digest(Domain::Release) != digest {
        return None;
    }
    let order = Order::decode(envelope.payload).ok()?;
    let signers = envelope.signatures.iter().map(|(signer, _)| *signer).collect();
    Some(Opened { order, digest, signers })
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn remove_where(folder: &Path, is_spare: impl Fn(&str) -> bool) {
    for name in names(folder).iter().filter(|name| is_spare(name)) {
        if let Err(error) = fs::remove_file(folder.join(name)) {
            warn!(%error, "cannot remove {}", folder.join(name).display());
        }
    }
}

/// Writes a file so that it is whole or not there.
pub(super) fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{UNFINISHED}{name}"));
    let written = write_synced(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, folder.join(name)))
        .and_then(|()| sync_folder(folder));
    if written.is_err() {
        // It may not even have been made.
        fs::remove_file(&unfinished).ok();
    }
    written
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
