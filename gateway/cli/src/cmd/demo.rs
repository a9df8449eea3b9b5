//! `tidegate demo`: the main job on this machine, in front of your eyes.

use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use super::{Command, build};
use crate::args::Args;
use crate::board;
use crate::demo::{Demo, Summary};
use crate::failure::Failure;
use crate::push::package::Package;
use crate::toolchain::STACK_KIB;

pub const COMMAND: Command = Command {
    name: "demo",
    usage: "demo [--seconds N] [--json]",
    about: "run the main job here: a daemon, a handler, five devices",
    help: "\
Builds the daemon and the example handler `overheat`, starts the daemon on a free loopback port, pushes the
handler to it, signed, and lets five simulated devices publish 20 messages a second each. Each device works
out what it should hear and counts what it does not. Half way (or after 10 s) a second version is pushed, live.
Ctrl-C ends it.

Options:
  --seconds N    end by itself after N seconds
  --json         one JSON line at the end and nothing else on standard output

Exit status: 0 when reactions came, none was lost, and what was pushed runs; 1 otherwise.
",
    run,
};

/// Where the example lies in a checkout.
const EXAMPLE: &str = "sdk/examples/overheat";

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["json"], &["seconds"])?;
    if let Some(word) = args.word_or_none()? {
        return Err(Failure::usage(format!("`{word}` is not wanted here")));
    }
    let seconds = args.option("seconds").map(|text| {
        text.parse()
            .map_err(|_| Failure::usage(format!("--seconds {text}: a whole number is wanted")))
    });
    let seconds = seconds.transpose()?;
    let json = args.has("json");
    let root = checkout()?;
    let handler = root.join(EXAMPLE);
    eprintln!("building the handler {EXAMPLE} ...");
    let built = build::build(&handler, &board::read(None)?, STACK_KIB)?;
    eprintln!("  {} bytes of wasm, {} KiB of memory", built.bytes, built.memory_kib);
    let package = Package::read(&handler, &board::read(None)?)?;
    let program = daemon(&root)?;
    let folder = build_folder(&program)?.join("demo");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::failed(format!("cannot make {}: {error}", folder.display())))?;
    let demo = Demo { program, handler: package, folder, seconds, json };
    let summary = demo.run().map_err(|error| Failure::failed(format!("{error:#}")))?;
    tell(&summary, json);
    if summary.lost > 0 {
        return Err(Failure::failed(format!("{} reactions were lost or wrong", summary.lost)));
    }
    if summary.reactions == 0 {
        return Err(Failure::failed(
            "no reaction came; run it for longer, and see the daemon's log",
        ));
    }
    Ok(())
}

fn tell(summary: &Summary, json: bool) {
    if json {
        println!("{}", serde_json::to_string(summary).expect("numbers are JSON"));
        return;
    }
    let Summary { messages, reactions, lost, p50_us, p99_us, rss_kb, deploys, deploy_ms } = summary;
    println!(
        "\n{messages} messages, {reactions} reactions, {lost} lost.\n\
         Device to handler to device: {p50_us} us in the median, {p99_us} us p99. Daemon: {rss_kb} KB.\n\
         {deploys} versions pushed live, {deploy_ms} ms each from the last byte until it ran."
    );
}

/// The checkout around the current folder, or around this program.
fn checkout() -> Result<PathBuf, Failure> {
    let places = [std::env::current_dir(), std::env::current_exe()];
    let roots = places.iter().flatten().flat_map(|place| place.ancestors());
    let is_root = |root: &&Path| root.join(EXAMPLE).join("handler.toml").is_file();
    roots.into_iter().find(is_root).map(Path::to_path_buf).ok_or_else(|| {
        Failure::failed(format!(
            "the demo needs Tidegate's sources for the handler {EXAMPLE}; run it as `cargo demo` in a checkout"
        ))
    })
}

/// The daemon beside this program, built from the same sources.
fn daemon(root: &Path) -> Result<PathBuf, Failure> {
    eprintln!("building tidegated ...");
    // Not `-p`: so that it shares its dependencies, feature by feature, with this program's own build.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Process::new(cargo)
        .args(["build", "--release", "--quiet", "--bin", "tidegated"])
        .current_dir(root)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| Failure::failed(format!("cannot run cargo: {error}")))?;
    if !status.success() {
        return Err(Failure::failed("tidegated does not build; the compiler's words are above"));
    }
    let own = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find this program's folder: {error}")))?;
    let program = own.with_file_name("tidegated");
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::failed(format!(
        "tidegated is not beside this program ({}); run the demo as `cargo demo`",
        program.display()
    )))
}

/// The folder that holds build output: two above the program.
fn build_folder(program: &Path) -> Result<PathBuf, Failure> {
    let folder = program.parent().and_then(Path::parent);
    folder.map(Path::to_path_buf).ok_or_else(|| Failure::failed("this program lies in no folder"))
}
