//! Finds or sets up a compiler for wasm32, and runs cargo with it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::failure::Failure;

/// The script of the repository, so that the tool works without it.
const SCRIPT: &str = include_str!("../../../cross/wasm-toolchain.sh");
/// What it is compiled for.
const TARGET: &str = "wasm32-unknown-unknown";
/// The guest's stack, where nothing else is asked for. Rust asks for 1 MiB, which is memory to look at after
/// every event; the deepest of the examples uses less than one KiB.
pub const STACK_KIB: u32 = 8;

/// Flags for the linker. The stack lies below the data, so that an overflow traps. `__heap_base`
/// says where the data ends: of a module without an allocator the host takes away what lies above.
fn link_flags(stack_kib: u32) -> String {
    format!("-Clink-arg=-zstack-size={}\u{1f}-Clink-arg=--export=__heap_base", stack_kib * 1024)
}

/// The environment in which cargo compiles for wasm32.
#[derive(Debug, PartialEq, Eq)]
pub struct Toolchain(Vec<(String, String)>);

impl Toolchain {
    /// Finds a compiler, or sets one up under `cache`; what it does is said on standard error.
    ///
    /// # Errors
    /// When there is none and none can be had.
    pub fn find(dir: &Path, cache: &Path) -> Result<Toolchain, Failure> {
        let output = Command::new("sh")
            .args(["-c", SCRIPT, "wasm-toolchain.sh"])
            .current_dir(dir)
            .env("TIDEGATE_TOOLCHAIN_DIR", cache)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| Failure::failed(format!("`sh` cannot be run: {error}")))?;
        if !output.status.success() {
            return Err(Failure::failed(
                "no compiler for wasm32 could be found or set up; the lines above say what was tried",
            ));
        }
        Ok(Toolchain(variables(&String::from_utf8_lossy(&output.stdout))))
    }
}

/// The lines `NAME=value`.
fn variables(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Where cargo puts what it builds for the package in `dir`.
///
/// # Errors
/// When there is no cargo, or no package.
pub fn target_dir(dir: &Path) -> Result<PathBuf, Failure> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let mut cargo = cargo(dir);
    cargo.args(["metadata", "--format-version=1", "--no-deps"]);
    let metadata = output(cargo, dir)?;
    serde_json::from_slice::<Metadata>(&metadata).map(|metadata| metadata.target_directory).map_err(
        |error| Failure::failed(format!("`cargo metadata` said something unexpected: {error}")),
    )
}

/// Compiles the package in `dir`, with a stack of that size, and returns the module's file.
///
/// # Errors
/// When it does not compile, or is no library of type `cdylib`.
pub fn compile(dir: &Path, toolchain: &Toolchain, stack_kib: u32) -> Result<PathBuf, Failure> {
    let mut cargo = cargo(dir);
    cargo
        .args(["build", "--release", "--lib", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        .env("CARGO_ENCODED_RUSTFLAGS", link_flags(stack_kib))
        .envs(toolchain.0.iter().map(|(name, value)| (name, value)));
    let messages = output(cargo, dir)?;
    module_of(&String::from_utf8_lossy(&messages), &dir.join("Cargo.toml")).ok_or_else(|| {
        Failure::config(format!(
            "{} does not make a module; add to it:\n  [lib]\n  crate-type = [\"cdylib\", \"rlib\"]",
            dir.join("Cargo.toml").display()
        ))
    })
}

/// The module among the artifacts that cargo reports, one JSON object a line.
fn module_of(messages: &str, manifest: &Path) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        manifest_path: PathBuf,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.manifest_path == manifest)
        .flat_map(|message| message.filenames)
        .find(|file| file.extension() == Some(OsStr::new("wasm")))
}

fn cargo(dir: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(dir).stdin(Stdio::null()).stderr(Stdio::inherit());
    cargo
}

fn output(mut cargo: Command, dir: &Path) -> Result<Vec<u8>, Failure> {
    let output = cargo.output().map_err(|error| {
        Failure::failed(format!("cargo cannot be run ({error}); install Rust, then try again"))
    })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Failure::failed(format!(
            "cargo did not build {}; its messages are above",
            dir.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_result_is_lines_of_names_and_values() {
        assert_eq!(variables(""), []);
        let expect = [("RUSTC".to_owned(), "/a b/rustc=1".to_owned())];
        assert_eq!(variables("RUSTC=/a b/rustc=1\nno variable\n"), expect);
    }

    #[test]
    fn the_module_is_the_packages_own_wasm_file() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/x/dep/Cargo.toml","filenames":["/t/dep.wasm"]}
            {"reason":"compiler-artifact","manifest_path":"/x/h/Cargo.toml","filenames":["/t/libh.rlib","/t/h.wasm"]}
            {"reason":"build-finished","success":true}
            not json"#;
        let module = |manifest: &str| module_of(messages, Path::new(manifest));
        assert_eq!(module("/x/h/Cargo.toml"), Some(PathBuf::from("/t/h.wasm")));
        assert_eq!(module("/x/other/Cargo.toml"), None);
    }
}
