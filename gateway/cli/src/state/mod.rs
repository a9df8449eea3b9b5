//! What this user's pushes leave on this machine: whose answers are believed, and what was pushed.
//!
//! ```text
//! $XDG_STATE_HOME/tidegate/            or ~/.local/state/tidegate/
//!   gateways/<gateway>.pub             the key that its answers must be signed with
//!   gateways/<gateway>.seen            the last answer's counter, by handler: older ones are replays
//!   pushed/<fleet>/<handler>           one line of JSON a push: see [`history`]
//!   invoked/<fleet>/<handler>          the last number that an event of a person's had, decimal
//!   orders/<digest>, blobs/<sha256>    what was pushed, to push it again
//! ```

mod history;
mod pins;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

pub use history::{Pushed, PushedWhat};
pub use pins::{Pin, Seen};

/// The folder.
#[derive(Clone, Debug)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// The user's own.
    ///
    /// # Errors
    /// When the environment names no place.
    pub fn of_user() -> Result<State, Failure> {
        let from = |variable: &str| {
            std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let base = from("XDG_STATE_HOME").or_else(|| Some(from("HOME")?.join(".local/state")));
        let base = base.ok_or_else(|| {
            Failure::failed(
                "there is no place for what pushes leave behind; set HOME or XDG_STATE_HOME",
            )
        })?;
        Ok(State::at(base.join("tidegate")))
    }

    /// One in a folder, which is made when something is written.
    pub fn at(root: PathBuf) -> State {
        State { root }
    }

    fn path(&self, parts: &[&str]) -> PathBuf {
        parts.iter().fold(self.root.clone(), |path, part| path.join(part))
    }
}

/// Writes a file so that it is whole or not there.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".new-{}", std::process::id()));
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&unfinished, bytes))
        .and_then(|()| fs::rename(&unfinished, path));
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "{} cannot be written: {error}; give room or rights there, or set XDG_STATE_HOME to another folder",
        path.display()
    ))
}

#[cfg(test)]
impl State {
    /// The folder, for tests that remove it.
    pub(crate) fn path_of_tests(&self) -> &Path {
        &self.root
    }
}
