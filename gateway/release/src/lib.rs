//! The signed release: what a push is made of, and what a gateway believes of it. Data in, data out: no IO, no clock,
//! no randomness but what is given. The daemon verifies with it, the tool signs with it (`tool` makes keys).
//!
//! # What is believed
//! A broker may read, keep, change, forge, repeat and withhold everything. A gateway follows an order when, in this
//! order: it has the form of an envelope, each of its signatures is by a release key of the trust file that holds and is
//! right, they reach the threshold ([`open`]), and only then what it says is read: fleet, key epoch, targets; and when it
//! is newer than what was accepted before ([`ratchet`]). Topics are addresses ([`topics`]), never the authority.
//!
//! # The bytes
//! Everything that is signed or kept is one strict part of CBOR (RFC 8949, 4.2.1): unsigned integers, byte strings, UTF-8
//! texts, arrays, maps with unsigned keys, `false` and `true`. There is one encoding of each value, and no other is
//! read:
//!
//! | first byte | then | is |
//! |---|---|---|
//! | `00`..`17` | | the number 0..23 |
//! | `18` `19` `1a` `1b` | 1, 2, 4, 8 bytes, big endian | a number that needs that many |
//! | `40`.. `60`.. `80`.. `a0`.. | the same way, a length; then so many bytes, bytes of text, members, or keys each with its value | bytes, text, array, map |
//! | `f4` `f5` | | false, true |
//!
//! Keys of a map ascend; none is there twice; nothing follows the end. An unknown key is refused as made for a newer
//! gateway. Nothing recurses, and a length is compared with its limit and with what is left before anything is made.
//!
//! A **domain string** stands in front of everything that is signed: `tidegate release 1`, `tidegate trust 1`,
//! `tidegate answer 1` or `tidegate report 1`, and a zero byte. Signatures are Ed25519 (RFC 8032) over domain string
//! and payload, verified strictly. The **digest** of an order or trust file is the SHA-256 of the same bytes.
//!
//! ```text
//! envelope = { 1: payload (bytes), 2: [[key id (8 bytes), signature (64 bytes)], ...] }
//! ```
//! with 1 to 8 signatures, ascending by key id; a key id is the first 8 bytes of the SHA-256 of the public key. Orders
//! and trust files have at most 16 KiB, answers and reports at most 64 KiB and one signature.
//!
//! An order's payload:
//! ```text
//! { 1: format = 1, 2: fleet (text), 3: handler (text), 4: [key epoch, seq],
//!   5: [[0 gateway | 1 group, name (text)], ...]       targets, ascending
//!   6: [1, install] | [2] | [3, invoke]                install, remove, invoke
//!   7: [author, built with, source] }                  provenance, three texts
//!
//! install = { 1: blob                                  module: [sha256 (32 bytes), bytes]
//!   2: version (text)
//!   3: [filter (text), ...]                            events
//!   4: [[filter, ...], [stream, ...], [pin, ...]]      grants
//!   5: [fuel, memory KiB, deadline ms, publishes]      limits of an event
//!   6: [[key (text), value (text)], ...]               settings, ascending by key
//!   7: 0 event | 1 instance                            isolation
//!   8: 0 now | 1 durable                               react
//!   9: blob                                            golden events; may be absent
//!  10: version (text)                                  migrates from; may be absent
//!  11: [events, uptime ms, failed per mille max, deadline misses max, p99 us max, memory KiB max] }   probation
//!
//! invoke = { 1: nonce (16 bytes), 2: topic (text), 3: payload (bytes), 4: is dry (bool) }
//! ```
//! A trust file's payload:
//! ```text
//! { 1: format = 1, 2: fleet (text), 3: version, 4: key epoch,
//!   5: [threshold, [public key (32 bytes), ...]]       roots, ascending
//!   6: [threshold, [public key, ...]]                  release keys, ascending
//!   7: [key id (8 bytes), ...] }                       revoked, ascending
//! ```
//! A chain of trust files, as a trust topic may hold it: `[trust file (bytes), ...]`, the oldest first.
//!
//! An answer's and a report's payload (`stage` and `effect` with their modules' types):
//! ```text
//! answer = { 1: format = 1, 2: gateway (text), 3: handler (text), 4: counter, 5: stage,
//!   6: [key epoch, seq, digest (32 bytes)]             the release; may be absent
//!   7: version (text)                                  may be absent
//!   8: [events, failed, deadline misses, fuel, p99 us, memory KiB] }
//!
//! stage = [1, have, of] checking | [2] installing | [3, events, of, left ms] probation | [4] active
//!       | [5, code (text), text] rejected | [6, code, text] rolled back | [6, code, text, topic (text), payload (bytes)]
//!       | [7] removed | [8, { 1: nonce (16 bytes), 2: is dry (bool), 3: fuel, 4: us, 5: [effect, ...], 6: left off,
//!                             7: reason (text); absent when it did not fail,
//!                             8: [write, ...], 9: [[level, text], ...] log lines; absent when empty }] invoked
//!
//! write = [key (bytes), value (bytes)] set | [key] deleted
//!
//! effect = [0, topic (text), payload (bytes)] publish | [1, stream (text), payload (bytes)] send | [2] nothing | [3] fails
//!        | [4, pin (text), on (bool)] sets a pin
//!
//! report = { 1: format = 1, 2: gateway (text), 3: counter, 4: version (text), 5: uptime ms, 6: trust version,
//!   7: key epoch, 8: is safe mode (bool), 9: is stale (bool), 10: handlers,
//!  11: [audit entries, digest of the last (32 bytes)] }
//! ```
//!
//! A log line, while somebody follows the handler ([`topics`]), is not signed. It is JSON, QoS 0 and not retained:
//! ```text
//! {"ts_us":N|null,"level":1..5,"text":"..","left_out":N}    left_out: lines that were too many before it; absent when 0
//! {"ts_us":N|null,"left_out":N}                             when somebody asks again: since the last line
//! ```
//! `ts_us` is unix time, null while the clock is not known; the text has at most 512 bytes (the ABI's limit of a line).
//! A request is any message on the follow topic; it holds for 30 s, for the side that it came from: lines go upstream
//! only when somebody upstream asks. At most 20 lines a second of a handler, 100 at once, and 16 handlers at a time.
//!
//! Golden events: `{ 1: format = 1, 2: [[topic (text), payload (bytes), [effect, ...]], ...] }`.
//!
//! Not CBOR: a ratchet ([`ratchet::Ratchet::to_bytes`]), key files ([`keys::KeyFile`]), topics
//! ([`topics::ControlTopic`]). The audit log's entries are in [`audit`]. `tests/golden` has one file of each.

pub mod hash;
pub mod name;

pub mod keys;

pub mod envelope;

pub mod trust;

pub mod manifest;

pub mod open;

pub mod ratchet;

pub mod chunks;

pub mod topics;

pub mod golden;

pub mod answer;

pub mod audit;

mod cbor;

pub use cbor::Flaw;
pub use hash::Digest;
pub use keys::{KeyId, PublicKey, SecretKey};
pub use manifest::{Order, What};
pub use name::Name;
pub use ratchet::Rank;
pub use trust::Trust;
