//! Copies of damaged regions, for a person to look at. A copy that fails is only counted: the journal goes on.

use crate::disk::Disk;
use crate::window::Window;

/// One copy is not longer; the rest of a region is left where it is.
const COPY_BYTES_MAX: u64 = 64 * 1024;
const PREFIX: &str = "quarantine-";

/// Where copies go, and how much may still be copied.
#[derive(Debug)]
pub(crate) struct Quarantine {
    names: Vec<String>,
    left_bytes: u64,
    pub bytes: u64,
}

impl Quarantine {
    /// Counts what is there.
    pub fn new(disk: &mut impl Disk, names: &[String], bytes_max: u64) -> Quarantine {
        let is_copy = |name: &&String| name.starts_with(PREFIX);
        let names: Vec<String> = names.iter().filter(is_copy).cloned().collect();
        let used: u64 = names.iter().filter_map(|name| disk.len(name).ok()).sum();
        Quarantine { names, left_bytes: bytes_max.saturating_sub(used), bytes: 0 }
    }

    /// Copies a region; `false` when it is an old acquaintance.
    pub fn copy(
        &mut self,
        disk: &mut impl Disk,
        file: &str,
        label: &str,
        at: u64,
        end: u64,
    ) -> bool {
        let name = format!("{PREFIX}{label}-{at:08}.bin");
        if self.names.contains(&name) {
            return false;
        }
        let len = (end - at).min(COPY_BYTES_MAX).min(self.left_bytes);
        let mut window = Window::new(file.to_owned(), end);
        if len > 0
            && let Some(bytes) = window.get(disk, at, len as usize)
        {
            let written = disk
                .preallocate(&name, len)
                .and_then(|()| disk.write_at(&name, 0, bytes))
                .and_then(|()| disk.sync(&name));
            if written.is_ok() {
                self.left_bytes -= len;
                self.bytes += len;
            }
            self.names.push(name);
        }
        true
    }
}
