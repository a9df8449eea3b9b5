//! The block devices of this machine, and which of them a card may be. What the kernel says lies in `/sys` and `/proc`;
//! tests lay it out in a folder.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::partitions;
use crate::sizes;

/// The kernel counts in these, whatever the device's own sectors are.
const SECTOR: u64 = 512;
/// Not cards, and many: loops, memory, optical drives, md and device mapper.
const OTHER_KINDS: [&str; 6] = ["loop", "ram", "zram", "sr", "md", "dm-"];
/// What is mounted at one of these runs the system.
const SYSTEM: [&str; 6] = ["/", "/boot", "/usr", "/var", "/home", "/boot/efi"];

/// Where the kernel tells of devices.
pub(super) struct System {
    root: PathBuf,
}

/// A device as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
    pub model: String,
    pub is_removable: bool,
    pub is_read_only: bool,
    pub parts: Vec<Part>,
    /// Whether the system runs from it, or swaps to it.
    pub is_system: bool,
}

/// A partition, or the whole device where it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub name: String,
    pub bytes: u64,
    pub label: Option<String>,
    pub mounted_at: Vec<String>,
}

impl System {
    pub fn real() -> System {
        System::at("/")
    }

    /// The same below a folder.
    pub fn at(root: impl Into<PathBuf>) -> System {
        System { root: root.into() }
    }

    /// Every device that may be a card, by name.
    ///
    /// # Errors
    /// When the kernel's list cannot be read.
    pub fn devices(&self) -> io::Result<Vec<Device>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join("sys/block"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !OTHER_KINDS.iter().any(|kind| name.starts_with(kind)) {
                names.push(name);
            }
        }
        names.sort();
        let all = names.iter().map(|name| self.read(name, &Path::new("/dev").join(name)));
        Ok(all.collect::<io::Result<Vec<_>>>()?.into_iter().filter(|d| d.bytes > 0).collect())
    }

    /// One of them, by its path.
    ///
    /// # Errors
    /// A sentence that says why it is none.
    pub fn device(&self, path: &Path) -> Result<Device, String> {
        let shown = path.display();
        let below = |path: &Path| self.root.join(path.strip_prefix("/").unwrap_or(path));
        let real = fs::canonicalize(below(path)).map_err(|error| {
            format!("{shown}: {error}; `tidegate flash --list` shows the devices")
        })?;
        let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_block = fs::metadata(&real).is_ok_and(|facts| facts.file_type().is_block_device());
        // Below a folder there are files in the place of devices.
        if !is_block && self.root == Path::new("/") {
            return Err(format!("{shown} is no block device; --out FILE writes a file"));
        }
        if !self.root.join("sys/block").join(&name).exists() {
            return Err(format!(
                "{shown} is no whole device; name the card, not a partition of it. `tidegate flash --list` shows them"
            ));
        }
        self.read(&name, path).map_err(|error| format!("{shown}: {error}"))
    }

    fn read(&self, name: &str, path: &Path) -> io::Result<Device> {
        let folder = self.root.join("sys/block").join(name);
        let mounts = self.mounts()?;
        let mut names = vec![name.to_owned()];
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.path().join("partition").exists() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        let mut parts = Vec::new();
        for part in &names {
            let place = if part == name { folder.clone() } else { folder.join(part) };
            let number = text(&place.join("dev")).unwrap_or_default();
            let holders = fs::read_dir(place.join("holders")).map_or(0, Iterator::count);
            let mut mounted_at: Vec<String> =
                mounts.iter().filter(|(dev, _)| *dev == number).map(|(_, at)| at.clone()).collect();
            if self.swaps().iter().any(|swap| swap == part) {
                mounted_at.push("swap".to_owned());
            }
            if holders > 0 {
                mounted_at.push("a device above it".to_owned());
            }
            parts.push(Part {
                name: part.clone(),
                bytes: number_in(&place.join("size")) * SECTOR,
                label: self.label(part),
                mounted_at,
            });
        }
        let runs =
            |at: &String| SYSTEM.contains(&&at[..]) || at == "swap" || at == "a device above it";
        Ok(Device {
            name: name.to_owned(),
            path: path.to_path_buf(),
            bytes: number_in(&folder.join("size")) * SECTOR,
            model: text(&folder.join("device/model"))
                .or_else(|| text(&folder.join("device/name")))
                .unwrap_or_default(),
            is_removable: number_in(&folder.join("removable")) == 1,
            is_read_only: number_in(&folder.join("ro")) == 1,
            is_system: parts.iter().flat_map(|part| &part.mounted_at).any(runs),
            parts,
        })
    }

    /// Device number and place of each mount (proc(5), mountinfo: the third and fifth word).
    fn mounts(&self) -> io::Result<Vec<(String, String)>> {
        let table = fs::read_to_string(self.root.join("proc/self/mountinfo"))?;
        let mounts = table.lines().filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            Some(((*words.get(2)?).to_owned(), (*words.get(4)?).to_owned()))
        });
        Ok(mounts.collect())
    }

    fn swaps(&self) -> Vec<String> {
        let table = fs::read_to_string(self.root.join("proc/swaps")).unwrap_or_default();
        let names = table.lines().skip(1).filter_map(|line| line.split_whitespace().next());
        names.map(|path| path.trim_start_matches("/dev/").to_owned()).collect()
    }

    /// What cannot be read has none.
    fn label(&self, part: &str) -> Option<String> {
        let mut start = vec![0; 2048];
        let mut file = File::open(self.root.join("dev").join(part)).ok()?;
        file.read_exact(&mut start).ok()?;
        partitions::label(&start)
    }
}

impl Device {
    /// # Errors
    /// A sentence that says why not, and what to do.
    pub fn may_be_written(&self) -> Result<(), String> {
        let shown = self.path.display();
        if self.is_system {
            return Err(format!(
                "{shown} is the disk that this system runs from; it is never written"
            ));
        }
        for part in &self.parts {
            if let Some(at) = part.mounted_at.first() {
                return Err(format!(
                    "{shown} is mounted: {} at {at}; `umount {at}` first, when you are sure",
                    part.name
                ));
            }
        }
        if self.is_read_only {
            return Err(format!("{shown} is read-only; is the card's switch at lock?"));
        }
        if self.bytes == 0 {
            return Err(format!("{shown} has no card in it"));
        }
        Ok(())
    }

    /// # Errors
    /// When it is too small.
    pub fn has_room_for(&self, bytes: u64) -> Result<(), String> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let (has, needs) = (sizes::bytes(self.bytes as f64), sizes::bytes(bytes as f64));
        Err(format!(
            "{} has {has}, the image needs {needs}; take a larger card",
            self.path.display()
        ))
    }
}

fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn number_in(path: &Path) -> u64 {
    text(path).and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
