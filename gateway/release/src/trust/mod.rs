//! The trust file: whose signatures count, for one fleet.
//!
//! A gateway gets its first one by hand ([`Trust::first`]) and each later one from anywhere ([`Trust::rotate`]): version
//! N is replaced by N + 1 alone, signed by enough roots of both, so a thief needs the threshold of the roots that hold
//! now, and a mistyped new root locks nobody out.

use std::collections::BTreeSet;

use crate::envelope::{ENVELOPE_BYTES_MAX, Envelope, Known, NoEnvelope, Unsealed, Unverified};
use crate::hash::Digest;
use crate::keys::{Domain, KeyId, PublicKey};
use crate::name::Name;

mod chain;
mod content;

pub use chain::{CHAIN_BYTES_MAX, CHAIN_FILES_MAX, chain};
pub use content::{Contradiction, cosign, peek};

use crate::cbor::Flaw;

/// The format that this crate reads and writes.
pub const FORMAT: u32 = 1;
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

impl Role {
    /// The role's key of that id.
    pub fn key(&self, id: KeyId) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.id() == id)
    }
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
    /// Keys that are not to count; none of them is in a role.
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
pub enum Rotated {
    /// When it is the next one: keep [`Trust::file`], durably, before it is used.
    Next(Trust),
    /// When it is the one that holds, whoever else signed it too.
    Same,
    /// When it is an earlier one.
    Older,
}

/// Why a trust file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// When it has more than 16 KiB.
    #[error("the trust file has {bytes} bytes, at most {max} may be; was another file meant?")]
    TooLarge { bytes: usize, max: usize },
    /// When it is no trust file, or a damaged one.
    #[error("this is no trust file: it {0}; make one with `tidegate trust init`, or copy it again")]
    Form(Flaw),
    /// When its format is a newer one.
    #[error(
        "the trust file has format {format}, this gateway reads 1: it is made for a newer gateway; update this one first"
    )]
    Newer { format: u64 },
    /// When it has a field that is not known.
    #[error("the trust file {0}: it is made for a newer gateway; update this one first")]
    NewerField(Flaw),
    /// When what it says contradicts itself.
    #[error("the trust file contradicts itself: {0}")]
    Contradiction(Contradiction),
    /// When it is something else that was signed.
    #[error("this is a {}, signed by {signer}, and no trust file; give the file of `tidegate trust init`", .domain.name())]
    OtherDomain { domain: Domain, signer: KeyId },
    /// When a signature is by a key that is no root.
    #[error(
        "the trust file is also signed by {0}, which is no root of it or of the one before; sign it again with roots only"
    )]
    UnknownKey(KeyId),
    /// When a signature is by a revoked key.
    #[error("the trust file is signed by {0}, which is revoked; sign it again without this key")]
    RevokedKey(KeyId),
    /// When a signature does not fit.
    #[error(
        "the signature of {0} does not fit: the trust file was changed after it was signed; take it from its author again"
    )]
    BadSignature(KeyId),
    /// When too few of its own roots have signed.
    #[error(
        "{have} of its own roots have signed the trust file, {need} must; let more roots sign it: `tidegate trust sign`"
    )]
    TooFewSignatures { have: u32, need: u32 },
    /// When too few of the roots that hold now have signed.
    #[error(
        "{have} of the roots of version {version}, which holds now, have signed the trust file, {need} must; let more of them sign it: `tidegate trust sign`"
    )]
    TooFewOldSignatures { version: u64, have: u32, need: u32 },
    /// When it is for another fleet.
    #[error(
        "the trust file is for fleet {file}, this gateway is in {ours}; a gateway changes fleets by hand only"
    )]
    OtherFleet { file: Name, ours: Name },
    /// When the versions between are missing: the root would be skipped.
    #[error("the trust file has version {file}, this gateway has {ours}: {} comes next; send the ones between, the oldest first", .ours + 1)]
    RootSkipped { file: u64, ours: u64 },
    /// When the version holds already and says something else.
    #[error("there are two trust files of version {version}, {file} and {ours}, which holds: somebody signed twice, or a root was stolen; find out who, then sign version {} on top of {ours}", .version + 1, file = .file.short(), ours = .ours.short())]
    Fork { version: u64, file: Digest, ours: Digest },
    /// When the key epoch goes down.
    #[error(
        "the trust file has key epoch {file}, this gateway is at {ours}, and it never goes down; sign one with {ours} or more"
    )]
    EpochBack { file: u32, ours: u32 },
    /// When a chain of files is none, or too long.
    #[error("this is no chain of trust files: it {0}; send it again with `tidegate trust rotate`")]
    Chain(Flaw),
    /// When it cannot be signed like this.
    #[error("the trust file cannot be signed: {0}")]
    Unsealed(Unsealed),
}

impl Wrong {
    /// In kebab case, for the signed answer.
    pub fn code(&self) -> &'static str {
        match self {
            Wrong::TooLarge { .. } => "trust-too-large",
            Wrong::Form(_) => "trust-form",
            Wrong::Newer { .. } | Wrong::NewerField(_) => "trust-newer",
            Wrong::Contradiction(_) => "trust-contradiction",
            Wrong::OtherDomain { .. } => "trust-other-domain",
            Wrong::UnknownKey(_) => "trust-unknown-key",
            Wrong::RevokedKey(_) => "trust-revoked-key",
            Wrong::BadSignature(_) => "trust-bad-signature",
            Wrong::TooFewSignatures { .. } => "trust-too-few-signatures",
            Wrong::TooFewOldSignatures { .. } => "trust-too-few-old-signatures",
            Wrong::OtherFleet { .. } => "trust-other-fleet",
            Wrong::RootSkipped { .. } => "trust-root-skipped",
            Wrong::Fork { .. } => "trust-fork",
            Wrong::EpochBack { .. } => "trust-epoch-back",
            Wrong::Chain(_) => "trust-chain",
            Wrong::Unsealed(_) => "trust-unsealed",
        }
    }
}

impl From<NoEnvelope> for Wrong {
    fn from(no: NoEnvelope) -> Wrong {
        match no {
            NoEnvelope::TooLarge { bytes, max } => Wrong::TooLarge { bytes, max },
            NoEnvelope::Form(flaw) => Wrong::Form(flaw),
        }
    }
}

impl From<Unverified> for Wrong {
    fn from(unverified: Unverified) -> Wrong {
        match unverified {
            Unverified::UnknownKey(id) => Wrong::UnknownKey(id),
            Unverified::RevokedKey(id) => Wrong::RevokedKey(id),
            Unverified::BadSignature(id) => Wrong::BadSignature(id),
            Unverified::OtherDomain(signer, domain) => Wrong::OtherDomain { domain, signer },
        }
    }
}

impl Trust {
    /// Takes the trust file that was installed by hand, or kept as [`Trust::file`]. It names its own roots, so its
    /// payload is read before its signatures; whoever installs it vouches for it.
    ///
    /// # Errors
    /// When it is none, contradicts itself, or is not signed by enough of its own roots and by nobody else.
    pub fn first(file: &[u8]) -> Result<Trust, Wrong> {
        let envelope = Envelope::decode(file, ENVELOPE_BYTES_MAX)?;
        let content = Content::decode(envelope.payload)?;
        let signers = envelope.verify(Domain::Trust, |id| content.known(id, None))?;
        content.enough(&signers)?;
        Ok(Trust::of(&envelope, content, &signers))
    }

    /// Judges one trust file that arrived. Nothing of it is read before enough roots that hold now have signed it.
    ///
    /// # Errors
    /// When it is not the next one, or not signed by enough roots that hold now, enough of its own, and nobody else.
    pub fn rotate(&self, file: &[u8]) -> Result<Rotated, Wrong> {
        let envelope = Envelope::decode(file, ENVELOPE_BYTES_MAX)?;
        if envelope.digest(Domain::Trust) == self.digest {
            return Ok(Rotated::Same);
        }
        self.enough_old(&envelope)?;
        let content = Content::decode(envelope.payload)?;
        if content.fleet != *self.fleet() {
            return Err(Wrong::OtherFleet { file: content.fleet, ours: self.fleet().clone() });
        }
        let (version, ours) = (content.version, self.version());
        if version < ours {
            return Ok(Rotated::Older);
        }
        if version == ours {
            let file = envelope.digest(Domain::Trust);
            return Err(Wrong::Fork { version, file, ours: self.digest });
        }
        if version - ours > 1 {
            return Err(Wrong::RootSkipped { file: version, ours });
        }
        if content.key_epoch < self.key_epoch() {
            return Err(Wrong::EpochBack { file: content.key_epoch, ours: self.key_epoch() });
        }
        let known = |id| content.known(id, Some(&self.content.roots));
        let signers = envelope.verify(Domain::Trust, known)?;
        content.enough(&signers)?;
        Ok(Rotated::Next(Trust::of(&envelope, content, &signers)))
    }

    /// Whether enough roots that hold now have signed. Other signatures are not looked at: whether their keys are
    /// roots, is in what they sign.
    fn enough_old(&self, envelope: &Envelope<'_>) -> Result<(), Wrong> {
        let roots = &self.content.roots;
        let is_old = |(id, _): &&(KeyId, _)| roots.key(*id).is_some();
        let signatures: Vec<_> = envelope.signatures.iter().filter(is_old).copied().collect();
        let old = Envelope { payload: envelope.payload, signatures };
        let have = count(&old.verify(Domain::Trust, |id| self.content.known(id, None))?);
        let (version, need) = (self.version(), roots.threshold);
        if have < need { Err(Wrong::TooFewOldSignatures { version, have, need }) } else { Ok(()) }
    }

    fn of(envelope: &Envelope<'_>, content: Content, signers: &[KeyId]) -> Trust {
        let is_own =
            |(id, _): &&(KeyId, _)| signers.contains(id) && content.roots.key(*id).is_some();
        let signatures = envelope.signatures.iter().filter(is_own).copied().collect();
        let file = Envelope { payload: envelope.payload, signatures }.encode();
        Trust { digest: envelope.digest(Domain::Trust), content, file }
    }

    /// The bytes to keep, and to install by hand on a new gateway: signed by its own roots only, as [`Trust::first`]
    /// wants it.
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

    /// What is known of a key that signs orders.
    pub(crate) fn release_key(&self, id: KeyId) -> Known<'_> {
        match self.content.release.key(id) {
            Some(key) => Known::Key(key),
            None if self.content.revoked.contains(&id) => Known::Revoked,
            None => Known::Unknown,
        }
    }
}

impl Content {
    /// What is known of a key that signs trust files: a root of this file, or of the one before.
    fn known<'a>(&'a self, id: KeyId, before: Option<&'a Role>) -> Known<'a> {
        match self.roots.key(id).or_else(|| before?.key(id)) {
            Some(key) => Known::Key(key),
            None if self.revoked.contains(&id) => Known::Revoked,
            None => Known::Unknown,
        }
    }

    fn enough(&self, signers: &[KeyId]) -> Result<(), Wrong> {
        let own: Vec<KeyId> =
            signers.iter().copied().filter(|id| self.roots.key(*id).is_some()).collect();
        let (have, need) = (count(&own), self.roots.threshold);
        if have < need { Err(Wrong::TooFewSignatures { have, need }) } else { Ok(()) }
    }
}

/// How many signers there are; each is there once.
pub(crate) fn count(signers: &[KeyId]) -> u32 {
    u32::try_from(signers.len()).expect("an envelope holds 8")
}

#[cfg(test)]
mod tests;
