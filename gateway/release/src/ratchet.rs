//! The ratchet: what was accepted last, and that nothing older ever is again.

use std::fmt;

use crate::hash::{Digest, digest_of};
use crate::manifest::What;

/// How far a seq may be ahead of the last one within a key epoch, and the highest first one of an epoch. Far beyond
/// what anybody pushes, and a thief of a key cannot use the numbers up: 2^32 forged releases would be needed.
pub const LEAP_MAX: u64 = 1 << 32;

/// Where a release stands: the key epoch first, then the seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// The trust file's; it rises when a key was stolen, and every seq of the thief is then behind.
    pub key_epoch: u32,
    /// From 1.
    pub seq: u64,
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.key_epoch, self.seq)
    }
}

/// Which ratchet of a handler an order belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// When it changes what runs: install, remove.
    Release,
    /// When it runs one event: invoke.
    Invoke,
}

impl Lane {
    pub fn of(what: &What) -> Lane {
        match what {
            What::Install(_) | What::Remove => Lane::Release,
            What::Invoke(_) => Lane::Invoke,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Lane::Release => 1,
            Lane::Invoke => 2,
        }
    }
}

/// The highest rank that was accepted for a handler in a lane, and what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratchet {
    pub highest: Rank,
    pub digest: Digest,
}

/// What the ratchet says of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// When it is higher: it may be accepted, and the ratchet moves.
    Newer,
    /// When it is what was accepted last: there is nothing to do.
    Again,
    /// When the rank was used already, for what has this other digest.
    SameSeq(Digest),
    /// When something newer was accepted; its rank.
    Older(Rank),
    /// When the seq is more than [`LEAP_MAX`] ahead; the highest seq that would do.
    Leap { seq_max: u64 },
}

/// Judges a release against what was accepted last, `None` when nothing ever was.
pub fn judge(last: Option<&Ratchet>, rank: Rank, digest: Digest) -> Judged {
    let before = match last {
        None => 0,
        Some(last) if rank < last.highest => return Judged::Older(last.highest),
        Some(last) if rank == last.highest => {
            let is_same = digest == last.digest;
            return if is_same { Judged::Again } else { Judged::SameSeq(last.digest) };
        }
        Some(last) if rank.key_epoch == last.highest.key_epoch => last.highest.seq,
        Some(_) => 0,
    };
    let seq_max = before.saturating_add(LEAP_MAX);
    if rank.seq <= seq_max { Judged::Newer } else { Judged::Leap { seq_max } }
}

impl Judged {
    /// Why a release of that rank is refused: a code in kebab case, and what to tell people. `None` when it is not.
    pub fn refusal(&self, rank: Rank) -> Option<(&'static str, String)> {
        match self {
            Judged::Newer | Judged::Again => None,
            Judged::SameSeq(digest) => Some((
                "same-seq",
                format!(
                    "seq {rank} was used for {}, and this is another release; push it with a higher seq",
                    digest.short()
                ),
            )),
            Judged::Older(highest) => Some((
                "older",
                format!(
                    "seq {rank} is behind {highest}, which was accepted; to go back to an older version, use `tidegate rollback`"
                ),
            )),
            Judged::Leap { seq_max } => Some((
                "leap",
                format!(
                    "seq {rank} is too far ahead, at most {seq_max} may come next; push it with a seq below that, and find out who signs such numbers"
                ),
            )),
        }
    }
}

/// Length of a ratchet's bytes.
pub const RATCHET_BYTES: usize = 57;
const MAGIC: [u8; 4] = *b"TGR1";
const SUM_AT: usize = RATCHET_BYTES - 8;

/// Why bytes are no ratchet. Never the same as "there is none": what ran last is then unknown, and nothing is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// When the length is not [`RATCHET_BYTES`].
    #[error(
        "the ratchet has {0} bytes, not 57: it is damaged; nothing is accepted for this handler until it is restored or set by hand"
    )]
    Length(usize),
    /// When it does not begin like a ratchet.
    #[error(
        "the ratchet does not begin with TGR1: it is damaged; nothing is accepted for this handler until it is restored or set by hand"
    )]
    Magic,
    /// When it is the other lane's.
    #[error(
        "the ratchet belongs to another lane: files were mixed up; nothing is accepted for this handler until it is restored or set by hand"
    )]
    Lane,
    /// When the sum does not fit.
    #[error(
        "the ratchet's sum does not fit: it is damaged; nothing is accepted for this handler until it is restored or set by hand"
    )]
    Sum,
}

impl Ratchet {
    /// `TGR1`, the lane (1 release, 2 invoke), key epoch (u32) and seq (u64) little endian, the digest, and the first 8
    /// bytes of the SHA-256 of all that.
    pub fn to_bytes(&self, lane: Lane) -> [u8; RATCHET_BYTES] {
        let mut bytes = [0; RATCHET_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = lane.byte();
        bytes[5..9].copy_from_slice(&self.highest.key_epoch.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.highest.seq.to_le_bytes());
        bytes[17..SUM_AT].copy_from_slice(&self.digest.0);
        let sum = digest_of(&bytes[..SUM_AT]);
        bytes[SUM_AT..].copy_from_slice(&sum.0[..8]);
        bytes
    }

    /// Reads a ratchet back.
    ///
    /// # Errors
    /// When the bytes are not those of a ratchet of this lane, to the last bit.
    pub fn from_bytes(bytes: &[u8], lane: Lane) -> Result<Ratchet, Unreadable> {
        let bytes: &[u8; RATCHET_BYTES] =
            bytes.try_into().map_err(|_| Unreadable::Length(bytes.len()))?;
        if bytes[..4] != MAGIC {
            return Err(Unreadable::Magic);
        }
        if bytes[SUM_AT..] != digest_of(&bytes[..SUM_AT]).0[..8] {
            return Err(Unreadable::Sum);
        }
        if bytes[4] != lane.byte() {
            return Err(Unreadable::Lane);
        }
        let key_epoch = u32::from_le_bytes(part(bytes, 5));
        let seq = u64::from_le_bytes(part(bytes, 9));
        Ok(Ratchet { highest: Rank { key_epoch, seq }, digest: Digest(part(bytes, 17)) })
    }
}

fn part<const N: usize>(bytes: &[u8; RATCHET_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|n| bytes[at + n])
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Digest = Digest([1; 32]);
    const B: Digest = Digest([2; 32]);

    fn rank(key_epoch: u32, seq: u64) -> Rank {
        Rank { key_epoch, seq }
    }

    #[track_caller]
    fn check(last: Option<(u32, u64)>, next: (u32, u64), digest: Digest, expect: Judged) {
        let last = last.map(|(epoch, seq)| Ratchet { highest: rank(epoch, seq), digest: A });
        assert_eq!(judge(last.as_ref(), rank(next.0, next.1), digest), expect);
    }

    #[test]
    fn the_ratchet_only_goes_up() {
        check(Some((2, 5)), (2, 6), B, Judged::Newer);
        check(Some((2, 5)), (2, 4), A, Judged::Older(rank(2, 5)));
        check(Some((2, 5)), (1, 6), A, Judged::Older(rank(2, 5)));
        check(Some((2, 5)), (1, u64::MAX), B, Judged::Older(rank(2, 5)));
        check(Some((2, 5)), (3, 1), B, Judged::Newer);
        check(Some((2, 5)), (2, 5), A, Judged::Again);
        check(Some((2, 5)), (2, 5), B, Judged::SameSeq(A));
        check(None, (0, 1), A, Judged::Newer);
        check(None, (7, 1), A, Judged::Newer);
    }

    #[test]
    fn a_leap_is_refused_at_the_first_seq_beyond() {
        let leap = |seq_max| Judged::Leap { seq_max };
        check(Some((2, 5)), (2, 5 + LEAP_MAX), B, Judged::Newer);
        check(Some((2, 5)), (2, 6 + LEAP_MAX), B, leap(5 + LEAP_MAX));
        check(Some((2, 5)), (2, u64::MAX), B, leap(5 + LEAP_MAX));
        check(Some((2, u64::MAX - 9)), (2, u64::MAX), B, Judged::Newer);
        // A new epoch starts anew, however far a thief was.
        check(Some((2, u64::MAX)), (3, 1), B, Judged::Newer);
        check(Some((2, 5)), (3, LEAP_MAX), B, Judged::Newer);
        check(Some((2, 5)), (3, LEAP_MAX + 1), B, leap(LEAP_MAX));
        check(None, (3, LEAP_MAX), B, Judged::Newer);
        check(None, (3, LEAP_MAX + 1), B, leap(LEAP_MAX));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refusal = |judged: Judged| judged.refusal(rank(2, 5));
        assert_eq!(refusal(Judged::Newer), None);
        assert_eq!(refusal(Judged::Again), None);
        for (judged, code, says) in [
            (Judged::SameSeq(A), "same-seq", "seq 2.5 was used for 010101010101,"),
            (Judged::Older(rank(3, 1)), "older", "seq 2.5 is behind 3.1,"),
            (Judged::Leap { seq_max: 4 }, "leap", "at most 4 may come next;"),
        ] {
            let (is, text) = refusal(judged).expect("it is refused");
            assert!(is == code && text.contains(says), "{is}: {text}");
        }
    }

    #[test]
    fn every_flipped_bit_makes_it_unreadable() {
        let ratchet = Ratchet { highest: rank(3, 0x0102_0304_0506_0708), digest: B };
        for lane in [Lane::Release, Lane::Invoke] {
            let bytes = ratchet.to_bytes(lane);
            assert_eq!(Ratchet::from_bytes(&bytes, lane), Ok(ratchet));
            for bit in 0..bytes.len() * 8 {
                let mut bad = bytes;
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(Ratchet::from_bytes(&bad, lane).is_err(), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert_eq!(Ratchet::from_bytes(&bytes[..len], lane), Err(Unreadable::Length(len)));
            }
            assert_eq!(Ratchet::from_bytes(&[0; 58], lane), Err(Unreadable::Length(58)));
        }
        let release = ratchet.to_bytes(Lane::Release);
        assert_eq!(Ratchet::from_bytes(&release, Lane::Invoke), Err(Unreadable::Lane));
        assert_eq!(release[..5], *b"TGR1\x01");
        assert_eq!(release[5..17], [3, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
    }
}
