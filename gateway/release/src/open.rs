//! From bytes off the wire to an order that this gateway may follow: the one way in.

use std::collections::BTreeSet;

use crate::hash::Digest;
use crate::keys::KeyId;
use crate::manifest::{Order, Target};
use crate::name::Name;
use crate::ratchet::Rank;
use crate::trust::Trust;

/// Who a gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    pub gateway: Name,
    pub groups: BTreeSet<Name>,
    pub fleet: Name,
}

/// An order of the fleet, signed by enough of its keys; for whom, is still to be asked.
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

/// Verifies a release: size, form, signatures, threshold, then what it says, epoch and fleet.
pub fn verify(bytes: &[u8], trust: &Trust) -> Result<Verified, Refused> {
    todo!()
}

/// Verifies a release and asks whether it is for `me`.
pub fn open(bytes: &[u8], trust: &Trust, me: &Me) -> Result<Opened, Refused> {
    todo!()
}

impl Verified {
    pub fn order(&self) -> &Order {
        &self.order
    }
    pub fn digest(&self) -> Digest {
        self.digest
    }
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }
    /// Whether it is for `me`.
    pub fn for_me(self, me: &Me) -> Result<Opened, Refused> {
        todo!()
    }
}

/// Why a release is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// When it has more than 16 KiB.
    #[error("x")]
    TooLarge { bytes: usize },
    /// When it is no envelope.
    #[error("x")]
    Form(crate::cbor::Flaw),
    /// When it is something else that was signed: a trust file, an answer.
    #[error("x")]
    OtherDomain(crate::keys::Domain),
    /// When a signature is by a key that the trust file does not name for releases.
    #[error("x")]
    UnknownKey(KeyId),
    /// When a signature is by a revoked key.
    #[error("x")]
    RevokedKey(KeyId),
    /// When a signature does not fit: something was changed.
    #[error("x")]
    BadSignature(KeyId),
    /// When too few keys have signed.
    #[error("x")]
    TooFewSignatures { have: u32, need: u32 },
    /// When it is made for a newer gateway: the format, or the field that is not known.
    #[error("x")]
    Newer(crate::manifest::Wrong),
    /// When what was signed is no order.
    #[error("x")]
    Content(crate::manifest::Wrong),
    /// When it was signed for another key epoch.
    #[error("x")]
    KeyEpoch { order: u32, trust: u32 },
    /// When it is for another fleet.
    #[error("x")]
    OtherFleet { order: Name, ours: Name },
    /// When it is for others.
    #[error("x")]
    OtherTarget { targets: Vec<Target>, gateway: Name },
}

impl Refused {
    /// In kebab case, for the signed answer.
    pub fn code(&self) -> &'static str {
        todo!()
    }
}
