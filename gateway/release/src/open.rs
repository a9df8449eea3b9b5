//! From bytes off the wire to an order that this gateway may follow: the one way in. What the ratchet says of it, is
//! asked afterwards ([`crate::ratchet::judge`]): only the gateway knows what it accepted last.

use std::collections::BTreeSet;

use crate::cbor::Flaw;
use crate::envelope::{ENVELOPE_BYTES_MAX, Envelope, NoEnvelope, Unverified};
use crate::hash::Digest;
use crate::keys::{Domain, KeyId};
use crate::manifest::{Order, Target, Wrong};
use crate::name::Name;
use crate::trust::{Trust, count};

/// Who a gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    pub gateway: Name,
    pub groups: BTreeSet<Name>,
    pub fleet: Name,
}

impl Me {
    /// Whether a target means this gateway.
    pub fn is_meant(&self, target: &Target) -> bool {
        match target {
            Target::Gateway(name) => *name == self.gateway,
            Target::Group(name) => self.groups.contains(name),
        }
    }
}

/// An order of the fleet in its key epoch, signed by enough of its keys; for whom, is still to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    order: Order,
    digest: Digest,
    signers: Vec<KeyId>,
}

/// An order that is also for this gateway. Only the ratchet may still be against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub order: Order,
    /// Over domain and payload, not over signatures.
    pub digest: Digest,
    /// Ascending.
    pub signers: Vec<KeyId>,
}

/// Why a release is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// When it has more than 16 KiB.
    #[error(
        "the release has {bytes} bytes, at most {max} may be; make settings, grants or payload shorter"
    )]
    TooLarge { bytes: usize, max: usize },
    /// When it is no envelope.
    #[error("this is no signed release: it {0}; push it again with `tidegate push`")]
    Form(Flaw),
    /// When it is something else that was signed.
    #[error("this is a {}, signed by {signer}, and no release; push one with `tidegate push`", .domain.name())]
    OtherDomain { domain: Domain, signer: KeyId },
    /// When a signature is by a key that the trust file does not name for releases.
    #[error(
        "the release is signed by {key}, which trust file {trust} does not name for releases; sign it with a key that it names, or name this one: `tidegate trust rotate`"
    )]
    UnknownKey { key: KeyId, trust: u64 },
    /// When a signature is by a revoked key.
    #[error(
        "the release is signed by {key}, which trust file {trust} revokes; sign it again with another key"
    )]
    RevokedKey { key: KeyId, trust: u64 },
    /// When a signature does not fit.
    #[error(
        "the signature of {0} does not fit: the release was changed after it was signed; push it again"
    )]
    BadSignature(KeyId),
    /// When too few keys have signed.
    #[error(
        "{have} keys have signed the release, {need} must; sign it with more: --key may be given several times"
    )]
    TooFewSignatures { have: u32, need: u32 },
    /// When it is made for a newer gateway.
    #[error("{0}")]
    Newer(Wrong),
    /// When what was signed is no order.
    #[error("{0}")]
    Content(Wrong),
    /// When it is for another fleet.
    #[error(
        "the release is for fleet {order}, this gateway is in {ours}; push it with the trust file of {ours}"
    )]
    OtherFleet { order: Name, ours: Name },
    /// When it was signed for another key epoch.
    #[error("the release is for key epoch {order}, the trust file of this gateway says {trust}; {}", epoch_advice(*.order, *.trust))]
    KeyEpoch { order: u32, trust: u32 },
    /// When it is for others.
    #[error("the release is for {}, not for {gateway}; push it with --to {gateway}", some(.targets))]
    OtherTarget { targets: Vec<Target>, gateway: Name },
}

fn epoch_advice(order: u32, trust: u32) -> &'static str {
    if order < trust {
        "sign it again: keys were changed since"
    } else {
        "send this gateway the newer trust file first: `tidegate trust rotate`"
    }
}

/// The first few of them.
fn some(targets: &[Target]) -> String {
    let shown: Vec<String> = targets.iter().take(3).map(Target::to_string).collect();
    let more = if targets.len() > shown.len() { " and others" } else { "" };
    format!("{}{more}", shown.join(", "))
}

impl Refused {
    /// In kebab case, for the signed answer.
    pub fn code(&self) -> &'static str {
        match self {
            Refused::TooLarge { .. } => "too-large",
            Refused::Form(_) => "form",
            Refused::OtherDomain { .. } => "other-domain",
            Refused::UnknownKey { .. } => "unknown-key",
            Refused::RevokedKey { .. } => "revoked-key",
            Refused::BadSignature(_) => "bad-signature",
            Refused::TooFewSignatures { .. } => "too-few-signatures",
            Refused::Newer(_) => "newer-format",
            Refused::Content(_) => "content",
            Refused::OtherFleet { .. } => "other-fleet",
            Refused::KeyEpoch { .. } => "key-epoch",
            Refused::OtherTarget { .. } => "other-target",
        }
    }

    fn unverified(unverified: Unverified, trust: &Trust) -> Refused {
        let trust = trust.version();
        match unverified {
            Unverified::UnknownKey(key) => Refused::UnknownKey { key, trust },
            Unverified::RevokedKey(key) => Refused::RevokedKey { key, trust },
            Unverified::BadSignature(id) => Refused::BadSignature(id),
            Unverified::OtherDomain(signer, domain) => Refused::OtherDomain { domain, signer },
        }
    }
}

/// Verifies a release, whoever it is for: size, form, signatures, threshold; then, and not before, what it says; then
/// fleet and key epoch.
///
/// # Errors
/// The first of these that is wrong.
pub fn verify(bytes: &[u8], trust: &Trust) -> Result<Verified, Refused> {
    let envelope = Envelope::decode(bytes, ENVELOPE_BYTES_MAX).map_err(|no| match no {
        NoEnvelope::TooLarge { bytes, max } => Refused::TooLarge { bytes, max },
        NoEnvelope::Form(flaw) => Refused::Form(flaw),
    })?;
    let signers = envelope
        .verify(Domain::Release, |id| trust.release_key(id))
        .map_err(|unverified| Refused::unverified(unverified, trust))?;
    let (have, need) = (count(&signers), trust.content().release.threshold);
    if have < need {
        return Err(Refused::TooFewSignatures { have, need });
    }
    let order = Order::decode(envelope.payload).map_err(|wrong| {
        if wrong.is_newer() { Refused::Newer(wrong) } else { Refused::Content(wrong) }
    })?;
    if order.fleet != *trust.fleet() {
        return Err(Refused::OtherFleet { order: order.fleet, ours: trust.fleet().clone() });
    }
    if order.rank.key_epoch != trust.key_epoch() {
        return Err(Refused::KeyEpoch { order: order.rank.key_epoch, trust: trust.key_epoch() });
    }
    Ok(Verified { order, digest: envelope.digest(Domain::Release), signers })
}

/// Verifies a release and asks whether it is for `me`.
///
/// # Errors
/// The first thing that is wrong; see [`verify`] and [`Verified::for_me`].
pub fn open(bytes: &[u8], trust: &Trust, me: &Me) -> Result<Opened, Refused> {
    verify(bytes, trust)?.for_me(me)
}

impl Verified {
    pub fn order(&self) -> &Order {
        &self.order
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Ascending.
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// Whether it is for `me`. The topic it came on says nothing about that.
    ///
    /// # Errors
    /// When `me` is in another fleet, or none of the targets.
    pub fn for_me(self, me: &Me) -> Result<Opened, Refused> {
        let Verified { order, digest, signers } = self;
        if order.fleet != me.fleet {
            return Err(Refused::OtherFleet { order: order.fleet, ours: me.fleet.clone() });
        }
        if !order.targets.iter().any(|target| me.is_meant(target)) {
            return Err(Refused::OtherTarget {
                targets: order.targets,
                gateway: me.gateway.clone(),
            });
        }
        Ok(Opened { order, digest, signers })
    }
}
