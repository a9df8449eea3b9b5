//! What is known of each handler: what was accepted for it, and which files it needs.

use tidegate_core::planted::{Bug, planted};
use tidegate_core::release::{self as core};
use tidegate_release::hash::Digest;
use tidegate_release::name::Name;
use tidegate_release::ratchet::{Rank, Ratchet};

use super::Desk;

/// What the registry says of one handler.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub ratchet: Option<Ratchet>,
    /// What the ratchet was turned to last had not had its turn when the power went: it may be followed once more.
    pub is_unfollowed: bool,
    /// Of events that a person sends.
    pub invokes: Option<Ratchet>,
    /// The registry's row cannot be read: nothing is taken for this handler.
    pub is_blocked: bool,
    /// What may run again.
    pub keep: Vec<Digest>,
    /// What was accepted since, oldest first: the core may not even have heard of it.
    pub accepted: Vec<Digest>,
}

impl Desk {
    /// Tells what the registry says of a handler; none: its row cannot be read.
    pub fn know(&mut self, handler: Name, row: Option<&core::Row>) {
        let known = match row {
            Some(row) => {
                let (rank, digest) = row.highest;
                let highest = Rank { key_epoch: rank.key_epoch, seq: rank.seq };
                let keep = [row.running, row.previous].into_iter().flatten();
                Known {
                    ratchet: (!planted(Bug::RatchetForgotten))
                        .then_some(Ratchet { highest, digest: Digest(digest.0) }),
                    is_unfollowed: row.is_unfollowed(),
                    invokes: None,
                    is_blocked: false,
                    keep: keep.map(|digest| Digest(digest.0)).collect(),
                    accepted: Vec::new(),
                }
            }
            None => Known { is_blocked: true, ..Known::default() },
        };
        self.known.insert(handler, known);
    }

    /// Tells how far the events are that persons have sent to a handler. Behind [`Desk::know`].
    pub fn know_invokes(&mut self, handler: Name, row: Option<&core::Row>) {
        let known = self.known.entry(handler).or_default();
        match row {
            Some(row) => {
                let (rank, digest) = row.highest;
                let highest = Rank { key_epoch: rank.key_epoch, seq: rank.seq };
                known.invokes = Some(Ratchet { highest, digest: Digest(digest.0) });
            }
            None => known.is_blocked = true,
        }
    }
}
