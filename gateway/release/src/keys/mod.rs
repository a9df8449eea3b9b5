//! Ed25519 keys (RFC 8032), checked strictly: `verify_strict`, and no key of small order.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::hash::{digest_of, hex, unhex};

mod file;

pub use file::{EncryptedKey, KeyError, KeyFile, parse_public};

const PUBLIC: &str = "tidegate-pub:";

/// Length of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// The first 8 bytes of the SHA-256 of a public key: 16 hexadecimal digits. It tells which key to check with; the
/// check is done with the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// When a text is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no key id; a key id is 16 digits of 0-9 and a-f: `tidegate trust show` lists them")]
pub struct NoKeyId;

impl FromStr for KeyId {
    type Err = NoKeyId;

    fn from_str(text: &str) -> Result<KeyId, NoKeyId> {
        unhex(text).map(KeyId).ok_or(NoKeyId)
    }
}

/// A public key that can verify: a point of the curve, not of small order. Sorted by its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// When 32 bytes are no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPublicKey {
    /// When they are no point of the curve.
    #[error("is no public key: its bytes are no point of the curve; take the .pub file again")]
    NoPoint,
    /// When anybody can sign for it.
    #[error(
        "is a key of small order, for which anybody can sign; make a new one with `tidegate keygen`"
    )]
    Weak,
}

impl PublicKey {
    /// Checks a public key.
    ///
    /// # Errors
    /// When the bytes are no key, or one for which anybody can sign.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<PublicKey, NoPublicKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| NoPublicKey::NoPoint)?;
        if key.is_weak() { Err(NoPublicKey::Weak) } else { Ok(PublicKey(key)) }
    }

    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub fn id(&self) -> KeyId {
        let digest = digest_of(self.0.as_bytes());
        KeyId(std::array::from_fn(|n| digest.0[n]))
    }

    /// Whether `signature` is this key's over `message` under `domain`.
    pub fn is_signature(&self, domain: Domain, message: &[u8], signature: &[u8; 64]) -> bool {
        let signed = domain.signed(message);
        self.0.verify_strict(&signed, &Signature::from_bytes(signature)).is_ok()
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &PublicKey) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &PublicKey) -> std::cmp::Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

/// `tidegate-pub:` and 64 hexadecimal digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", hex(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        parse_public(text)
    }
}

/// A secret key: 32 random bytes. Overwritten when dropped, and never shown.
pub struct SecretKey(SigningKey);

/// Random bytes that name an event, from the system's source of randomness.
///
/// # Errors
/// When the system gives none.
#[cfg(feature = "tool")]
pub fn nonce() -> Result<[u8; 16], KeyError> {
    let mut random = [0; 16];
    getrandom::getrandom(&mut random).map_err(|_| KeyError::NoRandomness)?;
    Ok(random)
}

impl SecretKey {
    /// The key of 32 bytes from the system's source of randomness, and from nowhere else.
    pub fn generate(random: [u8; 32]) -> SecretKey {
        let random = Zeroizing::new(random);
        SecretKey(SigningKey::from_bytes(&random))
    }

    /// A new key from the system's source of randomness.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    #[cfg(feature = "tool")]
    pub fn random() -> Result<SecretKey, KeyError> {
        let mut random = [0; 32];
        getrandom::getrandom(&mut random).map_err(|_| KeyError::NoRandomness)?;
        Ok(SecretKey::generate(random))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub fn id(&self) -> KeyId {
        self.public().id()
    }

    /// Signs `message` under `domain`. The same input gives the same signature.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(&domain.signed(message)).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// What a signature is for: it stands in front of what is signed, so that none is good for anything else. Each ends
/// with a zero byte and none begins with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// When an order is signed.
    Release,
    /// When a trust file is signed.
    Trust,
    /// When a gateway answers.
    Answer,
    /// When a gateway reports on itself.
    Report,
}

impl Domain {
    pub const ALL: [Domain; 4] = [Domain::Release, Domain::Trust, Domain::Answer, Domain::Report];

    /// The domain string.
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Domain::Release => b"tidegate release 1\0",
            Domain::Trust => b"tidegate trust 1\0",
            Domain::Answer => b"tidegate answer 1\0",
            Domain::Report => b"tidegate report 1\0",
        }
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Domain::Release => "release",
            Domain::Trust => "trust file",
            Domain::Answer => "gateway's answer",
            Domain::Report => "gateway's report",
        }
    }

    /// The signed bytes: the domain string and the message.
    fn signed(self, message: &[u8]) -> Vec<u8> {
        [self.bytes(), message].concat()
    }
}

#[cfg(test)]
mod tests;
