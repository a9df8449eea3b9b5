//! The payload of a trust file.
//!
//! ```text
//! { 1: format = 1, 2: fleet (text), 3: version, 4: key epoch,
//!   5: [threshold, [public key (32 bytes), ...]]       roots, ascending
//!   6: [threshold, [public key, ...]]                  release keys, ascending
//!   7: [key id (8 bytes), ...] }                       revoked, ascending; may be empty
//! ```

use std::collections::BTreeSet;

use super::{Content, FORMAT, KEYS_MAX, REVOKED_MAX, Role, Wrong};
use crate::cbor::{Flaw, Reader, Writer};
use crate::envelope::{ENVELOPE_BYTES_MAX, Envelope, SIGNATURES_MAX, Unsealed, seal};
use crate::keys::{Domain, KeyId, PublicKey, SecretKey};

/// How a trust file contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// When its version is 0.
    #[error("its version is 0; versions begin at 1")]
    Version,
    /// When a role has no key.
    #[error("it names no {0}; give at least one")]
    NoKeys(&'static str),
    /// When a role has more than [`KEYS_MAX`] keys.
    #[error("it names {1} {0}; at most 16 may be")]
    ManyKeys(&'static str, usize),
    /// When a key is there twice, or two have one id.
    #[error("it names key {1} twice among its {0}, or not in order; name each once")]
    Twice(&'static str, KeyId),
    /// When a threshold is 0, or more than can sign.
    #[error("{2} of its {1} {0} must sign; at least 1 must, and at most all, or 8")]
    Threshold(&'static str, usize, u32),
    /// When a revoked key is in a role.
    #[error("key {0} is revoked and named all the same; leave it out of one of the two")]
    Revoked(KeyId),
    /// When more than [`REVOKED_MAX`] are revoked.
    #[error("it revokes {0} keys; at most 64 may be: leave out those that no role ever named")]
    ManyRevoked(usize),
}

impl Content {
    /// The trust file, signed by `keys`.
    ///
    /// # Errors
    /// When it contradicts itself, or cannot be signed by these.
    pub fn sign(&self, keys: &[&SecretKey]) -> Result<Vec<u8>, Wrong> {
        self.check().map_err(Wrong::Contradiction)?;
        seal(Domain::Trust, &self.encode(), keys, ENVELOPE_BYTES_MAX).map_err(Wrong::Unsealed)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(7).key(1).uint(FORMAT).key(2).text(self.fleet.as_str());
        writer.key(3).uint(self.version).key(4).uint(self.key_epoch);
        for (key, role) in [(5, &self.roots), (6, &self.release)] {
            writer.key(key).array(2).uint(role.threshold).array(role.keys.len());
            for key in &role.keys {
                writer.bytes(&key.to_bytes());
            }
        }
        writer.key(7).array(self.revoked.len());
        for id in &self.revoked {
            writer.bytes(&id.0);
        }
        writer.finish()
    }

    /// Reads a payload.
    pub(super) fn decode(payload: &[u8]) -> Result<Content, Wrong> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.map(usize::MAX).map_err(Wrong::Form)?;
        let mut first = || {
            fields.need(&mut reader, 1)?;
            reader.u64()
        };
        let format = first().map_err(Wrong::Form)?;
        if format != u64::from(FORMAT) {
            return Err(Wrong::Newer { format });
        }
        let rest = || -> Result<Content, Flaw> {
            fields.need(&mut reader, 2)?;
            let fleet = reader.name()?;
            fields.need(&mut reader, 3)?;
            let version = reader.u64()?;
            fields.need(&mut reader, 4)?;
            let key_epoch = reader.u32()?;
            fields.need(&mut reader, 5)?;
            let roots = role(&mut reader)?;
            fields.need(&mut reader, 6)?;
            let release = role(&mut reader)?;
            fields.need(&mut reader, 7)?;
            let revoked = reader.ascending(REVOKED_MAX, |reader| reader.array_of().map(KeyId))?;
            fields.end(&mut reader)?;
            let revoked = BTreeSet::from_iter(revoked);
            Ok(Content { fleet, version, key_epoch, roots, release, revoked })
        };
        let content = rest().and_then(|content| reader.end().map(|()| content));
        let content = content.map_err(|flaw| {
            if flaw.is_newer() { Wrong::NewerField(flaw) } else { Wrong::Form(flaw) }
        })?;
        content.check().map_err(Wrong::Contradiction)?;
        Ok(content)
    }

    fn check(&self) -> Result<(), Contradiction> {
        if self.version == 0 {
            return Err(Contradiction::Version);
        }
        check_role(&self.roots, "roots")?;
        check_role(&self.release, "release keys")?;
        let named = self.roots.keys.iter().chain(&self.release.keys);
        if let Some(id) = named.map(PublicKey::id).find(|id| self.revoked.contains(id)) {
            return Err(Contradiction::Revoked(id));
        }
        if self.revoked.len() > REVOKED_MAX {
            return Err(Contradiction::ManyRevoked(self.revoked.len()));
        }
        Ok(())
    }
}

fn role(reader: &mut Reader<'_>) -> Result<Role, Flaw> {
    reader.tuple(2)?;
    let threshold = reader.u32()?;
    let keys = reader.ascending(KEYS_MAX, |reader| {
        let at = reader.at();
        PublicKey::from_bytes(&reader.array_of()?).map_err(|_| Flaw::Key { at })
    })?;
    Ok(Role { keys, threshold })
}

fn check_role(role: &Role, name: &'static str) -> Result<(), Contradiction> {
    let keys = role.keys.len();
    if keys == 0 {
        return Err(Contradiction::NoKeys(name));
    }
    if keys > KEYS_MAX {
        return Err(Contradiction::ManyKeys(name, keys));
    }
    let mut ids = BTreeSet::new();
    let is_twice = |key: &&PublicKey| !ids.insert(key.id());
    if let Some(key) = role.keys.iter().find(is_twice) {
        return Err(Contradiction::Twice(name, key.id()));
    }
    if let Some(pair) = role.keys.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(Contradiction::Twice(name, pair[1].id()));
    }
    let can_sign = keys.min(SIGNATURES_MAX);
    if role.threshold == 0 || role.threshold as usize > can_sign {
        return Err(Contradiction::Threshold(name, keys, role.threshold));
    }
    Ok(())
}

/// Adds a signature to a trust file, for the keys that lie elsewhere. Signing twice changes nothing.
///
/// # Errors
/// When it is no trust file, or 8 have signed already.
pub fn cosign(file: &[u8], key: &SecretKey) -> Result<Vec<u8>, Wrong> {
    let mut envelope = Envelope::decode(file, ENVELOPE_BYTES_MAX)?;
    Content::decode(envelope.payload)?;
    envelope.signatures.retain(|(id, _)| *id != key.id());
    envelope.signatures.push((key.id(), key.sign(Domain::Trust, envelope.payload)));
    envelope.signatures.sort_unstable_by_key(|(id, _)| *id);
    if envelope.signatures.len() > SIGNATURES_MAX {
        return Err(Wrong::Unsealed(Unsealed::TooMany(envelope.signatures.len())));
    }
    let bytes = envelope.encode();
    let max = ENVELOPE_BYTES_MAX;
    if bytes.len() > max {
        return Err(Wrong::Unsealed(Unsealed::TooLarge { bytes: bytes.len(), max }));
    }
    Ok(bytes)
}

/// Reads what a trust file says without believing it: for a tool that shows or changes one.
///
/// # Errors
/// When it is no trust file.
pub fn peek(file: &[u8]) -> Result<(Content, Vec<KeyId>), Wrong> {
    let envelope = Envelope::decode(file, ENVELOPE_BYTES_MAX)?;
    let signers = envelope.signatures.iter().map(|(id, _)| *id).collect();
    Ok((Content::decode(envelope.payload)?, signers))
}
