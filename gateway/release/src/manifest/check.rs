//! What an order must hold.

use crate::cbor::Flaw;

/// Why an order is none. Variants follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("{0}")]
    Form(Flaw),
}
