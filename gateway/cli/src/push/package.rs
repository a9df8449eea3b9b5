//! From a handler's folder to what is signed, and the bytes that travel beside it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tidegate_config::{Board, HandlerDir, read_handler};
use tidegate_core::manifest as core;
use tidegate_core::release::Probation as CoreProbation;
use tidegate_host::load;
use tidegate_release::Name;
use tidegate_release::hash::digest_of;
use tidegate_release::manifest::{
    Blob, Grants, Install, Isolation, Limits, Probation, Provenance, React,
};

use super::golden_file;
use crate::failure::Failure;

/// A handler as it is pushed.
#[derive(Clone, Debug)]
pub struct Package {
    pub handler: Name,
    pub install: Install,
    /// The module, then the golden events when there are some.
    pub blobs: Vec<Vec<u8>>,
    pub provenance: Provenance,
}

impl Package {
    /// Reads a folder and checks its module as a gateway with that board will.
    ///
    /// # Errors
    /// When handler.toml, the module or the golden events are wrong.
    pub fn read(dir: &Path, board: &Board) -> Result<Package, Failure> {
        let folder = read_handler(dir, board)?;
        let path = folder.module_path.clone();
        let module = fs::read(&path).map_err(|error| {
            Failure::data(format!("{} cannot be read: {error}", path.display()))
        })?;
        let manifest = Arc::new(folder.manifest.clone());
        load(&module, manifest, &board.host.caps, 0)
            .map_err(|error| Failure::data(format!("{}: {error}", path.display())))?;
        let golden = golden_file::read(dir)?;
        let golden = golden.map(|golden| golden.encode()).transpose().map_err(|error| {
            Failure::data(format!("{}: {error}", dir.join(golden_file::FILE).display()))
        })?;
        Package::of(&folder, module, golden)
    }

    fn of(
        folder: &HandlerDir,
        module: Vec<u8>,
        golden: Option<Vec<u8>>,
    ) -> Result<Package, Failure> {
        let handler = name(&folder.manifest.name)?;
        let install = install(folder, &module, golden.as_deref())?;
        let blobs = [Some(module), golden].into_iter().flatten().collect();
        Ok(Package { handler, install, blobs, provenance: provenance(Some(&folder.dir)) })
    }
}

fn name(text: &str) -> Result<Name, Failure> {
    Name::new(text).map_err(|error| Failure::config(format!("{text:?} {error}")))
}

/// Each once, in order, as they are signed.
fn names(texts: &[String]) -> Result<Vec<Name>, Failure> {
    let mut names: Vec<Name> = texts.iter().map(|text| name(text)).collect::<Result<_, _>>()?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// `handler.toml`, as it is signed.
fn install(folder: &HandlerDir, module: &[u8], golden: Option<&[u8]>) -> Result<Install, Failure> {
    let manifest = &folder.manifest;
    let texts = |filters: &[tidegate_core::topic::Filter]| {
        filters.iter().map(|filter| filter.as_str().to_owned()).collect()
    };
    let (streams, pins) = (names(&manifest.grants.send)?, names(&manifest.grants.gpio)?);
    let core::HandlerLimits { fuel, memory_kib, deadline_ms, publishes } = manifest.limits;
    Ok(Install {
        module: blob(module),
        version: manifest.version.clone(),
        events: texts(&manifest.triggers),
        grants: Grants { publish: texts(&manifest.grants.publish), streams, pins },
        limits: Limits { fuel, memory_kib, deadline_ms, publishes },
        settings: manifest.config.clone(),
        isolation: match manifest.isolation {
            core::Isolation::Event => Isolation::Event,
            core::Isolation::Instance => Isolation::Instance,
        },
        react: match manifest.react {
            core::React::Now => React::Now,
            core::React::Durable => React::Durable,
        },
        golden: golden.map(blob),
        migrate_from: folder.migrate_from.clone(),
        probation: probation(&folder.probation),
    })
}

/// In a signed order the largest number is no bound; in handler.toml it is 0.
fn probation(written: &CoreProbation) -> Probation {
    let bound = |written: u32| if written == 0 { u32::MAX } else { written };
    Probation {
        events: bound(written.events).into(),
        uptime_ms: written.uptime_ms,
        failed_per_mille_max: written.failed_per_mille_max.into(),
        deadline_misses_max: written.deadline_misses_max,
        p99_us_max: bound(written.p99_us_max),
        memory_kib_max: bound(written.memory_kib_max),
    }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { digest: digest_of(bytes), bytes: bytes.len() as u64 }
}

/// Who made it, with what, from which sources: as far as this machine knows.
pub fn provenance(dir: Option<&Path>) -> Provenance {
    let author = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    Provenance {
        author: plain(&author),
        built_with: format!("tidegate {}", env!("CARGO_PKG_VERSION")),
        source: dir.and_then(commit).map(|text| plain(&text)).unwrap_or_default(),
    }
}

/// The sources' commit, where they lie in a Git repository.
fn commit(dir: &Path) -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).filter(char::is_ascii).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_in_handler_toml_is_no_bound() {
        let signed = probation(&CoreProbation { events: 0, ..CoreProbation::DEFAULT });
        assert_eq!(signed.events, u64::from(u32::MAX), "time alone decides");
        assert_eq!((signed.p99_us_max, signed.memory_kib_max), (u32::MAX, u32::MAX));
        assert_eq!((signed.failed_per_mille_max, signed.deadline_misses_max), (0, 0));
        let tight = CoreProbation { p99_us_max: 900, memory_kib_max: 64, ..CoreProbation::DEFAULT };
        let signed = probation(&tight);
        assert_eq!((signed.p99_us_max, signed.memory_kib_max), (900, 64));
        assert_eq!((signed.events, signed.uptime_ms), (1_000, 60_000));
    }

    #[test]
    fn provenance_can_be_signed() {
        assert_eq!(plain("ann\u{1b}[31m \u{e9}ve"), "ann[31m ve");
        assert_eq!(plain(&"x".repeat(200)).len(), 64);
    }
}
