//! Randomness, as the host records it for replay.

use crate::error::done;
use crate::{Result, host};

/// Fills `buf` with random bytes. Not for keys: a replay gives the same ones.
///
/// # Errors
/// What the host answers.
#[inline]
pub fn random(buf: &mut [u8]) -> Result {
    done(host::random(buf))
}
