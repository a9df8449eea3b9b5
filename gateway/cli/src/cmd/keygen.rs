//! `tidegate keygen`: a key to sign releases or trust files with.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tidegate_release::SecretKey;
use zeroize::Zeroizing;

use super::Command;
use crate::args::Args;
use crate::failure::Failure;
use crate::passphrase;

pub const COMMAND: Command = Command {
    name: "keygen",
    usage: "keygen NAME [--no-passphrase]",
    about: "make a key to sign with",
    help: "\
Makes NAME.key, the secret key, which only you may read, and NAME.pub, which you give away. The passphrase
is asked for twice, or comes from --passphrase-file or TIDEGATE_PASSPHRASE.

Options:
  --no-passphrase         leave the key open: for a machine that signs without a person, and for trying out
  --passphrase-file F     its first line is the passphrase
  --force                 overwrite a key that is there; nothing that was signed with it can be signed again

Example: a key, a fleet that trusts it, and a gateway that takes what it signs
  tidegate keygen ops
  tidegate trust init --fleet plant --root ops.pub --key ops.key > trust
  # gateway.toml:  [trust]
  #                file = \"trust\"
",
    run,
};

fn run(words: Vec<String>) -> Result<(), Failure> {
    let args = Args::read(words, &["no-passphrase", "force"], &[passphrase::OPTION])?;
    let name = args.word("the key's name")?;
    let base = name.strip_suffix(".key").or_else(|| name.strip_suffix(".pub")).unwrap_or(name);
    if base.is_empty() || base.ends_with('/') {
        return Err(Failure::usage(format!("{name:?} is no file's name; use one such as ops")));
    }
    let (secret_path, public_path) = (format!("{base}.key"), format!("{base}.pub"));
    if !args.has("force") {
        for path in [&secret_path, &public_path] {
            if Path::new(path).exists() {
                return Err(Failure::failed(format!(
                    "{path} is there already, and a lost key is lost for ever; choose another name, or give --force"
                )));
            }
        }
    }
    let told = |error: tidegate_release::keys::KeyError| Failure::data(error.to_string());
    let passphrase = match (args.has("no-passphrase"), passphrase::given(&args)?) {
        (true, None) => None,
        (true, Some(_)) if args.option(passphrase::OPTION).is_some() => {
            return Err(Failure::usage(
                "--no-passphrase and --passphrase-file exclude each other; give one",
            ));
        }
        (true, Some(_)) => None,
        (false, Some(passphrase)) => Some(passphrase),
        (false, None) => Some(passphrase::ask_twice(&secret_path)?),
    };
    let key = SecretKey::random().map_err(told)?;
    let text = match &passphrase {
        None => key.to_plain_file(),
        Some(passphrase) => Zeroizing::new(key.to_encrypted_file(passphrase).map_err(told)?),
    };
    write(&secret_path, text.as_bytes(), 0o600)?;
    write(&public_path, key.public().to_file().as_bytes(), 0o644)?;
    println!("{secret_path}  key {}; show it to nobody, and keep a copy in a safe place", key.id());
    println!("{public_path}  {}", key.public());
    Ok(())
}

/// Writes beside the place first, so that no half a key is ever there.
fn write(path: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let unfinished = format!("{path}.new");
    let failed = |error| Failure::failed(format!("{path} cannot be written: {error}"));
    if let Err(error) = fs::remove_file(&unfinished)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(failed(error));
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&unfinished)
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)
}
