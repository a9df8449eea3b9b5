//! A block device of its own for one daemon: a file behind the kernel's loop driver. Its counter knows what reaches a
//! device, the file system's own blocks among it. `/proc/PID/io` does not: it counts whole folios, and on a file system
//! with large ones a write of 4 KiB counts as 2 MiB.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate_tests::scratch::Scratch;

use crate::words::Problem;

const IMAGE_BYTES: u64 = 256 << 20;
/// The unit of `/sys/block/*/stat`, whatever the device's own is (Documentation/block/stat.rst).
const SECTOR_BYTES: u64 = 512;

/// A file system of its own at a folder, until it is dropped.
#[derive(Debug)]
pub struct OwnDisk {
    folder: PathBuf,
    stat: PathBuf,
    _image: Scratch,
}

impl OwnDisk {
    /// Makes an ext4 as it comes, all of its tables written, and mounts it at `folder`. Needs root.
    pub fn mount(folder: &Path) -> Result<OwnDisk, Problem> {
        let scratch = Scratch::new("disk");
        let image = scratch.path().join("image");
        File::create(&image)?.set_len(IMAGE_BYTES)?;
        // Tables that are not written now would be written behind the measurement's back.
        let tables = "lazy_itable_init=0,lazy_journal_init=0";
        done(Command::new("mkfs.ext4").args(["-q", "-E", tables]).arg(&image))?;
        done(Command::new("mount").args(["-o", "loop,noatime"]).arg(&image).arg(folder))?;
        let mut disk = OwnDisk { folder: folder.to_owned(), stat: PathBuf::new(), _image: scratch };
        let mounts = fs::read_to_string("/proc/mounts")?;
        let device = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let device = words.next()?.strip_prefix("/dev/")?;
            (words.next()? == folder.to_str()?).then_some(device)
        });
        disk.stat =
            Path::new("/sys/block").join(device.ok_or("the mount is not there")?).join("stat");
        Ok(disk)
    }

    /// Bytes that have reached the device so far, once everything is written that was to be.
    pub fn written_bytes(&self) -> Result<u64, Problem> {
        done(Command::new("sync").arg("-f").arg(&self.folder))?;
        let stat = fs::read_to_string(&self.stat)?;
        let sectors =
            stat.split_whitespace().nth(6).ok_or("no seventh number in the disk's stat")?;
        Ok(sectors.parse::<u64>()? * SECTOR_BYTES)
    }
}

impl Drop for OwnDisk {
    fn drop(&mut self) {
        // Lazily: after an error the daemon may still be there. The loop device goes with the last user.
        if let Err(error) = done(Command::new("umount").arg("-l").arg(&self.folder)) {
            eprintln!("{error}");
        }
    }
}

fn done(command: &mut Command) -> Result<(), Problem> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
