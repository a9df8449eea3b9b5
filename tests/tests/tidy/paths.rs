//! What would bind the checkout to one machine.

use crate::files::SourceFile;

/// The one source that the lock file may name.
const REGISTRY: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index");

/// Folders of one person's machine. In two parts, so that this file does not hold them.
const FOLDERS: [(&str, &str); 5] =
    [("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/"), ("/wo", "rk/"), ("C:\\Us", "ers\\")];

/// Package registries and their mirrors: which one is used is the machine's business.
const HOSTS: [(&str, &str); 7] = [
    ("arti", "factory"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("pypi", ".org"),
    ("registry.npmjs", ".org"),
    ("deb.", "debian.org"),
    ("proxy.", "golang.org"),
];

/// Files that name a folder of one machine or the host of a registry.
pub fn machine_bound(files: &[SourceFile]) -> Vec<String> {
    let folders: Vec<String> = FOLDERS.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let hosts: Vec<String> = HOSTS.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            for folder in folders.iter().filter(|folder| starts_a_path(line, folder)) {
                findings.push(format!("{}:{number} names {folder}", file.path));
            }
            for host in hosts.iter().filter(|host| line.contains(*host)) {
                findings.push(format!("{}:{number} names {host}", file.path));
            }
        }
    }
    findings
}

/// Whether `folder` stands at the start of a path: `a/b/work/c` is somebody's topic.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|char: char| char.is_alphanumeric() || "_-.+#*}>~/".contains(char))
    })
}

/// Packages of the lock file from anywhere but the one registry.
pub fn foreign_sources(lock: &SourceFile) -> Vec<String> {
    let sources = lock.text.lines().filter_map(|line| line.strip_prefix("source = "));
    sources
        .filter(|source| source.trim_matches('"') != REGISTRY)
        .map(|source| format!("{} takes a package from {source}", lock.path))
        .collect()
}

/// Built files among the committed ones.
pub fn built_files(names: &[String]) -> Vec<String> {
    let is_built = |name: &&String| {
        [".wasm", ".o", ".so", ".rlib", ".elf", ".img"].iter().any(|end| name.ends_with(end))
    };
    names.iter().filter(is_built).map(|name| format!("{name} is built, not written")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found() {
        let check = |text: String, findings: usize| {
            let found = machine_bound(&[SourceFile::new("a.md", &text)]);
            assert_eq!(found.len(), findings, "{text}: {found:?}");
        };
        for (a, b) in FOLDERS {
            check(format!("cd {a}{b}x"), 1);
            check(format!("\"{a}{b}x\""), 1);
        }
        for (a, b) in HOSTS {
            check(format!("url = https://{a}{b}/x"), 1);
        }
        check("devices/+/work/x and /var/lib/tidegate and $HOME/x".to_owned(), 0);
        check("shop/work/floor, homework".to_owned(), 0);
    }

    #[test]
    fn a_package_from_elsewhere_is_found() {
        let lock =
            |source: &str| SourceFile::new("Cargo.lock", &format!("source = \"{source}\"\n"));
        assert_eq!(foreign_sources(&lock(REGISTRY)), [""; 0]);
        assert_eq!(foreign_sources(&lock("git+https://example.org/x")).len(), 1);
        assert_eq!(foreign_sources(&lock("registry+https://mirror.example.org/index")).len(), 1);
    }

    #[test]
    fn a_built_file_is_found() {
        let names = ["a.rs", "sdk/x.wasm", "image.img"].map(str::to_owned);
        assert_eq!(built_files(&names).len(), 2);
    }
}
