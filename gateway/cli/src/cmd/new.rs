//! `tidegate new`: a Rust handler that builds and passes its test at once.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_core::manifest::is_name;

use super::Command;
use crate::args::Args;
use crate::failure::Failure;

pub const COMMAND: Command = Command {
    name: "new",
    usage: "new NAME",
    about: "make a handler in Rust",
    help: "\
Makes the folder NAME with a Rust handler that builds and passes its test at once.

The handler depends on the SDK, which is looked for in this order: the folder that TIDEGATE_SDK names,
a Tidegate checkout around the new folder, one around this program; else
Cargo.toml asks the package registry for the version of this program.
",
    run,
};

/// The files of a new handler; `@NAME@` and `@SDK@` are filled in.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../../template/lib.rs.in")),
    ("handler.toml", include_str!("../../template/handler.toml.in")),
    ("events.txt", include_str!("../../template/events.txt")),
    ("golden.json", include_str!("../../template/golden.json.in")),
    ("README.md", include_str!("../../template/README.md.in")),
    (".gitignore", "target/\n*.wasm\n"),
];

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &[], &[])?;
    let name = args.word("the handler's name")?;
    let parent = std::env::current_dir().map_err(|error| {
        Failure::failed(format!("the current folder cannot be reached: {error}"))
    })?;
    let program = std::env::current_exe().unwrap_or_default();
    let sdk = Sdk::find(&parent, std::env::var_os("TIDEGATE_SDK").map(PathBuf::from), &program)?;
    make(&parent, name, &sdk)?;
    println!("{name}/ is a handler that depends on {}", sdk.describe());
    println!("  cargo test --manifest-path {name}/Cargo.toml    runs its test, natively");
    println!("  tidegate build {name}                           makes {name}/{name}.wasm");
    println!("  tidegate try {name} < {name}/events.txt         runs it over messages");
    println!(
        "  tidegate test {name}                            tries its golden events, as gateways do"
    );
    Ok(())
}

/// Makes the folder `name` under `parent`.
///
/// # Errors
/// When `name` is none, or is there already, or cannot be written.
pub fn make(parent: &Path, name: &str, sdk: &Sdk) -> Result<(), Failure> {
    if !is_name(name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(Failure::usage(format!(
            "{name:?} is no name for a handler; use 1 to 32 of a-z, 0-9 and -, a letter first"
        )));
    }
    let dir = parent.join(name);
    if dir.exists() {
        return Err(Failure::failed(format!(
            "{} is there already; choose another name",
            dir.display()
        )));
    }
    for (file, text) in FILES {
        let path = dir.join(file);
        let text = text.replace("@NAME@", name).replace("@SDK@", &sdk.dependency());
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| {
                Failure::failed(format!("{} cannot be written: {error}", path.display()))
            })?;
    }
    Ok(())
}

/// Where a new handler gets the SDK from.
#[derive(Debug, PartialEq, Eq)]
pub enum Sdk {
    /// When it lies on this machine.
    Path(PathBuf),
    /// When the registry must have it.
    Version(&'static str),
}

impl Sdk {
    /// Looks for the SDK for a handler under `parent`, `program` being this one: in target/ of its checkout, perhaps.
    /// Where it was built, it does not know: that path would make its bytes another on each machine.
    ///
    /// # Errors
    /// When `named` is no SDK.
    pub fn find(parent: &Path, named: Option<PathBuf>, program: &Path) -> Result<Sdk, Failure> {
        if let Some(named) = named {
            if is_sdk(&named) {
                return Ok(Sdk::Path(fs::canonicalize(&named).unwrap_or(named)));
            }
            return Err(Failure::config(format!(
                "TIDEGATE_SDK is {}, which is not the folder of tidegate-sdk; name sdk/rust of a Tidegate checkout",
                named.display()
            )));
        }
        let around = parent
            .ancestors()
            .chain(program.ancestors())
            .map(|dir| dir.join("sdk/rust"))
            .find(|dir| is_sdk(dir));
        Ok(around.map_or(Sdk::Version(env!("CARGO_PKG_VERSION")), Sdk::Path))
    }

    fn dependency(&self) -> String {
        match self {
            Sdk::Path(path) => format!("{{ path = {:?} }}", path.display().to_string()),
            Sdk::Version(version) => format!("{version:?}"),
        }
    }

    fn describe(&self) -> String {
        match self {
            Sdk::Path(path) => format!("the SDK in {}", path.display()),
            Sdk::Version(version) => format!(
                "tidegate-sdk {version} from the package registry; to use a checkout, set TIDEGATE_SDK to its sdk/rust"
            ),
        }
    }
}

fn is_sdk(dir: &Path) -> bool {
    fs::read_to_string(dir.join("Cargo.toml"))
        .is_ok_and(|text| text.contains("name = \"tidegate-sdk\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_are_refused() {
        let nowhere = Path::new("/nonexistent");
        for name in ["", "Big", "a/b", "..", "1st", "-a", "a_b", &"a".repeat(33)] {
            let refused =
                make(nowhere, name, &Sdk::Version("0")).map_err(|failure| failure.kind.code());
            assert_eq!(refused, Err(64), "{name:?}");
        }
    }

    #[test]
    fn a_folder_that_is_no_sdk_is_refused() {
        let failure = Sdk::find(Path::new("/"), Some("/nonexistent".into()), Path::new(""))
            .expect_err("no SDK there");
        assert_eq!(failure.kind.code(), 78);
    }

    #[test]
    fn the_checkout_has_the_sdk() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("it has");
        let program = checkout.join("target/release/tidegate");
        let found = Sdk::find(Path::new("/"), None, &program).expect("found");
        assert!(matches!(&found, Sdk::Path(path) if path.ends_with("sdk/rust")), "{found:?}");
        let installed = Sdk::find(Path::new("/"), None, Path::new("/usr/bin/tidegate"));
        assert!(matches!(installed, Ok(Sdk::Version(_))), "{installed:?}");
        assert_eq!(Sdk::Version("0.1.0").dependency(), "\"0.1.0\"");
    }
}
