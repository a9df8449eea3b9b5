//! Passphrases: from a file, the environment, or a person at a terminal, who does not see what is typed.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::args::Args;
use crate::failure::Failure;

/// The option that names a file.
pub const OPTION: &str = "passphrase-file";
const VARIABLE: &str = "TIDEGATE_PASSPHRASE";
/// Nobody types more.
const BYTES_MAX: u64 = 4096;

/// A passphrase that is there without asking.
///
/// # Errors
/// When the named file cannot be read.
pub fn given(args: &Args) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(path) = args.option(OPTION) {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::data(format!("--{OPTION} {path} cannot be read: {error}")))?;
        let text = Zeroizing::new(text);
        return Ok(Some(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())));
    }
    Ok(std::env::var(VARIABLE).ok().map(Zeroizing::new))
}

/// Asks for the passphrase of a key that is there.
///
/// # Errors
/// When there is nobody to ask.
pub fn ask(name: &str) -> Result<Zeroizing<String>, Failure> {
    Terminal::open(name)?.ask(&format!("Passphrase of {name}: "))
}

/// Asks for a new passphrase, twice.
///
/// # Errors
/// When there is nobody to ask, or the two differ.
pub fn ask_twice(name: &str) -> Result<Zeroizing<String>, Failure> {
    let mut terminal = Terminal::open(name)?;
    let first = terminal.ask(&format!("New passphrase for {name}: "))?;
    let second = terminal.ask("The same again: ")?;
    if first != second {
        return Err(Failure::data("the two passphrases differ; nothing was written, try again"));
    }
    Ok(first)
}

/// The terminal, without echo until it is dropped.
struct Terminal {
    tty: File,
    before: Termios,
}

impl Terminal {
    fn open(name: &str) -> Result<Terminal, Failure> {
        let nobody = |_| {
            Failure::usage(format!(
                "{name} needs a passphrase and there is no terminal to ask at; put it into a file and give \
                 --{OPTION} FILE, or set {VARIABLE}"
            ))
        };
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(nobody)?;
        let before = tcgetattr(&tty).map_err(|error| nobody(error.into()))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&tty, OptionalActions::Flush, &silent).map_err(|error| nobody(error.into()))?;
        Ok(Terminal { tty, before })
    }

    fn ask(&mut self, question: &str) -> Result<Zeroizing<String>, Failure> {
        let failed =
            |error| Failure::failed(format!("the terminal cannot be read: {error}; try again"));
        self.tty.write_all(question.as_bytes()).map_err(failed)?;
        let mut line = Zeroizing::new(String::new());
        let limited = std::io::Read::take(&self.tty, BYTES_MAX);
        BufReader::new(limited).read_line(&mut line).map_err(failed)?;
        let end = line.trim_end_matches(['\r', '\n']).len();
        line.truncate(end);
        Ok(line)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if tcsetattr(&self.tty, OptionalActions::Flush, &self.before).is_err() {
            // It is closed, so nobody misses the echo.
        }
    }
}
