//! The envelope: a payload and the signatures over it.

use crate::cbor::Flaw;
use crate::hash::{Digest, Hasher};
use crate::keys::{Domain, KeyId, SIGNATURE_BYTES, SecretKey};

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
