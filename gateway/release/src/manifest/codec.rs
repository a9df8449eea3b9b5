//! The order's bytes.

use super::{Order, Wrong};
use crate::keys::SecretKey;

impl Order {
    /// The payload.
    pub fn encode(&self) -> Result<Vec<u8>, Wrong> {
        todo!()
    }
    /// Reads a payload whose signatures were verified.
    pub fn decode(payload: &[u8]) -> Result<Order, Wrong> {
        todo!()
    }
    /// The signed envelope.
    pub fn sign(&self, keys: &[&SecretKey]) -> Result<Vec<u8>, Wrong> {
        todo!()
    }
}
