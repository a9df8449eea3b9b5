//! Where the lines go. A file is durable when a write returns, and is mended at the start if the last one was cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use tidegate_envelope::{Envelope, decode};

use super::mark::{Mark, sync_folder_of};
use crate::failure::Failure;

/// Every line begins like this.
const BEGINNING: &[u8] = b"{\"gateway\":";

/// The lines' way out.
#[derive(Debug)]
pub(super) enum Output {
    Stdout(io::Stdout),
    File { file: File, bytes: u64 },
}

impl Output {
    pub fn stdout() -> Output {
        Output::Stdout(io::stdout())
    }

    /// Opens a file to write behind what it holds. What it holds behind the mark is accounted for; the rest of a
    /// line that was cut off is removed.
    ///
    /// # Errors
    /// When somebody else writes it, it holds something else, or it cannot be written.
    pub fn file(path: &Path, mark: &mut Mark) -> Result<Output, Failure> {
        let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Failure::failed(format!("{} is being written by another receiver", path.display()))
        })?;
        sync_folder_of(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let from = start(&mut file, len, mark.output_bytes()).map_err(failed)?;
        let good = account(&mut file, from, mark).map_err(failed)?;
        if good < len {
            if !is_torn(&mut file, good).map_err(failed)? {
                return Err(Failure::data(format!(
                    "{} holds something else from byte {good} on; name another file",
                    path.display()
                )));
            }
            file.set_len(good).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        file.seek(SeekFrom::Start(good)).map_err(failed)?;
        Ok(Output::File { file, bytes: good })
    }

    /// How long it is; 0 where that means nothing.
    pub fn bytes(&self) -> u64 {
        match self {
            Output::Stdout(_) => 0,
            Output::File { bytes, .. } => *bytes,
        }
    }

    /// Whether its end can be read again at the next start.
    pub fn is_kept(&self) -> bool {
        matches!(self, Output::File { .. })
    }

    /// Writes whole lines, for good.
    ///
    /// # Errors
    /// When it does not take them.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Output::Stdout(stdout) => {
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Output::File { file, bytes } => {
                file.write_all(lines)?;
                file.sync_data()?;
                *bytes += lines.len() as u64;
                Ok(())
            }
        }
    }
}

/// Where the lines begin that the mark does not know. A file that is shorter than the mark says, or whose lines end
/// elsewhere, is another one, and none of its lines is known.
fn start(file: &mut File, len: u64, marked: u64) -> io::Result<u64> {
    if marked == 0 || marked > len {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(marked - 1))?;
    file.read_exact(&mut last)?;
    Ok(if last == *b"\n" { marked } else { 0 })
}

/// Takes note of every whole line from here on; returns where the last one ends.
fn account(file: &mut File, from: u64, mark: &mut Mark) -> io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let mut lines = BufReader::new(file);
    let (mut good, mut line) = (from, Vec::new());
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line)?;
        let Some(envelope) = whole(&line) else {
            return Ok(good);
        };
        good += read as u64;
        mark.take(&envelope);
    }
}

fn whole(line: &[u8]) -> Option<Envelope> {
    decode(line.strip_suffix(b"\n")?, &[]).ok()
}

/// Whether what stands from here on was left by a write that was cut off: the beginning of one line, or lines with
/// holes in them.
fn is_torn(file: &mut File, from: u64) -> io::Result<bool> {
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut rest)?;
    let begins = BEGINNING.starts_with(&rest) || rest.starts_with(BEGINNING);
    Ok(rest.contains(&0) || (begins && !rest.contains(&b'\n')))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn line(seq: u64) -> String {
        format!(
            "{{\"gateway\":\"g\",\"epoch\":\"0000000000000001\",\"seq\":{seq},\"stream\":\"s\",\"ts\":1,\
             \"clock_quality\":\"ntp\",\"historical\":false,\"boot\":1,\"mono_ms\":1,\"payload\":{seq}}}\n"
        )
    }

    fn file(test: &str, content: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("tidegate-{test}-{}", std::process::id()));
        std::fs::write(&path, content).expect("written");
        path
    }

    /// Opens a file with this content; what it has afterwards and how many records were in it, or why not.
    fn opened(test: &str, content: &[u8]) -> Result<(Vec<u8>, u64), String> {
        let path = file(test, content);
        let mut mark = Mark::open(None, true).expect("no file");
        let output = Output::file(&path, &mut mark).map_err(|failure| failure.text);
        let left = std::fs::read(&path).expect("it is there");
        std::fs::remove_file(&path).expect("it is ours");
        output.map(|output| {
            assert_eq!(output.bytes(), left.len() as u64);
            (left, mark.received())
        })
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let two = line(1) + &line(2);
        for (n, content) in [
            format!("{two}hello\n"),
            format!("{two}hello\n{}", line(3)),
            "hello".to_owned(),
            "\n".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            let why =
                opened(&format!("foreign-{n}"), content.as_bytes()).expect_err("it is foreign");
            assert!(why.contains("something else"), "{why}");
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_removed() {
        let two = line(1) + &line(2);
        let third = line(3);
        for len in 0..third.len() {
            let content = two.clone() + &third[..len];
            let (left, records) = opened(&format!("cut-{len}"), content.as_bytes()).expect("ours");
            assert_eq!((left, records), (two.clone().into_bytes(), 2), "{len}");
        }
        // A power cut may leave a hole where a block was not written.
        let mut holed = (two.clone() + &third + &line(4)).into_bytes();
        holed[two.len() + 10..two.len() + 20].fill(0);
        assert_eq!(opened("hole", &holed), Ok((two.into_bytes(), 2)));
    }

    #[test]
    fn two_receivers_cannot_write_one_file() {
        let path = file("locked", line(1).as_bytes());
        let mut mark = Mark::open(None, true).expect("no file");
        let _first = Output::file(&path, &mut mark).expect("free");
        let second = Output::file(&path, &mut mark).expect_err("taken");
        assert!(second.text.contains("another receiver"), "{}", second.text);
        std::fs::remove_file(&path).expect("it is ours");
    }

    #[test]
    fn only_what_stands_behind_the_mark_is_read_again() {
        let state = file("mark", b"");
        std::fs::remove_file(&state).expect("it is ours");
        let path = file("marked", (line(1) + &line(2) + &line(3)).as_bytes());
        let mut mark = Mark::open(Some(state.clone()), true).expect("none yet");
        let output = Output::file(&path, &mut mark).expect("free");
        mark.write(output.bytes()).expect("written");
        drop(output);
        std::fs::write(&path, line(1) + &line(2) + &line(3) + &line(4)).expect("written");
        let mut mark = Mark::open(Some(state.clone()), true).expect("there");
        Output::file(&path, &mut mark).expect("free");
        assert_eq!((mark.received(), mark.duplicates()), (4, 0));
        // Another file under that name: all of it is read, and what was seen stays seen.
        std::fs::write(&path, line(2) + &line(5)).expect("written");
        let mut mark = Mark::open(Some(state.clone()), true).expect("there");
        Output::file(&path, &mut mark).expect("free");
        assert_eq!((mark.received(), mark.duplicates()), (4, 1));
        std::fs::remove_file(&path).expect("it is ours");
        std::fs::remove_file(&state).expect("it is ours");
    }
}
