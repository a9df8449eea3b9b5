//! Keys and trust files, as they lie on this machine.

use std::fs;
use std::io::Read as _;

use tidegate_release::keys::{KeyError, KeyFile, parse_public};
use tidegate_release::trust::Trust;
use tidegate_release::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::args::Args;
use crate::failure::Failure;
use crate::passphrase;

/// More than any key file or trust file.
const BYTES_MAX: u64 = 64 * 1024;

/// The keys of every `--key`, opened.
///
/// # Errors
/// When there is none, or one of them is no secret key or does not open.
pub fn signing_keys(args: &Args) -> Result<Vec<SecretKey>, Failure> {
    let paths = args.options("key");
    if paths.is_empty() {
        return Err(Failure::usage(
            "--key is missing: the file of `tidegate keygen` to sign with, for example --key ops.key",
        ));
    }
    paths.into_iter().map(|path| secret(path, args)).collect()
}

/// A secret key; its passphrase is asked for when it has one.
///
/// # Errors
/// When it is none, or the passphrase is not its.
pub fn secret(path: &str, args: &Args) -> Result<SecretKey, Failure> {
    let text = text(path)?;
    let told = |error: KeyError| Failure::data(format!("{path}: {error}"));
    match KeyFile::parse(&text).map_err(told)? {
        KeyFile::Plain(key) => Ok(key),
        KeyFile::Encrypted(sealed) => {
            let passphrase = match passphrase::given(args)? {
                Some(passphrase) => passphrase,
                None => passphrase::ask(path)?,
            };
            sealed.open(&passphrase).map_err(told)
        }
    }
}

/// A public key.
///
/// # Errors
/// When the file is none.
pub fn public(path: &str) -> Result<PublicKey, Failure> {
    let text = text(path)?;
    parse_public(&text).map_err(|error| Failure::data(format!("{path}: {error}")))
}

fn text(path: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(bytes(path)?);
    let text = std::str::from_utf8(&bytes);
    text.map(|text| Zeroizing::new(text.to_owned())).map_err(|_| {
        Failure::data(format!(
            "{path}: this is no key of Tidegate; make one with `tidegate keygen NAME`"
        ))
    })
}

/// A file of a sane length.
///
/// # Errors
/// When it cannot be read, or is longer than any key or trust file.
pub fn bytes(path: &str) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| Failure::data(format!("{path} cannot be read: {error}"));
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Failure::data(format!(
            "{path} has more than {BYTES_MAX} bytes, which no key and no trust file has; was another file meant?"
        )));
    }
    Ok(bytes)
}

/// The trust file of `--trust`, or of the environment, signed by enough of its roots.
///
/// # Errors
/// When none is named, or it cannot be used.
pub fn trust(args: &Args) -> Result<Trust, Failure> {
    let named = args.option("trust").map(str::to_owned);
    let path = named.or_else(|| std::env::var("TIDEGATE_TRUST").ok()).ok_or_else(|| {
        Failure::usage(
            "--trust is missing: the fleet's trust file, the one of `tidegate trust init` that the gateways \
             have too; or set TIDEGATE_TRUST",
        )
    })?;
    Trust::first(&bytes(&path)?).map_err(|error| Failure::data(format!("{path}: {error}")))
}
