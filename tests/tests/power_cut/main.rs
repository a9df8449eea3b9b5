//! The recorder records everything, and the disks rebuilt from it show what a program has not made durable.

mod faithful;
mod faults;
mod house;
mod planted;
mod records;

use std::path::Path;
use std::process::Command;

use tidegate_tests::power_cut::Recorder;
use tidegate_tests::scratch::Scratch;

/// A folder to be recorded in, and the recorder.
struct Bench {
    scratch: Scratch,
    recorder: Recorder,
}

impl Bench {
    fn new(name: &str) -> Bench {
        let scratch = Scratch::new(name);
        std::fs::create_dir(scratch.path().join("watched")).expect("a folder of our own");
        let recorder =
            Recorder::new(&scratch.path().join("watched"), &scratch.path().join("recorded"));
        Bench { scratch, recorder }
    }

    fn watched(&self) -> std::path::PathBuf {
        self.scratch.path().join("watched")
    }

    /// The subject, recorded.
    fn subject(&self, what: &str, rest: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_subject")));
        command.arg(what).arg(self.watched()).args(rest);
        self.recorder.watch(&mut command);
        command
    }
}
