//! The preloaded recorder, from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::log::Log;
use crate::programs;

/// The C files of `tests/recorder`.
const SOURCES: [&str; 3] = ["log.c", "contents.c", "names.c"];

/// Records what programs change below one folder.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    log: PathBuf,
    fault: Option<String>,
    /// Calls fail while it is there.
    ill: PathBuf,
}

impl Recorder {
    /// For changes below `folder`, which is there already. The log is a new file at `log`.
    pub fn new(folder: &Path, log: &Path) -> Recorder {
        let folder = folder.canonicalize().expect("the folder is there");
        fs::write(log, []).expect("the log can be written");
        let ill = log.with_extension("ill");
        Recorder { folder, log: log.to_owned(), fault: None, ill }
    }

    /// Lets calls fail: `write:17:28` the 17th write (or length) with errno 28, `write:17-20:28` that and three more,
    /// `sync:5+:5` every sync from the 5th on with errno 5, `write:1+:5,sync:1+:5` both; with `@state/` behind it only
    /// below that folder. In each process for itself, in every life until [`Recorder::heal`].
    #[must_use]
    pub fn with_fault(mut self, fault: &str) -> Recorder {
        self.fault = Some(fault.to_owned());
        self.fall_ill();
        self
    }

    /// From now on no call fails, also in programs that run.
    pub fn heal(&self) {
        // It may be well already.
        fs::remove_file(&self.ill).ok();
    }

    /// From now on calls fail again.
    pub fn fall_ill(&self) {
        fs::write(&self.ill, []).expect("a file can be written beside the log");
    }

    /// Has a program that is about to be started recorded, and every program that it starts.
    pub fn watch(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("TIDEGATE_RECORD_FOLDER", &self.folder)
            .env("TIDEGATE_RECORD_LOG", &self.log);
        if let Some(fault) = &self.fault {
            command.env("TIDEGATE_RECORD_FAULT", fault).env("TIDEGATE_RECORD_ILL", &self.ill);
        }
    }

    /// Where the log ends now: what a program did before it said something lies before the mark that is taken
    /// when it is heard. See [`Log::holds`].
    pub fn mark(&self) -> u64 {
        fs::metadata(&self.log).expect("the log is there").len()
    }

    /// What has been recorded so far.
    pub fn log(&self) -> Log {
        Log::read(&self.log).unwrap_or_else(|what| panic!("{}: {what}", self.log.display()))
    }
}

/// The shared object, built once in a process.
fn library() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| programs::shared_object("recorder", &SOURCES))
}
