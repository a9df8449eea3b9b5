//! Key files: text, so that they can be looked at, copied and pasted.

use zeroize::Zeroizing;

use super::{NoPublicKey, PUBLIC, PublicKey, SecretKey};
use crate::hash::{hex, unhex};

const SECRET: &str = "tidegate-secret:";
const ENCRYPTED: &str = "tidegate-encrypted:";

/// Longest file that is read as a key.
pub const KEY_FILE_BYTES_MAX: usize = 4096;

/// What is in a key file. A `.pub` file is none.
#[derive(Debug)]
pub enum KeyFile {
    /// When the key lies open.
    Plain(SecretKey),
    /// When a passphrase is needed.
    Encrypted(EncryptedKey),
}

/// A secret key under a passphrase.
#[derive(Clone, Debug)]
pub struct EncryptedKey {
    log_n: u8,
    salt: [u8; 16],
    nonce: [u8; 24],
    sealed: [u8; 48],
}

impl KeyFile {
    /// Reads a key file.
    pub fn parse(text: &str) -> Result<KeyFile, KeyError> {
        todo!()
    }
}

impl SecretKey {
    /// The text of a key file that lies open.
    pub fn to_plain_file(&self) -> Zeroizing<String> {
        todo!()
    }
    /// The text of a key file under a passphrase.
    #[cfg(feature = "tool")]
    pub fn to_encrypted_file(&self, passphrase: &str) -> Result<String, KeyError> {
        todo!()
    }
}

impl EncryptedKey {
    #[cfg(feature = "tool")]
    pub fn open(&self, passphrase: &str) -> Result<SecretKey, KeyError> {
        todo!()
    }
}

impl PublicKey {
    /// The text of a `.pub` file.
    pub fn to_file(&self) -> String {
        todo!()
    }
}

/// Reads a `.pub` file, or the key of one.
pub fn parse_public(text: &str) -> Result<PublicKey, KeyError> {
    todo!()
}

/// Why a text is not the key that is wanted. Variants follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("x")]
    NoRandomness,
}
