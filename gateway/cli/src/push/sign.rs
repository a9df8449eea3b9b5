//! The next order, signed.

use tidegate_release::manifest::{Order, Provenance, Target, What};
use tidegate_release::open::verify;
use tidegate_release::trust::Trust;
use tidegate_release::{Digest, Name, Rank, SecretKey};

use super::seq;
use super::session::unix_s;
use crate::failure::Failure;
use crate::state::{Pushed, PushedWhat, State};

/// What is to be signed and sent.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub what: What,
    /// The module, then the golden events when there are some.
    pub blobs: Vec<Vec<u8>>,
    pub provenance: Provenance,
}

/// Who signs, for which fleet; and where it is written down.
#[derive(Debug)]
pub struct Signer<'a> {
    pub trust: &'a Trust,
    pub keys: &'a [SecretKey],
    pub state: &'a State,
}

/// An order that can be sent.
#[derive(Debug)]
pub struct Signed {
    pub envelope: Vec<u8>,
    pub release: (Rank, Digest),
}

impl Signer<'_> {
    /// Signs with the number after all that are known here and to gateways, and writes it down before it is used.
    ///
    /// # Errors
    /// When the order is none that gateways of the fleet take, or cannot be written down.
    pub fn sign(
        &self,
        handler: &Name,
        targets: &[Target],
        wanted: &Wanted,
        known: impl Iterator<Item = Rank>,
    ) -> Result<Signed, Failure> {
        let fleet = self.trust.fleet();
        let pushed = self.state.pushed(fleet, handler);
        let ours = pushed.iter().map(|p| Rank { key_epoch: p.key_epoch, seq: p.seq });
        let rank = seq::next(self.trust.key_epoch(), known.chain(ours))?;
        let order = Order {
            fleet: fleet.clone(),
            handler: handler.clone(),
            rank,
            targets: targets.to_vec(),
            what: wanted.what.clone(),
            provenance: wanted.provenance.clone(),
        };
        let keys: Vec<&SecretKey> = self.keys.iter().collect();
        let envelope = order.sign(&keys).map_err(|error| Failure::data(error.to_string()))?;
        // As a gateway with this trust file will see it.
        let verified =
            verify(&envelope, self.trust).map_err(|error| Failure::data(error.to_string()))?;
        let digest = verified.digest();
        for blob in &wanted.blobs {
            self.state.keep_blob(blob)?;
        }
        self.state.keep_order(digest, &envelope)?;
        let (what, version) = match &wanted.what {
            What::Install(install) => (PushedWhat::Install, Some(install.version.clone())),
            What::Remove | What::Invoke(_) => (PushedWhat::Remove, None),
        };
        let pushed = Pushed {
            at: unix_s(),
            what,
            version,
            key_epoch: rank.key_epoch,
            seq: rank.seq,
            digest: digest.to_string(),
            targets: targets.iter().map(Target::to_string).collect(),
            signers: verified.signers().iter().map(ToString::to_string).collect(),
        };
        self.state.add_pushed(fleet, handler, &pushed)?;
        Ok(Signed { envelope, release: (rank, digest) })
    }
}
