//! The number of the next release: higher than every one that is known.

use tidegate_release::Rank;

use crate::failure::Failure;

/// The rank after all of these, in the trust file's key epoch.
///
/// # Errors
/// When a later key epoch is in use, or the numbers are used up.
pub fn next(key_epoch: u32, known: impl IntoIterator<Item = Rank>) -> Result<Rank, Failure> {
    let highest = known.into_iter().max();
    let before = match highest {
        Some(rank) if rank.key_epoch > key_epoch => {
            return Err(Failure::data(format!(
                "{rank} was pushed already, in key epoch {}, and the trust file says {key_epoch}; take the newer \
                 trust file",
                rank.key_epoch
            )));
        }
        Some(rank) if rank.key_epoch == key_epoch => rank.seq,
        Some(_) | None => 0,
    };
    let seq = before.checked_add(1).ok_or_else(|| {
        Failure::data(
            "the last seq of this key epoch is used up; somebody may have stolen a key: \
             `tidegate trust revoke` begins a new epoch",
        )
    })?;
    Ok(Rank { key_epoch, seq })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(key_epoch: u32, seq: u64) -> Rank {
        Rank { key_epoch, seq }
    }

    #[test]
    fn a_later_epoch_and_the_last_seq_are_refused() {
        let later = next(1, [rank(1, 9), rank(2, 1)]).expect_err("it is later");
        assert!(later.text.contains("2.1 was pushed"), "{later}");
        let last = next(1, [rank(1, u64::MAX)]).expect_err("there is no next");
        assert!(last.text.contains("trust revoke"), "{last}");
    }

    #[test]
    fn the_next_is_above_all_that_are_known() {
        assert_eq!(next(1, []), Ok(rank(1, 1)));
        assert_eq!(next(1, [rank(1, 4), rank(1, 7), rank(1, 5)]), Ok(rank(1, 8)));
        assert_eq!(next(2, [rank(1, u64::MAX)]), Ok(rank(2, 1)), "an epoch begins anew");
    }
}
