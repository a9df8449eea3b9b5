//! The append-only log: what is durable, in which order, and what was given up. No threads, no clock, no async;
//! the store driver owns a [`Journal`] in one thread and says when to commit.
//!
//! ```no_run
//! # use tidegate_journal::{Cursor, Error, Fate, Journal, RealDisk, Settings};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = RealDisk::open("/var/lib/tidegate/journal".as_ref())?;
//! let random = 0x1d2c_3b4a; // a fresh random number: the store's epoch, if the journal is new
//! let mut journal = Journal::open(disk, Settings::default(), random)?;
//! let mut cursor = Cursor::from(0); // 1. replay what is there: from the state's applied_seq + 1
//! while let Some(frame) = cursor.next(&mut journal)? {
//!     println!("{} {} {:?}", frame.seq, frame.kind, frame.payload);
//! }
//! let seq = journal.append(1, b"what must last")?; // 2. gather
//! let durable = journal.commit()?; // 3. one write, one sync: seqs up to `durable` may be acked
//! journal.forget(seq); // 4. applied and delivered
//! while journal.is_full(200) {
//!     journal.evict(|frame, judge| {
//!         judge.lose(0, 1, frame.seq, frame.payload.len() as u64);
//!         Fate::Drop
//!     })?;
//! }
//! # Ok(()) }
//! ```
//!
//! # What a caller may rely on
//! - What `commit` or `durable_seq` says is durable survives a power cut, in order. What was appended but not
//!   reported may survive as a prefix, never with a hole. A frame is whole or absent.
//! - **A seq is a place in the log, not an upstream number.** Seqs are dense over all frames; the journal's own
//!   marks and carried frames use some, so the caller's rise with holes. Upstream's dense numbers belong
//!   in the payload. `forget` takes the seq a frame stands at now, `Frame::seq`, never its `origin`.
//! - `forget` alone is not durable: after a cut, forgotten frames may be there again.
//! - After an error from `commit` everything stays pending and may be committed again. The segment that failed is
//!   left; a sync is never asked twice about the same bytes.
//! - `open` fails only when the folder cannot be listed; [`Recovery`] reports everything else.
//!
//! # Files
//! One folder. `NNNNNNNN.seg` is a segment, its number a slot without meaning: generations order the log.
//! `*.seg.new` is one being made, `quarantine-*.bin` a copy of damaged bytes.
//!
//! ```text
//! segment   0        header, 36 bytes and a mark; zeros up to 4096
//!           4096     frames, up to
//!           len-4096 the header again
//! header    magic "TIDEJRNL" | version u16 = 1 | mark's length u16 | generation u32 | epoch u64 |
//!           first_seq u64 | crc32c u32 over all but itself | mark
//! mark      forgotten u64 | attempt u64 | n u8 | n x (first u64 | last u64) | ledger
//! ledger    n u8 | n x (stream u16 | reason u8 | count u64 | told u64 | first_seq u64 | last_seq u64 | bytes u64)
//! frame     len u32 | crc32c u32 | kind u8 | seq u64 | payload of len bytes
//!           crc over generation u32, len, kind, seq, payload
//! kind      bits 0-5: 1 to 62 the caller's, 63 a mark; bit 6: carried, the payload then starts with
//!           replaces u64 | origin u64; bit 7: first frame of a write
//! ```
//! Little-endian. A new segment's header is durable before a frame follows it, one copy after the other. A write starts where the last one
//! ended, or at the next 4 KiB block if that skips at most a quarter of what was written: then a large write
//! touches one block less, and none that holds anything durable, while small ones do not fill the log with padding.
//!
//! # Recovery
//! - Good frames have the generation's crc and a seq that is due. Where none stands, the scan goes on byte by byte.
//! - The newest segment's last write may be torn: what follows its first hole does not count and is
//!   overwritten with zeros. A hole is damage when a later write follows it (that write began only after the first
//!   was durable), or when it shares its only sector with the good frame behind it, which proves that sector written.
//! - Every other hole is a [`Gap`]: counted, copied to a quarantine file once, and everything behind it kept.
//! - The last write is written once more and synced, since a killed process may have left it in the page cache only.
//! - A header is read from its second copy if the first is bad and frames of that generation follow; without either, the frames are tried with the
//!   generations that are missing. A segment that a cut kept from being begun is no damage: its first copy is torn, or
//!   all there is. A file with nothing good in it is copied (up to 64 KiB) and used again. Another
//!   version or another epoch is left alone and counted; of a doubled generation the better file counts, the other is set
//!   aside as `*.seg.double`.
//! - A segment claims the seqs from its first one on: what stands there in an earlier segment is an older try. The
//!   newest does not claim what it does not hold.
//!
//! # Known gaps
//! A last write whose damage looks like a tear is cut there. A device that tears within 512 bytes, or damages what it
//! is not writing, can cost durable frames of a shared block; they are counted. When the newest segment's file is gone
//! altogether, its seqs are given again. A disk whose sync lies
//! loses what it lied about, and may show a carried frame twice.

mod disk;
mod error;
mod settings;

mod crc;
mod frame;
mod header;
mod ledger;
mod mark;

mod scan;
mod window;

mod account;
mod cursor;
mod journal;
mod retention;
mod segments;

mod open;
mod quarantine;
mod recovery;
mod shelf;
mod survey;
mod verify;

mod model;
mod real;

pub mod planted;
#[cfg(test)]
mod properties;

pub use crc::Crc;
pub use cursor::Cursor;
pub use disk::Disk;
pub use error::Error;
pub use frame::{Frame, KIND_MAX};
pub use journal::{Counters, Journal};
pub use ledger::{Ledger, Loss, OTHER_STREAMS, REASON_NO_ROOM};
pub use model::{Faults, ModelDisk, Power};
pub use real::RealDisk;
pub use recovery::{Gap, Recovery};
pub use retention::{Evicted, Fate, Judge};
pub use settings::{SEGMENT_BYTES_MIN, Settings};
