//! A note beside the shelf's folder: how its last user left it.
//!
//! ```text
//! state.mark   "clean CRC\n" | "trying N\n" | "dirty\n"
//! ```
//! It is replaced as a whole, and durable before what it announces.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tidegate_journal::Crc;

const NAME: &str = "state.mark";
const READ_BYTES: usize = 64 * 1024;

/// What the note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// When it was closed, and the checksum that its files had then.
    Clean { crc: u32 },
    /// When a run was about to write for the first time, and so many in a row have not come back from that.
    Trying { runs: u32 },
    /// When a run has written. Also when nothing is known.
    Dirty,
}

/// The note of a data folder.
#[derive(Clone, Debug)]
pub struct MarkFile {
    folder: PathBuf,
}

impl MarkFile {
    pub fn new(folder: &Path) -> MarkFile {
        MarkFile { folder: folder.to_owned() }
    }

    pub fn read(&self) -> Mark {
        let text = fs::read_to_string(self.folder.join(NAME)).unwrap_or_default();
        match text.trim_end().split_once(' ') {
            Some(("clean", crc)) => match u32::from_str_radix(crc, 16) {
                Ok(crc) => Mark::Clean { crc },
                Err(_) => Mark::Dirty,
            },
            Some(("trying", runs)) => match runs.parse() {
                Ok(runs) => Mark::Trying { runs },
                Err(_) => Mark::Dirty,
            },
            Some(_) | None => Mark::Dirty,
        }
    }

    /// Durable when it returns.
    ///
    /// # Errors
    /// When the disk refuses; what the note said before may stand or not.
    pub fn write(&self, mark: Mark) -> io::Result<()> {
        let text = match mark {
            Mark::Clean { crc } => format!("clean {crc:08x}\n"),
            Mark::Trying { runs } => format!("trying {runs}\n"),
            Mark::Dirty => "dirty\n".to_owned(),
        };
        let new = self.folder.join(format!("{NAME}.new"));
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()
    }
}

/// A checksum over names and contents of a folder's files, in order of name; none when it holds no file.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn checksum(folder: &Path) -> io::Result<Option<u32>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name());
        }
    }
    names.sort();
    let mut crc = Crc::new();
    let mut piece = vec![0; READ_BYTES];
    for name in &names {
        let mut file = File::open(folder.join(name))?;
        let len = file.metadata()?.len();
        crc = crc.update(name.as_encoded_bytes()).update(&len.to_le_bytes());
        loop {
            match file.read(&mut piece)? {
                0 => break,
                count => crc = crc.update(&piece[..count]),
            }
        }
    }
    Ok((!names.is_empty()).then(|| crc.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tidegated-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn a_note_comes_back_and_nonsense_is_dirty() {
        let folder = folder("mark");
        let file = MarkFile::new(&folder);
        assert_eq!(file.read(), Mark::Dirty);
        for mark in [Mark::Clean { crc: 0xa0b }, Mark::Trying { runs: 3 }, Mark::Dirty] {
            file.write(mark).expect("a folder");
            assert_eq!(file.read(), mark);
        }
        for text in ["", "clean", "clean xyz", "trying -1", "odd 3", "\u{fffd}"] {
            fs::write(folder.join(NAME), text).expect("a folder");
            assert_eq!(file.read(), Mark::Dirty, "{text}");
        }
        fs::remove_dir_all(folder).expect("it was there");
    }

    #[test]
    fn a_checksum_knows_names_contents_and_lengths() {
        let folder = folder("checksum");
        assert_eq!(checksum(&folder).expect("a folder"), None);
        let mut seen = Vec::new();
        let mut look = || {
            let crc = checksum(&folder).expect("a folder").expect("files");
            assert!(!seen.contains(&crc));
            seen.push(crc);
        };
        fs::write(folder.join("db"), [0; 100]).expect("a folder");
        look();
        fs::write(folder.join("db"), [0; 101]).expect("a folder");
        look();
        fs::rename(folder.join("db"), folder.join("conf")).expect("it is there");
        look();
        fs::write(folder.join("conf"), [1; 101]).expect("a folder");
        look();
        fs::remove_dir_all(folder).expect("it was there");
    }
}
