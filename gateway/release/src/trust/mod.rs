//! The trust file: whose signatures count, for one fleet.

use std::collections::BTreeSet;

use crate::cbor::Flaw;
use crate::hash::Digest;
use crate::keys::{KeyId, PublicKey, SecretKey};
use crate::name::Name;

/// Most keys of a role.
pub const KEYS_MAX: usize = 16;
/// Most revoked keys.
pub const REVOKED_MAX: usize = 64;

/// Keys, and how many of them have to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// 1 to [`KEYS_MAX`], ascending, none twice.
    pub keys: Vec<PublicKey>,
    /// 1 to the number of keys, and at most the 8 signatures that an envelope holds.
    pub threshold: u32,
}

/// What a trust file says: for the tool, which makes it; a gateway has [`Trust`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub fleet: Name,
    /// From 1, each one more than the one before.
    pub version: u64,
    /// Every order names it. It rises when a key was stolen, and what the thief signed is then behind.
    pub key_epoch: u32,
    /// Who signs trust files.
    pub roots: Role,
    /// Who signs orders.
    pub release: Role,
    /// Keys that are never to count again; none of them is in a role.
    pub revoked: BTreeSet<KeyId>,
}

/// A trust file that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    content: Content,
    digest: Digest,
    file: Vec<u8>,
}

/// What became of a trust file that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
pub enum Rotated {
    /// When it is the next one: keep [`Trust::file`], durably, before it is used.
    Next(Trust),
    /// When it is the one that holds.
    Same,
    /// When it is an earlier one.
    Older,
}

impl Trust {
    /// Takes the trust file that was installed by hand.
    pub fn first(file: &[u8]) -> Result<Trust, Wrong> {
        todo!()
    }
    /// Judges one trust file.
    pub fn rotate(&self, file: &[u8]) -> Result<Rotated, Wrong> {
        todo!()
    }
    /// Judges a message of a trust topic: one file, or a chain of files, the oldest first.
    pub fn follow(&self, message: &[u8]) -> Result<Rotated, Wrong> {
        todo!()
    }
    /// The bytes to keep and to install by hand: `Trust::first` takes them.
    pub fn file(&self) -> &[u8] {
        &self.file
    }
    /// Over domain and payload, not over signatures.
    pub fn digest(&self) -> Digest {
        self.digest
    }
    pub fn content(&self) -> &Content {
        &self.content
    }
    pub fn fleet(&self) -> &Name {
        &self.content.fleet
    }
    pub fn version(&self) -> u64 {
        self.content.version
    }
    pub fn key_epoch(&self) -> u32 {
        self.content.key_epoch
    }
}

impl Content {
    /// The trust file, signed.
    pub fn sign(&self, keys: &[&SecretKey]) -> Result<Vec<u8>, Wrong> {
        todo!()
    }
}

/// One more signature on a trust file.
pub fn cosign(file: &[u8], key: &SecretKey) -> Result<Vec<u8>, Wrong> {
    todo!()
}

/// Several trust files as one message, the oldest first.
pub fn chain(files: &[&[u8]]) -> Vec<u8> {
    todo!()
}

/// Why a trust file is refused. Variants follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("x")]
    Form(Flaw),
}

impl Wrong {
    /// In kebab case, for the signed answer.
    pub fn code(&self) -> &'static str {
        todo!()
    }
}
