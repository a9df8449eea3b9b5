//! Files that are whole or not there, and files that are gone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// What a boot partition may bring: certificates and a trust file are a hundredth of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Folders inside one another.
const DEPTH_MAX: usize = 4;
/// The ssh server's own keys, which stay when the rest is replaced: they are how people know the board.
const HOST_KEYS: &str = "dropbear_";

/// Writes a file and syncs it. The folder is [`exchange`]d as a whole, or synced here.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_folder(path)
}

/// Nobody but root looks in.
pub(super) fn close(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Copies a folder that may not be there into one that is made.
pub(super) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    close(to)?;
    if from.exists() { copy_level(from, to, DEPTH_MAX) } else { Ok(()) }
}

fn copy_level(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other(format!("more than {DEPTH_MAX} folders inside one another")));
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let facts = entry.metadata()?;
        if facts.is_dir() {
            fs::create_dir_all(&target)?;
            copy_level(&source, &target, depth - 1)?;
        } else if facts.len() > FILE_BYTES_MAX {
            let name = source.display();
            return Err(io::Error::other(format!("{name} is longer than {FILE_BYTES_MAX} bytes")));
        } else {
            write(&target, &fs::read(&source)?, 0o600)?;
        }
    }
    Ok(())
}

/// Takes the ssh server's own keys along.
pub(super) fn keep_host_keys(from: &Path, to: &Path) -> io::Result<()> {
    let folder = from.join("ssh");
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(HOST_KEYS) {
            write(&to.join("ssh").join(entry.file_name()), &fs::read(entry.path())?, 0o600)?;
        }
    }
    Ok(())
}

/// Puts a finished folder in the place of another. A cut in between leaves neither: the boot partition still has
/// everything then, and is read again.
pub(super) fn exchange(next: &Path, current: &Path) -> io::Result<()> {
    let old = current.with_extension("old");
    remove_tree(&old)?;
    if current.exists() {
        fs::rename(current, &old)?;
    }
    fs::rename(next, current)?;
    sync_folder(current)?;
    remove_tree(&old)
}

/// Removes a folder that may not be there.
pub(super) fn remove_tree(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Overwrites and removes a file, or all files of a folder. On flash the old cells may still hold what was written; what
/// is gained is that nobody who mounts the card reads it.
pub(super) fn wipe(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            wipe(&entry?.path())?;
        }
        fs::remove_dir(path)?;
    } else if path.exists() {
        let length = fs::metadata(path)?.len().min(FILE_BYTES_MAX);
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(&vec![0; usize::try_from(length).unwrap_or(0)])?;
        file.sync_all()?;
        fs::remove_file(path)?;
    } else {
        return Ok(());
    }
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
