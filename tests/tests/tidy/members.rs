//! The members of the workspace and what they depend on, as cargo sees them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tidegate_tests::programs;

/// One crate of the workspace.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    /// Folder, from the workspace's root.
    pub folder: String,
    /// Names of all it depends on: normal, build and test dependencies alike.
    pub dependencies: Vec<String>,
}

/// Every member.
pub fn all() -> Vec<Member> {
    let output = Command::new(env!("CARGO"))
        .current_dir(programs::workspace())
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let members: Vec<Member> = list(&metadata, "packages").iter().map(member).collect();
    assert!(members.len() > 5, "cargo lists the workspace: {members:?}");
    members
}

fn member(package: &Value) -> Member {
    let manifest = Path::new(text(package, "manifest_path"));
    let folder = manifest.parent().expect("Cargo.toml lies in a folder");
    let folder = folder.strip_prefix(programs::workspace()).unwrap_or(folder);
    Member {
        name: text(package, "name").to_owned(),
        folder: folder.to_string_lossy().into_owned(),
        dependencies: list(package, "dependencies")
            .iter()
            .map(|dependency| text(dependency, "name").to_owned())
            .collect(),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().expect("cargo's format has this list")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect("cargo's format has this text")
}
