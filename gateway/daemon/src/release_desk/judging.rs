//! A verified order against what was accepted before, and against the board.

use std::sync::Arc;

use tidegate_core::planted::{Bug, planted};
use tidegate_core::release::{self as core, Examined, Refusal};
use tidegate_release::hash::Digest;
use tidegate_release::manifest::{Blob, What};
use tidegate_release::name::Name;
use tidegate_release::open::Opened;
use tidegate_release::ratchet::{Judged, Lane, Rank, Ratchet, judge};

use super::{ACCEPTED_MAX, Desk, Wanted, blobs, cannot_write, manifest, refused};

impl Desk {
    pub(super) fn judge(&mut self, opened: Opened, envelope: &Arc<[u8]>) -> Examined {
        let handler = opened.order.handler.clone();
        let (rank, digest) = (opened.order.rank, opened.digest);
        let known = self.known.get(&handler);
        if known.is_some_and(|known| known.is_blocked) {
            let text = "what was accepted last for this handler cannot be read from the store, so nothing is; \
                        push under another name";
            return refused(Some(&handler), Refusal::new("registry-damaged", text));
        }
        let lane = Lane::of(&opened.order.what);
        let last = known.and_then(|known| match lane {
            Lane::Release => known.ratchet.as_ref(),
            Lane::Invoke => known.invokes.as_ref(),
        });
        let refusal = match judge(last, rank, digest) {
            Judged::Newer => match self.awaited(&handler) {
                Some(awaited) if awaited > rank && lane == Lane::Release => Refusal::new(
                    "older",
                    format!(
                        "{rank} is older than {awaited}, whose chunks are still to come; push again, with a higher seq"
                    ),
                ),
                Some(_) | None => return self.accept(opened, envelope),
            },
            Judged::Again
                if known.is_some_and(|known| known.is_unfollowed)
                    || planted(Bug::TakenBackRunsAgain) =>
            {
                return self.accept(opened, envelope);
            }
            Judged::Again => {
                return match lane {
                    Lane::Release => Examined::Again { handler: handler.as_str().into() },
                    // It has run; its answer was told.
                    Lane::Invoke => Examined::Nothing,
                };
            }
            Judged::SameSeq(other) => Refusal::new(
                "same-seq",
                format!("{rank} was used for {}; push again, with the next seq", other.short()),
            ),
            Judged::Older(highest) => Refusal::new(
                "older",
                format!(
                    "{rank} is older than {highest}, which was accepted; push again, with a higher seq"
                ),
            ),
            Judged::Leap { seq_max } => Refusal::new(
                "leap",
                format!("seq {} is too far ahead; {seq_max} is the most", rank.seq),
            ),
        };
        refused(Some(&handler), refusal)
    }

    /// It is newer than all before: what it needs must be here.
    fn accept(&mut self, opened: Opened, envelope: &Arc<[u8]>) -> Examined {
        let handler = opened.order.handler.clone();
        match &opened.order.what {
            What::Invoke(invoke) => match manifest::event(invoke) {
                Ok((message, invoke)) => {
                    let (highest, digest) = (opened.order.rank, opened.digest);
                    let known = self.known.entry(handler.clone()).or_default();
                    known.invokes = Some(Ratchet { highest, digest });
                    let (handler, rank) = (handler.as_str().into(), manifest::rank(highest));
                    let digest = core::Digest(digest.0);
                    Examined::Invoke { handler, rank, digest, message, invoke }
                }
                Err(refusal) => refused(Some(&handler), refusal),
            },
            What::Remove => {
                let (rank, digest) = (opened.order.rank, opened.digest);
                if let Err(error) = self.files.keep_release(digest, envelope) {
                    return cannot_write(&handler, &error);
                }
                self.turn_ratchet(&handler, rank, digest);
                self.drop_overtaken(&handler);
                self.note_accepted(&opened);
                let (handler, rank) = (handler.as_str().into(), manifest::rank(rank));
                Examined::Remove { handler, rank, digest: core::Digest(digest.0) }
            }
            What::Install(install) => {
                let checked = manifest::check(&handler, install, &self.caps)
                    .and_then(|()| manifest::check_pins(install, &self.pins));
                if let Err(refusal) = checked {
                    return refused(Some(&handler), refusal);
                }
                let blobs: Vec<Blob> = blobs(install).collect();
                if let Err(error) = self.files.keep_release(opened.digest, envelope) {
                    return cannot_write(&handler, &error);
                }
                let wanted = Wanted { opened, envelope: Arc::clone(envelope), blobs };
                self.want(wanted)
            }
        }
    }

    /// From here on nothing older is accepted, whatever becomes of this one.
    pub(super) fn turn_ratchet(&mut self, handler: &Name, highest: Rank, digest: Digest) {
        let known = self.known.entry(handler.clone()).or_default();
        if known.accepted.len() >= ACCEPTED_MAX {
            known.accepted.remove(0);
        }
        known.accepted.push(digest);
        known.is_unfollowed = false;
        known.ratchet = Some(Ratchet { highest, digest });
    }

    /// What still waits for its chunks is older than what the ratchet has turned to: it is not to turn it back.
    pub(super) fn drop_overtaken(&mut self, handler: &Name) {
        if planted(Bug::WaitingTurnsRatchetBack) {
            return;
        }
        self.wanted.retain(|wanted| wanted.opened.order.handler != *handler);
        self.forget_unwanted();
    }

    /// The newest order for the handler that is good and waits for its chunks.
    fn awaited(&self, handler: &Name) -> Option<Rank> {
        let mut orders = self.wanted.iter().map(|wanted| &wanted.opened.order);
        orders.find(|order| order.handler == *handler).map(|order| order.rank)
    }
}
