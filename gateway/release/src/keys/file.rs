//! Key files: text, so that they can be looked at, copied and pasted. One line is the key; empty lines and lines that
//! begin with `#` are for people.
//!
//! | line | what |
//! |---|---|
//! | `tidegate-pub:<64 digits>` | a public key |
//! | `tidegate-secret:<64 digits>` | a secret key that lies open: its 32 bytes |
//! | `tidegate-encrypted:<log n>:<salt>:<nonce>:<sealed>` | a secret key under a passphrase |
//!
//! Encrypted: scrypt (RFC 7914) with N = 2^log n, r = 8, p = 1 makes a key out of passphrase and salt (16 bytes);
//! XChaCha20-Poly1305 under it and the nonce (24 bytes) seals the 32 bytes into 48, with everything before the last
//! colon as associated data. All hexadecimal is lowercase.

use zeroize::Zeroizing;

use super::{NoPublicKey, PUBLIC, PublicKey, SecretKey};
use crate::hash::{hex, unhex};

const SECRET: &str = "tidegate-secret:";
const ENCRYPTED: &str = "tidegate-encrypted:";

/// Longest file that is read as a key.
pub const KEY_FILE_BYTES_MAX: usize = 4096;

/// The work of a new file: 128 MiB of memory and a third of a second on a laptop.
#[cfg(feature = "tool")]
const LOG_N: u8 = 17;
/// The most that is done for a file: 1 GiB of memory.
#[cfg(feature = "tool")]
const LOG_N_MAX: u8 = 20;

/// Why a text is not the key that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// When there is no line with a key of any kind.
    #[error("this is no key of Tidegate; make one with `tidegate keygen NAME`")]
    NoKey,
    /// When there is more than one.
    #[error("this file has more than one key; give each a file of its own")]
    Several,
    /// When it is too long to be a key file.
    #[error("this file has {0} bytes, no key file is longer than 4096; was another file meant?")]
    TooLong(usize),
    /// When a secret key is wanted.
    #[error("this is a public key; give the file without .pub")]
    IsPublic,
    /// When a public key is wanted.
    #[error("this is a secret key; give the file that ends with .pub, and show this one to nobody")]
    IsSecret,
    /// When it is a key of another program.
    #[error("this is a PEM or SSH key, of another program; make one with `tidegate keygen NAME`")]
    IsForeign,
    /// When the line is cut off or was changed.
    #[error("the key's line is damaged; take the file from its backup")]
    Damaged,
    /// When the bytes of a public key cannot be one.
    #[error("this {0}")]
    Public(NoPublicKey),
    /// When the passphrase is not the one, or the file was changed.
    #[error("the passphrase is wrong, or the file was changed; try again")]
    WrongPassphrase,
    /// When there is no passphrase.
    #[error("the passphrase is empty; choose one, or use --no-passphrase to leave the key open")]
    NoPassphrase,
    /// When opening the file would take more memory than anybody's file needs.
    #[error(
        "the file asks for scrypt with N = 2^{0}, at most 2^20 is done; it was not made by Tidegate"
    )]
    TooCostly(u8),
    /// When the system has no random bytes.
    #[error(
        "the system gives no random bytes; without them no key can be made: look at /dev/urandom"
    )]
    NoRandomness,
}

/// What is in a key file. A `.pub` file is none.
#[derive(Debug)]
pub enum KeyFile {
    /// When the key lies open.
    Plain(SecretKey),
    /// When a passphrase is needed.
    Encrypted(EncryptedKey),
}

/// A secret key under a passphrase.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedKey {
    log_n: u8,
    salt: [u8; 16],
    nonce: [u8; 24],
    sealed: [u8; 48],
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// When it is something else; what, is said.
    pub fn parse(text: &str) -> Result<KeyFile, KeyError> {
        let line = key_line(text)?;
        if line.starts_with(PUBLIC) {
            return Err(KeyError::IsPublic);
        }
        if let Some(digits) = line.strip_prefix(SECRET) {
            let bytes = Zeroizing::new(unhex(digits).ok_or(KeyError::Damaged)?);
            return Ok(KeyFile::Plain(SecretKey::generate(*bytes)));
        }
        let parts = line.strip_prefix(ENCRYPTED).ok_or(KeyError::NoKey)?;
        EncryptedKey::parse(parts).map(KeyFile::Encrypted).ok_or(KeyError::Damaged)
    }
}

/// Reads a `.pub` file, or its line alone.
///
/// # Errors
/// When it is something else; what, is said.
pub fn parse_public(text: &str) -> Result<PublicKey, KeyError> {
    let line = key_line(text)?;
    if line.starts_with(SECRET) || line.starts_with(ENCRYPTED) {
        return Err(KeyError::IsSecret);
    }
    let digits = line.strip_prefix(PUBLIC).ok_or(KeyError::NoKey)?;
    let bytes = unhex(digits).ok_or(KeyError::Damaged)?;
    PublicKey::from_bytes(&bytes).map_err(KeyError::Public)
}

/// The one line that is not for people.
fn key_line(text: &str) -> Result<&str, KeyError> {
    if text.len() > KEY_FILE_BYTES_MAX {
        return Err(KeyError::TooLong(text.len()));
    }
    if text.trim_start().starts_with("-----BEGIN") || text.starts_with("ssh-") {
        return Err(KeyError::IsForeign);
    }
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or(KeyError::NoKey)?;
    if lines.next().is_some() { Err(KeyError::Several) } else { Ok(line) }
}

impl PublicKey {
    /// The text of a `.pub` file.
    pub fn to_file(&self) -> String {
        format!("# Tidegate public key {}\n{self}\n", self.id())
    }
}

impl SecretKey {
    /// The text of a key file that lies open.
    pub fn to_plain_file(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex(self.0.as_bytes()));
        Zeroizing::new(format!(
            "# Tidegate secret key {}, not encrypted: whoever reads this can sign\n{SECRET}{}\n",
            self.id(),
            *digits
        ))
    }

    /// The text of a key file under a passphrase.
    ///
    /// # Errors
    /// When the passphrase is empty, or the system gives no random bytes.
    #[cfg(feature = "tool")]
    pub fn to_encrypted_file(&self, passphrase: &str) -> Result<String, KeyError> {
        let (mut salt, mut nonce) = ([0; 16], [0; 24]);
        for random in [salt.as_mut_slice(), nonce.as_mut_slice()] {
            getrandom::getrandom(random).map_err(|_| KeyError::NoRandomness)?;
        }
        let key = EncryptedKey::seal(self, passphrase, LOG_N, salt, nonce)?;
        Ok(format!("# Tidegate secret key {}, under a passphrase\n{}\n", self.id(), key.line()))
    }
}

impl EncryptedKey {
    fn parse(parts: &str) -> Option<EncryptedKey> {
        let mut parts = parts.split(':');
        let mut next = || parts.next();
        let log_n = next()?;
        let key = EncryptedKey {
            log_n: log_n.parse().ok()?,
            salt: unhex(next()?)?,
            nonce: unhex(next()?)?,
            sealed: unhex(next()?)?,
        };
        let is_whole = parts.next().is_none() && key.log_n.to_string() == log_n;
        is_whole.then_some(key)
    }

    /// All of the line that is associated data.
    #[cfg(feature = "tool")]
    fn head(&self) -> String {
        format!("{ENCRYPTED}{}:{}:{}", self.log_n, hex(&self.salt), hex(&self.nonce))
    }

    #[cfg(feature = "tool")]
    fn line(&self) -> String {
        format!("{}:{}", self.head(), hex(&self.sealed))
    }

    #[cfg(feature = "tool")]
    fn seal(
        key: &SecretKey,
        passphrase: &str,
        log_n: u8,
        salt: [u8; 16],
        nonce: [u8; 24],
    ) -> Result<EncryptedKey, KeyError> {
        use chacha20poly1305::aead::{Aead, Payload};

        if passphrase.is_empty() {
            return Err(KeyError::NoPassphrase);
        }
        let mut sealed = EncryptedKey { log_n, salt, nonce, sealed: [0; 48] };
        let cipher = sealed.cipher(passphrase)?;
        let head = sealed.head();
        let payload = Payload { msg: key.0.as_bytes(), aad: head.as_bytes() };
        let bytes = cipher.encrypt(&nonce.into(), payload).expect("32 bytes are not too many");
        sealed.sealed = bytes.try_into().expect("32 bytes and a tag of 16 are 48");
        Ok(sealed)
    }

    /// The key, with the passphrase.
    ///
    /// # Errors
    /// When the passphrase is wrong, or the file asks for too much work.
    #[cfg(feature = "tool")]
    pub fn open(&self, passphrase: &str) -> Result<SecretKey, KeyError> {
        use chacha20poly1305::aead::{Aead, Payload};

        let cipher = self.cipher(passphrase)?;
        let head = self.head();
        let payload = Payload { msg: &self.sealed, aad: head.as_bytes() };
        let bytes = cipher.decrypt(&self.nonce.into(), payload);
        let bytes = Zeroizing::new(bytes.map_err(|_| KeyError::WrongPassphrase)?);
        let secret: &[u8; 32] =
            bytes.as_slice().try_into().expect("48 bytes without the tag are 32");
        Ok(SecretKey::generate(*secret))
    }

    #[cfg(feature = "tool")]
    fn cipher(&self, passphrase: &str) -> Result<chacha20poly1305::XChaCha20Poly1305, KeyError> {
        use chacha20poly1305::KeyInit;

        if !(1..=LOG_N_MAX).contains(&self.log_n) {
            return Err(KeyError::TooCostly(self.log_n));
        }
        let params = scrypt::Params::new(self.log_n, 8, 1, 32).expect("they are within the bounds");
        let mut key = Zeroizing::new([0; 32]);
        scrypt::scrypt(passphrase.as_bytes(), &self.salt, &params, &mut *key)
            .expect("32 bytes are a length of a key");
        Ok(chacha20poly1305::XChaCha20Poly1305::new((&*key).into()))
    }
}

impl std::fmt::Debug for EncryptedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncryptedKey(..)")
    }
}

#[cfg(all(test, feature = "tool"))]
mod tests {
    use super::*;

    fn sealed(log_n: u8) -> (SecretKey, EncryptedKey) {
        let key = SecretKey::generate([7; 32]);
        let sealed = EncryptedKey::seal(&key, "tide", log_n, [1; 16], [2; 24]).expect("it seals");
        (key, sealed)
    }

    #[test]
    fn a_passphrase_opens_its_file_and_no_other_does() {
        let (key, sealed) = sealed(4);
        let KeyFile::Encrypted(read) = KeyFile::parse(&sealed.line()).expect("it is read") else {
            panic!("it is encrypted");
        };
        assert_eq!(read, sealed);
        assert_eq!(read.open("tide").expect("it opens").id(), key.id());
        for wrong in ["", "Tide", "tide "] {
            assert_eq!(read.open(wrong).err(), Some(KeyError::WrongPassphrase));
        }
        let empty = EncryptedKey::seal(&key, "", 4, [1; 16], [2; 24]);
        assert_eq!(empty.err(), Some(KeyError::NoPassphrase));
    }

    #[test]
    fn a_changed_file_does_not_open() {
        let (_, sealed) = sealed(4);
        let line = sealed.line();
        for at in ENCRYPTED.len()..line.len() {
            let mut bad = line.clone().into_bytes();
            bad[at] = if bad[at] == b'3' { b'5' } else { b'3' };
            let bad = String::from_utf8(bad).expect("it is ASCII");
            let opened = match KeyFile::parse(&bad) {
                Ok(KeyFile::Encrypted(key)) => key.open("tide").map(|key| key.id()),
                Ok(KeyFile::Plain(_)) => panic!("{bad} lies open"),
                Err(error) => Err(error),
            };
            assert!(opened.is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_that_asks_for_too_much_is_refused() {
        let (_, sealed) = sealed(4);
        for log_n in [0, LOG_N_MAX + 1, 63, 255] {
            let costly = EncryptedKey { log_n, ..sealed.clone() };
            assert_eq!(costly.open("tide").err(), Some(KeyError::TooCostly(log_n)));
        }
    }

    #[test]
    fn a_new_file_has_the_work_of_today_and_its_own_salt() {
        let key = SecretKey::random().expect("there is randomness");
        let [one, other] = [(); 2].map(|()| key.to_encrypted_file("tide").expect("it seals"));
        assert_ne!(one, other);
        assert!(one.contains("tidegate-encrypted:17:"), "{one}");
        let KeyFile::Encrypted(read) = KeyFile::parse(&one).expect("it is read") else {
            panic!("it is encrypted");
        };
        assert_eq!(read.open("tide").expect("it opens").id(), key.id());
        assert_ne!(SecretKey::random().expect("there is randomness").id(), key.id());
    }
}
