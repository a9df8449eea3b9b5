//! The envelope: a payload, and the signatures over it.
//!
//! ```text
//! { 1: payload (bytes), 2: [ [key id (8 bytes), signature (64 bytes)], ... ] }
//! ```
//! in the one encoding of [`crate`], 1 to 8 signatures in ascending order of their key ids. What is signed is the
//! domain string and then the payload; the digest is over the same, so it does not depend on who signed.
//!
//! **One signature that is unknown, revoked or wrong refuses the whole**, however many others are good: a signer puts
//! nothing there that does not count, so something else there was put by somebody else, and no reader has to guess
//! what it is to them.

use crate::cbor::{Flaw, Reader, Writer};
use crate::hash::{Digest, Hasher};
use crate::keys::{Domain, KeyId, PublicKey, SIGNATURE_BYTES, SecretKey};

/// Longest envelope of an order or a trust file.
pub const ENVELOPE_BYTES_MAX: usize = 16 * 1024;
/// Most signatures.
pub const SIGNATURES_MAX: usize = 8;

/// An envelope that has the form of one. Nothing about it is believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub payload: &'a [u8],
    /// 1 to [`SIGNATURES_MAX`], ascending by key id, none twice.
    pub signatures: Vec<(KeyId, [u8; SIGNATURE_BYTES])>,
}

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEnvelope {
    /// When they are too many.
    #[error("it has {bytes} bytes, an envelope has at most {max}")]
    TooLarge { bytes: usize, max: usize },
    /// When they are not encoded as one.
    #[error("it is no signed envelope: it {0}")]
    Form(Flaw),
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// When its key is not among those asked for.
    UnknownKey(KeyId),
    /// When its key was revoked.
    RevokedKey(KeyId),
    /// When it is no signature of its key over this.
    BadSignature(KeyId),
    /// When it is one, but as something else.
    OtherDomain(KeyId, Domain),
}

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known<'a> {
    /// When its signature counts.
    Key(&'a PublicKey),
    /// When it was revoked.
    Revoked,
    /// When it is somebody's.
    Unknown,
}

/// Why nothing can be signed like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// When there is no key.
    #[error("there is no key to sign with; give one with --key")]
    NoKey,
    /// When there are more than [`SIGNATURES_MAX`].
    #[error("{0} keys would sign, an envelope holds 8 signatures; leave some out")]
    TooMany(usize),
    /// When a key is there twice.
    #[error("key {0} would sign twice; give each key once")]
    Twice(KeyId),
    /// When it would be too long.
    #[error(
        "the envelope would have {bytes} bytes, at most {max} may be; make settings, grants or payload shorter"
    )]
    TooLarge { bytes: usize, max: usize },
}

impl<'a> Envelope<'a> {
    /// Reads an envelope of at most `max` bytes.
    ///
    /// # Errors
    /// When there are more, or they are not encoded as an envelope.
    pub fn decode(bytes: &'a [u8], max: usize) -> Result<Envelope<'a>, NoEnvelope> {
        if bytes.len() > max {
            return Err(NoEnvelope::TooLarge { bytes: bytes.len(), max });
        }
        Envelope::read(bytes, max).map_err(NoEnvelope::Form)
    }

    fn read(bytes: &'a [u8], max: usize) -> Result<Envelope<'a>, Flaw> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.map(2)?;
        fields.need(&mut reader, 1)?;
        let payload = reader.bytes(max)?;
        fields.need(&mut reader, 2)?;
        let at = reader.at();
        let mut last = None;
        let signatures = reader.list(SIGNATURES_MAX, |reader| {
            let at = reader.at();
            reader.tuple(2)?;
            let id = KeyId(reader.array_of()?);
            if last.replace(id).is_some_and(|last| last >= id) {
                return Err(Flaw::Order { at });
            }
            Ok((id, reader.array_of()?))
        })?;
        if signatures.is_empty() {
            return Err(Flaw::Ends { at });
        }
        fields.end(&mut reader)?;
        reader.end()?;
        Ok(Envelope { payload, signatures })
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(2).key(1).bytes(self.payload).key(2).array(self.signatures.len());
        for (id, signature) in &self.signatures {
            writer.array(2).bytes(&id.0).bytes(signature);
        }
        writer.finish()
    }

    /// Over domain and payload.
    pub fn digest(&self, domain: Domain) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(domain.bytes());
        hasher.update(self.payload);
        hasher.finish()
    }

    /// Who has signed, ascending. All of it counts, or nothing does. Keys are looked up before anything is computed.
    ///
    /// # Errors
    /// The first signature that does not count.
    pub(crate) fn verify<'k>(
        &self,
        domain: Domain,
        known: impl Fn(KeyId) -> Known<'k>,
    ) -> Result<Vec<KeyId>, Unverified> {
        let mut keys = Vec::new();
        for (id, signature) in &self.signatures {
            match known(*id) {
                Known::Key(key) => keys.push((*id, key, signature)),
                Known::Revoked => return Err(Unverified::RevokedKey(*id)),
                Known::Unknown => return Err(Unverified::UnknownKey(*id)),
            }
        }
        keys.into_iter()
            .map(|(id, key, signature)| self.verify_one(domain, id, key, signature))
            .collect()
    }

    fn verify_one(
        &self,
        domain: Domain,
        id: KeyId,
        key: &PublicKey,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<KeyId, Unverified> {
        if key.is_signature(domain, self.payload, signature) {
            return Ok(id);
        }
        let mut others = Domain::ALL.into_iter().filter(|other| *other != domain);
        let other = others.find(|other| key.is_signature(*other, self.payload, signature));
        Err(match other {
            Some(other) => Unverified::OtherDomain(id, other),
            None => Unverified::BadSignature(id),
        })
    }
}

/// Signs `payload` under `domain` with each of `keys`: the envelope's bytes, at most `max`.
///
/// # Errors
/// When there are no keys, too many, one twice, or the envelope would be too long.
pub fn seal(
    domain: Domain,
    payload: &[u8],
    keys: &[&SecretKey],
    max: usize,
) -> Result<Vec<u8>, Unsealed> {
    if keys.is_empty() {
        return Err(Unsealed::NoKey);
    }
    if keys.len() > SIGNATURES_MAX {
        return Err(Unsealed::TooMany(keys.len()));
    }
    let mut signatures: Vec<_> =
        keys.iter().map(|key| (key.id(), key.sign(domain, payload))).collect();
    signatures.sort_unstable_by_key(|(id, _)| *id);
    if let Some(pair) = signatures.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Unsealed::Twice(pair[0].0));
    }
    let bytes = Envelope { payload, signatures }.encode();
    if bytes.len() > max {
        return Err(Unsealed::TooLarge { bytes: bytes.len(), max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = ENVELOPE_BYTES_MAX;

    fn key(n: u8) -> SecretKey {
        SecretKey::generate([n; 32])
    }

    fn signed(by: &[u8]) -> Vec<u8> {
        let keys: Vec<SecretKey> = by.iter().map(|n| key(*n)).collect();
        let keys: Vec<&SecretKey> = keys.iter().collect();
        seal(Domain::Release, b"payload", &keys, MAX).expect("it seals")
    }

    /// Keys 1 to 3 are known, 4 is revoked.
    fn verify(bytes: &[u8], domain: Domain) -> Result<Vec<KeyId>, Unverified> {
        let keys: Vec<PublicKey> = (1..=3).map(|n| key(n).public()).collect();
        let revoked = key(4).id();
        let envelope = Envelope::decode(bytes, MAX).expect("it is an envelope");
        envelope.verify(domain, |id| match keys.iter().find(|key| key.id() == id) {
            Some(key) => Known::Key(key),
            None if id == revoked => Known::Revoked,
            None => Known::Unknown,
        })
    }

    #[test]
    fn what_was_sealed_verifies_and_names_its_signers() {
        let mut expect = [1, 3].map(|n| key(n).id());
        expect.sort_unstable();
        assert_eq!(verify(&signed(&[3, 1]), Domain::Release), Ok(expect.to_vec()));
        assert_eq!(signed(&[3, 1]), signed(&[1, 3]));
    }

    #[test]
    fn one_signature_that_does_not_count_refuses_the_whole() {
        let (unknown, revoked) = (key(5).id(), key(4).id());
        assert_eq!(verify(&signed(&[1, 5]), Domain::Release), Err(Unverified::UnknownKey(unknown)));
        assert_eq!(verify(&signed(&[1, 4]), Domain::Release), Err(Unverified::RevokedKey(revoked)));
        let one = key(1).id();
        let other = Unverified::OtherDomain(one, Domain::Release);
        assert_eq!(verify(&signed(&[1]), Domain::Trust), Err(other));
        let bytes = signed(&[1, 2]);
        let envelope = Envelope::decode(&bytes, MAX).expect("it is an envelope");
        for at in [0, 1] {
            let mut bad = envelope.clone();
            bad.signatures[at].1[0] ^= 1;
            let id = bad.signatures[at].0;
            assert_eq!(verify(&bad.encode(), Domain::Release), Err(Unverified::BadSignature(id)));
        }
        // The signature of one under the name of another.
        let mut swapped = envelope.clone();
        (swapped.signatures[0].1, swapped.signatures[1].1) =
            (envelope.signatures[1].1, envelope.signatures[0].1);
        assert!(verify(&swapped.encode(), Domain::Release).is_err());
    }

    #[test]
    fn the_digest_is_over_domain_and_payload() {
        let (one, two) = (signed(&[1]), signed(&[2, 3]));
        let digest = |bytes: &[u8], domain| {
            Envelope::decode(bytes, MAX).expect("it is an envelope").digest(domain)
        };
        assert_eq!(digest(&one, Domain::Release), digest(&two, Domain::Release));
        assert_ne!(digest(&one, Domain::Release), digest(&one, Domain::Trust));
        let direct = crate::hash::digest_of(b"tidegate release 1\0payload");
        assert_eq!(digest(&one, Domain::Release), direct);
    }

    #[test]
    fn what_cannot_be_sealed_is_refused() {
        let keys: Vec<SecretKey> = (1..=9).map(key).collect();
        let keys: Vec<&SecretKey> = keys.iter().collect();
        let seal = |keys: &[&SecretKey], max| seal(Domain::Release, b"payload", keys, max);
        assert_eq!(seal(&[], MAX), Err(Unsealed::NoKey));
        assert_eq!(seal(&keys, MAX), Err(Unsealed::TooMany(9)));
        assert!(seal(&keys[..8], MAX).is_ok());
        assert_eq!(seal(&[keys[0], keys[1], keys[0]], MAX), Err(Unsealed::Twice(keys[0].id())));
        let len = seal(&keys[..1], MAX).expect("it seals").len();
        assert!(seal(&keys[..1], len).is_ok());
        let large = Unsealed::TooLarge { bytes: len, max: len - 1 };
        assert_eq!(seal(&keys[..1], len - 1), Err(large));
    }

    #[test]
    fn only_the_one_form_is_an_envelope() {
        let good = signed(&[1, 2]);
        let flaw = |bytes: &[u8]| match Envelope::decode(bytes, MAX) {
            Err(NoEnvelope::Form(flaw)) => flaw,
            other => panic!("{other:?}"),
        };
        let len = good.len();
        assert!(Envelope::decode(&good, len).is_ok());
        let large = NoEnvelope::TooLarge { bytes: len, max: len - 1 };
        assert_eq!(Envelope::decode(&good, len - 1), Err(large));
        assert_eq!(flaw(&[good.clone(), vec![0]].concat()), Flaw::Trailing { at: len });
        for short in 0..len {
            assert!(matches!(flaw(&good[..short]), Flaw::Ends { .. }), "{short} bytes");
        }
        let envelope = Envelope::decode(&good, MAX).expect("it is an envelope");
        let with = |signatures: &[usize]| {
            let signatures = signatures.iter().map(|n| envelope.signatures[*n]).collect();
            Envelope { payload: envelope.payload, signatures }.encode()
        };
        assert!(matches!(flaw(&with(&[1, 0])), Flaw::Order { .. }));
        assert!(matches!(flaw(&with(&[0, 0])), Flaw::Order { .. }), "one signature twice");
        assert!(matches!(flaw(&with(&[])), Flaw::Ends { .. }), "no signature");
        assert!(matches!(flaw(&with(&[0; 9])), Flaw::Limit { is: 9, max: 8, .. }));
        assert_eq!(with(&[0, 1]), good);
    }
}
