//! `tidegate build`: from a Rust handler's folder to a module that the gateway will take.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tidegate_config::{Board, read_manifest};
use tidegate_core::Manifest;
use tidegate_host::{ModuleFacts, Reset, load};

use super::Command;
use crate::args::Args;
use crate::board;
use crate::failure::Failure;
use crate::toolchain::{self, STACK_KIB, Toolchain};

/// Rust's own default. Boards that allow a handler more memory than this are not in sight.
const STACK_KIB_MAX: u32 = 1024;

pub const COMMAND: Command = Command {
    name: "build",
    usage: "build [DIR] [--board BOARD] [--stack-kib N] [--json]",
    about: "build a handler and check its module",
    help: "\
Compiles the Rust handler in DIR (default: here) for wasm32, puts the module where handler.toml says,
and checks it against the ABI, the manifest and the board as the gateway will. Finds the compiler for
wasm32, or sets one up.

Options:
  --board BOARD    the board whose limits count: a name or a file (default: dev)
  --stack-kib N    stack of the handler, 1 to 1024 (default: 8); a handler that traps with
                   `memory-stack-overflow` needs more
  --json           the result as one JSON object
",
    run,
};

/// A module that was built and checked.
#[derive(Debug, Serialize)]
pub struct Built {
    pub handler: String,
    pub version: String,
    pub module: PathBuf,
    pub bytes: usize,
    pub code_bytes: usize,
    pub functions: usize,
    pub memory_kib: u64,
    pub memory_kib_max: u32,
    pub inbox_bytes: usize,
    pub image_bytes: usize,
    pub imports: Vec<&'static str>,
    pub exports: Vec<String>,
    pub init_fuel: u64,
    /// Why an event needs a fresh instance instead of a reset, where it does.
    pub fresh_instance_because: Option<&'static str>,
}

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], &["board", "stack-kib"])?;
    let dir = Path::new(args.word_or_none()?.unwrap_or("."));
    let stack_kib = args.option("stack-kib").map_or(Ok(STACK_KIB), stack_kib)?;
    let built = build(dir, &board::read(args.option("board"))?, stack_kib)?;
    if args.has("json") {
        println!("{}", serde_json::to_string(&built).expect("names and numbers are JSON"));
    } else {
        print!("{}", built.describe());
    }
    Ok(())
}

fn stack_kib(written: &str) -> Result<u32, Failure> {
    let kib = written.parse().ok();
    kib.filter(|kib| (1..=STACK_KIB_MAX).contains(kib)).ok_or_else(|| {
        Failure::usage(format!(
            "--stack-kib is `{written}`; it must be a whole number from 1 to {STACK_KIB_MAX}"
        ))
    })
}

/// Builds the handler in `dir`, with a stack of that size, and checks its module.
///
/// # Errors
/// When handler.toml is wrong, the handler does not compile, or its module cannot run on `board`.
pub fn build(dir: &Path, board: &Board, stack_kib: u32) -> Result<Built, Failure> {
    let handler = read_manifest(dir, board)?;
    let dir = fs::canonicalize(dir).map_err(|error| {
        Failure::config(format!("{} cannot be reached: {error}", dir.display()))
    })?;
    if !dir.join("Cargo.toml").is_file() {
        return Err(Failure::config(format!(
            "{} has no Cargo.toml, and only Rust handlers are built here; a module made elsewhere goes \
             to {} and needs no build",
            dir.display(),
            handler.module_path.display()
        )));
    }
    let target_dir = toolchain::target_dir(&dir)?;
    let toolchain = Toolchain::find(&dir, &target_dir.join("wasm-toolchain"))?;
    let compiled = toolchain::compile(&dir, &toolchain, stack_kib)?;
    let unreadable =
        |error| Failure::failed(format!("{} cannot be read: {error}", compiled.display()));
    let module = fs::read(&compiled).map_err(unreadable)?;
    let built = check(&module, &handler.module_path, handler.manifest, board)?;
    put(&module, &handler.module_path)?;
    Ok(built)
}

/// Loads the module as the gateway will.
fn check(module: &[u8], path: &Path, manifest: Manifest, board: &Board) -> Result<Built, Failure> {
    let manifest = Arc::new(manifest);
    let instance = load(module, Arc::clone(&manifest), &board.host.caps, 0)
        .map_err(|error| Failure::data(format!("{}: {error}", path.display())))?;
    Ok(Built::new(instance.facts(), path, &manifest))
}

/// Writes the module under another name first: whoever reads the file meanwhile sees the old or the new one.
fn put(module: &[u8], path: &Path) -> Result<(), Failure> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, module)
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))
}

impl Built {
    fn new(facts: &ModuleFacts, path: &Path, manifest: &Manifest) -> Built {
        Built {
            handler: manifest.name.clone(),
            version: manifest.version.clone(),
            module: path.to_owned(),
            bytes: facts.module_bytes,
            code_bytes: facts.code_bytes,
            functions: facts.functions,
            memory_kib: facts.memory_kib,
            memory_kib_max: manifest.limits.memory_kib,
            inbox_bytes: facts.inbox_bytes,
            image_bytes: facts.image_bytes,
            imports: facts.imports.clone(),
            exports: facts.exports.clone(),
            init_fuel: facts.init_fuel,
            fresh_instance_because: match facts.reset {
                Reset::Image => None,
                Reset::FreshInstance { because } => Some(because),
            },
        }
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "{} {}: {}\n  size     {} bytes, {} of them code in {} functions\n  memory   {} KiB of {} allowed, inbox {} bytes\n  imports  {}\n",
            self.handler,
            self.version,
            self.module.display(),
            self.bytes,
            self.code_bytes,
            self.functions,
            self.memory_kib,
            self.memory_kib_max,
            self.inbox_bytes,
            self.imports.join(" "),
        );
        if let Some(because) = self.fresh_instance_because {
            text.push_str(&format!(
                "  note     every event needs a fresh instance, which is slower: {because}\n"
            ));
        }
        text
    }
}
