//! The next trust file, on top of one that is there.

use tidegate_release::trust::{Content, Role, Rotated, Trust, Wrong, cosign, peek};
use tidegate_release::{KeyId, PublicKey};

use super::init::{public_keys, threshold};
use super::output;
use crate::args::Args;
use crate::failure::Failure;
use crate::{key_files, passphrase};

const ROTATE: [&str; 8] = [
    "key",
    "add-root",
    "remove-root",
    "add-release",
    "remove-release",
    "threshold",
    "release-threshold",
    passphrase::OPTION,
];

pub(super) fn rotate(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &[], &ROTATE)?;
    let path = args.word("the trust file")?;
    let before = read(path)?;
    let mut content = before.content().clone();
    change(&mut content.roots, &args, "root", "threshold")?;
    change(&mut content.release, &args, "release", "release-threshold")?;
    if content == *before.content() {
        return Err(Failure::usage(
            "nothing would change; give --add-root, --remove-root, --add-release, --remove-release or a threshold",
        ));
    }
    finish(&before, content, &args)
}

pub(super) fn revoke(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &[], &["key", passphrase::OPTION])?;
    let [id, path] = args.words() else {
        return Err(Failure::usage("two words are wanted: KEYID FILE"));
    };
    let id: KeyId = id.parse().map_err(|error| Failure::usage(format!("{id:?} {error}")))?;
    let before = read(path)?;
    let mut content = before.content().clone();
    let named = before.content().roots.key(id).is_some() || content.release.key(id).is_some();
    if !named {
        return Err(Failure::data(format!(
            "{path} names no key {id}, so there is nothing to revoke; `tidegate trust show {path}` lists its keys"
        )));
    }
    for (name, role) in [("root", &mut content.roots), ("release key", &mut content.release)] {
        remove(role, id);
        if role.keys.is_empty() {
            return Err(Failure::data(format!(
                "{id} is the only {name} of {path}; add another first with `tidegate trust rotate`"
            )));
        }
        role.threshold = role.threshold.min(u32::try_from(role.keys.len()).unwrap_or(u32::MAX));
    }
    content.revoked.insert(id);
    // What the thief signed is then behind, however high its seq.
    content.key_epoch = content.key_epoch.checked_add(1).ok_or_else(|| {
        Failure::data(format!("{path} has the last key epoch there is; begin a new fleet"))
    })?;
    finish(&before, content, &args)
}

pub(super) fn sign(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &[], &["key", passphrase::OPTION])?;
    let path = args.word("the trust file")?;
    output::check_redirected()?;
    let told = |error: Wrong| Failure::data(format!("{path}: {error}"));
    let mut file = key_files::bytes(path)?;
    for key in key_files::signing_keys(&args)? {
        file = cosign(&file, &key).map_err(told)?;
    }
    let (content, _) = peek(&file).map_err(told)?;
    let note = match Trust::first(&file) {
        Ok(_) => None,
        // It may be by roots of the one before, which is not here.
        Err(error @ (Wrong::TooFewSignatures { .. } | Wrong::UnknownKey(_))) => {
            Some(error.to_string())
        }
        Err(error) => return Err(told(error)),
    };
    output::write(&file, &content, note)
}

fn read(path: &str) -> Result<Trust, Failure> {
    Trust::first(&key_files::bytes(path)?)
        .map_err(|error| Failure::data(format!("{path}: {error}")))
}

fn finish(before: &Trust, mut content: Content, args: &Args) -> Result<(), Failure> {
    output::check_redirected()?;
    content.version += 1;
    let keys = key_files::signing_keys(args)?;
    let told = |error: Wrong| Failure::data(error.to_string());
    let file = content.sign(&keys.iter().collect::<Vec<_>>()).map_err(told)?;
    let note = match before.rotate(&file) {
        Ok(Rotated::Next(_) | Rotated::Same | Rotated::Older) => None,
        Err(error @ (Wrong::TooFewSignatures { .. } | Wrong::TooFewOldSignatures { .. })) => {
            Some(error.to_string())
        }
        Err(error) => return Err(told(error)),
    };
    output::write(&file, &content, note)
}

/// Adds, removes and sets how many must sign.
fn change(role: &mut Role, args: &Args, name: &str, most: &str) -> Result<(), Failure> {
    for removed in args.options(&format!("remove-{name}")) {
        let id = match removed.parse() {
            Ok(id) => id,
            Err(_) => key_files::public(removed)?.id(),
        };
        if !remove(role, id) {
            return Err(Failure::data(format!(
                "--remove-{name} {removed}: there is no such key; `tidegate trust show` lists them"
            )));
        }
    }
    for key in public_keys(&args.options(&format!("add-{name}")))? {
        add(role, key);
    }
    if let Some(threshold) = threshold(args, most)? {
        role.threshold = threshold;
    }
    Ok(())
}

fn remove(role: &mut Role, id: KeyId) -> bool {
    let before = role.keys.len();
    role.keys.retain(|key| key.id() != id);
    role.keys.len() < before
}

fn add(role: &mut Role, key: PublicKey) {
    if let Err(at) = role.keys.binary_search(&key) {
        role.keys.insert(at, key);
    }
}
