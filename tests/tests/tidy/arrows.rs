//! Four floors, arrows downwards only, and libraries behind the crate that hides them.

use crate::files::SourceFile;
use crate::members::Member;

/// The floor of each crate. A new crate gets its line here, or the test fails.
const FLOORS: [(&str, u8); 16] = [
    ("gateway/core", 0),
    ("sdk/abi", 0),
    ("gateway/broker", 1),
    ("gateway/config", 1),
    ("gateway/envelope", 1),
    ("gateway/host", 1),
    ("gateway/journal", 1),
    ("gateway/release", 1),
    ("gateway/store", 1),
    ("sdk/rust", 1),
    ("gateway/daemon", 2),
    ("gateway/cli", 2),
    ("sdk/examples", 2),
    ("boards", 2),
    ("cross", 2),
    ("tests", 3),
];

/// The one arrow between neighbours: the journal hides the files, the store gives its frames a meaning.
const NEIGHBOURS: [(&str, &str); 1] = [("gateway/store", "gateway/journal")];

/// Who may depend on a library, by folder.
const IMPORTS: [(&str, &[&str]); 12] = [
    ("wasmi", &["gateway/host"]),
    ("wasmparser", &["gateway/host"]),
    ("mqtt-protocol-core", &["gateway/broker"]),
    ("toml", &["gateway/config"]),
    ("sled", &["gateway/daemon"]),
    ("ed25519-dalek", &["gateway/release"]),
    ("sha2", &["gateway/release"]),
    ("scrypt", &["gateway/release"]),
    ("chacha20poly1305", &["gateway/release"]),
    ("getrandom", &["gateway/release"]),
    // The local client; the demo's devices; the benchmark's native handler.
    ("rumqttc", &["gateway/daemon", "gateway/cli", "tests"]),
    ("tokio", &["gateway/daemon", "gateway/cli", "tests"]),
];

/// What depends on nothing of ours, whatever its floor: what is signed must not change because something else did.
const ALONE: [&str; 1] = ["gateway/release"];

/// In how many files of the daemon's sources a library may appear: local client and uplink; the shelf.
const FILES_MAX: [(&str, usize); 2] = [("rumqttc", 2), ("sled", 1)];

/// What the lowest floor may depend on: a bound that belongs in a type.
const LOWEST_MAY: [&str; 1] = ["heapless"];

/// Path is package: `gateway/core` is `tidegate-core`. These have names of their own.
const NAMES: [(&str, &str); 3] =
    [("sdk/rust", "tidegate-sdk"), ("gateway/daemon", "tidegated"), ("gateway/cli", "tidegate")];

fn floor(folder: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(path, _)| {
            folder == *path || folder.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        })
        .map(|(_, floor)| *floor)
}

/// Members without a floor, with a name that is not their path's, or with a dependency on their own
/// floor or above.
pub fn wrong_arrows(members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    for member in members {
        let Some(own) = floor(&member.folder) else {
            findings.push(format!("{} has no floor: decide, and add it to FLOORS", member.folder));
            continue;
        };
        if let Some(name) = name_of(&member.folder)
            && name != member.name
        {
            findings.push(format!("{} is named {}, not {name}", member.folder, member.name));
        }
        for dependency in &member.dependencies {
            let Some(other) = members.iter().find(|other| other.name == *dependency) else {
                continue;
            };
            if ALONE.contains(&member.folder.as_str()) {
                findings.push(format!("{} sees {dependency}: it stands alone", member.name));
                continue;
            }
            let is_neighbour = NEIGHBOURS.contains(&(&member.folder, &other.folder));
            if !is_neighbour && floor(&other.folder).is_none_or(|floor| floor >= own) {
                findings.push(format!(
                    "{} (floor {own}) sees {dependency}: arrows point to a lower floor",
                    member.name
                ));
            }
        }
    }
    findings
}

fn name_of(folder: &str) -> Option<String> {
    if let Some((_, name)) = NAMES.iter().find(|(path, _)| *path == folder) {
        return Some((*name).to_owned());
    }
    if let Some(example) = folder.strip_prefix("sdk/examples/") {
        return Some(example.to_owned());
    }
    Some(format!("tidegate-{}", folder.rsplit('/').next()?))
}

/// Members that depend on a library which belongs to another.
pub fn wrong_imports(members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    for member in members {
        for dependency in &member.dependencies {
            if let Some((library, homes)) = IMPORTS.iter().find(|(name, _)| name == dependency)
                && !homes.contains(&member.folder.as_str())
            {
                findings
                    .push(format!("{} imports {library}, which belongs to {homes:?}", member.name));
            }
        }
    }
    findings
}

/// The daemon's files that name a library, when there are more than it may be in.
pub fn scattered_imports(files: &[SourceFile]) -> Vec<String> {
    let mut findings = Vec::new();
    for (library, max) in FILES_MAX {
        let names: Vec<&str> = files
            .iter()
            .filter(|file| file.path.starts_with("gateway/daemon/src/") && file.has_word(library))
            .map(|file| file.path.as_str())
            .collect();
        if names.len() > max {
            findings
                .push(format!("{library} is in {} files of the daemon: {names:?}", names.len()));
        }
    }
    findings
}

/// Crates of the lowest floor that depend on something, or that need `std`.
pub fn heavy_floor(members: &[Member], files: &[SourceFile]) -> Vec<String> {
    let mut findings = Vec::new();
    for member in members.iter().filter(|member| floor(&member.folder) == Some(0)) {
        for dependency in &member.dependencies {
            if !LOWEST_MAY.contains(&dependency.as_str()) {
                findings.push(format!("{} depends on {dependency}", member.name));
            }
        }
        let root = format!("{}/src/lib.rs", member.folder);
        let is_no_std = files.iter().any(|file| {
            file.path == root && file.code.lines().any(|line| line.trim() == "#![no_std]")
        });
        if !is_no_std {
            findings.push(format!("{root} does not say #![no_std]"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, folder: &str, dependencies: &[&str]) -> Member {
        let dependencies = dependencies.iter().map(|name| (*name).to_owned()).collect();
        Member { name: name.to_owned(), folder: folder.to_owned(), dependencies }
    }

    #[test]
    fn an_upward_or_sideways_arrow_is_found() {
        let mut members = vec![
            member("tidegate-core", "gateway/core", &["heapless"]),
            member("tidegate-host", "gateway/host", &["tidegate-core", "wasmi"]),
            member("tidegate-broker", "gateway/broker", &["tidegate-core"]),
            member("overheat", "sdk/examples/overheat", &[]),
        ];
        members.push(member("tidegate-journal", "gateway/journal", &["tidegate-core"]));
        members.push(member("tidegate-store", "gateway/store", &["tidegate-journal"]));
        assert_eq!(wrong_arrows(&members), [""; 0]);
        members[4].dependencies.push("tidegate-store".into());
        assert_eq!(wrong_arrows(&members).len(), 1, "not the other way round");
        members[4].dependencies.pop();
        members[2].dependencies.push("tidegate-host".into());
        members[0].dependencies.push("tidegate-host".into());
        assert_eq!(wrong_arrows(&members).len(), 2);
    }

    #[test]
    fn what_stands_alone_sees_nothing_of_ours() {
        let core = member("tidegate-core", "gateway/core", &[]);
        let release = |dependencies| member("tidegate-release", "gateway/release", dependencies);
        assert_eq!(wrong_arrows(&[core.clone(), release(&["sha2"])]), [""; 0]);
        assert_eq!(wrong_arrows(&[core, release(&["sha2", "tidegate-core"])]).len(), 1);
    }

    #[test]
    fn a_crate_without_a_floor_or_with_a_false_name_is_found() {
        let members =
            [member("tidegate-util", "gateway/util", &[]), member("core", "gateway/core", &[])];
        assert_eq!(wrong_arrows(&members).len(), 2);
    }

    #[test]
    fn a_library_in_the_wrong_crate_is_found() {
        for (folder, library, findings) in [
            ("gateway/core", "wasmi", 1),
            ("gateway/daemon", "wasmparser", 1),
            ("gateway/daemon", "mqtt-protocol-core", 1),
            ("gateway/cli", "toml", 1),
            ("gateway/host", "rumqttc", 1),
            ("gateway/daemon", "ed25519-dalek", 1),
            ("gateway/cli", "scrypt", 1),
            ("gateway/release", "sha2", 0),
            ("gateway/host", "wasmi", 0),
            ("tests", "rumqttc", 0),
        ] {
            let members = [member("x", folder, &[library])];
            assert_eq!(wrong_imports(&members).len(), findings, "{library} in {folder}");
        }
    }

    #[test]
    fn a_third_file_with_the_client_is_found() {
        let file =
            |n: usize| SourceFile::new(&format!("gateway/daemon/src/f{n}.rs"), "use rumqttc::X;");
        assert_eq!(scattered_imports(&[file(1), file(2)]), [""; 0]);
        assert_eq!(scattered_imports(&[file(1), file(2), file(3)]).len(), 1);
        let shelf = |n: usize| SourceFile::new(&format!("gateway/daemon/src/s{n}.rs"), "sled::Db");
        assert_eq!(scattered_imports(&[shelf(1)]), [""; 0]);
        assert_eq!(scattered_imports(&[shelf(1), shelf(2)]).len(), 1);
        let comment = SourceFile::new("gateway/daemon/src/g.rs", "// rumqttc does not do this\n");
        assert_eq!(scattered_imports(&[file(1), file(2), comment]), [""; 0]);
    }

    #[test]
    fn a_lowest_crate_that_needs_more_is_found() {
        let members = [member("tidegate-core", "gateway/core", &["heapless", "serde"])];
        let good = [SourceFile::new("gateway/core/src/lib.rs", "//! Doc\n#![no_std]\n")];
        let bad = [SourceFile::new("gateway/core/src/lib.rs", "// #![no_std]\n")];
        assert_eq!(heavy_floor(&members, &good).len(), 1);
        assert_eq!(heavy_floor(&members, &bad).len(), 2);
    }
}
