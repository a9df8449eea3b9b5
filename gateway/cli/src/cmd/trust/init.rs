//! The first trust file of a fleet.

use std::collections::BTreeSet;
use std::path::Path;

use tidegate_release::trust::{Content, Role, Trust, Wrong};
use tidegate_release::{Name, PublicKey, SecretKey};

use super::output;
use crate::args::Args;
use crate::failure::Failure;
use crate::{key_files, passphrase};

const OPTIONS: [&str; 7] =
    ["fleet", "root", "release", "key", "threshold", "release-threshold", passphrase::OPTION];

pub(super) fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &[], &OPTIONS)?;
    if let Some(word) = args.word_or_none()? {
        return Err(Failure::usage(format!(
            "`{word}` is not wanted here; every root has its own --root"
        )));
    }
    output::check_redirected()?;
    let fleet = args.option("fleet").unwrap_or("fleet");
    let fleet =
        Name::new(fleet).map_err(|error| Failure::usage(format!("--fleet {fleet:?} {error}")))?;
    let roots = public_keys(&args.options("root"))?;
    if roots.is_empty() {
        return Err(Failure::usage("--root is missing: the .pub file of `tidegate keygen`"));
    }
    let release = match public_keys(&args.options("release"))? {
        none if none.is_empty() => roots.clone(),
        release => release,
    };
    let content = Content {
        fleet,
        version: 1,
        key_epoch: 1,
        roots: role(roots, threshold(&args, "threshold")?.unwrap_or(1)),
        release: role(release, threshold(&args, "release-threshold")?.unwrap_or(1)),
        revoked: BTreeSet::new(),
    };
    let keys = keys(&args)?;
    let file = content
        .sign(&keys.iter().collect::<Vec<_>>())
        .map_err(|error| Failure::data(error.to_string()))?;
    let note = match Trust::first(&file) {
        Ok(_) => None,
        Err(error @ Wrong::TooFewSignatures { .. }) => Some(error.to_string()),
        Err(error) => return Err(Failure::data(error.to_string())),
    };
    output::write(&file, &content, note)
}

/// The keys of `--key`; without one, those that lie beside the roots' public keys.
fn keys(args: &Args) -> Result<Vec<SecretKey>, Failure> {
    if !args.options("key").is_empty() {
        return key_files::signing_keys(args);
    }
    let beside = |root: &str| Some(format!("{}.key", root.strip_suffix(".pub")?));
    let beside: Vec<String> = args
        .options("root")
        .into_iter()
        .filter_map(beside)
        .filter(|path| Path::new(path).is_file())
        .collect();
    if beside.is_empty() {
        return Err(Failure::usage(
            "--key is missing: the secret key of a root, to sign the file with",
        ));
    }
    beside.iter().map(|path| key_files::secret(path, args)).collect()
}

pub(super) fn public_keys(paths: &[&str]) -> Result<Vec<PublicKey>, Failure> {
    paths.iter().map(|path| key_files::public(path)).collect()
}

pub(super) fn role(mut keys: Vec<PublicKey>, threshold: u32) -> Role {
    keys.sort_unstable();
    Role { keys, threshold }
}

pub(super) fn threshold(args: &Args, option: &str) -> Result<Option<u32>, Failure> {
    let Some(text) = args.option(option) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|_| Failure::usage(format!("--{option} {text}: a whole number is wanted")))
}
