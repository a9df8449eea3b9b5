//! What lasts: commits, and what follows from them. State and facts lie on a [`Shelf`], records in the journal; this
//! crate gives the journal's frames their meaning and knows what must be where before what. No threads, no clock: the
//! daemon's store thread, the offline tool and the simulation own a [`Store`] each and say when.
//!
//! ```text
//!  take(Commit) ──> journal ── commit(): one write, one sync ──> Committed
//!                      │  what is durable: newest of each key            what waits, by place
//!                      ├──> memtable ── checkpoint() ──> shelf ──> export   ├──> fetch(priority, place)
//!                      └──> facts: seqs, boot, progress, seen, clocks       └──> evict(): room
//! ```
//!
//! # What a caller may rely on
//! - What `commit` reports survives a power cut, and so does everything before it. What was taken and not reported may
//!   survive as a prefix: state, records, losses, progress and marks of a commit all of them or none.
//! - State never runs ahead of the journal: only what is durable there goes to the shelf. The journal forgets a frame
//!   only when upstream is done with its records (by a progress that is durable itself) and an export has its state.
//! - A shelf that is empty, broken or damaged costs nothing but time: the newest export and the journal have it all.
//!   So do both without the shelf for [`peek`].
//! - A seq is never given twice in an epoch, as far as anything that is left of journal, shelf and exports can tell; if
//!   none of them can, the next one is far ahead.
//! - Nothing here writes when nothing was committed.
//!
//! # A driver's turn
//! `take` what has come; `commit`; hand over [`Store::poll_evicted`], then the answer; `evict` while
//! [`Store::is_full`]; `checkpoint` when [`Store::wants_checkpoint`]; `rest` when idle; `stop` at the end. A `checkpoint`
//! that fails is tried again later: until it succeeds the journal keeps everything.
//!
//! # Frames
//! One commit is one frame of kind 1, or it is refused ([`Error::TooLarge`]): a quarter of a segment, 1 MiB of 4.
//! `v` is LEB128, `s` the same after zigzag, `b` a `v` and so many bytes; all else is little-endian.
//!
//! ```text
//! frame      version u8 = 1 | boot v | section*
//! section    tag u8 | len v | body; tags rise
//! 1 records  count v | priorities u8, a bit each | seq v | boot v | mono_ms v | wall_us s | record*
//! record     flags u8 | stream u16 | seq s | mono_ms s | wall_us s | [boot v] | [ttl_s v] | [topic] | payload b
//!            seq, mono_ms and wall_us as differences: to the seq after the record before, and to its clocks
//! flags      bits 0-2 priority; 3 topic; 4 ttl_s; 5-6 quality of the wall clock; 7 another boot than before
//! topic      len + 1 v | bytes; 0: the topic before
//! 2 states   (handler b | version v | count v | (key b | value)*)*
//! value      0: deleted | 1: version v | bytes b | 2: version v | expires_us s | bytes b
//! 3 losses   (stream u16 | reason u8 | seq v | bytes v)*
//! 4 told     (stream u16 | reason u8 | count v)*
//! 5 progress known v | count v | span* | count v | (stream u16 | records v | bytes v | delivered v)*
//! span       priority u8, bit 3: has an end | from | [until]; a place is frame s, from the last one, | index v
//! 6 seen     u64*
//! 7 clocks   (boot v | start_us s)*
//! 8 floor    unix_us s
//! 9 damage   count v | (first v | last v)* | headers v | files v | blocks v | next_seq v | left_epoch u64 |
//!            count v | (stream u16 | count v | first_seq v | last_seq v)*
//! ```
//! A record of 200 bytes in a batch of 64 takes 11 more, the journal's 17 a frame included. A fetch reads section 1
//! of the frames that have its priority, a replay all but payloads.
//!
//! Losses and what was told go into the journal's ledger, in a mark right behind the frame. If a power cut takes the mark
//! and leaves the frame, it is the log's last, and the next start enters them again.
//!
//! # Carried frames
//! An eviction carries what is left of a frame to the log's end. Its records stand in another place then, its state
//! and marks count where it stood first: a replay takes them only if they are newer than what it has. A progress means
//! its place and is said anew instead. Once an export has a segment's state, only records are carried.
//!
//! # Known gaps
//! What damage has cost is known by seqs, not by stream, and counted under stream 65535. When the newest segment is
//! lost together with the shelf and the exports, seqs may be given again. State of handlers that are gone stays.

mod settings;
mod shelf;
mod store;

mod checkpoint;
mod export;
mod fetch;

mod downsample;
mod evict;

mod damage;
mod open;
mod peek;

mod facts;
mod memtable;
mod rows;
mod weights;

mod bytes;
mod codec;
mod error;

mod model;

#[cfg(test)]
mod cases;
pub mod planted;
#[cfg(test)]
mod properties;

pub use codec::{Damage, Entry, EntryView, LostRange, RecordView, RecordViews};
pub use error::{CodecError, Error};
pub use model::{ModelShelf, ShelfFaults};
pub use open::{Found, Opened};
pub use peek::{Frozen, NoShelf, peek};
pub use settings::Settings;
pub use shelf::{Rows, Shelf};
pub use store::{Counters, Store};
