//! The one encoding of everything that is signed: a strict part of CBOR (RFC 8949, 4.2.1, core deterministic encoding).
//! Unsigned integers, byte and text strings, arrays, maps with unsigned keys, `true` and `false`; nothing else.
//!
//! Each value has exactly one encoding, and only that is read: definite lengths, shortest heads, keys ascending and
//! none twice, no byte behind the end. What is read is asked for by its reader, so the depth is that of the format and
//! nothing recurses; a length is compared with its limit and with what is left before anything is allocated.

mod reader;
mod writer;

pub use reader::Flaw;
pub(crate) use reader::{Fields, Reader};
pub(crate) use writer::Writer;
