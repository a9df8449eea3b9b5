//! The programs under test: found, or built once in a run; and where they run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fs, process};

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// The cargo profile in which programs are tested: `TIDEGATE_PROFILE`; or `release` for the
/// benchmark, which is built that way itself; or `quick`, which runs the release code paths without
/// the wait for link-time optimisation. `tests/run` says `release`, because that is what ships.
pub fn profile() -> String {
    let default = if cfg!(debug_assertions) { "quick" } else { "release" };
    env::var("TIDEGATE_PROFILE").unwrap_or_else(|_| default.to_owned())
}

/// The daemon: `TIDEGATED_BIN`, or built in [`profile`], once in a process.
pub fn tidegated() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| found_or_built("TIDEGATED_BIN", "tidegated"))
}

/// The tool: `TIDEGATE_BIN`, or built in [`profile`], once in a process.
pub fn tidegate() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| found_or_built("TIDEGATE_BIN", "tidegate"))
}

fn found_or_built(variable: &str, package: &str) -> PathBuf {
    if let Ok(path) = env::var(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable}={} is no file", path.display());
        return path;
    }
    let profile = profile();
    build(&["-p", package, "--profile", &profile]);
    let folder = if profile == "dev" { "debug" } else { &profile };
    target_dir().join(folder).join(package)
}

/// The folder of an example handler under `sdk/examples`, its module built as users build theirs:
/// with `tidegate build`.
pub fn example(name: &str) -> PathBuf {
    let folder = workspace().join("sdk/examples").join(name);
    let output = Command::new(tidegate())
        .arg("build")
        .arg(&folder)
        .output()
        .expect("the tool was just built");
    assert!(
        output.status.success(),
        "tidegate build {}:\n{}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    folder
}

fn build(arguments: &[&str]) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .arg("build")
        .args(arguments)
        .env("CARGO_TARGET_DIR", target_dir())
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "cargo build {arguments:?}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Cargo's target folder: where this program itself was built.
pub fn target_dir() -> PathBuf {
    let own = env::current_exe().expect("a running program has a path");
    // Cargo tags a folder that it makes, and leaves its notes on rustc in any.
    let is_target = |folder: &&Path| {
        ["CACHEDIR.TAG", ".rustc_info.json"].iter().any(|name| folder.join(name).is_file())
    };
    own.ancestors().find(is_target).map_or_else(|| workspace().join("target"), Path::to_path_buf)
}

/// The path of `program`, looked for in `PATH` and where system services live.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| fs::metadata(path).is_ok_and(|meta| meta.is_file()))
}

/// On which core a program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The one core it may use; `None` leaves it to the scheduler.
    pub core: Option<usize>,
    /// How much longer each of its syncs takes than the disk: as on a card. See `tests/recorder/slow.c`.
    pub slow_sync: Option<Duration>,
}

impl Placement {
    /// A command that starts `program` there.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = match self.core {
            None => Command::new(program),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
        };
        if let Some(slow) = self.slow_sync {
            let library = shared_object("slow-sync", &["slow.c"]);
            command
                .env("LD_PRELOAD", library)
                .env("TIDEGATE_SLOW_SYNC_US", slow.as_micros().to_string());
        }
        command
    }
}

/// Something to preload, from C files of `tests/recorder`.
pub fn shared_object(name: &str, sources: &[&str]) -> PathBuf {
    let target = target_dir();
    // Another process may be building it too: each under a name of its own, the last one stays.
    let building = target.join(format!("{name}-{}.so", process::id()));
    let built = target.join(format!("{name}.so"));
    let output = Command::new("cc")
        .current_dir(workspace().join("tests/recorder"))
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&building)
        .args(sources)
        .args(["-ldl", "-lpthread"])
        .output()
        .expect("there is a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&building, &built).expect("the target folder can be written");
    built
}
